//! `bench sched`: how soon a task runs that is woken beside others that compute, and how late
//! sleeps end (`programs/sched.c`), with one CPU and with two, on both systems. Without a busy host
//! in the way: with `--count`.

use crate::How;
use crate::build::{self, Link};
use crate::error::Result;
use crate::guest::{Guests, System};
use crate::linux::Linux;
use crate::report::{self, Cell, Table, ratio};
use crate::sample::Samples;
use crate::vm::Vm;
use mkimage::Options;

/// On how many CPUs.
#[derive(clap::Args)]
pub struct Sched {
    /// CPUs of the larger machine
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=64))]
    cpus: u32,
    /// Measure on one CPU, by a clock that counts its instructions: quick, and the same on every
    /// machine
    #[arg(long)]
    count: bool,
}

/// Measures, and prints one table.
pub fn run(sched: &Sched, how: &How) -> Result<()> {
    let linux = Linux::fetch()?;
    let samples_each = if how.quick { 50 } else { 2000 };
    let program = build::c("sched", Link::Dynamic)?.display().to_string();
    let options = Options { program, args: vec![format!("--rounds={samples_each}")], ..Options::default() };
    let guests = Guests::new("sched", &options, &linux)?;
    let mut samples: [[Samples; 2]; 2] = Default::default();
    for turn in 1..=if how.quick { 1 } else { how.runs } {
        let machines = [1, sched.cpus].into_iter().enumerate();
        for (large, cpus) in machines.take(if sched.count { 1 } else { 2 }) {
            for (system, samples) in System::BOTH.into_iter().zip(&mut samples) {
                eprintln!("bench: sched, {}, CPUs: {cpus}, run {turn}", system.name());
                let vm = Vm { cpus, icount: sched.count, ..Vm::new() };
                samples[large].add(&vm.start(guests.kernel(system))?.report()?);
            }
        }
    }
    let cpus = (!sched.count).then_some(sched.cpus);
    report::publish(&[table(&samples, &linux, cpus)], how.tsv.as_deref())
}

fn table(samples: &[[Samples; 2]; 2], linux: &Linux, cpus: Option<u32>) -> Table {
    let [on_linux, on_skiff] = samples;
    let many = cpus.map(|cpus| [format!("Linux {cpus} CPUs"), format!("Skiff {cpus} CPUs"), "Skiff/Linux".to_owned()]);
    let mut columns = vec!["ns late", "Linux 1 CPU", "Skiff 1 CPU", "Skiff/Linux"];
    columns.extend(many.iter().flatten().map(String::as_str));
    let mut table = Table::new(format!("sched, Linux {}", linux.release), &columns);
    for name in on_linux[0].names() {
        let mut row = vec![Cell::Text(name.clone())];
        for large in 0..if cpus.is_some() { 2 } else { 1 } {
            let (linux, skiff) = (on_linux[large].ns(name), on_skiff[large].ns(name));
            row.extend([Cell::Number(linux), Cell::Number(skiff), ratio(skiff, linux)]);
        }
        table.row(row);
    }
    table
}
