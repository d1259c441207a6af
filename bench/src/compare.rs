//! One measuring program on both systems: for instructions, then for time, Skiff and Linux in turn;
//! a row per operation.

use crate::How;
use crate::build::{self, Link};
use crate::count::Counter;
use crate::error::{Result, fail};
use crate::guest::{Guests, System};
use crate::linux::Linux;
use crate::profile::{self, Symbols};
use crate::report::{Cell, Table, ratio};
use crate::sample::Samples;
use crate::vm::Vm;
use mkimage::Options;
use std::collections::BTreeMap;

/// A measuring program.
pub struct Program<'a> {
    /// `bench/programs/NAME.c`.
    pub name: &'a str,
    /// How it is linked.
    pub link: Link,
    /// Arguments beyond the length of its rounds.
    pub args: Vec<String>,
    /// Further files, as for `mkimage --add`.
    pub add: Vec<String>,
    /// Its machine.
    pub vm: Vm,
}

/// Length and number of rounds.
struct Rounds {
    us: u32,
    count: u32,
}

impl Program<'_> {
    /// Runs it `how.runs` times for the clock and once for instructions.
    pub fn compare(&self, count_only: bool, linux: &Linux, how: &How) -> Result<Table> {
        let (timed, counted) = match how.quick {
            true => (Rounds { us: 200, count: 1 }, Rounds { us: 50, count: 1 }),
            false => (Rounds { us: 20_000, count: 5 }, Rounds { us: 1000, count: 3 }),
        };
        let mut time = [Samples::default(), Samples::default()];
        let mut count = [Samples::default(), Samples::default()];
        let guests = self.guests(&counted, linux)?;
        for (system, samples) in System::BOTH.into_iter().zip(&mut count) {
            eprintln!("bench: {}, {}, {}: counting instructions", self.name, self.link.name(), system.name());
            let vm = Vm { cpus: 1, icount: true, ..self.vm.clone() };
            samples.add(&vm.start(guests.kernel(system))?.report()?);
        }
        let guests = self.guests(&timed, linux)?;
        let runs = if how.quick { 1 } else { how.runs };
        for turn in 1..=if count_only { 0 } else { runs } {
            for (system, samples) in System::BOTH.into_iter().zip(&mut time) {
                eprintln!("bench: {}, {}, {}: timed run {turn} of {runs}", self.name, self.link.name(), system.name());
                samples.add(&self.vm.start(guests.kernel(system))?.report()?);
            }
        }
        let title = format!("{}, {} program, Linux {}", self.name, self.link.name(), linux.release);
        Ok(table(title, &time, &count))
    }

    /// Prints in which functions of Skiff's kernel the instructions of one operation are: what two
    /// runs differ by that do it `times` often, so that no start and no end of the machine is in
    /// it.
    pub fn profile(&self, operation: &str, times: [u32; 2], linux: &Linux) -> Result<()> {
        let [few, many] = times;
        let (before, after) = (self.blocks(operation, few, linux)?, self.blocks(operation, many, linux)?);
        // Each run does them once for warming up, and once more.
        profile::print(operation, &Symbols::load()?, &before, &after, f64::from(2 * (many - few)));
        Ok(())
    }

    /// Instructions by block, of a whole run.
    fn blocks(&self, operation: &str, operations: u32, linux: &Linux) -> Result<BTreeMap<u64, u64>> {
        let options = [format!("--only={operation}"), format!("--operations={operations}"), "--rounds=1".into()];
        let guests = self.guests_with(&format!("profile-{operations}"), options, linux)?;
        let counter = Counter::new(&build::plugin("count")?)?;
        let vm = Vm { cpus: 1, icount: true, extra: counter.plugin_args(), ..self.vm.clone() };
        if vm.start(guests.kernel(System::Skiff))?.report()?.is_empty() {
            fail!("no operation is called {operation}");
        }
        counter.blocks()
    }

    fn guests(&self, rounds: &Rounds, linux: &Linux) -> Result<Guests> {
        let length = [format!("--round-us={}", rounds.us), format!("--rounds={}", rounds.count)];
        self.guests_with(&rounds.us.to_string(), length, linux)
    }

    fn guests_with<const N: usize>(&self, name: &str, length: [String; N], linux: &Linux) -> Result<Guests> {
        let options = Options {
            program: build::c(self.name, self.link)?.display().to_string(),
            args: self.args.iter().cloned().chain(length).collect(),
            add: self.add.clone(),
            ..Options::default()
        };
        Guests::new(&format!("{}-{}-{name}", self.name, self.link.name()), &options, linux)
    }
}

fn table(title: String, time: &[Samples; 2], count: &[Samples; 2]) -> Table {
    let mut table =
        Table::new(title, &["operation", "Linux ns", "Skiff ns", "ratio", "Linux insns", "Skiff insns", "ratio"]);
    for name in count[0].names() {
        let [linux_ns, skiff_ns] = time.each_ref().map(|s| s.ns(name));
        let [linux_insns, skiff_insns] = count.each_ref().map(|s| s.ticks(name));
        table.row(vec![
            Cell::Text(name.clone()),
            Cell::Number(linux_ns),
            Cell::Number(skiff_ns),
            ratio(skiff_ns, linux_ns),
            Cell::Number(linux_insns),
            Cell::Number(skiff_insns),
            ratio(skiff_insns, linux_insns),
        ]);
    }
    table
}
