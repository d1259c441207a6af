//! Runs a batch on Linux.

use super::batch::Transcript;
use super::{Ran, Test};
use crate::error::{On, Result};
use crate::fresh;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

/// What the tests gave on the Linux that this runs on.
pub fn run(batch: &Path, list: &Path, tests: &[Test], env: &[String], moved: impl Fn()) -> Result<HashMap<String, Ran>> {
    let here = tempfile::Builder::new().prefix("skiff-test-").tempdir().on("temporary directory")?;
    // Whoever a test becomes must reach its directory.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(here.path(), open).on("temporary directory")?;
    let mut command = fresh::command("setsid");
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
