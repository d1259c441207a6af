//! `bench calls`: system calls one by one (`programs/calls.c`), by a static and by a dynamic program.

use crate::How;
use crate::build::{self, Link};
use crate::compare::Program;
use crate::count::Counter;
use crate::error::{Result, fail};
use crate::guest::{Guests, System};
use crate::linux::Linux;
use crate::profile::{self, Symbols};
use crate::report;
use crate::vm::Vm;
use mkimage::Options;
use std::collections::BTreeMap;

/// Two runs of an operation so often: what they differ by has no start and no end of the machine in it.
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
        return print_profile(operation, &linux);
    }
    let mut tables = Vec::new();
    for link in [Link::Static, Link::Dynamic] {
        let program = Program { name: "calls", link, args: Vec::new(), add: Vec::new(), vm: Vm::new() };
        tables.push(program.compare(calls.count, &linux, how)?);
    }
    report::publish(&tables, how.tsv.as_deref())
}

fn print_profile(operation: &str, linux: &Linux) -> Result<()> {
    let (few, many) = (blocks(operation, FEW, linux)?, blocks(operation, MANY, linux)?);
    // Each run does them once for warming up, and once more.
    profile::print(operation, &Symbols::load()?, &few, &many, f64::from(2 * (MANY - FEW)));
    Ok(())
}

/// Instructions by block, of a whole run of the static program.
fn blocks(operation: &str, operations: u32, linux: &Linux) -> Result<BTreeMap<u64, u64>> {
    let options = Options {
        program: build::c("calls", Link::Static)?.display().to_string(),
        args: vec![format!("--only={operation}"), format!("--operations={operations}"), "--rounds=1".into()],
        ..Options::default()
    };
    let guests = Guests::new(&format!("calls-profile-{operations}"), &options, linux)?;
    let counter = Counter::new(&build::plugin("count")?)?;
    let vm = Vm { icount: true, extra: counter.plugin_args(), ..Vm::new() };
    if vm.start(guests.kernel(System::Skiff))?.report()?.is_empty() {
        fail!("no operation is called {operation}");
    }
    counter.blocks()
}
