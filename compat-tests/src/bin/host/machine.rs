//! Machines and volumes, and what is expected of them.

use compat_tests::lab::{Lab, output};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn compile(lab: &Lab, name: &str, source: &str) -> Result<String, String> {
    lab.compile(name, source, &["-O1"]).map(|program| program.display().to_string())
}

/// `skiff run` of a program with TCG, with options and arguments.
pub fn run(lab: &Lab, program: &str, options: &[&str], arguments: &[&str]) -> Command {
    let mut command = lab.skiff(&["run", program, "--accel", "tcg"]);
    command.args(options).arg("--").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn spawn(command: &mut Command) -> Result<Child, String> {
    command.spawn().map_err(|e| e.to_string())
}

pub fn expect(good: bool, what: impl std::fmt::Debug) -> Result<(), String> {
    if good { Ok(()) } else { Err(format!("{what:?}")) }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit status, as a shell has it, if the child ends within `limit`.
pub fn ends(child: &mut Child, limit: Duration) -> Result<i32, String> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return status.code().or(status.signal().map(|n| 128 + n)).ok_or_else(|| "no status".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("still there after {} s", limit.as_secs()))
}

pub fn kill(child: &Child, signal: &str) -> Result<(), String> {
    let done = Command::new("kill").args([signal, &child.id().to_string()]).status();
    expect(done.is_ok_and(|status| status.success()), "kill")
}

/// `skiff volume`, with volumes that have names in the lab.
pub fn volume(lab: &Lab, arguments: &[&str]) -> Result<Output, String> {
    output(lab.skiff(&["volume"]).env("XDG_DATA_HOME", lab.dir.join("data")).args(arguments))
}

/// That there is no journal to be replayed, and e2fsck finds nothing.
pub fn is_clean(lab: &Lab, image: &str) -> Result<(), String> {
    let mut dump = Command::new("dumpe2fs");
    let head = text(&output(dump.args(["-h", image]).current_dir(&lab.dir))?.stdout);
    expect(head.contains("has_journal") && !head.contains("needs_recovery") && !head.contains("with errors"), &head)?;
    let said = volume(lab, &["fsck", image])?;
    expect(said.status.success(), text(&said.stdout))
}

/// Adds a line to a file, and tells how many there are. It leaves a file open that has no name,
/// with pages that were not written.
pub const KEEPS: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    static char text[100000];
    int log = open("/var/lib/keeps/log", O_RDWR | O_CREAT | O_APPEND, 0640), lines = 0;
    if (write(log, "line\n", 5) != 5 || fsync(log)) return 1;
    for (ssize_t n = pread(log, text, sizeof text, 0); n > 0; n--) lines += text[n - 1] == '\n';
    int gone = open("/var/lib/keeps/gone", O_RDWR | O_CREAT, 0600);
    write(gone, text, sizeof text);
    unlink("/var/lib/keeps/gone");
    printf("%d lines\n", lines);
    return 0;
}
"#;
