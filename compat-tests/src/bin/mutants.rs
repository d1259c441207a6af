//! `mutants [COUNT]`: boots COUNT damaged copies of a program. Each must be refused or run; the
//! kernel must neither panic nor hang.

#![forbid(unsafe_code)]

use compat_tests::{Boot, boot};
use mkimage::{Gathered, Kernel, Node, Options};
use skiff::frame::ExitKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const COUNT: u64 = 200;
const JOBS: usize = 2;
const MEMORY: u64 = 64;
/// A mutant may loop in its own code. It is killed then, which shows that the kernel still answers.
const LIMIT: Duration = Duration::from_secs(3);
/// ELF header and program headers: where a loader can be led astray.
const HEADERS: u64 = 64 + 10 * 56;
const SOURCE: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n";

/// xorshift64*: the same mutants every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(COUNT);
    match run(count) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("mutants: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(count: u64) -> Result<bool, String> {
    let dir = mkimage::checkout().ok_or("not in a Skiff checkout")?.join("build/mutants");
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    let kernel = Kernel::open(&mkimage::default_kernel()).map_err(|e| e.to_string())?;
    let program = build(&dir)?;
    let whole = std::fs::read(&program).map_err(|e| e.to_string())?;
    let next = AtomicU64::new(0);
    let bad = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        break;
                    }
                    let image = dir.join(format!("{seed}.img"));
                    let verdict = pack(&kernel, &program, mutate(&whole, seed), &image)
                        .and_then(|()| boot(&image, MEMORY, LIMIT).map_err(|e| e.to_string()))
                        .and_then(judge);
                    let _ = std::fs::remove_file(&image);
                    if let Err(e) = verdict {
                        println!("FAIL mutant {seed}: {e}");
                        bad.lock().unwrap_or_else(|e| e.into_inner()).push(seed);
                    }
                }
            });
        }
    });
    let failed = bad.into_inner().unwrap_or_else(|e| e.into_inner()).len() as u64;
    println!("mutants: {} passed, {failed} failed", count - failed);
    Ok(failed == 0)
}

fn judge(boot: Boot) -> Result<(), String> {
    match boot.exit {
        Some(exit) if exit.kind == ExitKind::Panic => Err("the kernel panicked".into()),
        Some(_) => Ok(()),
        None => Err("the kernel hangs".into()),
    }
}

fn build(dir: &Path) -> Result<PathBuf, String> {
    let (source, program) = (dir.join("hello.c"), dir.join("hello"));
    std::fs::write(&source, SOURCE).map_err(|e| e.to_string())?;
    let built = Command::new("musl-gcc").args(["-static", "-Os", "-o"]).arg(&program).arg(&source).status();
    built.is_ok_and(|s| s.success()).then_some(program).ok_or_else(|| "musl-gcc failed: run scripts/setup".into())
}

/// One to four changes: a header byte, a header word set to a telling value, or the end cut off.
fn mutate(whole: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed + 1));
    let mut bytes = whole.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(HEADERS.min(bytes.len().max(1) as u64)) as usize;
        match random.below(8) {
            0 => bytes.truncate(random.below(bytes.len() as u64 + 1) as usize),
            1..=3 => {
                let telling = [0, 1, 0xfff, 0x1000, u64::MAX, i64::MAX as u64, 1 << 63, 0xffff_8000_0000_0000, 1 << 47];
                let value = telling[random.below(telling.len() as u64) as usize].to_le_bytes();
                if let Some(word) = bytes.get_mut(at / 8 * 8..at / 8 * 8 + 8) {
                    word.copy_from_slice(&value);
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}

/// Packs a damaged program as it is, which mkimage itself would refuse.
fn pack(kernel: &Kernel, program: &Path, bytes: Vec<u8>, image: &Path) -> Result<(), String> {
    let options = Options { program: program.display().to_string(), ..Options::default() };
    let mut gathered: Gathered = mkimage::gather(&options).map_err(|e| e.to_string())?;
    gathered.tree.place(program, Node::bytes(bytes, 0o755)).map_err(|e| e.to_string())?;
    mkimage::build(kernel, &gathered, image).map_err(|e| e.to_string())
}
