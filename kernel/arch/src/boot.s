# Entry points. Both end in kmain(protocol, info) in the high half, on the boot stack, with interrupts off.
#
# The boot page tables map the first GiB of physical memory three times: where it is (for the switch to paging), at
# the start of the direct map, and at the kernel's link address. mm::direct replaces them.

.set KERNEL_BASE, 0xffffffff80000000
.set PRESENT_WRITE, 0x3
.set PRESENT_WRITE_LARGE, 0x83

.set MSR_EFER, 0xc0000080
.set EFER_LME_NXE, 0x900
.set CR4_PAE, 0x20
.set CR0_PG_WP_PE, 0x80010001

.set PROTOCOL_PVH, 0
.set PROTOCOL_LINUX, 1

# xen/include/public/elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY. QEMU reads eight bytes of it, whatever the size says.
.section .note.Xen, "a", @note
.align 4
.long 4, 8, 18
.asciz "Xen"
.quad pvh_entry - KERNEL_BASE

.section .boot.text, "ax"

# xen/docs/misc/pvh.pandoc: 32-bit protected mode, paging off, flat segments, ebx = struct hvm_start_info.
.code32
.globl pvh_entry
pvh_entry:
    cli
    cld
    movl %ebx, %esi
    movl $PROTOCOL_PVH, %edi

    movl %cr4, %eax
    orl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $(boot_pml4 - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME_NXE, %eax
    wrmsr
    movl %cr0, %eax
    orl $CR0_PG_WP_PE, %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer_low - KERNEL_BASE
    ljmp $0x08, $(long_mode_low - KERNEL_BASE)

.code64
long_mode_low:
    movabsq $long_mode_high, %rax
    jmpq *%rax

# Documentation/arch/x86/boot.rst, "64-bit Boot Protocol": long mode, memory mapped one to one, rsi = struct boot_params.
.globl linux_boot_entry
linux_boot_entry:
    cli
    cld
    movl $PROTOCOL_LINUX, %edi
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME_NXE, %eax
    wrmsr
    movl $(boot_pml4 - KERNEL_BASE), %eax
    movq %rax, %cr3
    movl $CR0_PG_WP_PE, %eax
    movq %cr0, %rcx
    orq %rcx, %rax
    movq %rax, %cr0
    movabsq $1f, %rax
    jmpq *%rax
1:  lgdt boot_gdt_pointer
    movq $boot_stack_top, %rsp
    pushq $0x08
    pushq $long_mode_high
    lretq

long_mode_high:
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    # The low GDT pointer was good for the 32-bit lgdt only: its base must be a high address once the low half goes.
    lgdt boot_gdt_pointer
    movq $boot_stack_top, %rsp
    xorl %ebp, %ebp
    pushq %rbp
    movl %esi, %esi
    call kmain
    ud2

# Where further CPUs begin: arch::smp copies this to the page at TRAMPOLINE. Real mode, cs = TRAMPOLINE >> 4, ip = 0.
.set TRAMPOLINE, 0x8000
.set CR0_PE_ET, 0x11

.section .rodata.trampoline, "a"
.balign 16
.globl ap_trampoline
ap_trampoline:
.code16
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl ap_gdt_pointer - ap_trampoline
    movl $CR0_PE_ET, %eax
    movl %eax, %cr0
    ljmpl $0x08, $(TRAMPOLINE + ap_protected - ap_trampoline)

.code32
ap_protected:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %cr4, %eax
    orl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $(boot_pml4 - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME_NXE, %eax
    wrmsr
    # Caches are on from here: an INIT leaves CD and NW set.
    movl $CR0_PG_WP_PE, %eax
    movl %eax, %cr0
    ljmp $0x18, $(TRAMPOLINE + ap_long - ap_trampoline)

.code64
ap_long:
    movabsq $ap_high, %rax
    jmpq *%rax

.balign 8
ap_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00af9b000000ffff
ap_gdt_pointer:
    .word ap_gdt_pointer - ap_gdt - 1
    .long TRAMPOLINE + ap_gdt - ap_trampoline
.globl ap_trampoline_end
ap_trampoline_end:

.section .boot.text, "ax"
# On the boot page tables. The stack may lie where only the kernel's own tables show it.
ap_high:
    lgdt boot_gdt_pointer
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movq ap_page_table, %rax
    movq %rax, %cr3
    movq ap_stack_top, %rsp
    pushq $0x08
    pushq $1f
    lretq
1:  xorl %ebp, %ebp
    pushq %rbp
    movl ap_index, %edi
    call ap_main
    ud2

.section .rodata.boot, "a"
.align 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
boot_gdt_pointer_low:
    .word boot_gdt_pointer_low - boot_gdt - 1
    .long boot_gdt - KERNEL_BASE
boot_gdt_pointer:
    .word boot_gdt_pointer_low - boot_gdt - 1
    .quad boot_gdt

.section .boot.tables, "aw"
.align 4096
boot_pml4:
    .quad boot_pdpt_low - KERNEL_BASE + PRESENT_WRITE
    .fill 272, 8, 0
    .quad boot_pdpt_low - KERNEL_BASE + PRESENT_WRITE
    .fill 237, 8, 0
    .quad boot_pdpt_high - KERNEL_BASE + PRESENT_WRITE
boot_pdpt_low:
    .quad boot_pd - KERNEL_BASE + PRESENT_WRITE
    .fill 511, 8, 0
boot_pdpt_high:
    .fill 510, 8, 0
    .quad boot_pd - KERNEL_BASE + PRESENT_WRITE
    .quad 0
boot_pd:
    .set page, 0
    .rept 512
    .quad page + PRESENT_WRITE_LARGE
    .set page, page + 0x200000
    .endr

.section .bss.boot_stack, "aw", @nobits
.align 4096
# Left unmapped by mm::direct: what runs over the stack faults here.
.globl boot_stack_guard
boot_stack_guard:
    .skip 4096
.globl boot_stack
boot_stack:
    .skip 32768
.globl boot_stack_top
boot_stack_top:
