// Panics and recover, faults of the processor among them. "panics KIND" dies of KIND.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

type node struct {
	pad  [64]byte
	next *node
	far  [1 << 16]byte
	last int
}

type shape interface{ area() int }

//go:noinline
func opaque[T any](x T) T { return x }

func caught(what string, f func()) {
	defer func() {
		r := recover()
		if e, ok := r.(runtime.Error); ok {
			fmt.Printf("%s: runtime error %q\n", what, e.Error())
		} else {
			fmt.Printf("%s: %v\n", what, r)
		}
	}()
	f()
}

func faults() {
	var p *node
	var s shape
	var m map[string]int
	var f func()
	caught("load", func() { fmt.Println(p.next) })
	caught("store", func() { p.next = p })
	caught("far load", func() { fmt.Println(p.last) })
	caught("method", func() { s.area() })
	caught("function", func() { f() })
	caught("map", func() { m["a"] = 1 })
	caught("index", func() { fmt.Println([]int{1, 2, 3}[opaque(3)]) })
	caught("negative", func() { fmt.Println([]int{1, 2, 3}[opaque(-1)]) })
	caught("slice", func() { fmt.Println([]int{1, 2, 3}[opaque(2):opaque(1)]) })
	caught("array", func() { fmt.Println((*[4]int)([]int{1, 2, 3})) })
	caught("division", func() { fmt.Println(1 / opaque(0)) })
	caught("lowest", func() { fmt.Println(opaque(-1<<63) / opaque(-1)) })
	caught("assertion", func() { fmt.Println(opaque[any]("x").(int)) })
	caught("interface", func() { fmt.Println(opaque[any](1).(shape)) })
	caught("make", func() { fmt.Println(make([]int, opaque(-1))) })
	caught("compare", func() { fmt.Println(opaque[any]([]int{}) == opaque[any]([]int{})) })
	caught("closed", func() { c := make(chan int); close(c); close(c) })
	caught("send", func() { c := make(chan int); close(c); c <- 1 })
	caught("error", func() { panic(fmt.Errorf("wrapped: %w", os.ErrNotExist)) })
}

//go:noinline
func dereference(p *int) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = r.(error)
		}
	}()
	return *p, nil
}

// A fault in the middle of a loop whose state lives in registers.
func sum(list []*int) (total, bad int) {
	for i := range list {
		func() {
			defer func() {
				if recover() != nil {
					bad += i
				}
			}()
			total += *list[i] * (i + 1)
		}()
	}
	return
}

func many() {
	x := 7
	bad := 0
	for i := 0; i < 2000; i++ {
		p := &x
		if i%2 == 0 {
			p = nil
		}
		if _, err := dereference(p); err != nil {
			bad++
		}
	}
	list := make([]*int, 100)
	for i := range list {
		if i%7 != 0 {
			v := i * i
			list[i] = &v
		}
	}
	fmt.Println(bad)
	fmt.Println(sum(list))
}

func deferred() {
	defer fmt.Println("deferred 1")
	defer func() {
		fmt.Println("recovered", recover())
		defer func() { fmt.Println("recovered", recover()) }()
		panic("second")
	}()
	for i := 0; i < 3; i++ {
		defer fmt.Println("loop", i)
	}
	panic("first")
}

func grow(n int) int {
	var a [128]int
	a[n%128] = n
	if n == 0 {
		return 0
	}
	return grow(n-1) + a[n%128]
}

// Faults on stacks that have grown, in many goroutines at once.
func parallel() {
	var wg sync.WaitGroup
	results := make([]string, 20)
	for i := range results {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			defer func() { results[i] = fmt.Sprint(results[i], recover()) }()
			results[i] = fmt.Sprint(grow(i*500), " ")
			if i%5 == 4 {
				runtime.Goexit()
			}
			var p *node
			p.last++
		}(i)
	}
	wg.Wait()
	fmt.Println(strings.Join(results, "\n"))
}

func tracebacks() {
	defer func() {
		recover()
		frames := 0
		for _, line := range strings.Split(string(debug.Stack()), "\n") {
			if strings.HasPrefix(line, "main.") || strings.HasPrefix(line, "panic(") {
				frames++
				fmt.Println(strings.SplitN(line, "(", 2)[0])
			}
		}
		fmt.Println("frames", frames)
	}()
	var p *node
	deep(5, p)
}

//go:noinline
func deep(n int, p *node) int {
	if n == 0 {
		return p.last
	}
	return deep(n-1, p) + 1
}

func overflow(n int) int { return overflow(n+1) + 1 }

func panics(kind string) {
	var p *node
	switch kind {
	case "panic":
		panic(errors.New("the end"))
	case "nil":
		fmt.Println(deep(3, p))
	case "goroutine":
		go func() { panic(fmt.Sprint("in a goroutine")) }()
		time.Sleep(time.Hour)
	case "nested":
		defer func() { panic("second") }()
		panic("first")
	case "deadlock":
		<-make(chan int)
	case "stack":
		debug.SetMaxStack(1 << 20)
		fmt.Println(overflow(0))
	default:
		faults()
		many()
		deferred()
		fmt.Println(grow(100000))
		parallel()
		tracebacks()
	}
}
