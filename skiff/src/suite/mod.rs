//! `skiff test`: runs tests on Linux first and on Skiff then, and says where the two differ.
//!
//! A *test* is a program. What it prints is taken apart into *cases* (`output`); the same case is
//! looked for on both sides and judged (`compare`). Tests run in batches: one machine runs many of
//! them, one after the other, and a machine that ends or hangs takes with it only what it was just
//! running (`batch`). The reports are JSON, JUnit XML and a page (`report`).

pub mod batch;
pub mod build;
pub mod cli;
pub mod compare;
pub mod foreign;
pub mod guest;
pub mod known;
pub mod native;
pub mod needs;
pub mod output;
pub mod progress;
pub mod report;
pub mod stored;

use std::collections::BTreeMap;
use std::time::Duration;

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Its name, without blanks.
    pub id: String,
    /// What it may take, on either side.
    pub limit: Duration,
    /// Where it runs; `None` is a new and empty directory.
    pub dir: Option<String>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// What its exit status is worth.
    pub judged_by: JudgedBy,
}

/// What decides about a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JudgedBy {
    /// Its cases alone, whose every line must be Linux's.
    Lines,
    /// The results that its output tells of, where it does, and its exit status: 0 passes.
    Results {
        /// The status of a test that leaves itself out: 77, as automake has it, if nothing else is
        /// said.
        skip: i32,
    },
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this status; 128 + N after signal N.
    Status(i32),
    /// Not within its limit.
    TimeOut,
    /// The machine did.
    Machine,
    /// It was not run.
    NotRun,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(0) => f.write_str("passed"),
            // The highest signal is 64; above are statuses of a program's own.
            Self::Status(status) if (129..=192).contains(status) => write!(f, "killed by signal {}", status - 128),
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::TimeOut => f.write_str("no end within its limit"),
            Self::Machine => f.write_str("the machine ended"),
            Self::NotRun => f.write_str("not run"),
        }
    }
}

/// What a run of a test gave.
#[derive(Debug, Clone)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// What it printed.
    pub output: Vec<u8>,
    /// How long it took.
    pub time: Duration,
    /// How often it made each system call, where that is known.
    pub calls: BTreeMap<String, u64>,
    /// What the machine said: crashes, and the state of its tasks where it hung.
    pub console: String,
}

impl Ran {
    /// The end of its output, as text.
    pub fn text(&self) -> String {
        const MAX_SHOWN: usize = 64 << 10;
        let start = self.output.len().saturating_sub(MAX_SHOWN);
        String::from_utf8_lossy(self.output.get(start..).unwrap_or_default()).into_owned()
    }

    /// Not yet run.
    pub fn not_run() -> Self {
        Self { end: End::NotRun, output: Vec::new(), time: Duration::ZERO, calls: BTreeMap::new(), console: String::new() }
    }
}
