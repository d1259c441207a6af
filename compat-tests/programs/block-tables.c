// Partition tables, of DOS with logical partitions and of GUIDs, come into force by BLKRRPART. Kernels of test machines often know no
// tables, so what is right is said here, as a Linux that knows them has it.
// compat: disk=4M native=no
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *path;
static unsigned char table[34 * 512];

static const char *part(int number)
{
    static char name[64];
    int digit = path[strlen(path) - 1] >= '0' && path[strlen(path) - 1] <= '9';
    snprintf(name, sizeof name, "%s%s%d", path, digit ? "p" : "", number);
    return name;
}

static void put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = value >> 8 * i;
}

static uint32_t crc32(const unsigned char *at, int len)
{
    uint32_t crc = ~0u;
    while (len-- > 0) {
        crc ^= *at++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static void entry(unsigned char *sector, int index, int kind, unsigned start, unsigned count)
{
    unsigned char *at = sector + 446 + 16 * index;
    at[4] = kind;
    put(at + 8, start, 4);
    put(at + 12, count, 4);
    sector[510] = 0x55, sector[511] = 0xaa;
}

static int wrong;

// Has the table take effect, and compares the partitions: number, start and length in units of 512 bytes, for each.
static void expect(int disk, const char *what, const char *expected)
{
    char found[256] = "";
    if (fsync(disk) || ioctl(disk, BLKRRPART, 0))
        printf("%s: %s\n", what, strerrorname_np(errno)), wrong++;
    for (int number = 1; number < 8; number++) {
        int fd = open(part(number), O_RDONLY);
        if (fd < 0)
            continue;
        uint64_t size = 0;
        struct hd_geometry geometry = { 0 };
        ioctl(fd, BLKGETSIZE64, &size);
        ioctl(fd, HDIO_GETGEO, &geometry);
        sprintf(found + strlen(found), "%d:%lu+%llu ", number, geometry.start, (unsigned long long)size / 512);
        close(fd);
    }
    printf("%s: %s\n", what, found);
    if (strcmp(found, expected))
        printf("  but expected %s\n", expected), wrong++;
}

int main(int argc, char **argv)
{
    path = argv[argc - 1];
    int disk = open(path, O_RDWR);
    expect(disk, "none", "");

    entry(table, 0, 0x83, 100, 200);
    entry(table, 2, 0x05, 1000, 3000);
    put(table + 440, 0x12345678, 4);
    pwrite(disk, table, 512, 0);
    memset(table, 0, sizeof table);
    entry(table, 0, 0x83, 8, 120);
    entry(table, 1, 0x05, 500, 600);
    pwrite(disk, table, 512, 1000 * 512);
    memset(table, 0, sizeof table);
    entry(table, 0, 0x83, 8, 56);
    pwrite(disk, table, 512, 1500 * 512);
    expect(disk, "a table of DOS", "1:100+200 3:1000+2 5:1008+120 6:1508+56 ");

    // GUIDs: entries 1 and 3 of 128.
    memset(table, 0, sizeof table);
    entry(table, 0, 0xee, 1, 8191);
    unsigned char *header = table + 512, *entries = table + 1024;
    for (int i = 0; i < 2; i++) {
        unsigned char *at = entries + 2 * i * 128;
        memset(at, 0x11, 16);
        memset(at + 16, 0x22 + i, 16);
        put(at + 32, i ? 4096 : 34, 8);
        put(at + 40, i ? 4103 : 1000, 8);
    }
    memcpy(header, "EFI PART\0\0\1", 12);
    put(header + 12, 92, 4);
    put(header + 24, 1, 8);
    put(header + 32, 8191, 8);
    put(header + 40, 34, 8);
    put(header + 48, 8158, 8);
    put(header + 72, 2, 8);
    put(header + 80, 128, 4);
    put(header + 84, 128, 4);
    put(header + 88, crc32(entries, 128 * 128), 4);
    put(header + 16, crc32(header, 92), 4);
    pwrite(disk, table, sizeof table, 0);
    expect(disk, "GUIDs", "1:34+967 3:4096+8 ");
    header[16] ^= 1;
    pwrite(disk, table, sizeof table, 0);
    memset(table, 0, 512);
    pwrite(disk, table, 512, 0);
    expect(disk, "none again", "");
    return wrong;
}
