//! `--learn`: runs the program natively under strace(1) and reports which files it used.

use crate::error::{At, Error, Result};
use crate::tree::path_from;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Places whose content belongs to the machine or to the run, not to the program.
const NOT_TAKEN: [&str; 5] = ["/proc", "/sys", "/dev", "/tmp", "/run"];

/// Calls that name a file, or list a directory.
const CALLS: &str = "trace=%file,getdents,getdents64,fchdir";
/// Calls that make what they name, or take it away: the image needs nothing of it.
const MAKES: [&[u8]; 9] =
    [b"mkdir", b"mkdirat", b"mknod", b"mknodat", b"symlink", b"symlinkat", b"unlink", b"unlinkat", b"rmdir"];
/// What a listed directory may hold, in bytes and files, to come along as a whole.
const LISTED_BYTES: u64 = 64 << 20;
const LISTED_FILES: usize = 4096;
/// Read by others: a directory that was only listed brings no secrets.
const READ_BY_OTHERS: u32 = 0o004;

/// What a run has shown.
#[derive(Debug, Default)]
pub struct Learned {
    /// Files and directories, as they were named.
    pub paths: Vec<PathBuf>,
    /// What was left out, and should be known.
    pub warnings: Vec<String>,
}

/// Runs `program args` with this environment, and tells what it opened, executed, looked for or
/// listed. A name in a directory that it listed counts as looked for.
pub fn run(program: &Path, args: &[String], env: &[String]) -> Result<Learned> {
    // Without a name, so that nobody need remove it; strace finds it through this process.
    let log = tempfile::tempfile().at("temporary file")?;
    let started = SystemTime::now();
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-s", "4096", "-e", "signal=none", "-e", CALLS]);
    command.arg("-o").arg(format!("/proc/{}/fd/{}", std::process::id(), log.as_raw_fd()));
    command.arg("--").arg(program).args(args);
    for pair in env {
        if let Some((name, value)) = pair.split_once('=') {
            command.env(name, value);
        }
    }
    let status = command.status().map_err(|e| Error::Learn(format!("strace: {e}: apt-get install strace")))?;
    let mut learned = Learned::default();
    if !status.success() {
        learned.warnings.push(format!("the traced run ended with {status}"));
    }
    let cwd = std::env::current_dir().at(".")?;
    let mut text = Vec::new();
    (&log).seek(SeekFrom::Start(0)).and_then(|_| (&log).read_to_end(&mut text)).at("temporary file")?;
    let used = used(&text, &cwd);
    learned.paths = used.named.into_iter().filter(|p| !made_since(p, started)).collect();
    for dir in used.listed.iter().filter(|p| !made_since(p, started)) {
        list(dir, &mut learned);
    }
    Ok(learned)
}

/// What a listed directory shows: its directories empty, its files whole, for who lists them reads
/// them next.
fn list(dir: &Path, learned: &mut Learned) {
    let entries: Vec<(PathBuf, fs::Metadata)> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .filter(|(path, about)| !outside(path) && !about.file_type().is_socket() && about.mode() & READ_BY_OTHERS != 0)
        .collect();
    let bytes: u64 = entries.iter().filter(|(_, about)| about.is_file()).map(|(_, about)| about.len()).sum();
    let small = bytes <= LISTED_BYTES && entries.len() <= LISTED_FILES;
    if !small {
        let (dir, mib, files) = (dir.display(), bytes >> 20, entries.len());
        learned
            .warnings
            .push(format!("{dir} was listed: of its {files} entries ({mib} MiB) only the directories come along"));
    }
    learned.paths.extend(entries.into_iter().filter(|(_, about)| small || about.is_dir()).map(|(path, _)| path));
}

/// Whether a path is none of the program's: of the machine, or of the run.
fn outside(path: &Path) -> bool {
    path == Path::new("/") || NOT_TAKEN.iter().any(|dir| path.starts_with(dir))
}

/// Whether the run itself made the file. Birth time: statx(2), where the file system keeps it.
fn made_since(path: &Path, start: SystemTime) -> bool {
    let meta = fs::symlink_metadata(path);
    meta.is_ok_and(|m| !m.is_dir() && m.created().or_else(|_| m.modified()).is_ok_and(|born| born >= start))
}

/// The paths in a trace that a successful call named, and the directories that were listed.
#[derive(Debug, Default)]
struct Used {
    named: BTreeSet<PathBuf>,
    listed: BTreeSet<PathBuf>,
}

