//! The files of /proc that are about the kernel's own memory and functions: `buddyinfo`,
//! `pagetypeinfo`, `iomem`, `kallsyms`.

use alloc::format;
use alloc::string::String;

use syscall_shim::SysResult;

use crate::arch::boot;
use fd::capable;
use mem::{direct, frames};
use observe::symbols;

const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYSLOG: u32 = 34;
/// Orders that are shown; Linux has blocks of up to 4 MiB.
const ORDERS: usize = 11;

/// `buddyinfo`: how many free blocks there are of each order. All memory is one zone.
pub fn buddy_info() -> String {
    let counts = frames::free_blocks::<ORDERS>();
    counts.iter().fold(format!("Node 0, zone {:>8} ", "Normal"), |line, count| line + &format!("{count:6} ")) + "\n"
}

/// `pagetypeinfo`: nothing is kept apart by whether it could be moved.
pub fn page_types() -> String {
    let order = frames::LARGE_PAGE_ORDER;
    let mut out = format!("Page block order: {order}\nPages per block:  {}\n\n", frames::LARGE_PAGE_FRAMES);
    out += &format!("{:<43} ", "Free pages count per migrate type at order");
    out = (0..ORDERS).fold(out, |line, order| line + &format!("{order:6} ")) + "\n";
    out += &format!("Node {:4}, zone {:>8}, type {:>12} ", 0, "Normal", "Unmovable");
    out = frames::free_blocks::<ORDERS>().iter().fold(out, |line, count| line + &format!("{count:6} ")) + "\n\n";
    out += &format!("{:<23}{:>12} \n", "Number of blocks type ", "Unmovable");
    out + &format!("Node {}, zone {:>8} {:12} \n", 0, "Normal", frames::total() / frames::LARGE_PAGE_FRAMES)
}

/// `iomem`: where there is RAM, and in it the kernel's code. Addresses are not for everybody.
pub fn io_memory() -> String {
    let text = direct::kernel_text();
    let code = [text.start, text.end].map(|at| at - direct::KERNEL_BASE);
    let row = |indent: &str, start: u64, end: u64, name: &str| {
        let (start, end) = if capable(CAP_SYS_ADMIN) { (start, end - 1) } else { (0, 0) };
        format!("{indent}{start:08x}-{end:08x} : {name}\n")
    };
    let mut out = String::new();
    for range in boot::info().memory.as_slice() {
        out += &row("", range.start, range.end, "System RAM");
        if (range.start..range.end).contains(&code[0]) {
            out += &row("  ", code[0], code[1], "Kernel code");
        }
    }
    out
}

/// `kallsyms`: the kernel's functions, if they have been given along. A name is one word.
pub fn symbols() -> SysResult<String> {
    let shown = capable(CAP_SYSLOG);
    let row = |(at, name): (u64, &str)| format!("{:016x} t {}\n", if shown { at } else { 0 }, name.replace(' ', "_"));
    Ok(symbols::all().map(row).collect())
}
