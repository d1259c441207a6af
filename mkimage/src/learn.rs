//! `--learn`: runs the program natively under strace(1) and reports which files it used.

use crate::error::{At, Error, Result};
use crate::tree::path_from;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Places whose content belongs to the machine or to the run, not to the program.
const NOT_TAKEN: [&str; 5] = ["/proc", "/sys", "/dev", "/tmp", "/run"];

/// Runs `program args` with this environment and returns the files it opened, executed or followed links at.
pub fn run(program: &Path, args: &[String], env: &[String]) -> Result<Vec<PathBuf>> {
    let log = tempfile::NamedTempFile::new().at("temporary file")?;
    let started = SystemTime::now();
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-s",
        "4096",
        "-e",
        "signal=none",
        "-e",
        "trace=open,openat,openat2,execve,readlink,readlinkat,chdir",
    ]);
    command.arg("-o").arg(log.path()).arg("--").arg(program).args(args);
    for pair in env {
        if let Some((name, value)) = pair.split_once('=') {
            command.env(name, value);
        }
    }
    let status = command.status().map_err(|e| Error::Learn(format!("strace: {e}: apt-get install strace")))?;
    if !status.success() {
        eprintln!("mkimage: note: the traced run ended with {status}");
    }
    let cwd = std::env::current_dir().at(".")?;
    let text = fs::read(log.path()).at(log.path())?;
    Ok(files(&text, &cwd).into_iter().filter(|p| !made_since(p, started)).collect())
}

/// Whether the run itself made the file. Birth time: statx(2), where the file system keeps it.
fn made_since(path: &Path, start: SystemTime) -> bool {
    let meta = fs::metadata(path);
    meta.and_then(|m| m.created().or_else(|_| m.modified())).is_ok_and(|born| born >= start)
}

/// The paths in a trace that a successful call used.
fn files(trace: &[u8], cwd: &Path) -> BTreeSet<PathBuf> {
    let mut used = BTreeSet::new();
    for line in trace.split(|b| *b == b'\n') {
        let Some((call, path, rest)) = parse(line) else {
            continue;
        };
        let truncates = contains(rest, b"O_TRUNC") || contains(rest, b"O_EXCL");
        if failed(rest) || (call.starts_with(b"open") && truncates) {
            continue;
        }
        let path = cwd.join(path_from(&path));
        let outside = NOT_TAKEN.iter().any(|d| path.starts_with(d));
        if !outside && path.as_os_str().as_bytes() != b"/" && call != b"chdir" {
            used.insert(path);
        }
    }
    used
}

/// `PID call(..., "path", rest` of a trace line. Calls that another thread's line interrupts show their path in the first half.
fn parse(line: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let open = line.iter().position(|b| *b == b'(')?;
    let call = line[..open].rsplit(|b| *b == b' ').next()?;
    let args = &line[open + 1..];
    // Relative to a directory descriptor other than the working directory: the path alone does not say where.
    let quote = args.iter().position(|b| *b == b'"')?;
    let directory = &args[..quote];
    let (path, rest) = unquote(&args[quote + 1..])?;
    if !directory.is_empty() && !directory.starts_with(b"AT_FDCWD") && !path.starts_with(b"/") {
        return None;
    }
    Some((call, path, rest))
}

fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    let mut i = 0;
    loop {
        match *text.get(i)? {
            b'"' => return Some((out, &text[i + 1..])),
            b'\\' => {
                i += 1;
                let c = *text.get(i)?;
                match c {
                    b'n' => out.push(b'\n'),
                    b't' => out.push(b'\t'),
                    b'r' => out.push(b'\r'),
                    b'v' => out.push(11),
                    b'f' => out.push(12),
                    b'0'..=b'7' => {
                        let digits = text[i..].iter().take(3).take_while(|b| matches!(b, b'0'..=b'7'));
                        let (value, n) = digits.fold((0u32, 0), |(v, n), d| (v * 8 + u32::from(d - b'0'), n + 1));
                        out.push(value as u8);
                        i += n - 1;
                    }
                    other => out.push(other),
                }
            }
            other => out.push(other),
        }
        i += 1;
    }
}

fn failed(rest: &[u8]) -> bool {
    contains(rest, b") = -1 ") || contains(rest, b"= ?")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_strace_lines() {
        let trace = br#"71 execve("/usr/bin/python3", ["python3"], 0x7ffd /* 20 vars */) = 0
71 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3
71 openat(AT_FDCWD, "/usr/lib/missing", O_RDONLY) = -1 ENOENT (No such file or directory)
71 openat(AT_FDCWD, "/proc/self/maps", O_RDONLY) = 3
71 openat(AT_FDCWD, "data/caf\303\251 \"x\".txt", O_RDONLY) = 4
72 openat(AT_FDCWD, "/var/out.log", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 5
72 openat(7, "below", O_RDONLY) = 6
72 openat(AT_FDCWD, "/usr/lib/cut", O_RDONLY <unfinished ...>
72 exit_group(0) = ?
"#;
        let found: Vec<_> = files(trace, Path::new("/work")).into_iter().map(|p| p.to_string_lossy().into_owned()).collect();
        assert_eq!(found, ["/etc/ld.so.cache", "/usr/bin/python3", "/usr/lib/cut", "/work/data/café \"x\".txt"]);
    }
}
