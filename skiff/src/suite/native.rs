//! Runs a batch on Linux.

use super::batch::Transcript;
use super::{Ran, Test};
use crate::error::{On, Result};
use crate::fresh;
use std::collections::HashMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

const PREFIX: &str = "skiff-test-";
/// A machine of its own, nearly: processes, mounts, interfaces, System V objects, name.
const UNSHARE: [&str; 9] =
    ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--ipc", "--uts"];

/// Whether namespaces can be had.
fn namespaces() -> bool {
    let mut command = fresh::command(UNSHARE[0]);
    command.args(&UNSHARE[1..]).args(["ip", "link", "set", "lo", "up"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Removes what runs that were killed have left.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse::<u32>().ok());
        let own = || entry.metadata().is_ok_and(|about| about.uid() == rustix::process::geteuid().as_raw());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) && own() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// What the tests gave on the Linux that this runs on.
///
/// `apart`: in namespaces of their own, where this user may have some, so that they see and disturb
/// little of the host.
pub fn run(
    batch: &Path,
    list: &Path,
    tests: &[Test],
    (env, apart): (&[String], bool),
    moved: impl Fn(),
) -> Result<HashMap<String, Ran>> {
    sweep();
    let here = tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir();
    let here = here.on("temporary directory")?;
    // Whoever a test becomes must reach its directory.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(here.path(), open).on("temporary directory")?;
    let mut command = fresh::command("setsid");
    if apart && namespaces() {
        command.args(UNSHARE).args(["sh", "-c", "ip link set lo up; exec \"$@\"", "sh"]);
    }
    command.arg(batch).arg(list).args(tests.iter().map(|t| &t.id)).current_dir(here.path()).env_clear();
    command.envs(mkimage::environment(env).iter().filter_map(|e| e.split_once('=')));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().on("setsid")?;
    let mut transcript = Transcript::default();
    if let Some(mut out) = child.stdout.take() {
        let mut piece = vec![0; 64 << 10];
        while let Ok(n @ 1..) = out.read(&mut piece) {
            let before = transcript.done.len();
            transcript.take(&piece[..n]);
            (before..transcript.done.len()).for_each(|_| moved());
        }
    }
    transcript.finish();
    child.wait().on("batch")?;
    let unfinished = transcript.open.take();
    Ok(transcript.done.into_iter().chain(unfinished).collect())
}
