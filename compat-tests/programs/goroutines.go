// Goroutines, channels, timers, garbage collection, a caught nil dereference, and files.
// compat: cpus=2
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"
)

type node struct{ left, right *node }

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{tree(depth - 1), tree(depth - 1)}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

func recovered() (message string) {
	defer func() { message = fmt.Sprint(recover()) }()
	var p *node
	return fmt.Sprint(p.left)
}

func main() {
	results := make(chan int)
	var wg sync.WaitGroup
	for i := 0; i < 100; i++ {
		wg.Add(1)
		go func(n int) {
			defer wg.Done()
			sum := 0
			for j := 0; j <= n; j++ {
				sum += j
				runtime.Gosched()
			}
			results <- sum
		}(i)
	}
	go func() { wg.Wait(); close(results) }()
	var all []int
	for r := range results {
		all = append(all, r)
	}
	sort.Ints(all)
	fmt.Println(len(all), all[0], all[99])

	total := 0
	for i := 0; i < 20; i++ {
		total += tree(10).count()
	}
	runtime.GC()
	fmt.Println(total)

	ticker := time.NewTicker(2 * time.Millisecond)
	ticks := 0
	timeout := time.After(50 * time.Millisecond)
loop:
	for {
		select {
		case <-ticker.C:
			ticks++
		case <-timeout:
			break loop
		}
	}
	fmt.Println("ticked", ticks > 3)

	fmt.Println(recovered())
	f, err := os.CreateTemp("", "go")
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(f, "%x\n", sha256.Sum256([]byte("skiff")))
	f.Close()
	data, err := os.ReadFile(f.Name())
	fmt.Print(string(data), err, "\n")
	os.Remove(f.Name())

	// A goroutine without calls must not keep others from running.
	done := make(chan bool)
	go func() { time.Sleep(5 * time.Millisecond); close(done) }()
	go func() {
		for {
		}
	}()
	<-done
	fmt.Println("preempted")
	os.Exit(9)
}
