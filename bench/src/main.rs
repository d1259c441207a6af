//! `bench`: figures that are measured, not claimed, and beside a Linux guest where there is one to
//! compare with.
//!
//! Every comparison runs the same program files in the same machine (`vm`), Skiff and Linux in
//! turn, and prints the median. Times depend on the host; instructions are counted by QEMU and
//! repeat on any.

#![forbid(unsafe_code)]

mod boot;
mod build;
mod calls;
mod compare;
mod cost;
mod count;
mod error;
mod fork;
mod guest;
mod linux;
mod memory;
mod net;
mod profile;
mod report;
mod sample;
mod sched;
mod smp;
mod vm;

use clap::{Parser, Subcommand};
use error::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure Skiff, side by side with a Linux guest.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    how: How,
}

/// How thoroughly to measure.
#[derive(clap::Args, Clone)]
struct How {
    /// Only see that the benchmark works: one short round, figures of no worth
    #[arg(long, global = true)]
    quick: bool,
    /// Runs of each guest, Skiff and Linux in turn; the median is printed
    #[arg(long, global = true, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Also write the figures as tab-separated values
    #[arg(long, global = true, value_name = "FILE")]
    tsv: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// Kernel size, least memory, and time to the first output
    Boot,
    /// System calls one by one, in time and guest instructions
    Calls(calls::Calls),
    /// What traces, histograms and samples cost while they are off, in guest instructions
    Cost(cost::Cost),
    /// Making, executing and ending processes, in time and guest instructions
    Fork(fork::Fork),
    /// The least memory in which programs work, from disks and from archives, and what not copying
    /// an archive saves
    Memory,
    /// Servers under load from outside, with a table and a plot
    Net(net::Net),
    /// How soon a task runs that is woken beside others that compute, and how late sleeps end
    Sched(sched::Sched),
    /// Work on one CPU and on several, and the speed-up
    Smp(smp::Smp),
}

fn main() -> ExitCode {
    let Cli { what, how } = Cli::parse();
    match run(what, &how) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What, how: &How) -> Result<()> {
    match what {
        What::Boot => boot::run(),
        What::Calls(calls) => calls::run(&calls, how),
        What::Cost(cost) => cost::run(&cost, how),
        What::Fork(fork) => fork::run(&fork, how),
        What::Memory => memory::run(how.runs, how.quick),
        What::Net(net) => net::run(&net, how),
        What::Sched(sched) => sched::run(&sched, how),
        What::Smp(smp) => smp::run(&smp, how),
    }
}