fn used(trace: &[u8], cwd: &Path) -> Used {
    let mut used = Used::default();
    // Where each thread is, as far as calls without a directory need it.
    let mut places: HashMap<Vec<u8>, PathBuf> = HashMap::new();
    for line in trace.split(|b| *b == b'\n') {
        let Some(Call { thread, name, directory, path, rest }) = parse(line) else {
            continue;
        };
        if failed(rest) {
            continue;
        }
        let here = directory.clone().unwrap_or_else(|| places.get(thread).cloned().unwrap_or_else(|| cwd.to_path_buf()));
        if name.starts_with(b"getdents") || name == b"fchdir" {
            let Some(dir) = directory.filter(|dir| dir.is_absolute()) else { continue };
            if name == b"fchdir" {
                places.insert(thread.to_vec(), dir);
            } else if !outside(&dir) {
                used.named.insert(dir.clone());
                used.listed.insert(dir);
            }
            continue;
        }
        let Some(path) = path.filter(|path| !path.is_empty()) else { continue };
        let path = here.join(path_from(&path));
        if name == b"chdir" {
            places.insert(thread.to_vec(), path.clone());
        }
        let truncates = contains(rest, b"O_TRUNC") || contains(rest, b"O_EXCL");
        let makes = MAKES.contains(&name) || name.starts_with(b"open") && truncates;
        if !makes && !outside(&path) {
            used.named.insert(path);
        }
    }
    used
}

/// A call of a trace.
struct Call<'a> {
    thread: &'a [u8],
    name: &'a [u8],
    /// The directory that the path is relative to, or that the descriptor is of.
    directory: Option<PathBuf>,
    path: Option<Vec<u8>>,
    rest: &'a [u8],
}

/// `PID call(3</dir>, "path", rest` of a trace line. Calls that another thread's line interrupts
/// show their path in the first half.
fn parse(line: &[u8]) -> Option<Call<'_>> {
    let open = line.iter().position(|b| *b == b'(')?;
    let name = line[..open].rsplit(|b| *b == b' ').next()?;
    let thread = line.split(|b| *b == b' ').next()?;
    let args = &line[open + 1..];
    // The first argument is a descriptor with what it stands for, or the path.
    let (directory, args) = match args.first()? {
        b'"' => (None, args),
        _ => match args.iter().position(|b| matches!(b, b'<' | b',' | b')'))? {
            at if args[at] == b'<' => {
                let (dir, rest) = unquote(&args[at + 1..], b'>')?;
                (Some(path_from(&dir)), rest)
            }
            at => (None, &args[at..]),
        },
    };
    let args = args.strip_prefix(b", ").unwrap_or(args);
    match args.strip_prefix(b"\"") {
        Some(quoted) => {
            let (path, rest) = unquote(quoted, b'"')?;
            Some(Call { thread, name, directory, path: Some(path), rest })
        }
        None => Some(Call { thread, name, directory, path: None, rest: args }),
    }
}

/// A text up to an unescaped `end`, and what follows.
fn unquote(text: &[u8], end: u8) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    let mut i = 0;
    loop {
        match *text.get(i)? {
            byte if byte == end => return Some((out, &text[i + 1..])),
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
71 openat(AT_FDCWD</www>, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3</etc/ld.so.cache>
71 openat(AT_FDCWD</www>, "/usr/lib/missing", O_RDONLY) = -1 ENOENT (No such file or directory)
71 openat(AT_FDCWD</www>, "/proc/self/maps", O_RDONLY) = 3</proc/71/maps>
71 openat(AT_FDCWD</www>, "data/caf\303\251 \"x\".txt", O_RDONLY) = 4</www/data/caf\303\251 "x".txt>
72 openat(AT_FDCWD</www>, "/var/out.log", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 5</var/out.log>
72 openat(7</usr/share/x>, "below", O_RDONLY) = 6</usr/share/x/below>
72 newfstatat(7</usr/share/x>, "", {st_mode=S_IFDIR|0755, st_size=4096, ...}, AT_EMPTY_PATH) = 0
72 newfstatat(AT_FDCWD</www>, "/usr/share/only-looked-at", {st_mode=S_IFREG|0644, st_size=9, ...}, 0) = 0
72 access("/usr/share/asked", R_OK) = 0
72 mkdir("/var/made", 0777) = 0
72 chdir("/opt/app") = 0
72 readlink("current", "v2", 4096) = 2
72 getdents64(8</usr/share/zone \76 info>, 0x55e0 /* 3 entries */, 32768) = 80
72 openat(AT_FDCWD</opt/app>, "/usr/lib/cut", O_RDONLY <unfinished ...>
72 exit_group(0) = ?
"#;
        let used = used(trace, Path::new("/www"));
        let found: Vec<_> = used.named.iter().map(|p| p.to_string_lossy().into_owned()).collect();
        let expected = [
            "/etc/ld.so.cache",
            "/opt/app",
            "/opt/app/current",
            "/usr/bin/python3",
            "/usr/lib/cut",
            "/usr/share/asked",
            "/usr/share/only-looked-at",
            "/usr/share/x/below",
            "/usr/share/zone > info",
            "/www/data/café \"x\".txt",
        ];
        assert_eq!(found, expected);
        assert_eq!(used.listed.into_iter().collect::<Vec<_>>(), [Path::new("/usr/share/zone > info")]);
    }

    #[test]
    fn a_listed_directory_brings_its_names() {
        let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
        fs::create_dir(dir.path().join("empty")).unwrap();
        let secret = dir.path().join("secret");
        for (path, mode) in [(dir.path().join("file"), 0o644), (secret, 0o600)] {
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        let mut learned = Learned::default();
        list(dir.path(), &mut learned);
        learned.paths.sort();
        assert_eq!(learned.paths, [dir.path().join("empty"), dir.path().join("file")]);
    }
}
