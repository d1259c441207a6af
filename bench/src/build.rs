//! Builds the measuring programs from `bench/programs`, unless they are newer than their sources.

use crate::error::{Error, On, Result, fail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's JDK, beside whatever else is on PATH.
const JAVAC: &str = "/usr/lib/jvm/java-17-openjdk-amd64/bin/javac";

/// How a C program is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// One file, no loader.
    Static,
    /// Position-independent, with glibc's loader: Debian's default.
    Dynamic,
}

impl Link {
    /// The word for it in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
        }
    }
}

/// `build/bench` of the checkout, where all that is built here goes.
pub fn dir() -> Result<PathBuf> {
    let Some(root) = mkimage::checkout() else { fail!("not in a Skiff checkout") };
    let dir = root.join("build/bench");
    fs::create_dir_all(&dir).on(dir.display())?;
    Ok(dir)
}

/// Where the sources are.
pub fn sources() -> Result<PathBuf> {
    let Some(root) = mkimage::checkout() else { fail!("not in a Skiff checkout") };
    Ok(root.join("bench/programs"))
}

/// Builds `NAME.c`.
pub fn c(name: &str, link: Link) -> Result<PathBuf> {
    let (dir, sources) = (dir()?, sources()?);
    let (source, header) = (sources.join(name).with_extension("c"), sources.join("bench.h"));
    let program = dir.join(format!("{name}-{}", link.name()));
    if !(newer(&program, &source) && newer(&program, &header)) {
        let link: &[&str] = if link == Link::Static { &["-static"] } else { &["-fPIE", "-pie"] };
        let mut gcc = Command::new("gcc");
        run(gcc.args(["-O2", "-Wall", "-Wextra", "-pthread"]).args(link).arg("-o").arg(&program).arg(&source))?;
    }
    Ok(program)
}

/// Builds `NAME.c` as a plugin for QEMU.
pub fn plugin(name: &str) -> Result<PathBuf> {
    let (source, library) = (sources()?.join(name).with_extension("c"), dir()?.join(format!("{name}.so")));
    if !newer(&library, &source) {
        let options = ["-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden"];
        run(Command::new("gcc").args(options).arg("-o").arg(&library).arg(&source))?;
    }
    Ok(library)
}

/// Builds `NAME.go`.
pub fn go(name: &str) -> Result<PathBuf> {
    let (source, program) = (sources()?.join(name).with_extension("go"), dir()?.join(format!("{name}-go")));
    if !newer(&program, &source) {
        let mut go = Command::new("go");
        go.env("CGO_ENABLED", "0").env("GO111MODULE", "off").env("GOTOOLCHAIN", "local");
        run(go.args(["build", "-o"]).arg(&program).arg(&source))?;
    }
    Ok(program)
}

/// Builds `NAME.java`, and returns the directory of its classes.
pub fn java(name: &str) -> Result<PathBuf> {
    let (source, classes) = (sources()?.join(name).with_extension("java"), dir()?.join(format!("{name}-classes")));
    if !newer(&classes.join(name).with_extension("class"), &source) {
        run(Command::new(JAVAC).arg("-d").arg(&classes).arg(&source))?;
    }
    Ok(classes)
}

/// The frequency of the host's time-stamp counter, which QEMU's translator passes on.
pub fn host_tsc_khz() -> Result<u64> {
    let text = run(&mut Command::new(c("tsc", Link::Static)?))?;
    text.trim().parse().map_err(|_| Error(format!("tsc: no number: {text}")))
}

/// Whether a file that was made is newer than what it is made from.
pub fn newer(made: &Path, from: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    matches!((time(made), time(from)), (Some(m), Some(f)) if m > f)
}

/// Runs a tool of the host to its end.
pub fn run(command: &mut Command) -> Result<String> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.output().on(format!("{tool} (run scripts/setup)"))?;
    if !output.status.success() {
        fail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
