//! `compat`: runs test programs on Linux and on Skiff, and says which differ.

#![forbid(unsafe_code)]

mod build;
mod case;
mod client;
mod disk;
mod run;
mod talk;

use case::Case;
use clap::Parser;
use run::Context;
use std::ffi::OsStr;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Run test programs on Linux and on Skiff, and compare output and exit status.
#[derive(Parser)]
struct Cli {
    /// Run only tests whose name contains one of these
    filter: Vec<String>,
    /// How many CPUs of machines run at the same time
    #[arg(short, long, default_value_t = 2)]
    jobs: usize,
    /// Give Skiff that many CPUs where a test does not say; with several numbers, all tests with
    /// each of them in turn, and Linux is asked but once
    #[arg(long, value_name = "N", value_delimiter = ',')]
    cpus: Vec<u32>,
    /// Have every system call trap: no call site becomes a jump
    #[arg(long)]
    no_patch: bool,
    /// Print the names only
    #[arg(long)]
    list: bool,
    /// Write `result TAB name` lines here; for the second number of CPUs, N, into a file with `-N`
    /// in its name, and so on
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

enum Outcome {
    Passed,
    Failed,
    Skipped,
}

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("compat: {e}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    fn run(&self) -> Result<bool, String> {
        let root = mkimage::checkout().ok_or("not in a Skiff checkout")?;
        let wanted = |c: &Case| self.filter.is_empty() || self.filter.iter().any(|f| c.name.contains(f.as_str()));
        let cases: Vec<Case> = case::all(&root)?.into_iter().filter(wanted).collect();
        if self.list {
            cases.iter().for_each(|c| println!("{}", c.name));
            return Ok(true);
        }
        let skiff = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("skiff");
        let out = root.join("build/compat");
        fs::create_dir_all(&out).map_err(|e| e.to_string())?;
        let mut context = Context { skiff, out, cpus: None, no_patch: self.no_patch, native: Mutex::default() };
        let passes: Vec<Option<u32>> =
            if self.cpus.is_empty() { vec![None] } else { self.cpus.iter().copied().map(Some).collect() };
        let mut good = true;
        for (turn, cpus) in passes.iter().enumerate() {
            if passes.len() > 1 {
                println!(
                    "with {}:",
                    cpus.map_or(String::new(), |n| if n == 1 { "1 CPU".into() } else { format!("{n} CPUs") })
                );
            }
            context.cpus = *cpus;
            good &= self.pass(&cases, &context, turn)?;
        }
        Ok(good)
    }

    /// Runs all cases with the context's number of CPUs. Returns whether none failed.
    fn pass(&self, cases: &[Case], context: &Context, turn: usize) -> Result<bool, String> {
        let cpus = context.cpus.unwrap_or(1).max(1);
        // CPUs that the host does not have take turns, and one that spins for another waits for
        // that one's turn.
        let host = std::thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let patience = u64::from(cpus).div_ceil(host);
        let cases: Vec<Case> = cases.iter().cloned().map(|case| Case { timeout: case.timeout * patience, ..case }).collect();

        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.div_ceil(cpus as usize).max(1) {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = one(case, context);
                        outcomes.lock().unwrap_or_else(|e| e.into_inner()).push((case.name.clone(), outcome));
                    }
                });
            }
        });
        let mut outcomes = outcomes.into_inner().unwrap_or_else(|e| e.into_inner());
        // Programs that look at the clock may fail beside another machine: those that failed get
        // the host to themselves.
        for (name, outcome) in outcomes.iter_mut().filter(|(_, o)| matches!(o, Outcome::Failed)) {
            if let Some(case) = cases.iter().find(|c| c.name == *name) {
                println!("again, alone:");
                context.forget(name);
                *outcome = one(case, context);
            }
        }
        outcomes.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(path) = &self.report {
            let path = if turn == 0 { path.clone() } else { numbered(path, cpus) };
            let line = |(name, outcome): &(String, Outcome)| format!("{}\t{name}\n", outcome.word());
            let text: String = outcomes.iter().map(line).collect();
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        let count = |word: &str| outcomes.iter().filter(|(_, o)| o.word() == word).count();
        let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
        let tail = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        println!("{passed} passed, {failed} failed{tail}");
        Ok(failed == 0)
    }
}

/// `results.tsv` with 2 is `results-2.tsv`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let part = |of: Option<&OsStr>| of.map(|part| part.to_string_lossy().into_owned());
    let stem = part(path.file_stem()).unwrap_or_default();
    let tail = part(path.extension()).map_or(String::new(), |tail| format!(".{tail}"));
    path.with_file_name(format!("{stem}-{number}{tail}"))
}

fn one(case: &Case, context: &Context) -> Outcome {
    if let Some(reason) = &case.skip {
        println!("skip {}: {reason}", case.name);
        return Outcome::Skipped;
    }
    let start = Instant::now();
    match run::run(case, context) {
        Ok(()) => {
            println!("ok   {} ({:.1} s)", case.name, start.elapsed().as_secs_f64());
            Outcome::Passed
        }
        Err(e) => {
            println!("FAIL {} ({:.1} s): {e}", case.name, start.elapsed().as_secs_f64());
            Outcome::Failed
        }
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}
