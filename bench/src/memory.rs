//! `bench memory`: the least memory in which programs do their work, from a disk and from an
//! archive in memory; and what it is worth that an archive's files are used where it lies, against
//! copying them.

use crate::build;
use crate::error::{On, Result, fail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What is tried at most, in MiB.
const MOST: u64 = 512;
/// A machine that takes longer has failed: under TCG, short of memory, on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: u32 = 1000;

/// Imports much of the standard library, which the disk has whole.
const PYTHON: &str = "
import asyncio, ctypes, decimal, email.message, http.server, json, logging, sqlite3, tempfile, unittest, xml.etree.ElementTree
with tempfile.NamedTemporaryFile('w+') as f:
    json.dump(list(range(10000)), f); f.seek(0)
    print('sum', sum(json.load(f)))
";
const PYTHON_SAYS: &str = "sum 49995000";
const SQL: &str = "pragma journal_mode=wal; drop table if exists t; create table t(a, b);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000) insert into t select i, hex(randomblob(50)) from n;
    create index i on t(b); select 'rows', count(*), count(distinct b) from t;";
const SQL_SAYS: &str = "rows|10000|10000";
/// Tells what is free as soon as it runs.
const FREE: &str = "print(*[line.split()[1] for line in open('/proc/meminfo') if line.startswith('MemFree')])";

/// A program and its work.
struct Work {
    app: &'static str,
    /// MiB of the disk.
    disk: u64,
    job: Job,
}

enum Job {
    /// Arguments, and what is printed in the end.
    Prints(&'static [&'static str], &'static str),
    /// A Redis that keeps keys, saves them and shuts down.
    Redis,
}

const WORKS: &[Work] = &[
    Work { app: "redis", disk: 128, job: Job::Redis },
    Work { app: "sqlite3", disk: 64, job: Job::Prints(&["/root/t.db", SQL], SQL_SAYS) },
    Work { app: "python3", disk: 256, job: Job::Prints(&["-c", PYTHON], PYTHON_SAYS) },
];

/// Prints them; the time by the median of that many `runs`. With `quick`, nothing is sought.
pub fn run(runs: u32, quick: bool) -> Result<()> {
    let skiff = std::env::current_exe().on("this program")?.with_file_name("skiff");
    let dir = build::dir()?;
    println!("least memory in MiB       from a disk   from an archive");
    for work in WORKS {
        let disk = dir.join(format!("root-{}.img", work.app));
        // One from before has the files of before.
        let _ = std::fs::remove_file(&disk);
        let root = [format!("--root-disk={}", disk.display()), format!("--size={}M", work.disk)];
        let [from_disk, from_archive] =
            [&root[..], &[]].map(|options| least(quick, |mib| works(&skiff, work, mib, options)));
        println!("{:<25} {:>11} {:>17}", work.app, shown(from_disk?), shown(from_archive?));
        std::fs::remove_file(&disk).on(disk.display())?;
    }
    archives(&skiff, runs, quick)
}

fn shown(mib: Option<u64>) -> String {
    mib.map_or_else(|| format!("over {MOST}"), |mib| mib.to_string())
}

/// The least memory with which something works.
fn least(quick: bool, mut works: impl FnMut(u64) -> Result<bool>) -> Result<Option<u64>> {
    // That it works at all, and makes the disk.
    if !works(MOST)? {
        return Ok(None);
    }
    let (mut fails, mut runs) = (1, if quick { 2 } else { MOST });
    while runs - fails > 1 {
        let middle = (fails + runs) / 2;
        if works(middle)? { runs = middle } else { fails = middle }
    }
    Ok(Some(runs))
}

fn machine(skiff: &Path, app: &str, mib: u64, options: &[String], arguments: &[&str]) -> Command {
    let mut command = Command::new(skiff);
    command.args(["run", app, "--accel=tcg", &format!("--memory={mib}M"), &format!("--timeout={}", PATIENCE.as_secs())]);
    command.args(options).arg("--").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Whether a program does its work in so much memory, and ends well.
fn works(skiff: &Path, work: &Work, mib: u64, options: &[String]) -> Result<bool> {
    match work.job {
        Job::Prints(arguments, says) => {
            let out = machine(skiff, work.app, mib, options, arguments).output().on(skiff.display())?;
            Ok(out.status.success() && String::from_utf8_lossy(&out.stdout).contains(says))
        }
        Job::Redis => {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).on("a port")?.port();
            let options = [options, &[format!("--publish={port}:6379")]].concat();
            let mut child = machine(skiff, work.app, mib, &options, &[]).stdout(Stdio::null()).spawn().on(skiff.display())?;
            let served = serves(&mut child, port);
            // Where it has not shut down, it has failed.
            if !served {
                let _ = child.kill();
            }
            Ok(child.wait().on(skiff.display())?.success() && served)
        }
    }
}

/// Whether a Redis takes keys, gives them back, saves them and shuts down.
fn serves(child: &mut Child, port: u16) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE && matches!(child.try_wait(), Ok(None)) {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port))
            && talk(stream).is_ok_and(|all| all)
        {
            return true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    false
}

fn talk(stream: TcpStream) -> std::io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut replies = BufReader::new(stream.try_clone()?);
    let mut ask = |text: String| {
        (&stream).write_all(text.as_bytes())?;
        let mut line = String::new();
        replies.read_line(&mut line).map(|_| line)
    };
    for key in 0..KEYS {
        if ask(format!("SET key:{key} {key:0100}\r\n"))? != "+OK\r\n" {
            return Ok(false);
        }
    }
    if ask("STRLEN key:7\r\n".into())? != ":100\r\n" || ask("SAVE\r\n".into())? != "+OK\r\n" {
        return Ok(false);
    }
    // No answer: the connection ends.
    Ok(ask("SHUTDOWN NOSAVE\r\n".into())?.is_empty())
}

/// What files that are used where the archive lies cost, and copies of them.
fn archives(skiff: &Path, turns: u32, quick: bool) -> Result<()> {
    println!("\npython3 from an archive     least memory, MiB   in use, MiB   to its first line, ms");
    for (name, options) in [("used where it lies", vec![]), ("copied", vec!["--append=archive=copy".to_string()])] {
        let (mut free, mut times) = (0, Vec::new());
        for _ in 0..turns {
            let start = Instant::now();
            let mut child = machine(skiff, "python3", MOST, &options, &["-c", FREE]).spawn().on(skiff.display())?;
            let Some(out) = child.stdout.take() else { fail!("no pipe") };
            let mut out = BufReader::new(out);
            let mut line = String::new();
            out.read_line(&mut line).on("python3")?;
            times.push(start.elapsed());
            free = line.trim().parse::<u64>().unwrap_or(0);
            out.read_to_string(&mut line).on("python3")?;
            child.wait().on(skiff.display())?;
        }
        times.sort();
        let work = Work { app: "python3", disk: 0, job: Job::Prints(&["-c", PYTHON], PYTHON_SAYS) };
        let least = shown(least(quick, |mib| works(skiff, &work, mib, &options))?);
        let median = times.get(times.len() / 2).map_or(0, |time| time.as_millis());
        println!("{name:<27} {least:>17} {:>13} {median:>23}", MOST - free / 1024);
    }
    Ok(())
}
