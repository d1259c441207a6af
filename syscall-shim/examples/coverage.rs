//! Prints how many system calls are done, partial and absent, and which: docs/status.md has the
//! same.

use syscall_shim::table::{ROWS, Status};

fn main() {
    let names = |want: fn(Status) -> bool| -> Vec<&str> { ROWS.iter().filter(|r| want(r.status)).map(|r| r.name).collect() };
    let done = names(|s| s == Status::Done);
    let partial = names(|s| matches!(s, Status::Partial(_)));
    let absent = names(|s| s == Status::Absent);
    println!("system calls: {} done, {} partial, {} absent, of {}", done.len(), partial.len(), absent.len(), ROWS.len());
    println!("\ndone:");
    print_wrapped(&done);
    println!("\npartial:");
    for row in ROWS {
        if let Status::Partial(why) = row.status {
            println!("  {:<18} {why}", row.name);
        }
    }
    println!("\nabsent:");
    print_wrapped(&absent);
}

fn print_wrapped(names: &[&str]) {
    let mut line = String::from(" ");
    for name in names {
        if line.len() + name.len() > 118 {
            println!("{line}");
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(name);
    }
    if line.len() > 1 {
        println!("{line}");
    }
}
