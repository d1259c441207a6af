// compat: variants=musl-static direct=95
// The same with musl, whose cancellation points are system calls of their own.
#include "call-share.c"
