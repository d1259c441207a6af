// A plugin for QEMU's translator (docs/devel/tcg-plugins.rst, interface version 1) that counts what the guest does: executed
// instructions, and how often its CPU went idle. Both stand in a file, as two 64-bit numbers that may be read at any time.
//
// The few declarations that it needs are made here, as Debian ships no header.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
enum { INLINE_ADD_U64 };
typedef void (*tb_callback)(plugin_id, struct qemu_plugin_tb *);
typedef void (*cpu_callback)(plugin_id, unsigned cpu);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, tb_callback);
void qemu_plugin_register_vcpu_idle_cb(plugin_id, cpu_callback);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *to, uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static struct {
    uint64_t instructions, idle;
} *counts;

static void translated(plugin_id id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &counts->instructions, qemu_plugin_tb_n_insns(block));
}

static void idle(plugin_id id, unsigned cpu) {
    (void)id, (void)cpu;
    counts->idle++;
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4)) {
        fputs("count: expected out=FILE\n", stderr);
        return -1;
    }
    int fd = open(argv[0] + 4, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || ftruncate(fd, sizeof *counts))
        return -1;
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (counts == MAP_FAILED)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_idle_cb(id, idle);
    return 0;
}
