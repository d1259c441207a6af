// Go: os/signal, many goroutines in blocking calls, garbage collection under load, faults of three kinds recovered.
// compat: cpus=2
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

func attempt(name string, f func()) {
	defer func() {
		r := recover()
		err, isRuntime := r.(runtime.Error)
		if isRuntime {
			fmt.Println(name+":", strings.Split(err.Error(), "\n")[0])
		} else {
			fmt.Println(name+":", r)
		}
	}()
	f()
}

var sink int
var zero int

func signals() {
	c := make(chan os.Signal, 10)
	signal.Notify(c, syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGTERM)
	for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGTERM} {
		syscall.Kill(syscall.Getpid(), s)
		fmt.Println("got", <-c)
	}
	signal.Stop(c)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	syscall.Kill(os.Getpid(), syscall.SIGINT)
	<-ctx.Done()
	fmt.Println(ctx.Err())
	signal.Ignore(syscall.SIGUSR2)
	syscall.Kill(os.Getpid(), syscall.SIGUSR2)
}

func pipes() {
	var wg sync.WaitGroup
	var total atomic.Int64
	for i := 0; i < 50; i++ {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		wg.Add(2)
		go func(n int) {
			defer wg.Done()
			for k := 0; k < 20; k++ {
				time.Sleep(time.Duration(n*10) * time.Microsecond)
				fmt.Fprintf(w, "%03d\n", k)
			}
			w.Close()
		}(i)
		go func() {
			defer wg.Done()
			buffer := make([]byte, 64)
			for {
				n, err := r.Read(buffer)
				total.Add(int64(n))
				if err != nil {
					break
				}
			}
			r.Close()
		}()
	}
	wg.Wait()
	fmt.Println("piped", total.Load())
}

func collect() {
	debug.SetGCPercent(20)
	var wg sync.WaitGroup
	for g := 0; g < 8; g++ {
		wg.Add(1)
		go func(g int) {
			defer wg.Done()
			keep := map[int][]byte{}
			for i := 0; i < 4000; i++ {
				keep[i%200] = make([]byte, 100+i%1000)
				keep[i%200][50] = byte(g)
			}
			for _, b := range keep {
				if b[50] != byte(g) {
					fmt.Println("spoilt")
				}
			}
		}(g)
	}
	wg.Wait()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("collected", stats.NumGC > 5)
	debug.FreeOSMemory()
}

func deep(n int) int {
	var pad [128]byte
	pad[n%128] = 1
	if n == 0 {
		return 0
	}
	return deep(n-1) + int(pad[n%128])
}

func main() {
	signals()
	attempt("nil", func() { sink = *(*int)(unsafe.Pointer(uintptr(zero))) })
	attempt("division", func() { sink = 1 / zero })
	attempt("index", func() { sink = []int{1}[zero+5] })
	attempt("panic", func() { panic(errors.New("own")) })
	done := make(chan int)
	for i := 0; i < 20; i++ {
		go func() {
			defer func() { recover(); done <- 1 }()
			sink = *(*int)(unsafe.Pointer(uintptr(zero)))
		}()
	}
	sum := 0
	for i := 0; i < 20; i++ {
		sum += <-done
	}
	fmt.Println("recovered", sum)
	pipes()
	collect()
	fmt.Println("deep", deep(100000))
	timers := make(chan int, 100)
	for i := 0; i < 10; i++ {
		i := i
		time.AfterFunc(time.Duration(10-i)*40*time.Millisecond, func() { timers <- i })
	}
	for i := 0; i < 10; i++ {
		fmt.Print(<-timers, " ")
	}
	fmt.Println()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	fmt.Println(ctx.Err())
	entries, err := os.ReadDir("/proc/self/task")
	fmt.Println("threads", len(entries) > 1, err)
	os.Exit(4)
}
