//! The options of `skiff test`, and the order of a run.

use super::build::{self, Variant};
use super::compare::{self, Case, Verdict};
use super::foreign::{self, Choice};
use super::guest::Guest;
use super::known::Known;
use super::needs::Needs;
use super::report::Report;
use super::{Ran, Test, batch, native, progress, stored};
use crate::error::{Error, On, Result};
use crate::folder::Scratch;
use crate::machine::Accel;
use crate::outlet;
use indicatif::ProgressBar;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use syscall_shim::table::{ROWS, Status};

/// The options.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  skiff test\n  skiff test open mmap --jobs 2\n  skiff test --dir ./tests --add ./data --time-limit 30\n  skiff test --fuzz 100000 --seed 7\n\nExit status: 0 if nothing differs but what is known to, 1 if something does, 125 if the tests could not be run."
)]
pub struct TestArgs {
    /// Only programs whose name contains one of these
    pub filter: Vec<String>,
    /// Run the executable files of this directory instead of the suite
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Run so many random sequences of calls instead of the suite
    #[arg(long, value_name = "COUNT", conflicts_with = "dir")]
    pub fuzz: Option<u64>,
    /// Which random sequences
    #[arg(long, value_name = "N", default_value_t = 1, requires = "fuzz")]
    pub seed: u64,
    /// How many machines run at the same time
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// At most so many tests in one machine [default: all; of --dir, 1: a fresh root for each]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Run tests a second time that have a case which differs or is wrong: what they gave at first
    /// is told, the second run decides
    #[arg(long)]
    pub again: bool,
    /// Where report.json, junit.xml and index.html go [default: build/test-report]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// List of known differences: PATTERN, tab, reason [default:
    /// compat-tests/known-differences.tsv]
    #[arg(long, value_name = "FILE")]
    pub known: Option<PathBuf>,
    /// How the suite's programs are linked
    #[arg(long, value_enum, default_value_t = Variant::Dynamic)]
    pub variant: Variant,
    /// Print the names of the tests only
    #[arg(long)]
    pub names: bool,
    /// Memory of each machine
    #[arg(long, value_name = "SIZE", default_value = "512M")]
    pub memory: String,
    /// CPUs of each machine
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub cpus: u32,
    /// Who executes the guest's code
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    pub accel: Accel,
    /// Seconds that each test may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = "With --dir")]
    pub time_limit: u64,
    /// Where tests run: a path, or `.` for their own directory [default: a new and empty directory]
    #[arg(long, value_name = "DIR", help_heading = "With --dir")]
    pub cwd: Option<String>,
    /// The tests, one a line: a name and a command, whose program is in DIR or on PATH [default:
    /// the executable files of DIR]
    #[arg(long, value_name = "FILE", requires = "dir", help_heading = "With --dir")]
    pub list: Option<PathBuf>,
    /// The exit status of a test that leaves itself out
    #[arg(long, value_name = "STATUS", default_value_t = 77, help_heading = "With --dir")]
    pub skip_status: i32,
    /// Put all of DIR into every image [default: data, directories, the tests of the machine, and
    /// executables that they name]
    #[arg(long, help_heading = "With --dir")]
    pub whole_dir: bool,
    /// Do not run the tests on Linux: all that they do not leave out themselves is expected to pass
    #[arg(long, conflicts_with_all = ["native_results", "save_native"], requires = "dir", help_heading = "With --dir")]
    pub no_native: bool,
    /// Take what the tests give on Linux from this file; those that it does not have are run
    #[arg(long, value_name = "FILE", requires = "dir", help_heading = "With --dir")]
    pub native_results: Option<PathBuf>,
    /// Write what the tests gave on Linux to this file, for --native-results
    #[arg(long, value_name = "FILE", requires = "dir", help_heading = "With --dir")]
    pub save_native: Option<PathBuf>,
    /// Run the tests on Linux among all that runs there [default: in namespaces of their own, where
    /// this user may have some]
    #[arg(long, help_heading = "With --dir")]
    pub no_namespaces: bool,
    /// An argument of each test
    #[arg(long, value_name = "ARG", help_heading = "With --dir", allow_hyphen_values = true)]
    pub arg: Vec<String>,
    /// Set an environment variable
    #[arg(long, value_name = "NAME=VALUE", help_heading = "With --dir")]
    pub env: Vec<String>,
    /// A file or directory that tests need, as for `skiff run`
    #[arg(long, value_name = "PATH[:GUESTPATH]", help_heading = "With --dir")]
    pub add: Vec<String>,
    /// An installed Debian package that tests need
    #[arg(long, value_name = "NAME", help_heading = "With --dir")]
    pub package: Vec<String>,
    /// Run only files that a pattern of this list fits
    #[arg(long, value_name = "FILE", help_heading = "With --dir")]
    pub allow: Option<PathBuf>,
    /// Leave out files that a pattern of this list fits
    #[arg(long, value_name = "FILE", help_heading = "With --dir")]
    pub deny: Option<PathBuf>,
    /// A further option of `skiff run`
    #[arg(long, value_name = "OPTION", help_heading = "For kernel developers", allow_hyphen_values = true)]
    pub run_option: Vec<String>,
}

