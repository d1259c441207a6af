//! The table of `strace -c`.

use crate::table;
use core::fmt::Write;

const RULE: &str = "------ ----------- ----------- --------- --------- ----------------";

/// Writes the table of calls: number, how often made, how often failed, nanoseconds of all; those
/// that took longest first.
pub fn summary(out: &mut dyn Write, calls: &[(u64, u64, u64, u64)]) {
    let total: u64 = calls.iter().map(|call| call.3).sum();
    let (count, errors) = calls.iter().fold((0, 0), |sum, call| (sum.0 + call.1, sum.1 + call.2));
    let _ = writeln!(out, "% time     seconds  usecs/call     calls    errors syscall\n{RULE}");
    for (nr, count, errors, ns) in calls {
        line(out, *ns * 10_000 / total.max(1), *ns, *count, *errors, table::name(*nr).unwrap_or("?"));
    }
    let _ = writeln!(out, "{RULE}");
    line(out, 10_000, total, count, errors, "total");
}

fn line(out: &mut dyn Write, hundredths: u64, ns: u64, count: u64, errors: u64, name: &str) {
    let microseconds = ns / 1000;
    let _ = write!(
        out,
        "{:>3}.{:02} {:>4}.{:06} {:>11} {count:>9} ",
        hundredths / 100,
        hundredths % 100,
        microseconds / 1_000_000,
        microseconds % 1_000_000,
        microseconds / count.max(1),
    );
    let _ = match errors {
        0 => writeln!(out, "{:>9} {name}", ""),
        _ => writeln!(out, "{errors:>9} {name}"),
    };
}
