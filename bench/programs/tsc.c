// Prints the frequency of the host's time-stamp counter in kHz: under QEMU's translator it is the guest's.
#include "bench.h"

struct moment { uint64_t ns, ticks; };

// The clock and the counter at one moment: of many readings the one that took the least time.
static struct moment moment(void) {
    struct moment best = {0, 0};
    for (uint64_t i = 0, least = ~0ull; i < 10000; i++) {
        uint64_t before = ticks(), ns = now(), width = ticks() - before;
        if (width < least) {
            least = width;
            best = (struct moment){ns, before + width / 2};
        }
    }
    return best;
}

int main(void) {
    struct moment start = moment(), end;
    nanosleep(&(struct timespec){0, 200 * 1000 * 1000}, NULL);
    end = moment();
    printf("%.0f\n", (end.ticks - start.ticks) * 1e6 / (end.ns - start.ns));
}
