//! `bench smp`: the same work with one CPU and with two, and by how much the second speeds it up;
//! on both systems.

use crate::How;
use crate::build::{self, Link};
use crate::error::{Result, fail};
use crate::guest::{Guests, System};
use crate::linux::Linux;
use crate::report::{self, Cell, Table, ratio};
use crate::sample::Samples;
use crate::vm::Vm;
use mkimage::Options;
use skiff::app::App;

/// Which jobs, and on how many CPUs.
#[derive(clap::Args)]
pub struct Smp {
    /// CPUs of the larger machine
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=64))]
    cpus: u32,
    /// Jobs: c (pthread, page faults, malloc, futex, read, stat), go, java, openssl
    #[arg(value_parser = ["c", "go", "java", "openssl"])]
    jobs: Vec<String>,
}

/// Stands for the number of CPUs in a job's arguments.
const CPUS: &str = "CPUS";

/// A program that is run on machines of both sizes.
struct Job {
    options: Options,
    memory: u32,
}

/// Measures, and prints one table.
pub fn run(smp: &Smp, how: &How) -> Result<()> {
    let linux = Linux::fetch()?;
    let wanted = |name: &str| smp.jobs.is_empty() || smp.jobs.iter().any(|j| j == name);
    let mut samples: [[Samples; 2]; 2] = Default::default();
    for name in ["c", "go", "java", "openssl"].into_iter().filter(|n| wanted(n)) {
        let job = job(name, how.quick)?;
        let guests = |cpus: u32| {
            let mut options = job.options.clone();
            options.args.iter_mut().filter(|a| *a == CPUS).for_each(|a| *a = cpus.to_string());
            Guests::new(&format!("smp-{name}-{cpus}"), &options, &linux)
        };
        let guests = [guests(1)?, guests(smp.cpus)?];
        for turn in 1..=if how.quick { 1 } else { how.runs } {
            for (large, cpus) in [1, smp.cpus].into_iter().enumerate() {
                for (system, samples) in System::BOTH.into_iter().zip(&mut samples) {
                    eprintln!("bench: smp, {name}, {}, CPUs: {cpus}, run {turn}", system.name());
                    let vm = Vm { cpus, memory: job.memory, ..Vm::new() };
                    let mut running = vm.start(guests[large].kernel(system))?;
                    let lines = if name == "openssl" { speed(&running.to_end()?)? } else { running.report()? };
                    samples[large].add(&lines);
                }
            }
        }
    }
    report::publish(&[table(&samples, &linux, smp.cpus)], how.tsv.as_deref())
}

/// The line of a sample from what `openssl speed -mr` prints at its end: `+F:number:algorithm:bytes
/// a second`.
fn speed(lines: &[String]) -> Result<Vec<String>> {
    let total = lines.iter().rev().find_map(|l| l.strip_prefix("+F:")?.rsplit(':').next()?.parse::<f64>().ok());
    match total.filter(|rate| *rate > 0.0) {
        Some(rate) => Ok(vec![format!("bench openssl-speed,sha256-of-1-KiB 1 {} 0", 1024.0 * 1e9 / rate)]),
        None => fail!("openssl has no result; it said last:\n{}", lines.last().map_or("", String::as_str)),
    }
}

fn table(samples: &[[Samples; 2]; 2], linux: &Linux, cpus: u32) -> Table {
    let [on_linux, on_skiff] = samples;
    let many = format!("{cpus} CPUs");
    let columns =
        ["ns per operation", "Linux 1 CPU", &many, "speed-up", "Skiff 1 CPU", &many, "speed-up", "Skiff/Linux 1", "many"];
    let mut table = Table::new(format!("smp, Linux {}", linux.release), &columns);
    for name in on_linux[0].names() {
        let [linux_one, linux_many] = [on_linux[0].ns(name), on_linux[1].ns(name)];
        let [skiff_one, skiff_many] = [on_skiff[0].ns(name), on_skiff[1].ns(name)];
        table.row(vec![
            Cell::Text(name.clone()),
            Cell::Number(linux_one),
            Cell::Number(linux_many),
            ratio(linux_one, linux_many),
            Cell::Number(skiff_one),
            Cell::Number(skiff_many),
            ratio(skiff_one, skiff_many),
            ratio(skiff_one, linux_one),
            ratio(skiff_many, linux_many),
        ]);
    }
    table
}

fn job(name: &str, quick: bool) -> Result<Job> {
    let quick_args = if quick { vec!["--quick".to_owned()] } else { Vec::new() };
    Ok(match name {
        "c" => {
            let args = if quick { ["--round-us=1000", "--rounds=1"] } else { ["--round-us=100000", "--rounds=5"] };
            let program = build::c("scale", Link::Dynamic)?.display().to_string();
            let args = args.map(str::to_owned).to_vec();
            Job { options: Options { program, args, ..Options::default() }, memory: 1024 }
        }
        "go" => {
            let program = build::go("compute")?.display().to_string();
            Job { options: Options { program, args: quick_args, ..Options::default() }, memory: 1024 }
        }
        "java" => {
            let Some(app) = App::find("java")? else { fail!("apps/java is not there") };
            let classes = build::java("Compute")?;
            let add = app.add.into_iter().chain([format!("{}:/classes", classes.display())]).collect();
            let args = ["-cp", "/classes", "Compute"].into_iter().map(str::to_owned).chain(quick_args).collect();
            let options = Options { program: app.program, args, add, packages: app.packages, ..Options::default() };
            Job { options, memory: 2048 }
        }
        "openssl" => {
            let seconds = if quick { "1" } else { "3" };
            let args = ["speed", "-mr", "-seconds", seconds, "-bytes", "1024", "-evp", "sha256", "-multi", CPUS];
            let args = args.map(str::to_owned).to_vec();
            Job { options: Options { program: "openssl".into(), args, ..Options::default() }, memory: 1024 }
        }
        _ => fail!("no job {name}"),
    })
}
