// Primes by trial division on all CPUs, in chunks that goroutines fetch from a channel. A chunk takes several milliseconds and
// a round seconds, so that what is measured is computing: not handing over, nor the start of the runtime and of its threads.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

const chunk = 5000

func primes(from, to int) (found int) {
	for n := from; n < to; n++ {
		prime := n > 1
		for d := 2; d*d <= n; d++ {
			if n%d == 0 {
				prime = false
				break
			}
		}
		if prime {
			found++
		}
	}
	return found
}

func all(limit int) int {
	work := make(chan int)
	var wait sync.WaitGroup
	var lock sync.Mutex
	total := 0
	for i := 0; i < runtime.NumCPU(); i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for from := range work {
				found := primes(from, from+chunk)
				lock.Lock()
				total += found
				lock.Unlock()
			}
		}()
	}
	for from := 0; from < limit; from += chunk {
		work <- from
	}
	close(work)
	wait.Wait()
	return total
}

func main() {
	limit, rounds := 2000000, 3
	if len(os.Args) > 1 && os.Args[1] == "--quick" {
		limit, rounds = 5000, 1
	}
	all(limit / 4)
	for i := 0; i < rounds; i++ {
		start := time.Now()
		all(limit)
		fmt.Printf("bench Go,primes 1 %d 0\n", time.Since(start).Nanoseconds())
	}
	fmt.Println("bench-end")
}
