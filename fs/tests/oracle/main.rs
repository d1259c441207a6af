//! The same calls on this crate's tmpfs and on the tmpfs of the Linux that runs the tests must give
//! the same answers.
//!
//! Random sequences over few names meet most corners: existing and missing names, each file type,
//! trailing slashes, dots, links that dangle or go round, directories in use. Half of them run
//! without privileges. Root is needed, to confine the test.

mod linux;
mod ops;
mod skiff;

use linux::{Jail, Linux};
use ops::{Op, Rng};
use skiff::Skiff;

/// Something that executes calls and describes what happened: `ok ...` or the name of the error.
trait System {
    /// One call.
    fn run(&mut self, op: &Op) -> String;
    /// Goes on as an ordinary user, who owns the base directory.
    fn drop_privileges(&mut self);
}

fn compare(linux: &mut Linux, seed: u64, steps: usize, unprivileged: bool) {
    let mut skiff = Skiff::new();
    let mut rng = Rng::new(seed);
    let mut log = Vec::new();
    for step in 0..steps {
        if unprivileged && step == steps / 3 {
            linux.drop_privileges();
            skiff.drop_privileges();
        }
        let op = ops::random(&mut rng, unprivileged);
        let (theirs, ours) = (linux.run(&op), skiff.run(&op));
        log.push(format!("{op:?} = {theirs}"));
        let recent = &log[log.len().saturating_sub(25)..];
        assert_eq!(ours, theirs, "seed {seed} step {step}: {op:?}\n{}", recent.join("\n"));
    }
}

/// Runs the seeds, each in a thread that is confined to a directory of its own: no path of any
/// sequence reaches the machine.
fn compare_all(seeds: std::ops::Range<u64>, steps: usize, unprivileged: bool) {
    for seed in seeds {
        let Some(jail) = Jail::new(seed) else {
            eprintln!("needs root and a tmpfs at /dev/shm to compare with: skipped");
            return;
        };
        std::thread::scope(|scope| {
            let run = || compare(&mut Linux::enter(&jail), seed, steps, unprivileged);
            if let Err(panic) = scope.spawn(run).join() {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

#[test]
fn as_root() {
    compare_all(0..200, 400, false);
}

#[test]
fn as_a_user() {
    compare_all(10_000..10_200, 400, true);
}
