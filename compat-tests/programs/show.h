// What a call has returned, on a line with its text and the name of its error.
#pragma once
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHOW(call)                                                                                                     \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        long result = (long)(call);                                                                                    \
        printf("%s = %ld %s\n", #call, result, result < 0 ? strerrorname_np(errno) : "");                              \
    } while (0)
