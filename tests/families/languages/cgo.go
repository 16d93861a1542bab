// cgo: C from Go, Go from C, on C's stack and Go's, from threads that C made; a signal of C code.
package main

/*
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

extern int goAdd(int, int);
extern int goCompare(void *, void *);

static int twice(int x) { return goAdd(x, x); }
static int fails(int x) { errno = ERANGE; return x; }
static int compare(const void *a, const void *b) { return goCompare((void *)a, (void *)b); }
static void sort(int *v, int n) { qsort(v, n, sizeof *v, compare); }
static void *run(void *p) { *(int *)p = goAdd(*(int *)p, 1000); return p; }
static int thread(int x)
{
    pthread_t t;
    if (pthread_create(&t, NULL, run, &x) || pthread_join(t, NULL))
        return -1;
    return x;
}
static double deep(int n) { volatile char a[1000]; a[n % 1000] = 1; return n ? deep(n - 1) + a[n % 1000] : 0; }
*/
import "C"

import (
	"fmt"
	"sync"
	"unsafe"
)

//export goAdd
func goAdd(a, b C.int) C.int {
	if a < 0 {
		panic("negative")
	}
	return a + b
}

//export goCompare
func goCompare(a, b unsafe.Pointer) C.int {
	return *(*C.int)(a) - *(*C.int)(b)
}

func grow(n int) int {
	var a [64]int
	a[n%64] = int(C.twice(C.int(n % 100)))
	if n == 0 {
		return 0
	}
	return grow(n-1) + a[n%64]
}

func main() {
	fmt.Println(C.twice(21), C.deep(1000))
	_, err := C.fails(3)
	fmt.Println(err)
	v := []C.int{5, 3, 9, 1, 7}
	C.sort(&v[0], C.int(len(v)))
	fmt.Println(v)
	func() {
		defer func() { fmt.Println("recovered", recover()) }()
		C.twice(-1)
	}()
	func() {
		defer func() { fmt.Println("recovered", recover()) }()
		var p *int
		fmt.Println(C.twice(C.int(*p)))
	}()
	var wg sync.WaitGroup
	var mu sync.Mutex
	sum := 0
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			n := int(C.thread(C.int(i))) + grow(i*100)
			mu.Lock()
			sum += n
			mu.Unlock()
		}(i)
	}
	wg.Wait()
	s := C.CString("text")
	fmt.Println(sum, C.GoString(s))
	C.free(unsafe.Pointer(s))
}
