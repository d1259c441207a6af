//! `skiff gdb`: gdb at QEMU's stub, with the symbols of the kernel and of what the programs map.
//!
//! The kernel tells a debugger which files' code is where by calling a function; skiff.py stops
//! there and loads symbols.

use crate::error::{Error, On, Result};
use crate::folder::Scratch;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// How long QEMU may take to offer its stub.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(10);
const SCRIPT: &str = include_str!("skiff.py");

/// A gdb to be started.
#[derive(Debug)]
pub struct Debugger {
    dir: Scratch,
    kernel: PathBuf,
    roots: Vec<PathBuf>,
    options: Vec<String>,
}

impl Debugger {
    /// For that kernel, with the guest's files below `roots`; `options` are gdb's own.
    pub fn new(kernel: &Path, roots: Vec<PathBuf>, options: Vec<String>) -> Result<Self> {
        let dir = Scratch::new("gdb").on("temporary directory")?;
        Ok(Self { dir, kernel: kernel.into(), roots, options })
    }

    /// Where QEMU is to offer its stub.
    pub fn socket(&self) -> PathBuf {
        self.dir.public("stub")
    }

    /// Starts gdb at the stub of a machine that has been started.
    pub fn start(&self) -> Result<Child> {
        let begin = Instant::now();
        while !self.socket().exists() {
            if begin.elapsed() > ATTACH_TIMEOUT {
                return Err(Error::Usage("QEMU offers no stub for gdb".into()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        let roots: Result<Vec<String>> = self
            .roots
            .iter()
            .map(|root| {
                std::path::absolute(root).on(root.display().to_string()).map(|root| root.to_string_lossy().into_owned())
            })
            .collect();
        let script = self.dir.public("skiff.py");
        // A list of strings in JSON is one in Python.
        let roots = serde_json::to_string(&roots?).unwrap_or_default();
        std::fs::write(&script, format!("ROOTS = {roots}\n{SCRIPT}")).on(script.display().to_string())?;
        let mut gdb = Command::new("gdb");
        gdb.arg("-q").arg("-iex").arg("set architecture i386:x86-64").arg(&self.kernel);
        gdb.arg("-ex").arg(format!("target remote {}", self.socket().display())).arg("-x").arg(&script);
        gdb.args(&self.options);
        gdb.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::Usage("gdb not found: apt-get install gdb (scripts/setup does it)".into())
            }
            _ => Error::Host { what: "gdb".into(), source: e },
        })
    }
}
