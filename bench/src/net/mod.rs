//! `bench net`: servers in both guests, asked by load generators on the host over the same tap
//! device, in turn.
//!
//! It runs in a network namespace of its own, so that nothing of the host's network is touched or
//! in the way.

mod load;
mod plot;
mod server;
mod tap;

use crate::How;
use crate::build;
use crate::count::{Counter, Counts};
use crate::error::{Result, fail};
use crate::guest::{Guests, System};
use crate::linux::Linux;
use crate::profile::{self, Symbols};
use crate::report::{self, Cell, Table, ratio};
use crate::sample::median;
use crate::vm::Vm;
use load::{Figure, Load};
use server::Server;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which servers, and where the plot goes.
#[derive(clap::Args)]
pub struct Net {
    /// Servers: redis, nginx, iperf3, echo [default: all]
    #[arg(value_parser = Server::NAMES)]
    servers: Vec<String>,
    /// Also say in which of Skiff's functions the instructions are
    #[arg(long)]
    profile: bool,
    /// The plot of the ratios
    #[arg(long, value_name = "FILE", default_value = "build/bench/net.svg")]
    svg: PathBuf,
}

/// Rates and times of a load, one of each run; its counts for one request.
#[derive(Default)]
struct Measured {
    figures: Vec<Figure>,
    counts: Option<Counts>,
}

impl Measured {
    fn of(&self, value: impl Fn(&Figure) -> Option<f64>) -> Option<f64> {
        median(self.figures.iter().filter_map(value).collect())
    }

    fn rate(&self) -> Option<f64> {
        self.of(|f| Some(f.rate))
    }

    fn count(&self, value: impl Fn(&Counts) -> f64) -> Option<f64> {
        self.counts.as_ref().map(value)
    }
}

/// By load and system.
type Results = BTreeMap<(&'static str, &'static str), Measured>;

/// Measures, prints the tables and draws the plot.
pub fn run(net: &Net, how: &How) -> Result<()> {
    let mut linux = Linux::fetch()?;
    linux.address = Some(tap::GUEST.into());
    let plugin = build::plugin("count")?;
    if !tap::in_namespace() {
        return tap::enter_namespace();
    }
    tap::create()?;
    let symbols = [Symbols::none(), Symbols::load()?];
    let mut results = Results::new();
    let wanted = |name: &str| net.servers.is_empty() || net.servers.iter().any(|s| s == name);
    for name in Server::NAMES.into_iter().filter(|n| wanted(n)) {
        let server = Server::named(name)?;
        let guests = Guests::new(&format!("net-{name}"), &server.options, &linux)?;
        let runs = if how.quick { 1 } else { how.runs };
        for turn in 0..=runs {
            for (system, symbols) in System::BOTH.into_iter().zip(&symbols) {
                let what = if turn == 0 { "counting".into() } else { format!("timed run {turn} of {runs}") };
                eprintln!("bench: net, {name}, {}: {what}", system.name());
                let counter = (turn == 0).then(|| Counter::new(&plugin)).transpose()?;
                if let Err(e) =
                    one(&server, &guests, system, counter, Some(symbols).filter(|_| net.profile), how.quick, &mut results)
                {
                    eprintln!("bench: net, {name}, {}: {e}", system.name());
                }
            }
        }
    }
    let loads: Vec<&Load> = load::ALL.iter().filter(|l| wanted(l.server)).collect();
    report::publish(&[rates(&loads, &results, &linux), counts(&loads, &results)], how.tsv.as_deref())?;
    let bars = loads.iter().map(|l| {
        let rate = |system: System| results.get(&(l.name, system.name())).and_then(Measured::rate);
        (l.name, rate(System::Skiff).zip(rate(System::Linux)).map(|(s, l)| s / l))
    });
    plot::write(&net.svg, &format!("Skiff's rate, Linux {} = 1", linux.release), &bars.collect::<Vec<_>>())?;
    if results.values().all(|m| m.figures.is_empty()) {
        fail!("nothing could be measured");
    }
    Ok(())
}

/// One machine with one server, under each of its loads.
fn one(
    server: &Server,
    guests: &Guests,
    system: System,
    counter: Option<Counter>,
    symbols: Option<&Symbols>,
    quick: bool,
    results: &mut Results,
) -> Result<()> {
    let mut vm = Vm { extra: tap::qemu_args(), ..Vm::new() };
    vm.extra.extend(counter.iter().flat_map(Counter::qemu_args));
    let mut kernel = guests.kernel(system).clone();
    if system == System::Skiff {
        kernel.options += &tap::skiff_options();
    }
    let mut running = vm.start(&kernel)?;
    tap::wait_for(server.port, &mut running)?;
    for load in load::ALL.iter().filter(|l| l.server == server.name) {
        let before = counter.as_ref().map(Counter::read).transpose()?;
        let watched = counter.as_ref().zip(symbols);
        let blocks = watched.map(|(counter, _)| counter.blocks()).transpose()?;
        let figure = load.run(quick || counter.is_some())?;
        if let (Some((counter, symbols)), Some(blocks)) = (watched, blocks) {
            let title = format!("{}, {}", load.name, system.name());
            profile::print(&title, symbols, &blocks, &counter.blocks()?, figure.requests);
        }
        let measured = results.entry((load.name, system.name())).or_default();
        match (&counter, before) {
            (Some(counter), Some(before)) => measured.counts = Some(counter.read()?.since(&before).per(figure.requests)),
            _ => measured.figures.push(figure),
        }
    }
    Ok(())
}

fn rates(loads: &[&Load], results: &Results, linux: &Linux) -> Table {
    let columns =
        ["load", "unit", "Linux", "Skiff", "ratio", "Linux p50 us", "Skiff p50 us", "Linux p99 us", "Skiff p99 us"];
    let mut table = Table::new(format!("net, Linux {}", linux.release), &columns);
    let none = Measured::default();
    for load in loads {
        let [l, s] = System::BOTH.map(|system| results.get(&(load.name, system.name())).unwrap_or(&none));
        table.row(vec![
            Cell::Text(load.name.into()),
            Cell::Text(load.unit.into()),
            Cell::Number(l.rate()),
            Cell::Number(s.rate()),
            ratio(s.rate(), l.rate()),
            Cell::Number(l.of(|f| f.p50_us)),
            Cell::Number(s.of(|f| f.p50_us)),
            Cell::Number(l.of(|f| f.p99_us)),
            Cell::Number(s.of(|f| f.p99_us)),
        ]);
    }
    table
}

fn counts(loads: &[&Load], results: &Results) -> Table {
    let columns = [
        "per request (bulk: per MiB)",
        "Linux insns",
        "Skiff insns",
        "ratio",
        "Linux device accesses",
        "Skiff",
        "Linux APIC accesses",
        "Skiff",
        "Linux interrupts",
        "Skiff",
        "Linux halts",
        "Skiff",
    ];
    let mut table = Table::new("net: what a request costs", &columns);
    let none = Measured::default();
    for load in loads {
        let both = System::BOTH.map(|system| results.get(&(load.name, system.name())).unwrap_or(&none));
        let mut row = vec![Cell::Text(load.name.into())];
        let insns = both.map(|m| m.count(|c| c.instructions));
        row.extend([Cell::Number(insns[0]), Cell::Number(insns[1]), ratio(insns[1], insns[0])]);
        for value in [|c: &Counts| c.device, |c: &Counts| c.apic, |c: &Counts| c.interrupts, |c: &Counts| c.halts] {
            row.extend(both.map(|m| Cell::Number(m.count(value))));
        }
        table.row(row);
    }
    table
}
