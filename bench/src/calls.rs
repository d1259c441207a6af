//! `bench calls`: system calls one by one (`programs/calls.c`), by a static and by a dynamic
//! program.

use crate::How;
use crate::build::Link;
use crate::compare::Program;
use crate::error::Result;
use crate::linux::Linux;
use crate::report;
use crate::vm::Vm;

/// Two runs of an operation so often: what they differ by has no start and no end of the machine in
/// it.
const FEW: u32 = 2000;
const MANY: u32 = 12_000;

/// What `bench calls` can leave out.
#[derive(clap::Args)]
pub struct Calls {
    /// Count instructions alone: quick, and the same on every machine
    #[arg(long)]
    count: bool,
    /// Instead, tell in which functions of Skiff's kernel the instructions of one operation are
    #[arg(long, value_name = "OPERATION")]
    profile: Option<String>,
}

/// Measures, and prints a table for each kind of program.
pub fn run(calls: &Calls, how: &How) -> Result<()> {
    let linux = Linux::fetch()?;
    if let Some(operation) = &calls.profile {
        let program = Program { name: "calls", link: Link::Static, args: Vec::new(), add: Vec::new(), vm: Vm::new() };
        return program.profile(operation, [FEW, MANY], &linux);
    }
    let mut tables = Vec::new();
    for link in [Link::Static, Link::Dynamic] {
        let program = Program { name: "calls", link, args: Vec::new(), add: Vec::new(), vm: Vm::new() };
        tables.push(program.compare(calls.count, &linux, how)?);
    }
    report::publish(&tables, how.tsv.as_deref())
}
