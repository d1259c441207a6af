//! `bench`: figures that are measured, not claimed. `bench boot`: size, least memory, and time to the first output.

#![forbid(unsafe_code)]

use compat_tests::boot;
use mkimage::{Kernel, Options};
use skiff::frame::{Exit, ExitKind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

const RUNS: usize = 10;
/// A boot that takes longer than this has failed.
const LIMIT: Duration = Duration::from_secs(10);
const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("boot") => match bench_boot() {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("bench: {e}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: bench boot");
            ExitCode::FAILURE
        }
    }
}

fn bench_boot() -> Result<(), String> {
    let root = mkimage::checkout().ok_or("not in a Skiff checkout")?;
    let dir = root.join("build/bench");
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    let kernel = Kernel::open(&mkimage::default_kernel()).map_err(|e| e.to_string())?;
    let image = hello(&kernel, &dir)?;
    println!("kernel, stripped: {:.2} MiB", kernel.stripped_size() as f64 / (1 << 20) as f64);

    let mut times = Vec::new();
    for _ in 0..RUNS {
        times.push(run(&image, 128).ok_or("hello does not run in 128 MiB")?);
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
        match run(&image, middle) {
            Some(_) => runs = middle,
            None => fails = middle,
        }
    }
    println!("least memory for static hello: {runs} MiB");
    Ok(())
}

fn hello(kernel: &Kernel, dir: &Path) -> Result<PathBuf, String> {
    let (source, program, image) = (dir.join("hello.c"), dir.join("hello"), dir.join("hello.img"));
    std::fs::write(&source, HELLO).map_err(|e| e.to_string())?;
    let built = Command::new("gcc").args(["-O2", "-static", "-o"]).arg(&program).arg(&source).status();
    if !built.is_ok_and(|s| s.success()) {
        return Err("gcc cannot build a static program: run scripts/setup".into());
    }
    let options = Options { program: program.display().to_string(), ..Options::default() };
    let gathered = mkimage::gather(&options).map_err(|e| e.to_string())?;
    mkimage::build(kernel, &gathered, &image).map_err(|e| e.to_string())?;
    Ok(image)
}

/// Time to the first output, if the program ran to its end.
fn run(image: &Path, memory: u64) -> Option<Duration> {
    let boot = boot(image, memory, LIMIT).ok()?;
    boot.first_output.filter(|_| boot.exit == Some(Exit { status: 0, kind: ExitKind::Program }))
}
