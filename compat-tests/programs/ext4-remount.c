// Mounted to be read, then to be written and back; blocks that are kept for root; a file without a name gives its blocks back;
// sizes while several threads write, cut and sync.
// compat: disk=16M:mkfs=ext4
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "show.h"

static char place[] = "/tmp/ext4-remount-XXXXXX";
static char block[65536];
static volatile int stop;

static long free_blocks(int for_all)
{
    struct statfs sizes;
    statfs(".", &sizes);
    return for_all ? sizes.f_bavail : sizes.f_bfree;
}

/// Writes until that is refused; what it was refused with.
static const char *fill(int fd)
{
    while (write(fd, block, 4096) > 0)
        ;
    return strerrorname_np(errno);
}

static void *syncs(void *arg)
{
    int fd = open("cut", O_RDWR);
    while (!stop)
        fsync(fd);
    close(fd);
    return arg;
}

int main(int argc, char **argv)
{
    const char *disk = argv[argc - 1];
    memset(block, 7, sizeof block);
    if (!mkdtemp(place))
        return 1;
    SHOW(mount(disk, place, "ext4", MS_RDONLY, NULL));
    chdir(place);
    SHOW(mkdir("dir", 0777));
    SHOW(mount(NULL, place, NULL, MS_REMOUNT, NULL));
    SHOW(mkdir("dir", 0777));
    SHOW(mount(NULL, place, NULL, MS_REMOUNT | MS_RDONLY, NULL));
    SHOW(rmdir("dir"));
    SHOW(mount(NULL, place, NULL, MS_REMOUNT, NULL));
    SHOW(chmod("dir", 0777));

    // A size is what the last truncation made it, whoever writes pages back beside it.
    int fd = open("cut", O_RDWR | O_CREAT, 0644), wrong = 0;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, syncs, NULL);
    for (int i = 0; i < 100; i++) {
        pwrite(fd, block, sizeof block, 0);
        ftruncate(fd, i * 37 % 9000);
        struct stat st;
        fstat(fd, &st);
        wrong += st.st_size != i * 37 % 9000;
    }
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    close(fd);
    chdir("/");
    SHOW(umount(place));
    SHOW(mount(disk, place, "ext4", 0, NULL));
    chdir(place);
    struct stat st;
    SHOW(stat("cut", &st));
    printf("%d wrong, at last %ld\n", wrong, (long)st.st_size);

    // Without a name: its blocks come back at the last close, dirty pages or not.
    for (int synced = 0; synced < 2; synced++) {
        sync();
        long before = free_blocks(0);
        fd = open("gone", O_RDWR | O_CREAT, 0600);
        for (int i = 0; i < 16; i++)
            write(fd, block, sizeof block);
        if (synced)
            fsync(fd);
        unlink("gone");
        if (synced)
            printf("held %d\n", before > free_blocks(0));
        close(fd);
        printf("then %ld\n", before - free_blocks(0));
    }

    pid_t pid = fork();
    if (pid == 0) {
        setgid(1000);
        setuid(1000);
        fd = open("dir/other", O_WRONLY | O_CREAT, 0600);
        printf("another user: %s\n", fill(fd));
        fflush(stdout);
        _exit(fsync(fd));
    }
    waitpid(pid, NULL, 0);
    printf("for all %s, for root %s\n", free_blocks(1) < 16 ? "nothing" : "some", free_blocks(0) > 400 ? "some" : "nothing");
    fd = open("dir/root", O_WRONLY | O_CREAT, 0600);
    printf("root: %s\n", fill(fd));
    SHOW(lseek(fd, 0, SEEK_CUR) > 400 * 1024);
    SHOW(fsync(fd));
    close(fd);
    chdir("/");
    SHOW(umount(place));
    rmdir(place);
    return 0;
}
