// The collector against many goroutines: GOGC=10, stacks that grow and shrink, channels, mutexes, pools, timers, finalizers,
// memory given back to the system.
// On one CPU the collector falls behind and Linux too counts up to 150 MB.
// compat: timeout=180 memory=384M
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type record struct {
	ID   int
	Name string
	Tags []string
	Next *record
}

func deep(n int) int {
	var pad [64]int
	if n == 0 {
		return 0
	}
	pad[n%64] = 1
	return deep(n-1) + pad[n%64]
}

func churn(id int) int {
	kept := make(map[int]*record)
	for i := 0; i < 300; i++ {
		r := &record{ID: i, Name: strings.Repeat("n", i%50), Tags: []string{"a", fmt.Sprint(i)}, Next: kept[(i-7)%32]}
		if r.Next != nil {
			r.Next = &record{ID: r.Next.ID}
		}
		kept[i%32] = r
	}
	text, err := json.Marshal(kept)
	if err != nil {
		panic(err)
	}
	var back map[int]*record
	if err := json.Unmarshal(text, &back); err != nil {
		panic(err)
	}
	sum := 0
	for k, r := range back {
		sum += k*r.ID + len(r.Name) + len(r.Tags)
	}
	return sum + id
}

func main() {
	debug.SetGCPercent(10)
	debug.SetMaxThreads(200)

	var wg sync.WaitGroup
	var total atomic.Int64
	gate := make(chan struct{}, 64)
	for i := 0; i < 400; i++ {
		wg.Add(1)
		go func(id int) {
			defer wg.Done()
			gate <- struct{}{}
			total.Add(int64(churn(id)))
			<-gate
		}(i)
	}
	wg.Wait()
	fmt.Println("churn", total.Load())

	for i := 0; i < 50; i++ {
		wg.Add(1)
		go func(n int) { defer wg.Done(); total.Add(int64(deep(2000 + n))) }(i)
	}
	wg.Wait()
	fmt.Println("stacks", total.Load())

	// A chain of 10,000 goroutines, each waiting for the next.
	first := make(chan int)
	in := first
	for i := 0; i < 10000; i++ {
		out := make(chan int)
		go func(in, out chan int) { out <- 1 + <-in }(in, out)
		in = out
	}
	go func() { first <- 0 }()
	fmt.Println("chain", <-in)

	var mu sync.RWMutex
	shared := map[int]int{}
	pool := sync.Pool{New: func() any { return new(bytes.Buffer) }}
	for i := 0; i < 32; i++ {
		wg.Add(1)
		go func(id int) {
			defer wg.Done()
			for j := 0; j < 100; j++ {
				b := pool.Get().(*bytes.Buffer)
				b.Reset()
				z := gzip.NewWriter(b)
				fmt.Fprintf(z, "%d %d", id, j)
				z.Close()
				if j%20 == 0 {
					r, _ := gzip.NewReader(b)
					data, _ := io.ReadAll(r)
					mu.Lock()
					shared[id] += len(data)
					mu.Unlock()
				}
				pool.Put(b)
				mu.RLock()
				_ = shared[id]
				mu.RUnlock()
			}
		}(i)
	}
	wg.Wait()
	sum := 0
	for _, n := range shared {
		sum += n
	}
	fmt.Println("pool", sum)

	var late []int
	var lock sync.Mutex
	for i := 0; i < 500; i++ {
		wg.Add(1)
		n := i
		time.AfterFunc(time.Duration(n%20)*time.Millisecond, func() {
			lock.Lock()
			late = append(late, n)
			lock.Unlock()
			wg.Done()
		})
	}
	wg.Wait()
	sort.Ints(late)
	fmt.Println("timers", len(late), late[0], late[499])

	var finalized atomic.Int32
	for i := 0; i < 100; i++ {
		r := &record{ID: i}
		runtime.SetFinalizer(r, func(*record) { finalized.Add(1) })
	}
	for i := 0; i < 100 && finalized.Load() < 90; i++ {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	fmt.Println("finalizers", finalized.Load() >= 90)

	for i := 0; i < 4; i++ {
		big := make([]byte, 24<<20)
		for j := 0; j < len(big); j += 4096 {
			big[j] = byte(j)
		}
		big = nil
		debug.FreeOSMemory()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("collections", stats.NumGC > 20, "released", stats.HeapReleased > 0)

	r, w := io.Pipe()
	go func() {
		for i := 0; i < 2000; i++ {
			fmt.Fprintln(w, i)
		}
		w.Close()
	}()
	n, _ := io.Copy(io.Discard, r)
	fmt.Println("pipe", n)
	defer fmt.Println("not reached")
	os.Exit(4)
}
