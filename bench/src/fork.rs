//! `bench fork`: making, executing and ending processes (`programs/fork.c`), small ones and one
//! with much memory.

use crate::How;
use crate::build::{self, Link};
use crate::compare::Program;
use crate::error::Result;
use crate::linux::Linux;
use crate::report;
use crate::vm::Vm;

/// Two runs of an operation so often, for a profile.
const TIMES: [u32; 2] = [50, 250];

/// What `bench fork` can leave out.
#[derive(clap::Args)]
pub struct Fork {
    /// Count instructions alone: quick, and the same on every machine
    #[arg(long)]
    count: bool,
    /// MiB that the process with much memory has touched
    #[arg(long, default_value_t = 1024)]
    touched: u32,
    /// Instead, tell in which functions of Skiff's kernel the instructions of one operation are
    #[arg(long, value_name = "OPERATION")]
    profile: Option<String>,
}

/// Measures, and prints a table.
pub fn run(fork: &Fork, how: &How) -> Result<()> {
    let linux = Linux::fetch()?;
    let touched = if how.quick { 32 } else { fork.touched };
    let program = Program {
        name: "fork",
        link: Link::Dynamic,
        args: vec![touched.to_string()],
        add: vec![format!("{}:/bench/hello", build::c("hello", Link::Static)?.display())],
        vm: Vm { memory: 1024 + touched, ..Vm::new() },
    };
    if let Some(operation) = &fork.profile {
        return program.profile(operation, TIMES, &linux);
    }
    report::publish(&[program.compare(fork.count, &linux, how)?], how.tsv.as_deref())
}
