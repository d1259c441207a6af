//! The load generators, which run on the host, and what they say.

use super::tap::GUEST;
use crate::build::{self, Link};
use crate::error::{Result, fail};
use std::process::Command;

/// Ports of the servers.
pub const REDIS: u16 = 6379;
/// iperf3's.
pub const IPERF: u16 = 5201;
/// That of `programs/echo.c`.
pub const ECHO: u16 = 7007;
const MIB: f64 = (1 << 20) as f64;

/// What a generator measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// In the load's unit.
    pub rate: f64,
    /// Median and 99th percentile of the time for one request, in microseconds.
    pub p50_us: Option<f64>,
    /// See above.
    pub p99_us: Option<f64>,
    /// Requests (bulk: MiB) that were served in all.
    pub requests: f64,
}

/// A load on a server.
pub struct Load {
    /// Its name.
    pub name: &'static str,
    /// Of its rate.
    pub unit: &'static str,
    /// The server's name.
    pub server: &'static str,
    kind: Kind,
}

enum Kind {
    Redis { test: &'static str, pipeline: u32, requests: u32 },
    Wrk { path: &'static str, close: bool },
    Iperf { from_guest: bool },
    Echo { protocol: &'static str },
}

const fn redis(name: &'static str, test: &'static str, pipeline: u32, requests: u32) -> Load {
    Load { name, unit: "requests/s", server: "redis", kind: Kind::Redis { test, pipeline, requests } }
}

const fn wrk(name: &'static str, path: &'static str, close: bool) -> Load {
    Load { name, unit: "requests/s", server: "nginx", kind: Kind::Wrk { path, close } }
}

const fn iperf(name: &'static str, from_guest: bool) -> Load {
    Load { name, unit: "MiB/s", server: "iperf3", kind: Kind::Iperf { from_guest } }
}

const fn echo(name: &'static str, protocol: &'static str) -> Load {
    Load { name, unit: "round trips/s", server: "echo", kind: Kind::Echo { protocol } }
}

/// All loads.
pub const ALL: [Load; 11] = [
    redis("redis SET -c 30 -P 1", "set", 1, 40_000),
    redis("redis GET -c 30 -P 1", "get", 1, 40_000),
    redis("redis SET -c 30 -P 16", "set", 16, 300_000),
    redis("redis GET -c 30 -P 16", "get", 16, 300_000),
    wrk("nginx 612 B, keep-alive", "small.html", false),
    wrk("nginx 612 B, new connections", "small.html", true),
    wrk("nginx 1 MiB, keep-alive", "large.bin", false),
    iperf("iperf3 to the guest", false),
    iperf("iperf3 from the guest", true),
    echo("TCP round trip", "tcp"),
    echo("UDP round trip", "udp"),
];

impl Load {
    /// Runs the generator.
    pub fn run(&self, quick: bool) -> Result<Figure> {
        let seconds = if quick { "1" } else { "5" };
        let (figure, output) = match &self.kind {
            Kind::Redis { test, pipeline, requests } => {
                let requests = if quick { requests / 20 } else { *requests };
                let mut c = Command::new("redis-benchmark");
                c.args(["-h", GUEST, "-c", "30", "--csv", "-t", test]);
                let output = generate(c.args(["-P", &pipeline.to_string(), "-n", &requests.to_string()]))?;
                (redis_csv(&output, f64::from(requests)), output)
            }
            Kind::Wrk { path, close } => {
                let mut c = Command::new("wrk");
                c.args(["-t", "1", "-c", "30", "--latency", "--timeout", "10", "-d", seconds]);
                if *close {
                    c.args(["-H", "Connection: close"]);
                }
                let output = generate(c.arg(format!("http://{GUEST}/{path}")))?;
                (wrk_text(&output), output)
            }
            Kind::Iperf { from_guest } => {
                let mut c = Command::new("iperf3");
                c.args(["-c", GUEST, "-f", "k", "-t", seconds]);
                if *from_guest {
                    c.arg("-R");
                }
                let output = generate(&mut c)?;
                (iperf_text(&output), output)
            }
            Kind::Echo { protocol } => {
                let program = build::c("echo", Link::Static)?;
                let output = generate(Command::new(program).args([*protocol, GUEST, if quick { "500" } else { "10000" }]))?;
                (echo_text(&output), output)
            }
        };
        match figure {
            Some(figure) if figure.requests > 0.0 => Ok(figure),
            _ => fail!("{}: no figure in: {}", self.name, output.trim()),
        }
    }
}

/// Runs a generator for at most a minute.
fn generate(command: &mut Command) -> Result<String> {
    let mut limited = Command::new("timeout");
    limited.args(["--kill-after=5", "60"]).arg(command.get_program()).args(command.get_args());
    build::run(&mut limited)
}

/// `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"`.
fn redis_csv(text: &str, requests: f64) -> Option<Figure> {
    let values: Vec<f64> =
        text.lines().last()?.split(',').skip(1).filter_map(|v| v.trim_matches('"').parse().ok()).collect();
    let &[rate, _, _, p50, _, p99, _] = &values[..] else { return None };
    Some(Figure { rate, p50_us: Some(p50 * 1e3), p99_us: Some(p99 * 1e3), requests })
}

/// ` 50% 1.23ms` and so on, ` 1234 requests in 5.00s, ...`, `Requests/sec: 1234.56`. A load with
/// errors has no figure.
fn wrk_text(text: &str) -> Option<Figure> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return None;
    }
    let line = |start: &str| text.lines().find_map(|l| l.trim().strip_prefix(start));
    let requests = text.lines().find_map(|l| l.split_once(" requests in "))?.0.trim().parse().ok()?;
    let rate = line("Requests/sec:")?.trim().parse().ok()?;
    Some(Figure { rate, p50_us: line("50%").and_then(duration_us), p99_us: line("99%").and_then(duration_us), requests })
}

fn duration_us(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    text[..text.len() - unit.len()].parse::<f64>().ok().map(|n| n * factor)
}

/// `[  5]   0.00-5.00   sec  1.00 KBytes  12345 Kbits/sec  receiver`.
fn iperf_text(text: &str) -> Option<Figure> {
    let words: Vec<&str> = text.lines().rfind(|l| l.ends_with("receiver"))?.split_whitespace().collect();
    let at = |unit: &str| words.iter().position(|w| *w == unit).and_then(|i| words.get(i.checked_sub(1)?));
    let rate = at("Kbits/sec")?.parse::<f64>().ok()? * 1000.0 / 8.0 / MIB;
    let (from, to) = at("sec")?.split_once('-')?;
    let seconds = to.parse::<f64>().ok()? - from.parse::<f64>().ok()?;
    Some(Figure { rate, p50_us: None, p99_us: None, requests: rate * seconds })
}

/// `COUNT SECONDS P50 P99`.
fn echo_text(text: &str) -> Option<Figure> {
    let values: Vec<f64> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    let &[count, seconds, p50, p99] = &values[..] else { return None };
    Some(Figure { rate: count / seconds, p50_us: Some(p50), p99_us: Some(p99), requests: count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_generators_say() {
        let csv =
            "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"14005.60\",\"1.9\",\"0.3\",\"1.8\",\"2.9\",\"4.0\",\"9.9\"\n";
        let expected = Figure { rate: 14005.6, p50_us: Some(1800.0), p99_us: Some(4000.0), requests: 100.0 };
        assert_eq!(redis_csv(csv, 100.0), Some(expected));

        let wrk = "  Latency Distribution\n     50%    7.21ms\n     99%  950.00us\n  20483 requests in 5.00s, 16.6MB read\nRequests/sec:   4096.5\n";
        let expected = Figure { rate: 4096.5, p50_us: Some(7210.0), p99_us: Some(950.0), requests: 20483.0 };
        assert_eq!(wrk_text(wrk), Some(expected));
        assert_eq!(wrk_text(&format!("{wrk}  Socket errors: connect 0, read 1")), None);

        let iperf = "[  5]   0.00-5.00   sec   600 KBytes   8388.608 Kbits/sec    0             sender\n\
                     [  5]   0.00-4.00   sec   500 KBytes   8388.608 Kbits/sec                  receiver";
        assert_eq!(iperf_text(iperf), Some(Figure { rate: 1.0, p50_us: None, p99_us: None, requests: 4.0 }));
        assert_eq!(echo_text("10 2.0 3.5 4.5\n").map(|f| f.rate), Some(5.0));
    }
}
