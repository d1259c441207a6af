//! Programs of e2fsprogs.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// One of them, which may be where only the super-user's shells look.
pub fn e2fsprogs(name: &str) -> Command {
    let places = ["/usr/sbin", "/sbin", "/usr/local/sbin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    Command::new(found.unwrap_or_else(|| name.into()))
}

/// Makes an ext4 in a file that has its size: nothing is kept back for a super-user, tables are
/// written when they are used. `more` are further options. The error is a sentence about the file.
pub fn make_ext4(path: &Path, more: &[&str], seconds: Option<u32>) -> Result<(), String> {
    let extended = ["lazy_itable_init=1", "lazy_journal_init=1", "root_owner=0:0"];
    let (own, rest): (Vec<&str>, Vec<&str>) = more.iter().partition(|word| word.starts_with("hash_seed="));
    let mut command = e2fsprogs("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-m", "0", "-E"]);
    command.arg(extended.into_iter().chain(own).collect::<Vec<_>>().join(",")).args(rest).arg(path);
    if let Some(seconds) = seconds {
        command.env("E2FSPROGS_FAKE_TIME", seconds.to_string());
    }
    match command.stdin(Stdio::null()).output() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err("cannot be made without mke2fs: apt-get install e2fsprogs".into())
        }
        Err(e) => Err(format!("cannot be made: mke2fs: {e}")),
        Ok(said) if said.status.success() => Ok(()),
        Ok(said) => Err(format!("cannot be made: {}", String::from_utf8_lossy(&said.stderr).trim())),
    }
}
