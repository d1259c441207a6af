// A child that takes all memory is killed, and its parent and siblings go on. Linux, asked natively, would take the host's.
// compat: native=no status=3 stderr=memory: memory=128M
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int status, ends[2];
    char c = 0;
    (void)!pipe(ends);
    char *mine = malloc(1 << 20);
    memset(mine, 5, 1 << 20);
    pid_t sibling = fork();
    if (sibling == 0) {
        (void)!read(ends[0], &c, 1);
        _exit(mine[99] == 5 && c == 'x' ? 4 : 5);
    }
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (;;) {
                char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                if (p != MAP_FAILED)
                    memset(p, 1, 1 << 20);
            }
        }
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            return 1;
    }
    (void)!write(ends[1], "x", 1);
    waitpid(sibling, &status, 0);
    return WEXITSTATUS(status) == 4 && mine[1000] == 5 ? 3 : 2;
}
