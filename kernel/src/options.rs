//! What the kernel's command line may say. A value that means nothing ends the machine at once:
//! whoever wrote it wants something else than what would come of it.

use core::net::IpAddr;

use inet::ip::Cidr;
use syscall_shim::table;

use crate::arch::boot;

/// An option, whether a value of it means something, and what is expected.
type Rule = (&'static str, fn(&str) -> bool, &'static str);

const RULES: &[Rule] = &[
    ("ip", |text| matches!(text, "dhcp" | "off") || Cidr::parse(text).is_some(), "ADDRESS/PREFIX, dhcp or off"),
    ("gateway", |text| text.parse::<IpAddr>().is_ok(), "an address"),
    ("dns", |text| text.parse::<IpAddr>().is_ok(), "an address"),
    (
        "trace",
        |text| text.split(',').all(|name| name.is_empty() || table::number(name).is_some()),
        "names of system calls, with commas between",
    ),
    ("time", |text| text.parse::<u64>().is_ok(), "nanoseconds since 1970"),
    ("cpus", |text| text.parse::<u32>().is_ok_and(|cpus| cpus > 0), "a number of CPUs"),
    ("loglevel", |text| text.parse::<u32>().is_ok(), "a level of syslog(3)"),
    ("profile", |text| text.parse::<u32>().is_ok_and(|hertz| hertz > 0), "samples a second"),
    ("aslr", |text| matches!(text, "on" | "off"), "on or off"),
    ("core", |text| text == "host", "host"),
    ("root", crate::vfs::root::is_name, "/dev/NAME or UUID=..."),
    ("archive", |text| text == "copy", "copy"),
    ("overlay", crate::vfs::overlay::is_device, "/dev/NAME, or nothing"),
    ("volume", |text| crate::vfs::volumes::parse(text).is_some(), "DEVICE:DIRECTORY or DEVICE:DIRECTORY:ro, whole paths"),
    ("stdio", |text| text.len() == 3 && text.bytes().all(|b| b"tpfd".contains(&b)), "three of the letters t, p, f and d"),
];

/// Says what is wrong, if something is; whether all is right.
pub fn check() -> bool {
    let mut good = true;
    for (key, means_something, expected) in RULES {
        for value in boot::options(key).filter(|value| !value.is_empty() && !means_something(value)) {
            good = false;
            kerr!("{key}={value} on the kernel's command line: expected {expected}");
        }
    }
    good
}
