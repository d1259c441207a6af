// Program files that no linker makes: what Linux's loader does with them, by what becomes of the child that executes them.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
static unsigned char file[8 * PAGE];
static size_t size;

static Elf64_Ehdr *head(void) { return (Elf64_Ehdr *)file; }
static Elf64_Phdr *segment(int n) { return (Elf64_Phdr *)(file + sizeof(Elf64_Ehdr)) + n; }

static void load(int n, int flags, Elf64_Off offset, Elf64_Addr address, Elf64_Xword in_file, Elf64_Xword in_memory)
{
    *segment(n) = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = flags, .p_offset = offset, .p_vaddr = address, .p_paddr = address,
        .p_filesz = in_file, .p_memsz = in_memory, .p_align = PAGE};
}

// One segment of code that ends with status 7, and `more` program headers to fill in.
static void begin(int type, int more)
{
    static const unsigned char exit_7[] = {0xb8, 60, 0, 0, 0, 0xbf, 7, 0, 0, 0, 0x0f, 5};
    memset(file, 0, sizeof file);
    Elf64_Addr base = type == ET_EXEC ? 0x400000 : 0;
    *head() = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT}, .e_type = type, .e_machine = EM_X86_64,
        .e_version = 1, .e_entry = base + PAGE, .e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 + more};
    load(0, PF_R | PF_X, 0, base, PAGE + sizeof exit_7, PAGE + sizeof exit_7);
    memcpy(file + PAGE, exit_7, sizeof exit_7);
    size = 4 * PAGE;
}

// Code at the entry that reads the byte at an absolute address and ends with it.
static void end_with_byte_at(unsigned long address)
{
    unsigned char code[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0xb6, 0x38, 0xb8, 60, 0, 0, 0, 0x0f, 5};
    memcpy(code + 2, &address, 8);
    memcpy(file + PAGE, code, sizeof code);
    segment(0)->p_filesz = segment(0)->p_memsz = PAGE + sizeof code;
}

static void write_file(const char *name)
{
    int f = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0755);
    if (f < 0 || write(f, file, size) != (ssize_t)size) perror(name), exit(1);
    close(f);
}

static void run(const char *what)
{
    write_file("odd");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        execl("./odd", "odd", NULL);
        _exit(errno == ENOEXEC ? 100 : errno == EINVAL ? 101 : errno == EIO ? 102 : errno == ELIBBAD ? 103 : errno == ENOENT ? 104 : 105);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("%s: %s\n", what, sigabbrev_np(WTERMSIG(status)));
    else if (WEXITSTATUS(status) >= 100) printf("%s: refused %d\n", what, WEXITSTATUS(status));
    else printf("%s: ends with %d\n", what, WEXITSTATUS(status));
}

