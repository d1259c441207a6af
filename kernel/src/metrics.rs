//! What was counted and who runs, for the host: `skiff top` and the metrics endpoint. A line each,
//! a word that says what it is, then its values; `end` is the last. Made in interrupt context,
//! where the host's question arrives.

use alloc::string::String;
use core::fmt::Write;
use core::sync::atomic::Ordering;

use syscall_shim::table;

use crate::arch::{clock, percpu};
use crate::counters;
use mem::{PAGE_SIZE, account::RssKind, frames};
use observe::host_link::{self, frame::Outgoing};
use observe::latency;
use task::thread::state;
use task::{Task, sched};
use vm::patching;

/// Sends all of it.
pub fn send() {
    host_link::write_all(Outgoing::Stats, text().as_bytes());
}

fn text() -> String {
    let mut text = String::new();
    let mut line = |args: core::fmt::Arguments<'_>| {
        let _ = text.write_fmt(args);
        text.push('\n');
    };
    let memory = frames::stats();
    let online = sched::online_cpus();
    let sum = |count: fn(&percpu::PerCpu) -> u64| percpu::each(online).map(count).sum::<u64>();
    line(format_args!("uptime {}", clock::monotonic_ns()));
    line(format_args!("cpus {}", online.count_ones()));
    line(format_args!("memory {} {}", memory.total * PAGE_SIZE, memory.free * PAGE_SIZE));
    line(format_args!("interrupts {}", sum(|cpu| cpu.interrupts.load(Ordering::Relaxed))));
    line(format_args!("switches {}", sum(|cpu| cpu.switches.load(Ordering::Relaxed))));
    line(format_args!("contended {}", sum(|cpu| cpu.contended.load(Ordering::Relaxed))));
    let (patched, restored) = patching::patched();
    line(format_args!("sites {patched} {restored}"));
    for call in counters::calls() {
        let name = table::name(call.nr).unwrap_or("unknown");
        line(format_args!("call {name} {} {} {}", call.direct, call.trapped, call.vdso));
    }
    for row in latency::rows() {
        let mut buckets = String::new();
        row.buckets.iter().for_each(|count| {
            let _ = write!(buckets, " {count}");
        });
        line(format_args!("latency {} {} {}{buckets}", table::name(row.nr).unwrap_or("unknown"), row.errors, row.total));
    }
    for task in task::table::tasks() {
        let process = &task.process;
        let mm = process.mm();
        let rss: u64 = [RssKind::Anon, RssKind::File, RssKind::Shmem].into_iter().map(|kind| mm.resident(kind)).sum();
        let (user, system) = sched::cpu_time(&task);
        let (tid, cpu, state) = (task.tid(), task.cpu.load(Ordering::Relaxed), state_letter(&task));
        line(format_args!("task {} {tid} {state} {cpu} {user} {system} {rss} {}", process.pid, task.name()));
    }
    line(format_args!("end"));
    text
}

/// As /proc/PID/stat has it.
fn state_letter(task: &Task) -> char {
    match task.run_state() {
        state::RUNNING => 'R',
        state::INTERRUPTIBLE => 'S',
        state::STOPPED => 'T',
        state::DEAD => 'X',
        _ => 'D',
    }
}
