//! Builds the programs of `compat-tests/cases`, unless they are newer than their sources already.

use super::{JudgedBy, Test};
use crate::error::{Error, On, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// How the programs are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// Position-independent, with the C library's own loader
    Dynamic,
    /// Static
    Static,
}

/// Where the sources are.
pub fn cases_dir(checkout: &Path) -> PathBuf {
    checkout.join("compat-tests/cases")
}

/// Seconds that a program of cases may take: each of its groups has a limit of its own.
const LIMIT: Duration = Duration::from_secs(180);

/// The tests of `compat-tests/cases` whose names contain one of the filters.
pub fn cases(checkout: &Path, out: &Path, variant: Variant, filters: &[String]) -> Result<Vec<Test>> {
    let dir = cases_dir(checkout);
    let mut sources = listed(&dir)?;
    sources.retain(|path| path.extension().is_some_and(|e| e == "c" || e == "rs"));
    let newest_header = ["case.h", "rust/case.rs"].iter().filter_map(|name| modified(&dir.join(name))).max();
    let mut tests = Vec::new();
    for source in sources {
        let id = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !filters.is_empty() && !filters.iter().any(|f| id.contains(f.as_str())) {
            continue;
        }
        let program = out.join(format!("{id}-{}", if variant == Variant::Static { "static" } else { "dynamic" }));
        compile(&source, &program, variant, newest_header)?;
        let command = vec![program.display().to_string()];
        tests.push(Test { id, limit: LIMIT, dir: None, command, judged_by: JudgedBy::Lines });
    }
    Ok(tests)
}

/// The program that runs batches, static: it needs nothing of the root that it runs in.
pub fn batch_program(checkout: &Path, out: &Path) -> Result<PathBuf> {
    let program = out.join("batch");
    compile(&checkout.join("compat-tests/suite/batch.c"), &program, Variant::Static, None)?;
    Ok(program)
}

fn compile(source: &Path, program: &Path, variant: Variant, header: Option<SystemTime>) -> Result<()> {
    let needed = modified(source).max(header);
    if modified(program) > needed {
        return Ok(());
    }
    let rust = source.extension().is_some_and(|e| e == "rs");
    let mut command = Command::new(if rust { "rustc" } else { "gcc" });
    match (rust, variant) {
        (true, Variant::Dynamic) => drop(command.args(["--edition=2024", "-O"])),
        (true, Variant::Static) => drop(command.args(["--edition=2024", "-O", "-C", "target-feature=+crt-static"])),
        (false, Variant::Dynamic) => drop(command.args(["-fPIE", "-pie"])),
        (false, Variant::Static) => drop(command.arg("-static")),
    }
    if !rust {
        command.args(["-O1", "-pthread", "-Wall", "-Wno-nonnull", "-Wno-stringop-overflow", "-Wno-unused-result"]);
    }
    command.arg("-o").arg(program).arg(source);
    let done = command.output().on(command.get_program().to_string_lossy())?;
    if done.status.success() {
        return Ok(());
    }
    Err(Error::Usage(format!("{} does not build:\n{}", source.display(), String::from_utf8_lossy(&done.stderr))))
}

/// A directory's entries, by name.
pub fn listed(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).on(dir.display().to_string())?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    Ok(paths)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|m| m.modified()).ok()
}

/// Tests that run `count` sequences of random calls, `each` in one.
pub fn fuzz(checkout: &Path, out: &Path, seed: u64, count: u64, each: u64) -> Result<Vec<Test>> {
    let program = out.join("fuzz");
    compile(&checkout.join("compat-tests/suite/fuzz.c"), &program, Variant::Static, None)?;
    let part = |first: u64| Test {
        id: format!("fuzz-{seed}-{first}"),
        limit: LIMIT,
        dir: None,
        command: vec![
            program.display().to_string(),
            seed.to_string(),
            first.to_string(),
            each.min(count - first).to_string(),
        ],
        judged_by: JudgedBy::Lines,
    };
    Ok((0..count).step_by(each as usize).map(part).collect())
}
