// Pages that are moved right beside where they were keep what they hold, with nothing else mapped near them.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define MIB (1ul << 20)

// A place with `len` free bytes on all sides, at the beginning of a page of 2 MiB.
static char *lonely(size_t len)
{
    char *all = mmap(NULL, 5 * len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED || munmap(all, 5 * len))
        exit(2);
    return (char *)(((uintptr_t)all + 2 * len + 2 * MIB - 1) & ~(2 * MIB - 1));
}

static void move(const char *what, size_t pages, size_t new_pages, long distance, int flags)
{
    char *from = lonely((size_t)1 << 30);
    char *p = mmap(from, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (p == MAP_FAILED)
        exit(3);
    for (size_t i = 0; i < pages; i++)
        *(uint64_t *)(p + i * PAGE) = i + 1;
    char *q = mremap(p, pages * PAGE, new_pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | flags, p + distance);
    if (q == MAP_FAILED) {
        perror(what);
        return;
    }
    size_t kept = pages < new_pages ? pages : new_pages, lost = 0, old = 0;
    for (size_t i = 0; i < kept; i++)
        lost += *(uint64_t *)(q + i * PAGE) != i + 1;
    for (size_t i = kept; i < new_pages; i++)
        lost += *(uint64_t *)(q + i * PAGE) != 0;
    if (flags & MREMAP_DONTUNMAP)
        for (size_t i = 0; i < pages; i++)
            old += *(uint64_t *)(p + i * PAGE) != 0;
    printf("%s: %zu lost, %zu still there\n", what, lost, old);
    munmap(q, new_pages * PAGE);
    munmap(p, pages * PAGE);
}

int main(void)
{
    move("few, below", 16, 16, -(long)(16 * PAGE), 0);
    move("few, above", 16, 16, 16 * PAGE, 0);
    move("few, growing below", 16, 40, -(long)(40 * PAGE), 0);
    move("few, shrinking above", 16, 3, 20 * PAGE, 0);
    move("many, below", 2000, 2000, -(long)(2000 * PAGE), 0);
    move("many, growing below", 2000, 2500, -(long)(2500 * PAGE), 0);
    move("many, above", 2000, 2000, 2000 * PAGE, 0);
    move("large pages, below", 4096, 4096, -(long)(16 * MIB), 0);
    move("large pages, askew", 4096, 5000, -(long)(40 * MIB + PAGE), 0);
    move("within a gigabyte", 600, 600, 512 * (long)MIB, 0);
    move("few, old area stays", 16, 16, -(long)(16 * PAGE), MREMAP_DONTUNMAP);
    return 0;
}
