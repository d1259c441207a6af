// A plugin for QEMU's translator (docs/devel/tcg-plugins.rst, interface version 1) that counts what the guest does: executed
// instructions, how often its CPU went idle, and the instructions of each translated block. All stand in a file that may be
// read at any time, as 64-bit numbers: instructions, idle, number of blocks; then address and instructions of each block.
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
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { MOST = 1 << 19 };

static struct {
    uint64_t instructions, idle, blocks;
    struct {
        uint64_t address, instructions;
    } block[MOST];
} *counts;

static void translated(plugin_id id, struct qemu_plugin_tb *block) {
    (void)id;
    uint64_t length = qemu_plugin_tb_n_insns(block), number = __atomic_fetch_add(&counts->blocks, 1, __ATOMIC_RELAXED);
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &counts->instructions, length);
    if (number < MOST) {
        counts->block[number].address = qemu_plugin_tb_vaddr(block);
        qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &counts->block[number].instructions, length);
    }
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
