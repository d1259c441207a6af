// compat: direct=99
// Go makes its system calls itself. Files and pipes, often enough that the first call at each site does not count.
package main

import (
	"fmt"
	"os"
)

func main() {
	file, err := os.CreateTemp("", "call-share")
	if err != nil {
		panic(err)
	}
	os.Remove(file.Name())
	read, write, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	wrong := 0
	buffer := make([]byte, 64)
	for i := 0; i < 3000; i++ {
		if n, err := file.WriteAt(buffer, int64(i)*64); n != 64 || err != nil {
			wrong++
		}
		if n, err := file.ReadAt(buffer, int64(i)*64); n != 64 || err != nil {
			wrong++
		}
		if status, err := file.Stat(); err != nil || status.Size() != int64(i+1)*64 {
			wrong++
		}
		if n, err := write.Write(buffer[:1]); n != 1 || err != nil {
			wrong++
		}
		if n, err := read.Read(buffer[:1]); n != 1 || err != nil {
			wrong++
		}
	}
	fmt.Println("wrong:", wrong)
}
