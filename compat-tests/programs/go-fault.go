// A Go program that dies of a nil dereference: the runtime prints its traceback and exits with 2.
// compat: stderr="SIGSEGV: segmentation violation"
package main

import "fmt"

type node struct{ value int }

func main() {
	fmt.Println("before")
	var n *node
	fmt.Println(n.value)
}
