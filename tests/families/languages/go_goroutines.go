// The scheduler, channels, timers, preemption of loops without calls, and the garbage collector.
package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

type tree struct{ left, right *tree }

func build(n int) *tree {
	if n == 0 {
		return &tree{}
	}
	return &tree{build(n - 1), build(n - 1)}
}

func (t *tree) count() int {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

func sieve() {
	source := make(chan int)
	go func(out chan int) {
		for i := 2; ; i++ {
			out <- i
		}
	}(source)
	var primes []int
	for i := 0; i < 100; i++ {
		p := <-source
		primes = append(primes, p)
		next := make(chan int)
		go func(in, out chan int) {
			for n := range in {
				if n%p != 0 {
					out <- n
				}
			}
		}(source, next)
		source = next
	}
	fmt.Println("primes", primes[90:])
}

func workers() {
	jobs, results := make(chan int), make(chan int, 10)
	var wg sync.WaitGroup
	for i := 0; i < 50; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range jobs {
				results <- j * j
			}
		}()
	}
	go func() {
		for i := 0; i < 5000; i++ {
			jobs <- i
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	sum := 0
	for r := range results {
		sum += r
	}
	fmt.Println("workers", sum)
}

func selects() {
	a, b, done := make(chan int), make(chan string), make(chan bool)
	go func() {
		for i := 0; i < 100; i++ {
			if i%3 == 0 {
				b <- fmt.Sprint(i)
			} else {
				a <- i
			}
		}
		close(done)
	}()
	n, m := 0, 0
	for open := true; open; {
		select {
		case x := <-a:
			n += x
		case s := <-b:
			m += len(s)
		case <-done:
			open = false
		}
	}
	select {
	case <-a:
		fmt.Println("never")
	case <-time.After(3 * time.Millisecond):
		fmt.Println("timeout", n, m)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	fmt.Println(ctx.Err())
}

// With one processor, the others run only if a loop without a call is preempted.
func preemption() {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop, spins uint64
	for i := 0; i < 2; i++ {
		go func() {
			n := uint64(0)
			for atomic.LoadUint64(&stop) == 0 {
				n++
			}
			atomic.AddUint64(&spins, n)
		}()
	}
	x := uint64(1)
	quiet := make(chan bool)
	go func() {
		for i := 0; i < 20_000_000; i++ {
			x = x*6364136223846793005 + 1442695040888963407
			if x == 0 {
				break
			}
		}
		close(quiet)
	}()
	for i := 0; i < 2; i++ {
		time.Sleep(time.Millisecond)
		runtime.GC()
	}
	atomic.StoreUint64(&stop, 1)
	<-quiet
	fmt.Println("preempted", x)
}

func collector() {
	debug.SetGCPercent(20)
	var wg sync.WaitGroup
	var total int64
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			long := build(12)
			for j := 0; j < 20; j++ {
				atomic.AddInt64(&total, int64(build(10).count()))
			}
			atomic.AddInt64(&total, int64(long.count()))
		}()
	}
	wg.Wait()
	maps := map[string][]byte{}
	for i := 0; i < 20000; i++ {
		maps[fmt.Sprint(i%500)] = make([]byte, i%1000)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("trees", total, len(maps), stats.NumGC > 5, stats.HeapAlloc < 64<<20)

	finalized := make(chan int, 10)
	for i := 0; i < 10; i++ {
		x := &[100]int{i}
		runtime.SetFinalizer(x, func(x *[100]int) { finalized <- x[0] })
	}
	var order []int
	for len(order) < 9 {
		runtime.GC()
		select {
		case i := <-finalized:
			order = append(order, i)
		case <-time.After(time.Millisecond):
		}
	}
	sort.Ints(order)
	fmt.Println("finalized", len(order))
	big := make([]byte, 200<<20)
	big[100<<20] = 1
	fmt.Println("big", len(big), big[100<<20])
	big = nil
	debug.FreeOSMemory()
}

func locks() {
	var mu sync.RWMutex
	var once sync.Once
	cond := sync.NewCond(&sync.Mutex{})
	turn, sum := 0, 0
	var wg sync.WaitGroup
	pool := sync.Pool{New: func() any { return new([64]int) }}
	for i := 0; i < 30; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			once.Do(func() { fmt.Println("once") })
			cond.L.Lock()
			for turn != i {
				cond.Wait()
			}
			turn++
			cond.L.Unlock()
			cond.Broadcast()
			p := pool.Get().(*[64]int)
			mu.Lock()
			sum += i
			mu.Unlock()
			mu.RLock()
			defer mu.RUnlock()
			pool.Put(p)
		}(i)
	}
	wg.Wait()
	var m sync.Map
	for i := 0; i < 100; i++ {
		m.LoadOrStore(i%10, i)
	}
	n := 0
	m.Range(func(k, v any) bool { n += v.(int); return true })
	fmt.Println("locks", sum, n)
}

func timers() {
	ticker := time.NewTicker(time.Millisecond)
	for i := 0; i < 5; i++ {
		<-ticker.C
	}
	ticker.Stop()
	fired := make(chan int, 100)
	for i := 0; i < 100; i++ {
		i := i
		time.AfterFunc(time.Duration(100-i)*100*time.Microsecond, func() { fired <- i })
	}
	sum := 0
	for i := 0; i < 100; i++ {
		sum += <-fired
	}
	start := time.Now()
	time.Sleep(5 * time.Millisecond)
	fmt.Println("timers", sum, time.Since(start) >= 5*time.Millisecond)
}

func goroutines() {
	sieve()
	workers()
	selects()
	preemption()
	collector()
	locks()
	timers()
}
