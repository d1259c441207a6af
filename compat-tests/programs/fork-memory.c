// fork(2) of much memory, large pages among it: each side sees its own writes and the other's old content.
// compat: memory=512M
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 64 };

static unsigned *words;
static const size_t count = (size_t)MIB << 18;

static unsigned long sum(void) {
    unsigned long total = 0;
    for (size_t i = 0; i < count; i += 128)
        total += words[i];
    return total;
}

static int end_of(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    words = aligned_alloc(2 << 20, (size_t)MIB << 20);
    madvise(words, (size_t)MIB << 20, MADV_HUGEPAGE);
    for (size_t i = 0; i < count; i += 128)
        words[i] = i;
    unsigned long before = sum();
    pid_t child = fork();
    if (child == 0) {
        if (sum() != before)
            _exit(1);
        for (size_t i = 0; i < count; i += 1 << 16)
            words[i] = 7;
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(words[1 << 16] == 7 && words[128] == 128 ? 0 : 1);
        int inner = end_of(grandchild);
        munmap(words + (1 << 20), 5 << 20);
        mprotect(words, 3 << 20, PROT_READ);
        _exit(inner ? 2 : words[1 << 16] == 7 && words[256] == 256 ? 3 : 4);
    }
    words[128] = 1;
    words[128] = 128;
    printf("child %d, parent unchanged %d\n", end_of(child), sum() == before);
    // Many at once, each with a few writes.
    pid_t children[20];
    for (int n = 0; n < 20; n++)
        if ((children[n] = fork()) == 0) {
            for (size_t i = n * 4096; i < count; i += 1 << 21)
                words[i] = n;
            unsigned long mine = 0;
            for (size_t i = n * 4096; i < count; i += 1 << 21)
                mine += words[i];
            _exit(mine == n * (count >> 21) ? n : 99);
        }
    int good = 0;
    for (int n = 0; n < 20; n++)
        good += end_of(children[n]) == n;
    printf("children %d, parent unchanged %d\n", good, sum() == before);
    for (size_t i = 0; i < count; i += 128)
        words[i]++;
    printf("written again %d\n", sum() == before + count / 128);
    child = fork();
    if (child == 0) {
        madvise(words, 4 << 20, MADV_DONTNEED);
        _exit(words[0] == 0 && words[count - 128] == count - 127 ? 5 : 6);
    }
    printf("child %d\n", end_of(child));
    madvise(words, (size_t)MIB << 20, MADV_WIPEONFORK);
    child = fork();
    if (child == 0)
        _exit(sum() == 0 ? 8 : 9);
    printf("wiped %d\n", end_of(child));
    return 0;
}
