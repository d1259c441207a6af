/* Memory policies of shared memory: they belong to the object, and whoever maps it sees them. */
#include "case.h"

#include <sys/shm.h>

enum { DEFAULT, PREFERRED, BIND, INTERLEAVE };
#define SIZE 65536

static long bind_to(void *start, size_t len, int mode)
{
    unsigned long nodes = 1;
    return syscall(SYS_mbind, start, len, mode, mode == DEFAULT ? 0 : &nodes, mode == DEFAULT ? 0 : 65, 0);
}

static int policy(void *at)
{
    int mode = -1;
    unsigned long nodes;
    return syscall(SYS_get_mempolicy, &mode, &nodes, 65, at, 2) == 0 ? mode : -errno;
}

static char *map(int fd, int flags, off_t offset)
{
    char *at = mmap(0, SIZE, PROT_READ | PROT_WRITE, flags, fd, offset);
    MUST(at != MAP_FAILED);
    return at;
}

GROUP(shared_policy)
{
    int fd = memfd_create("m", 0), status;
    MUST(fd >= 0 && ftruncate(fd, SIZE) == 0);
    char *a = map(fd, MAP_SHARED, 0), *b = map(fd, MAP_SHARED, 0), *private = map(fd, MAP_PRIVATE, 0);
    if (bind_to(a, 4 * 4096, BIND) < 0 && errno == ENOSYS)
        return;
    EQ("by the mapping", BIND, policy(a));
    EQ("by another", BIND, policy(b));
    EQ("by a private one", BIND, policy(private));
    EQ("its last page", BIND, policy(b + 3 * 4096));
    EQ("the page behind", DEFAULT, policy(b + 4 * 4096));
    OK("the default by who never had another", bind_to(b + 4096, 4096, DEFAULT));
    EQ("changes nothing", BIND, policy(a + 4096));
    OK("by a private mapping", bind_to(private, 4096, INTERLEAVE));
    EQ("seen by shared ones", INTERLEAVE, policy(a));
    EQ("the page behind it", BIND, policy(a + 4096));
    OK("in the middle", bind_to(a + 2 * 4096, 4096, PREFERRED));
    EQ("before", BIND, policy(b + 4096));
    EQ("there", PREFERRED, policy(b + 2 * 4096));
    EQ("behind", BIND, policy(b + 3 * 4096));
    OK("the default again", bind_to(a + 2 * 4096, 4096, DEFAULT));
    EQ("is seen", DEFAULT, policy(b + 2 * 4096));
    char *part = map(fd, MAP_SHARED, 3 * 4096);
    EQ("a mapping of a part", BIND, policy(part));
    EQ("its second page", DEFAULT, policy(part + 4096));
    munmap(a, SIZE);
    munmap(b, SIZE);
    munmap(private, SIZE);
    munmap(part, SIZE);
    a = map(fd, MAP_SHARED, 0);
    EQ("it outlives the mappings", INTERLEAVE, policy(a));
    a = map(-1, MAP_SHARED | MAP_ANONYMOUS, 0);
    OK("without a file", bind_to(a, SIZE, BIND));
    CHILD(status, {
        EQ("a child sees it", BIND, policy(a));
        OK("and changes it", bind_to(a, 4096, PREFERRED));
    });
    EQ("which the parent sees", PREFERRED, policy(a));
    EQ("the page behind that", BIND, policy(a + 4096));
    int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
    char *s = shmat(id, 0, 0), *t = shmat(id, 0, 0);
    shmctl(id, IPC_RMID, 0);
    OK("a segment", bind_to(s, SIZE, INTERLEAVE));
    EQ("attached again", INTERLEAVE, policy(t));
    shmdt(s);
    EQ("detached", INTERLEAVE, policy(t));
}
