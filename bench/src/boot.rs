//! `bench boot`: kernel size, least memory, and time to the first output.

use crate::build::{self, Link};
use crate::error::{Result, fail};
use compat_tests::boot;
use mkimage::{Kernel, Options};
use skiff::frame::{Exit, ExitKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

const RUNS: usize = 10;
/// A boot that takes longer than this has failed.
const LIMIT: Duration = Duration::from_secs(10);

/// Prints them.
pub fn run() -> Result<()> {
    let kernel = Kernel::open(&mkimage::default_kernel())?;
    let image = hello(&kernel)?;
    println!("kernel, stripped: {:.2} MiB", kernel.stripped_size() as f64 / (1 << 20) as f64);

    let mut times = Vec::new();
    for _ in 0..RUNS {
        let Some(time) = first_output(&image, 128) else { fail!("hello does not run in 128 MiB") };
        times.push(time);
    }
    times.sort();
    let median = (times[RUNS / 2 - 1] + times[RUNS / 2]) / 2;
    let ms = |t: Duration| t.as_secs_f64() * 1e3;
    println!(
        "QEMU's start to the first output, microvm, TCG: median {:.0} ms of {RUNS} (best {:.0}, worst {:.0})",
        ms(median),
        ms(times[0]),
        ms(times[RUNS - 1])
    );
    let (mut fails, mut runs) = (1, 128);
    while runs - fails > 1 {
        let middle = (fails + runs) / 2;
        match first_output(&image, middle) {
            Some(_) => runs = middle,
            None => fails = middle,
        }
    }
    println!("least memory for static hello: {runs} MiB");
    Ok(())
}

fn hello(kernel: &Kernel) -> Result<PathBuf> {
    let image = build::dir()?.join("hello.img");
    let program = build::c("hello", Link::Static)?;
    let options = Options { program: program.display().to_string(), ..Options::default() };
    mkimage::build(kernel, &mkimage::gather(&options)?, &image)?;
    Ok(image)
}

/// Time to the first output, if the program ran to its end.
fn first_output(image: &Path, memory: u64) -> Option<Duration> {
    let boot = boot(image, memory, LIMIT).ok()?;
    let ended = |exit: &Exit| exit.status == 0 && exit.kind == ExitKind::Program;
    boot.first_output.filter(|_| boot.exit.as_ref().is_some_and(ended))
}