int main(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    char dir[] = "/tmp/odd-elf-XXXXXX";
    if (!mkdtemp(dir) || chdir(dir)) return 1;

    begin(ET_EXEC, 0);
    run("plain");
    begin(ET_DYN, 0);
    run("position-independent");

    begin(ET_EXEC, 1);
    *segment(1) = *segment(0);
    load(0, PF_R | PF_W, 2 * PAGE, 0x500000, 16, 16);
    run("out of order");
    begin(ET_DYN, 1);
    *segment(1) = *segment(0);
    load(0, PF_R | PF_W, 2 * PAGE, 0x500000, 16, 16);
    run("out of order, position-independent");

    begin(ET_EXEC, 1);
    load(1, PF_R | PF_W, 2 * PAGE, 0x500000, 2 * PAGE, 2 * PAGE);
    size = 2 * PAGE + 0x100;
    run("file part behind the end of the file, not touched");
    begin(ET_EXEC, 1);
    load(1, PF_R | PF_W, 2 * PAGE, 0x500000, 2 * PAGE, 2 * PAGE);
    end_with_byte_at(0x501000);
    size = 2 * PAGE + 0x100;
    run("the same, touched");
    begin(ET_EXEC, 1);
    load(1, PF_R | PF_W, 2 * PAGE, 0x500000, 2 * PAGE + 0x800, 5 * PAGE);
    size = 2 * PAGE + 0x100;
    run("the page of the end to be cleared, behind the end of the file");

    // The later segment takes the page of the earlier.
    begin(ET_EXEC, 2);
    load(1, PF_R, 2 * PAGE, 0x500000, 2 * PAGE, 2 * PAGE);
    load(2, PF_R, 3 * PAGE, 0x500000, PAGE, PAGE);
    end_with_byte_at(0x500000);
    file[2 * PAGE] = 20, file[3 * PAGE] = 30;
    run("the same address twice");
    begin(ET_EXEC, 2);
    load(1, PF_R, 2 * PAGE, 0x501000, PAGE, PAGE);
    load(2, PF_R, 2 * PAGE, 0x500000, 0x800, 3 * PAGE);
    end_with_byte_at(0x501000);
    file[2 * PAGE] = 20;
    run("zeroes over an earlier segment");
    begin(ET_EXEC, 2);
    load(1, PF_R, 2 * PAGE, 0x500000, PAGE, 3 * PAGE);
    load(2, PF_R, 3 * PAGE, 0x501000, PAGE, PAGE);
    end_with_byte_at(0x501000);
    file[3 * PAGE] = 30;
    run("a segment over earlier zeroes");

    begin(ET_EXEC, 1);
    load(1, PF_R, 2 * PAGE + 8, 0x500000, 16, 16);
    run("offset and address differ in the page");
    begin(ET_EXEC, 1);
    load(1, PF_R, 2 * PAGE, 0x500000, 32, 16);
    run("more in the file than in memory");
    begin(ET_EXEC, 1);
    load(1, PF_R, 2 * PAGE, 0x7ffffffff000, 16, 16);
    run("above the address space");
    begin(ET_DYN, 1);
    load(1, PF_R, 2 * PAGE, 0x7fff00000000, 16, 16);
    run("position-independent and as large as the address space");
    begin(ET_DYN, 1);
    load(1, PF_R | PF_W, 2 * PAGE, 0x7000000000, 16, 16);
    run("position-independent, a hole of 448 GiB");
    begin(ET_EXEC, 1);
    load(1, PF_R, ~0UL << 12, 0x500000, 16, 16);
    run("offset out of range");
    begin(ET_EXEC, 0);
    head()->e_entry = 0x7ffffffff000;
    run("entry above the address space");
    begin(ET_EXEC, 0);
    head()->e_entry = 0x300000;
    run("entry where nothing is");
    begin(ET_DYN, 0);
    segment(0)->p_type = PT_NULL;
    run("nothing to load, position-independent");
    begin(ET_EXEC, 0);
    segment(0)->p_flags = PF_R;
    run("code without the right to execute");
    begin(ET_EXEC, 0);
    size = 100;
    run("cut off in the program headers");
    begin(ET_EXEC, 0);
    head()->e_phentsize = 32;
    run("program headers of another size");
    begin(ET_EXEC, 0);
    head()->e_phnum = 0;
    run("no program headers");
    begin(ET_EXEC, 0);
    head()->e_ident[EI_CLASS] = ELFCLASS32, head()->e_machine = EM_ARM;
    run("another processor's");

    static const struct {
        const char *what, *content;
        size_t length;
    } interpreters[] = {{"an empty file", "", 0}, {"a file of a few bytes", "\177ELF", 4}, {"text", "no program, but longer than a header: refused all the same.......", 64}};
    for (int i = 0; i < 3; i++) {
        int f = open("interpreter", O_CREAT | O_TRUNC | O_WRONLY, 0755);
        if (write(f, interpreters[i].content, interpreters[i].length) < 0) return 1;
        close(f);
        begin(ET_DYN, 1);
        *segment(1) = (Elf64_Phdr){.p_type = PT_INTERP, .p_flags = PF_R, .p_offset = 2 * PAGE, .p_filesz = 14, .p_memsz = 14};
        memcpy(file + 2 * PAGE, "./interpreter", 14);
        char what[100];
        snprintf(what, sizeof what, "an interpreter that is %s", interpreters[i].what);
        run(what);
    }
    begin(ET_DYN, 1);
    *segment(1) = (Elf64_Phdr){.p_type = PT_INTERP, .p_flags = PF_R, .p_offset = 2 * PAGE, .p_filesz = 8, .p_memsz = 8};
    memcpy(file + 2 * PAGE, "./noname", 8);
    run("an interpreter without an end");
    memcpy(file + 2 * PAGE, "./nobod", 8);
    run("an interpreter that is not there");
    printf("AT_HWCAP2: %lx\n", getauxval(AT_HWCAP2));

    unlink("odd"), unlink("interpreter");
    return chdir("/") || rmdir(dir);
}
