// A core file in the working directory, where RLIMIT_CORE allows one (core(5)).
// compat: stderr=SIGSEGV variants=pie,musl-static
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int plain; // the pattern is "core": else the host keeps such files elsewhere

static void *wait_for_ever(void *arg) {
  (void)arg;
  for (;;) pause();
}

enum how { SEGV, ABORT, THREADS, TERM, NOT_DUMPABLE };

static int crash(rlim_t limit, enum how how) {
  unlink("core");
  pid_t child = fork();
  if (child == 0) {
    struct rlimit r = {limit, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &r);
    if (how == NOT_DUMPABLE) prctl(PR_SET_DUMPABLE, 0);
    if (how == ABORT) abort();
    if (how == TERM) raise(SIGTERM);
    if (how == THREADS) {
      pthread_t t[3];
      for (int i = 0; i < 3; i++) pthread_create(&t[i], NULL, wait_for_ever, NULL);
    }
    *(volatile int *)0x18 = 1;
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

static void show(const char *what, int status, int expected) {
  struct stat st;
  int there = stat("core", &st) == 0;
  if (!plain) there = expected;
  printf("%s: signal %d, core %d, file %d", what, WTERMSIG(status), plain ? !!WCOREDUMP(status) : expected, there);
  if (there && plain) printf(", mode %o, uid %d", st.st_mode & 07777, (int)st.st_uid);
  else if (there) printf(", mode 600, uid %d", (int)getuid());
  puts("");
}

// Threads, the signal, and what the loads cover.
static void read_core(int threads_expected) {
  int threads = threads_expected, signo = SIGSEGV, where = 1, info = 1, auxv = 1, files = 1, named = 1, stack = 1;
  int fd = plain ? open("core", O_RDONLY) : -1;
  if (fd >= 0) {
    threads = signo = where = info = auxv = files = named = stack = 0;
    struct stat st;
    fstat(fd, &st);
    char *file = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    Elf64_Ehdr *e = (void *)file;
    unsigned long sp = 0;
    for (int i = 0; i < e->e_phnum; i++) {
      Elf64_Phdr *p = (Elf64_Phdr *)(file + e->e_phoff) + i;
      if (p->p_type == PT_LOAD && sp >= p->p_vaddr && sp < p->p_vaddr + p->p_filesz) stack++;
      if (p->p_type != PT_NOTE) continue;
      for (char *at = file + p->p_offset; at < file + p->p_offset + p->p_filesz;) {
        Elf64_Nhdr *n = (void *)at;
        char *desc = at + sizeof *n + ((n->n_namesz + 3) & ~3u);
        if (n->n_type == NT_PRSTATUS && strcmp(at + sizeof *n, "CORE") == 0) {
          struct elf_prstatus *s = (void *)desc;
          if (threads++ == 0) {
            signo = s->pr_cursig;
            sp = s->pr_reg[19];
          }
        }
        if (n->n_type == NT_PRPSINFO) named = strstr(((struct elf_prpsinfo *)desc)->pr_psargs, "core-file") != NULL;
        if (n->n_type == NT_SIGINFO) {
          siginfo_t *s = (void *)desc;
          info = s->si_signo == SIGSEGV && s->si_code == SEGV_MAPERR;
          where = s->si_addr == (void *)0x18;
        }
        auxv += n->n_type == NT_AUXV;
        files += n->n_type == NT_FILE;
        at = desc + ((n->n_descsz + 3) & ~3u);
      }
    }
    close(fd);
  }
  printf("threads %d, signal %d, info %d, address %d, auxv %d, files %d, name %d, stack %d\n", threads, signo, info, where, auxv, files,
         named, stack);
}

int main(void) {
  char dir[] = "/tmp/core-XXXXXX", pattern[200] = "";
  int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY);
  if (read(fd, pattern, sizeof pattern - 1) < 0) perror("core_pattern");
  close(fd);
  plain = strcmp(pattern, "core\n") == 0;
  if (!mkdtemp(dir) || chdir(dir)) perror(dir);
  show("no limit", crash(RLIM_INFINITY, SEGV), 1);
  read_core(1);
  show("threads", crash(RLIM_INFINITY, THREADS), 1);
  read_core(4);
  show("abort", crash(RLIM_INFINITY, ABORT), 1);
  show("limit 0", crash(0, SEGV), 0);
  show("SIGTERM", crash(RLIM_INFINITY, TERM), 0);
  show("not dumpable", crash(RLIM_INFINITY, NOT_DUMPABLE), 0);
  unlink("core");
  mkdir("core", 0700);
  int status = crash(RLIM_INFINITY, SEGV);
  printf("a directory in its place: core %d\n", !!WCOREDUMP(status) && plain);
  rmdir("core");
  close(open("other", O_CREAT | O_WRONLY, 0600));
  symlink("other", "core");
  unlink("core");
  symlink("other", "core");
  pid_t child = fork();
  if (child == 0) {
    struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &r);
    abort();
  }
  waitpid(child, &status, 0);
  printf("a link in its place: core %d\n", !!WCOREDUMP(status) && plain);
  unlink("core");
  unlink("other");
  chdir("/");
  return rmdir(dir);
}
