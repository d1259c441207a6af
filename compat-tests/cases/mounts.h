/* For cases that mount: nobody else on Linux sees it. */
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

/* Whether the caller may mount; its mounts are its own from here on where that can be had. */
__attribute__((unused)) static int root(void)
{
    if (geteuid() != 0)
        return 0;
    if (unshare(CLONE_NEWNS) == 0)
        mount("none", "/", 0, MS_REC | MS_PRIVATE, 0);
    return 1;
}