/// Sequences of random calls that one test runs.
const SEQUENCES: u64 = 20_000;

impl TestArgs {
    /// Runs the tests. Returns whether nothing differs.
    pub fn run(&self) -> Result<bool> {
        let start = Instant::now();
        let checkout = mkimage::checkout().ok_or(Error::Usage("test: not in a checkout of Skiff".into()))?;
        let out = checkout.join("build/suite");
        fs::create_dir_all(&out).on(out.display().to_string())?;
        let tests = self.tests(&checkout, &out)?;
        if self.names {
            tests.iter().try_for_each(|test| outlet::print(format_args!("{}\n", test.id)))?;
            return Ok(true);
        }
        if tests.is_empty() {
            return Err(Error::Usage("test: no test has such a name".into()));
        }
        let known = self.known(&checkout)?;
        let mut report = Report { table: table(), ..Report::default() };
        self.judge(&checkout, &out, tests, &known, &mut report)?;
        if self.again {
            self.again(&checkout, &out, &known, &mut report)?;
        }
        report.time = start.elapsed();
        let dir = self.out.clone().unwrap_or_else(|| checkout.join("build/test-report"));
        report.write(&dir)?;
        let (seconds, page) = (report.time.as_secs_f64(), dir.join("index.html"));
        outlet::print(format_args!("{}{seconds:.0} s; {}\n", report.summary(), page.display()))?;
        Ok(report.count(Verdict::Differs) == 0 && (self.dir.is_some() || report.count(Verdict::Wrong) == 0))
    }

    /// Runs the tests on both sides and adds them to the report.
    fn judge(&self, checkout: &Path, out: &Path, tests: Vec<Test>, known: &Known, report: &mut Report) -> Result<()> {
        let (linux, skiff) = self.both(checkout, out, &tests)?;
        for test in tests {
            let of = |all: &HashMap<String, Ran>| all.get(&test.id).cloned().unwrap_or_else(Ran::not_run);
            let skiff = of(&skiff);
            let linux = if self.no_native { compare::assumed(&test, &skiff) } else { of(&linux) };
            report.cases.extend(compare::judge(&test, &linux, &skiff, known));
            report.tests.push((test, linux, skiff));
        }
        Ok(())
    }

    /// Runs those tests once more, on both sides, that have a case which counts against the run;
    /// tells what each of these gave at first. The second run decides.
    fn again(&self, checkout: &Path, out: &Path, known: &Known, report: &mut Report) -> Result<()> {
        let bad = |case: &&Case| matches!(case.verdict, Verdict::Differs | Verdict::Wrong);
        let named: Vec<String> = report.cases.iter().filter(bad).map(|case| case.test.clone()).collect();
        for case in report.cases.iter().filter(bad) {
            let (word, linux, skiff) = (case.verdict.word(), &case.linux, &case.skiff);
            outlet::print(format_args!("AGAIN {word}  {}\n    Linux: {linux}\n    Skiff: {skiff}\n", case.name))?;
        }
        report.cases.retain(|case| !named.contains(&case.test));
        let (again, rest): (Vec<_>, _) =
            std::mem::take(&mut report.tests).into_iter().partition(|(test, ..)| named.contains(&test.id));
        report.tests = rest;
        if again.is_empty() {
            return Ok(());
        }
        self.judge(checkout, out, again.into_iter().map(|(test, ..)| test).collect(), known, report)
    }

