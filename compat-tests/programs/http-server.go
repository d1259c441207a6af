// An HTTP server for clients outside the machine.
// compat: client=http-server.client.sh publish=8080 memory=256M timeout=90
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
	})
	http.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%x\n", sum.Sum(nil))
	})
	panic(http.ListenAndServe(":8080", nil))
}
