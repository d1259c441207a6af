//! Does KVM really work here?
//!
//! That /dev/kvm opens says little: a nested KVM without hardware behind it interprets ring 0,
//! where all of Skiff runs, and is far slower than QEMU's own translator. So a tiny guest is timed,
//! from its own first sign to its last: how long QEMU takes to start says nothing. That KVM works
//! holds until the host boots anew; that it does not may come of a busy host, and is tried again
//! after a while.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

/// Firmware images are multiples of 64 KiB; the CPU starts 16 bytes before the end.
const ROM_SIZE: usize = 64 << 10;
const LOOPS: u32 = 20_000_000;
/// A real CPU takes about 10 ms for the loop; an interpreter takes tens of seconds.
const LIMIT: Duration = Duration::from_millis(1500);
/// How long QEMU may take to start.
const START: Duration = Duration::from_secs(20);
/// How long it counts that KVM did not work, in seconds.
const RETRY: u64 = 600;
/// The signs that the guest gives, at QEMU's debugging port.
const PORT: u8 = 0xe9;
const BEGIN: u8 = b'B';
const END: u8 = b'E';
/// Where the code is in the ROM; the reset vector has room for a jump only.
const CODE: usize = ROM_SIZE - 256;

/// The verdict, and why not where KVM is not to be used.
pub fn usable() -> Result<(), String> {
    if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return Err("KVM is not available".into());
    }
    let (cache, key) = (cache_file(), key());
    let known = cache.as_ref().and_then(|f| fs::read_to_string(f).ok());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    if let Some(verdict) = known.as_ref().and_then(|known| remembered(known, &key, now)) {
        return verdict_from(verdict);
    }
    let word = if probe() { "works" } else { "no" };
    if let Some(file) = cache {
        let _ = file.parent().map(fs::create_dir_all);
        let _ = fs::write(file, format!("{key} {word} {now}\n"));
    }
    verdict_from(word)
}

/// The verdict of `known`, where it still counts.
fn remembered<'a>(known: &'a str, key: &str, now: u64) -> Option<&'a str> {
    let mut words = known.strip_prefix(key)?.split_whitespace();
    let (verdict, when) = (words.next()?, words.next()?.parse::<u64>().ok()?);
    (verdict == "works" || now.saturating_sub(when) < RETRY).then_some(verdict)
}

fn verdict_from(word: &str) -> Result<(), String> {
    if word == "works" { Ok(()) } else { Err("KVM does not run guest code at speed here".into()) }
}

/// The host's boot: hardware and kernel do not change within one.
fn key() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn cache_file() -> Option<PathBuf> {
    Some(crate::folder::cache()?.join("kvm-probe"))
}

/// Real-mode code: a sign, count down, a sign, and leave.
fn rom() -> Vec<u8> {
    let mut rom = vec![0; ROM_SIZE];
    let mut code = vec![0xb0, BEGIN, 0xe6, PORT]; // mov al, BEGIN; out PORT, al
    code.extend_from_slice(&[0x66, 0xb9]); // mov ecx, LOOPS
    code.extend_from_slice(&LOOPS.to_le_bytes());
    code.extend_from_slice(&[0x66, 0x49]); // dec ecx
    code.extend_from_slice(&[0x75, 0xfc]); // jnz -4
    code.extend_from_slice(&[0xb0, END, 0xe6, PORT]); // mov al, END; out PORT, al
    code.extend_from_slice(&[0xb0, 0, 0xe6, 0xf4]); // mov al, 0; out 0xf4, al
    code.push(0xf4); // hlt
    rom[CODE..][..code.len()].copy_from_slice(&code);
    let vector = ROM_SIZE - 16;
    let back = (CODE as i32 - (vector as i32 + 3)) as i16;
    rom[vector] = 0xe9; // jmp CODE
    rom[vector + 1..][..2].copy_from_slice(&back.to_le_bytes());
    rom
}

fn probe() -> bool {
    timed(&["-accel", "kvm", "-cpu", "host"]).is_some_and(|time| time < LIMIT)
}

/// How long the guest took from its first sign to its last, by whoever executes it.
fn timed(accel: &[&str]) -> Option<Duration> {
    let mut file = tempfile::tempfile().ok()?;
    file.write_all(&rom()).ok()?;
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).ok()?;
    let mut child = Command::new("qemu-system-x86_64")
        .args(accel)
        .args(["-M", "microvm", "-nodefaults", "-no-user-config", "-display", "none", "-m", "16", "-no-reboot"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-chardev", "stdio,id=signs,signal=off"])
        .args(["-device", &format!("isa-debugcon,iobase={PORT:#x},chardev=signs")])
        .args(["-bios", &format!("/proc/self/fd/{}", file.as_raw_fd())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut out = child.stdout.take()?;
    let (sender, signs) = channel();
    std::thread::spawn(move || {
        let mut byte = [0];
        while out.read_exact(&mut byte).is_ok() && sender.send((byte[0], Instant::now())).is_ok() {}
    });
    let sign = |wanted: u8, patience: Duration| match signs.recv_timeout(patience) {
        Ok((sign, at)) if sign == wanted => Some(at),
        _ => None,
    };
    let times = sign(BEGIN, START).and_then(|begin| Some((begin, sign(END, LIMIT)?)));
    let _ = child.kill();
    let _ = child.wait();
    times.map(|(begin, end)| end - begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_gives_its_signs() {
        // Whoever executes it: the limit is far off on any machine that is fit for this.
        let time = timed(&["-accel", "tcg", "-cpu", "max"]);
        assert!(time.is_some_and(|time| time > Duration::ZERO), "{time:?}");
    }

    #[test]
    fn a_bad_verdict_does_not_last() {
        assert_eq!(remembered("boot works 100\n", "boot", 1_000_000), Some("works"));
        assert_eq!(remembered("boot no 100\n", "boot", 200), Some("no"));
        assert_eq!(remembered("boot no 100\n", "boot", 100 + RETRY), None);
        assert_eq!(remembered("other works 100\n", "boot", 100), None);
        assert_eq!(remembered("boot no\n", "boot", 100), None);
    }
}
