//! What a machine has counted: `skiff top` shows it, and `--metrics` offers it to Prometheus (text
//! format 0.0.4).

use crate::control::{self, Desk};
use crate::error::{On, Result};
use crate::outlet;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A thread of the guest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Task {
    /// Process and thread id.
    pub ids: (u32, u32),
    /// As /proc/PID/stat has it.
    pub state: String,
    /// CPU that it ran on last.
    pub cpu: u32,
    /// Nanoseconds in the application and in the kernel.
    pub time: (u64, u64),
    /// Bytes of memory of its process.
    pub rss: u64,
    /// Name.
    pub name: String,
}

/// Errors, nanoseconds and the histogram of one system call: bucket N counts calls of less than 2^N
/// ns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latency {
    /// Calls that failed.
    pub errors: u64,
    /// Nanoseconds of all.
    pub total: u64,
    /// How many calls took so long.
    pub buckets: Vec<u64>,
}

/// What the guest tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Single numbers, by name.
    pub numbers: BTreeMap<String, Vec<u64>>,
    /// System calls: by a jump, by a trap, answered by the vDSO.
    pub calls: BTreeMap<String, (u64, u64, u64)>,
    /// With `--latency`.
    pub latencies: BTreeMap<String, Latency>,
    /// Threads.
    pub tasks: Vec<Task>,
}

impl Stats {
    /// Reads the guest's lines; those that it does not know are passed over.
    pub fn parse(text: &str) -> Self {
        let mut stats = Self::default();
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0u64);
            match word {
                "task" => {
                    let fields: Vec<&str> = rest.splitn(8, ' ').collect();
                    let at = |n: usize| number(fields.get(n).copied());
                    let text = |n: usize| fields.get(n).map_or(String::new(), |text| text.to_string());
                    stats.tasks.push(Task {
                        ids: (at(0) as u32, at(1) as u32),
                        state: text(2),
                        cpu: at(3) as u32,
                        time: (at(4), at(5)),
                        rss: at(6),
                        name: text(7),
                    });
                }
                "call" | "latency" => {
                    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                    let values: Vec<u64> = rest.split(' ').map(|text| number(Some(text))).collect();
                    let at = |n: usize| values.get(n).copied().unwrap_or(0);
                    if word == "call" {
                        stats.calls.insert(name.into(), (at(0), at(1), at(2)));
                    } else {
                        let buckets = values.get(2..).unwrap_or_default().to_vec();
                        stats.latencies.insert(name.into(), Latency { errors: at(0), total: at(1), buckets });
                    }
                }
                "end" => {}
                _ => {
                    let values = rest.split(' ').map(|text| number(Some(text))).collect();
                    stats.numbers.insert(word.into(), values);
                }
            }
        }
        stats
    }

    /// One of several numbers in a line.
    pub fn number(&self, name: &str, at: usize) -> u64 {
        self.numbers.get(name).and_then(|values| values.get(at)).copied().unwrap_or(0)
    }

    /// All system calls that came to the kernel.
    pub fn total_calls(&self) -> u64 {
        self.calls.values().map(|(direct, trapped, _)| direct + trapped).sum()
    }

    /// In Prometheus' text format.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, rows: &[(String, f64)]| {
            let _ = writeln!(out, "# HELP skiff_{name} {help}\n# TYPE skiff_{name} {kind}");
            for (labels, value) in rows {
                let _ = writeln!(out, "skiff_{name}{labels} {value}");
            }
        };
        let one = |value: u64| [(String::new(), value as f64)];
        let seconds = |ns: u64| ns as f64 / 1e9;
        metric(
            "uptime_seconds",
            "gauge",
            "Time since the machine started.",
            &[(String::new(), seconds(self.number("uptime", 0)))],
        );
        metric("cpus", "gauge", "CPUs that run.", &one(self.number("cpus", 0)));
        metric("memory_bytes", "gauge", "Memory of the machine.", &one(self.number("memory", 0)));
        metric("memory_free_bytes", "gauge", "Memory that is free.", &one(self.number("memory", 1)));
        metric("interrupts_total", "counter", "Interrupts taken.", &one(self.number("interrupts", 0)));
        metric("context_switches_total", "counter", "Context switches.", &one(self.number("switches", 0)));
        metric("lock_waits_total", "counter", "Spin locks that were not free.", &one(self.number("contended", 0)));
        metric("call_sites_patched_total", "counter", "Call sites that became jumps.", &one(self.number("sites", 0)));
        let calls: Vec<_> = self
            .calls
            .iter()
            .flat_map(|(name, (direct, trapped, vdso))| {
                [("direct", direct), ("trap", trapped), ("vdso", vdso)]
                    .map(|(way, count)| (format!("{{call=\"{name}\",way=\"{way}\"}}"), *count as f64))
            })
            .collect();
        metric("syscalls_total", "counter", "System calls made.", &calls);
        let mut processes: BTreeMap<u32, (&str, u64, u64, u64, u64)> = BTreeMap::new();
        for task in &self.tasks {
            let row = processes.entry(task.ids.0).or_insert((&task.name, 0, 0, 0, 0));
            *row = (row.0, row.1 + 1, row.2 + task.time.0, row.3 + task.time.1, task.rss);
        }
        let rows = |value: &dyn Fn(&(&str, u64, u64, u64, u64)) -> f64| -> Vec<(String, f64)> {
            let label = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"");
            processes.iter().map(|(pid, row)| (format!("{{pid=\"{pid}\",name=\"{}\"}}", label(row.0)), value(row))).collect()
        };
        metric("process_threads", "gauge", "Threads of a process.", &rows(&|row| row.1 as f64));
        metric("process_user_seconds_total", "counter", "Time in the application.", &rows(&|row| seconds(row.2)));
        metric("process_system_seconds_total", "counter", "Time in the kernel.", &rows(&|row| seconds(row.3)));
        metric("process_resident_bytes", "gauge", "Memory in use.", &rows(&|row| row.4 as f64));
        if !self.latencies.is_empty() {
            let errors: Vec<_> =
                self.latencies.iter().map(|(name, l)| (format!("{{call=\"{name}\"}}"), l.errors as f64)).collect();
            metric("syscall_errors_total", "counter", "System calls that failed.", &errors);
            self.histograms(&mut out);
        }
        out
    }

    fn histograms(&self, out: &mut String) {
        let name = "skiff_syscall_duration_seconds";
        let _ = writeln!(out, "# HELP {name} How long system calls took.\n# TYPE {name} histogram");
        for (call, latency) in &self.latencies {
            let mut sum = 0;
            for (n, count) in latency.buckets.iter().enumerate().take(latency.buckets.len().saturating_sub(1)) {
                sum += count;
                let limit = (1u64 << n.min(63)) as f64 / 1e9;
                let _ = writeln!(out, "{name}_bucket{{call=\"{call}\",le=\"{limit}\"}} {sum}");
            }
            let all: u64 = latency.buckets.iter().sum();
            let _ = writeln!(out, "{name}_bucket{{call=\"{call}\",le=\"+Inf\"}} {all}");
            let _ = writeln!(out, "{name}_sum{{call=\"{call}\"}} {}", latency.total as f64 / 1e9);
            let _ = writeln!(out, "{name}_count{{call=\"{call}\"}} {all}");
        }
    }
}

