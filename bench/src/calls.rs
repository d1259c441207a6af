//! `bench calls`: system calls one by one (`programs/calls.c`), static and dynamic, in time and in guest instructions.

use crate::How;
use crate::build::{self, Link};
use crate::error::Result;
use crate::guest::{Guests, System};
use crate::linux::Linux;
use crate::report::{self, Cell, Table, ratio};
use crate::sample::Samples;
use crate::vm::Vm;
use mkimage::Options;

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
        tables.push(side_by_side("calls", link, &[], &Vm::new(), calls.count, &linux, how)?);
    }
    report::publish(&tables, how.tsv.as_deref())
}

/// Runs `programs/NAME.c` with these arguments on both systems: `how.runs` times for the clock, once for instructions.
pub fn side_by_side(
    name: &str,
    link: Link,
    args: &[&str],
    vm: &Vm,
    count_only: bool,
    linux: &Linux,
    how: &How,
) -> Result<Table> {
    let program = build::c(name, link)?.display().to_string();
    let (timed_us, timed_rounds, counted_us, counted_rounds) =
        if how.quick { (200, 1, 50, 1) } else { (20_000, 5, 1000, 3) };
    let guests = |us: u32, rounds: u32| {
        let options = [format!("--round-us={us}"), format!("--rounds={rounds}")];
        let args = args.iter().map(|a| (*a).to_owned()).chain(options).collect();
        Guests::new(
            &format!("{name}-{}-{us}", link.name()),
            &Options { program: program.clone(), args, ..Options::default() },
            linux,
        )
    };
    let mut time = [Samples::default(), Samples::default()];
    let mut count = [Samples::default(), Samples::default()];
    let counted = guests(counted_us, counted_rounds)?;
    for (system, samples) in System::BOTH.into_iter().zip(&mut count) {
        eprintln!("bench: {name}, {}, {}: counting instructions", link.name(), system.name());
        samples.add(&Vm { cpus: 1, icount: true, ..vm.clone() }.start(counted.kernel(system))?.report()?);
    }
    if !count_only {
        let timed = guests(timed_us, timed_rounds)?;
        for turn in 1..=if how.quick { 1 } else { how.runs } {
            for (system, samples) in System::BOTH.into_iter().zip(&mut time) {
                eprintln!("bench: {name}, {}, {}: timed run {turn}", link.name(), system.name());
                samples.add(&vm.start(timed.kernel(system))?.report()?);
            }
        }
    }
    let title = format!("{name}, {} program, Linux {}, CPUs: {}", link.name(), linux.release, vm.cpus);
    let mut table =
        Table::new(title, &["operation", "Linux ns", "Skiff ns", "ratio", "Linux insns", "Skiff insns", "ratio"]);
    for operation in count[0].names() {
        let [ns, insns] = [&time, &count].map(|s| s.each_ref());
        let (linux_ns, skiff_ns) = (ns[0].ns(operation), ns[1].ns(operation));
        let (linux_insns, skiff_insns) = (insns[0].ticks(operation), insns[1].ticks(operation));
        table.row(vec![
            Cell::Text(operation.clone()),
            Cell::Number(linux_ns),
            Cell::Number(skiff_ns),
            ratio(skiff_ns, linux_ns),
            Cell::Number(linux_insns),
            Cell::Number(skiff_insns),
            ratio(skiff_insns, linux_insns),
        ]);
    }
    Ok(table)
}
