//! `bench calls`: system calls one by one (`programs/calls.c`), by a static and by a dynamic program.

use crate::How;
use crate::build::Link;
use crate::compare::Program;
use crate::error::Result;
use crate::linux::Linux;
use crate::report;
use crate::vm::Vm;

/// What `bench calls` can leave out.
#[derive(clap::Args)]
pub struct Calls {
    /// Count instructions alone: quick, and the same on every machine
    #[arg(long)]
    count: bool,
}

/// Measures, and prints a table for each kind of program.
pub fn run(calls: &Calls, how: &How) -> Result<()> {
    let linux = Linux::fetch()?;
    let mut tables = Vec::new();
    for link in [Link::Static, Link::Dynamic] {
        let program = Program { name: "calls", link, args: Vec::new(), add: Vec::new(), vm: Vm::new() };
        tables.push(program.compare(calls.count, &linux, how)?);
    }
    report::publish(&tables, how.tsv.as_deref())
}