/// Offers the figures at `address`; says the URL.
pub fn serve(address: &str, desk: Arc<Desk>) -> Result<String> {
    let address = if address.contains(':') { address.to_owned() } else { format!("127.0.0.1:{address}") };
    let listener = TcpListener::bind(&address).on(format!("--metrics {address}"))?;
    let url = format!("http://{}/metrics", listener.local_addr().on("socket")?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let desk = desk.clone();
            thread::spawn(move || drop(answer(stream, &desk)));
        }
    });
    Ok(url)
}

/// One request, HTTP/1.1 (RFC 9112).
fn answer(stream: TcpStream, desk: &Desk) -> io::Result<()> {
    const MAX_REQUEST: u64 = 16 << 10;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream.try_clone()?.take(MAX_REQUEST)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let (status, body) = match first.split(' ').collect::<Vec<_>>()[..] {
        ["GET", "/metrics" | "/", _] => match desk.stats() {
            Ok(text) => ("200 OK", Stats::parse(&text).prometheus()),
            Err(why) => ("503 Service Unavailable", format!("{why}\n")),
        },
        ["GET", ..] => ("404 Not Found", "see /metrics\n".into()),
        _ => ("405 Method Not Allowed", "GET only\n".into()),
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    (&stream).write_all((head + &body).as_bytes())
}

/// Shows what a machine does, again and again; `rounds` times, or until it ends.
pub fn top(machine: Option<&str>, interval: Duration, rounds: Option<u64>) -> Result<()> {
    let ask = || control::ask(machine, "stats").map(|text| Stats::parse(&text));
    let clear = rustix::termios::isatty(rustix::stdio::stdout());
    let mut before = ask()?;
    let mut round = 0;
    while rounds.is_none_or(|rounds| round < rounds) {
        thread::sleep(interval);
        let Ok(now) = ask() else { break };
        let start = if clear { "\x1b[H\x1b[2J" } else { "" };
        outlet::print(format_args!("{start}{}", screen(&before, &now)))?;
        before = now;
        round += 1;
    }
    Ok(())
}

/// One screen: what happened between two answers.
fn screen(before: &Stats, now: &Stats) -> String {
    const MIB: f64 = (1 << 20) as f64;
    const CALLS: usize = 10;
    let elapsed = now.number("uptime", 0).saturating_sub(before.number("uptime", 0)).max(1);
    let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 * 1e9 / elapsed as f64;
    let share = |new: u64, old: u64| new.saturating_sub(old) as f64 * 100.0 / elapsed as f64;
    let (total, free) = (now.number("memory", 0) as f64 / MIB, now.number("memory", 1) as f64 / MIB);
    let mut out = format!(
        "up {:.0} s, {} CPUs, memory {:.1} of {total:.1} MiB, {:.0} calls/s, {:.0} switches/s, {:.0} interrupts/s\n\n",
        now.number("uptime", 0) as f64 / 1e9,
        now.number("cpus", 0),
        total - free,
        rate(now.total_calls(), before.total_calls()),
        rate(now.number("switches", 0), before.number("switches", 0)),
        rate(now.number("interrupts", 0), before.number("interrupts", 0)),
    );
    let old_time = |ids| before.tasks.iter().find(|task| task.ids == ids).map_or((0, 0), |task| task.time);
    let mut tasks: Vec<(f64, f64, &Task)> = now
        .tasks
        .iter()
        .map(|task| {
            let old = old_time(task.ids);
            (share(task.time.0, old.0), share(task.time.1, old.1), task)
        })
        .collect();
    tasks.sort_by(|a, b| (b.0 + b.1).total_cmp(&(a.0 + a.1)).then(a.2.ids.cmp(&b.2.ids)));
    let _ = writeln!(out, "{:>6} {:>6} S CPU  %USER   %SYS      MiB  NAME", "PID", "TID");
    for (user, system, task) in tasks.iter().take(20) {
        let Task { ids: (pid, tid), state, cpu, rss, name, .. } = task;
        let _ =
            writeln!(out, "{pid:>6} {tid:>6} {state} {cpu:>3} {user:>6.1} {system:>6.1} {:>8.1}  {name}", *rss as f64 / MIB);
    }
    let mut calls: Vec<(f64, f64, &String)> = now
        .calls
        .iter()
        .map(|(name, new)| {
            let old = before.calls.get(name).copied().unwrap_or_default();
            (rate(new.0 + new.1, old.0 + old.1), rate(new.1, old.1), name)
        })
        .filter(|row| row.0 > 0.0)
        .collect();
    calls.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(b.2)));
    let _ = writeln!(out, "\n{:>12} {:>12}  CALL", "CALLS/S", "TRAPPED/S");
    for (all, trapped, name) in calls.iter().take(CALLS) {
        let _ = writeln!(out, "{all:>12.0} {trapped:>12.0}  {name}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "uptime 2000000000\ncpus 2\nmemory 1048576 524288\ninterrupts 5\nswitches 6\ncontended 0\nsites 3 1\n\
        call read 90 10\nlatency read 1 5000 0 0 3 1\ntask 1 1 S 0 500000000 100 4096 my \"prog\"\ntask 1 2 R 1 7 8 4096 w\nend\n";

    #[test]
    fn figures_become_metrics() {
        let stats = Stats::parse(TEXT);
        assert_eq!((stats.total_calls(), stats.tasks.len()), (100, 2));
        let text = stats.prometheus();
        for line in [
            "skiff_uptime_seconds 2",
            "skiff_memory_free_bytes 524288",
            "skiff_syscalls_total{call=\"read\",way=\"direct\"} 90",
            "skiff_process_threads{pid=\"1\",name=\"my \\\"prog\\\"\"} 2",
            "skiff_syscall_duration_seconds_bucket{call=\"read\",le=\"0.000000004\"} 3",
            "skiff_syscall_duration_seconds_bucket{call=\"read\",le=\"+Inf\"} 4",
            "skiff_syscall_duration_seconds_count{call=\"read\"} 4",
            "skiff_syscall_errors_total{call=\"read\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn top_shows_what_happened_between() {
        let before =
            Stats::parse(&TEXT.replace("uptime 2000000000", "uptime 1000000000").replace("read 90 10", "read 40 10"));
        let text = screen(&before, &Stats::parse(TEXT));
        assert!(text.starts_with("up 2 s, 2 CPUs, memory 0.5 of 1.0 MiB, 50 calls/s"), "{text}");
        assert!(text.contains("          50            0  read"), "{text}");
    }
}
