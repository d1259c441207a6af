//! Does KVM really work here?
//!
//! That /dev/kvm opens says little: a nested KVM without hardware behind it interprets ring 0, where all of Skiff runs,
//! and is far slower than QEMU's own translator. So a tiny guest is timed once per host boot.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Firmware images are multiples of 64 KiB; the CPU starts 16 bytes before the end.
const ROM_SIZE: usize = 64 << 10;
const LOOPS: u32 = 20_000_000;
/// What the guest writes to isa-debug-exit, and the exit code that QEMU makes of it.
const ANSWER: u8 = 0x2a;
const EXIT_CODE: i32 = (ANSWER as i32) << 1 | 1;
/// A real CPU takes about 10 ms for the loop; an interpreter takes tens of seconds.
const LIMIT: Duration = Duration::from_millis(1500);

/// The verdict, and why not where KVM is not to be used.
pub fn usable() -> Result<(), String> {
    if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return Err("KVM is not available".into());
    }
    let (cache, key) = (cache_file(), key());
    let known = cache.as_ref().and_then(|f| fs::read_to_string(f).ok());
    if let Some(verdict) = known.as_ref().and_then(|k| k.strip_prefix(&key)) {
        return verdict_from(verdict.trim());
    }
    let works = probe();
    if let Some(file) = cache {
        let _ = file.parent().map(fs::create_dir_all);
        let _ = fs::write(file, format!("{key} {}\n", if works { "works" } else { "no" }));
    }
    verdict_from(if works { "works" } else { "no" })
}

fn verdict_from(word: &str) -> Result<(), String> {
    if word == "works" { Ok(()) } else { Err("KVM does not run guest code at speed here".into()) }
}

/// The host's boot: hardware and kernel do not change within one.
fn key() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn cache_file() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(base.join("skiff/kvm-probe"))
}

/// Real-mode code at the reset vector: count down, then leave.
fn rom() -> Vec<u8> {
    let mut rom = vec![0; ROM_SIZE];
    let mut code = vec![0x66, 0xb9]; // mov ecx, LOOPS
    code.extend_from_slice(&LOOPS.to_le_bytes());
    code.extend_from_slice(&[0x66, 0x49]); // dec ecx
    code.extend_from_slice(&[0x75, 0xfc]); // jnz -4
    code.extend_from_slice(&[0xb0, ANSWER]); // mov al, ANSWER
    code.extend_from_slice(&[0xe6, 0xf4]); // out 0xf4, al
    code.push(0xf4); // hlt
    rom[ROM_SIZE - 16..][..code.len()].copy_from_slice(&code);
    rom
}

fn probe() -> bool {
    let Ok(mut file) = tempfile::NamedTempFile::new() else {
        return false;
    };
    if file.write_all(&rom()).is_err() {
        return false;
    }
    let child = Command::new("qemu-system-x86_64")
        .args(["-accel", "kvm", "-cpu", "host", "-M", "microvm", "-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-m", "16", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-bios"])
        .arg(file.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        match child.try_wait() {
            Ok(Some(status)) => return status.code() == Some(EXIT_CODE),
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_fits_behind_the_reset_vector() {
        let rom = rom();
        assert_eq!(rom.len(), ROM_SIZE);
        assert_eq!(rom[ROM_SIZE - 16], 0x66);
        assert_eq!(rom[ROM_SIZE - 2], 0xf4);
    }
}