    fn tests(&self, checkout: &Path, out: &Path) -> Result<Vec<Test>> {
        if let Some(dir) = &self.dir {
            let patterns = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(Vec::new()), foreign::patterns);
            let own = fs::canonicalize(dir).on(dir.display().to_string())?.display().to_string();
            let choice = Choice {
                allow: patterns(&self.allow)?,
                deny: patterns(&self.deny)?,
                filters: self.filter.clone(),
                limit: Duration::from_secs(self.time_limit),
                cwd: self.cwd.as_ref().map(|cwd| if cwd == "." { own.clone() } else { cwd.clone() }),
                args: self.arg.clone(),
                skip: self.skip_status,
            };
            return match &self.list {
                Some(list) => foreign::from_list(dir, list, &choice),
                None => foreign::tests(dir, &choice),
            };
        }
        match self.fuzz {
            Some(count) => build::fuzz(checkout, out, self.seed, count, SEQUENCES),
            None => build::cases(checkout, out, self.variant, &self.filter),
        }
    }

    fn known(&self, checkout: &Path) -> Result<Known> {
        match &self.known {
            Some(path) => Known::load(path),
            None if self.dir.is_some() => Ok(Known::default()),
            None => Known::load(&checkout.join("compat-tests/known-differences.tsv")),
        }
    }

    /// Runs the tests on Linux, then on Skiff.
    fn both(&self, checkout: &Path, out: &Path, tests: &[Test]) -> Result<(HashMap<String, Ran>, HashMap<String, Ran>)> {
        let batch = build::batch_program(checkout, out)?;
        let own = Scratch::new("tests").on("temporary directory")?;
        let list = own.public("list");
        fs::write(&list, batch::list(tests)).on("temporary file")?;
        let bar = progress::bar(2 * tests.len() as u64);
        bar.set_message("on Linux");
        let mut linux = self.native_results.as_deref().map_or(Ok(HashMap::new()), stored::read)?;
        let asked: Vec<Test> =
            tests.iter().filter(|test| !self.no_native && !linux.contains_key(&test.id)).cloned().collect();
        bar.inc((tests.len() - asked.len()) as u64);
        let how = (self.env.as_slice(), self.dir.is_some() && !self.no_namespaces);
        linux.extend(self.spread(&asked, None, |part| native::run(&batch, &list, part, how, || bar.inc(1)))?);
        if let Some(path) = &self.save_native {
            stored::write(path, &linux)?;
        }
        bar.set_message("on Skiff");
        let guest = Guest {
            skiff: std::env::current_exe().on("skiff")?,
            batch,
            list,
            options: self.options(tests)?,
            needs: match self.dir.as_deref().filter(|_| !self.whole_dir) {
                Some(dir) => Some(Arc::new(Needs::of(&fs::canonicalize(dir).on(dir.display().to_string())?)?)),
                None => None,
            },
        };
        let size = self.batch.map(|n| n as usize).or(self.dir.is_some().then_some(1));
        let skiff = self.spread(tests, size, |part| self.progress(&guest, part, &bar))?;
        bar.finish_and_clear();
        Ok((linux, skiff))
    }

    fn progress(&self, guest: &Guest, part: &[Test], bar: &ProgressBar) -> Result<HashMap<String, Ran>> {
        guest.run(part, || bar.inc(1))
    }

    /// Shares the tests out to the jobs, in parts of at most `size`.
    fn spread<F>(&self, tests: &[Test], size: Option<usize>, run: F) -> Result<HashMap<String, Ran>>
    where
        F: Fn(&[Test]) -> Result<HashMap<String, Ran>> + Sync,
    {
        let jobs = usize::from(self.jobs);
        let size = size.unwrap_or(tests.len().div_ceil(jobs)).max(1);
        let parts: Vec<&[Test]> = tests.chunks(size).collect();
        let next = AtomicUsize::new(0);
        let all = Mutex::new(Ok(HashMap::new()));
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let ran = run(part);
                        let mut all = all.lock().unwrap_or_else(|e| e.into_inner());
                        match (&mut *all, ran) {
                            (Ok(all), Ok(ran)) => all.extend(ran),
                            (_, Ok(_)) => {}
                            (slot, Err(e)) => {
                                *slot = Err(e);
                                next.store(parts.len(), Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        all.into_inner().unwrap_or_else(|e| e.into_inner())
    }

    /// Options of `skiff run` for machines that run these tests.
    fn options(&self, tests: &[Test]) -> Result<Vec<String>> {
        let mut options = vec![format!("--memory={}", self.memory), format!("--cpus={}", self.cpus), "--cwd=/tmp".into()];
        let accel = match self.accel {
            Accel::Auto => "auto",
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        };
        options.push(format!("--accel={accel}"));
        options.extend(self.env.iter().map(|pair| format!("--env={pair}")));
        options.extend(self.package.iter().map(|name| format!("--package={name}")));
        options.extend(self.run_option.iter().cloned());
        let dir = match &self.dir {
            Some(dir) => Some(fs::canonicalize(dir).on(dir.display().to_string())?.display().to_string()),
            None => None,
        };
        match dir {
            // Each machine has its own share, else.
            Some(dir) if self.whole_dir => options.push(format!("--add={dir}")),
            Some(_) => {}
            None => {
                let mut programs: Vec<&String> = tests.iter().filter_map(|test| test.command.first()).collect();
                programs.dedup();
                options.extend(programs.into_iter().map(|program| format!("--add={program}")));
            }
        }
        options.extend(self.add.iter().map(|spec| format!("--add={spec}")));
        Ok(options)
    }
}

/// Names of the system calls that have a handler.
fn table() -> Vec<&'static str> {
    ROWS.iter().filter(|row| row.status != Status::Absent).map(|row| row.name).collect()
}
