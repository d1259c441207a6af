//! What the programs of cases in Rust share, in the form that `case.h` says: each group runs in a
//! process and an empty directory of its own, each case prints one line and says what it expects.
#![allow(dead_code, unused_macros)]

use std::fmt::Debug;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds that a group may take.
const LIMIT: u64 = 20;
/// The argument that makes a process of a group.
const INSIDE: &str = "--group";

static CURRENT: OnceLock<String> = OnceLock::new();

/// A name, and its cases.
pub type Group = (&'static str, fn());

/// One line, in one piece.
fn line(text: String) {
    use io::Write;
    let _ = io::stdout().lock().write_all((text + "\n").as_bytes());
}

/// Expects a value.
pub fn eq<T: PartialEq + Debug>(name: impl AsRef<str>, want: T, got: T) {
    let group = CURRENT.get().map_or("", String::as_str);
    let wanted = if got == want { String::new() } else { format!(" ! {want:?}") };
    line(format!("case {group}/{}: {got:?}{wanted}", name.as_ref()));
}

/// Expects a value that is not the same in every run, and shows whether it is right.
pub fn same<T: PartialEq>(name: impl AsRef<str>, want: T, got: T) {
    eq(name, true, want == got);
}

/// The number of an error; what has none of the system's is told by its kind.
fn number(error: &io::Error) -> Result<i32, io::ErrorKind> {
    error.raw_os_error().ok_or(error.kind())
}

/// Expects success, and gives what came of it.
pub fn ok<T>(name: impl AsRef<str>, got: io::Result<T>) -> Option<T> {
    eq(name, Ok(()), got.as_ref().map(|_| ()).map_err(number));
    got.ok()
}

/// Expects the error with this number.
pub fn err<T>(name: impl AsRef<str>, want: i32, got: io::Result<T>) {
    eq(name, Err(Ok(want)), got.map(|_| ()).map_err(|e| number(&e)));
}

/// Expects an error of this kind, where the library makes it.
pub fn kind<T>(name: impl AsRef<str>, want: io::ErrorKind, got: io::Result<T>) {
    eq(name, Err(want), got.map(|_| ()).map_err(|e| e.kind()));
}

/// Waits until something is so, for a few seconds.
pub fn eventually(mut so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    while !so() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Runs all groups, or those that are named, but those in `SKIP_GROUPS`, which have ended a
/// machine.
pub fn run(groups: &[Group]) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [inside, name] = &args[..]
        && inside == INSIDE
        && let Some((_, cases)) = groups.iter().find(|(group, _)| group == name)
    {
        let _ = CURRENT.set(name.clone());
        return cases();
    }
    let skip = std::env::var("SKIP_GROUPS").unwrap_or_default();
    let wanted = |name: &str| {
        !skip.split(' ').any(|skipped| skipped == name) && (args.is_empty() || args.iter().any(|arg| arg == name))
    };
    for (name, _) in groups.iter().filter(|(name, _)| wanted(name)) {
        line(format!("group {name}"));
        if let Err(why) = apart(name) {
            line(format!("died {name}: {why}"));
        }
    }
}

fn apart(name: &str) -> Result<(), String> {
    let dir = format!("{name}.dir");
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut child = Command::new(program).args([INSIDE, name]).current_dir(&dir).spawn().map_err(|e| e.to_string())?;
    let end = Instant::now() + Duration::from_secs(LIMIT);
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.signal().map_or("failed".into(), |signal| format!("signal {signal}"))),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("not at its end in time".into());
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}
