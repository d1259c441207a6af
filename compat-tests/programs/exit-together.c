// Three threads that end at the same time by exit(2) leave the status that they give, and one that ends all of them leaves its own.
// compat: cpus=2
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 100 };

static pthread_barrier_t together;
static int call;

static void *end(void *arg)
{
    pthread_barrier_wait(&together);
    syscall(call, 7);
    return arg;
}

int main(void)
{
    static const int calls[] = { SYS_exit, SYS_exit_group };
    static const char *const names[] = { "exit", "exit_group" };
    for (int i = 0; i < 2; i++) {
        int others = 0;
        call = calls[i];
        for (int round = 0; round < ROUNDS; round++) {
            pid_t child = fork();
            if (child == 0) {
                pthread_t thread;
                pthread_barrier_init(&together, NULL, 3);
                for (int j = 0; j < 2; j++)
                    if (pthread_create(&thread, NULL, end, NULL))
                        _exit(1);
                end(NULL);
            }
            int status;
            waitpid(child, &status, 0);
            others += !WIFEXITED(status) || WEXITSTATUS(status) != 7;
        }
        printf("%s: %d of %d with another status\n", names[i], others, ROUNDS);
    }
    return 0;
}
