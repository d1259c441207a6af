// The first process ends while others fork without a pause: the machine ends with it, and no child that is being made keeps it.
// compat: native=no status=7 cpus=4
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHAINS = 12, TOUCHED = 1 << 20 };

int main(void) {
    // Nowhere but in a machine of its own.
    if (getpid() != 1)
        return 1;
    // Makes a fork take its time.
    char *memory = mmap(0, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    memset(memory, 1, TOUCHED);
    for (int i = 0; i < CHAINS; i++)
        if (fork() == 0)
            // Each makes the next one and waits.
            for (;;)
                if (fork() != 0)
                    for (;;)
                        pause();
    usleep(20000);
    _exit(7);
}
