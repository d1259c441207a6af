//! Runs a case on Linux and on Skiff, and compares.

use crate::build::build;
use crate::case::{Case, Subject};
use crate::disk::Disks;
use crate::talk::talk;
use skiff::fresh;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Linux is given this long.
const NATIVE_LIMIT: Duration = Duration::from_secs(60);
/// Above the machine's own time limit, for building its image and for ending it.
const SPARE: Duration = Duration::from_secs(60);
/// How much of the two outputs a report shows from where they part.
const EXCERPT: usize = 400;
/// Java's option for a machine of several CPUs under TCG. QEMU's translator reads an instruction
/// byte by byte, also while another CPU replaces it; processors fetch it whole. Java replaces the
/// entry of a method, while others may be calling it, each time that its second compiler made a
/// better one; then half of the old and half of the new instruction is run, in a Linux guest as
/// well as here. With one CPU both compilers are tested.
const FIRST_COMPILER: &str = "-XX:TieredStopAtLevel=1";

/// What a run gave.
#[derive(Debug, Default, Clone)]
pub struct Output {
    /// Standard output, or what the terminal shows.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// As a shell reports it: 128 + N after signal N.
    pub status: i32,
}

/// Paths that all cases share.
pub struct Context {
    /// The `skiff` command.
    pub skiff: PathBuf,
    /// Where programs are built.
    pub out: PathBuf,
    /// CPUs for tests that do not say; `None` is what `skiff run` takes.
    pub cpus: Option<u32>,
    /// Leave the programs' call sites as they are.
    pub no_patch: bool,
    /// What cases gave on Linux, by name: it is asked but once.
    pub native: Mutex<HashMap<String, Output>>,
}

impl Context {
    /// Has Linux asked again for this case.
    pub fn forget(&self, name: &str) {
        self.native.lock().unwrap_or_else(|e| e.into_inner()).remove(name);
    }

    fn native(&self, case: &Case, program: &Path) -> Result<Output, String> {
        let known = || self.native.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(output) = known().get(&case.name) {
            return Ok(output.clone());
        }
        let output = native(case, program)?;
        known().insert(case.name.clone(), output.clone());
        Ok(output)
    }
}

/// Runs one case; `Err` says what is wrong.
pub fn run(case: &Case, context: &Context) -> Result<(), String> {
    let program = build(case, &context.out)?;
    if let (Some(client), Subject::Network) = (&case.client, &case.subject) {
        return crate::client::run_alone(case, client, &context.skiff);
    }
    if let Some(client) = &case.client {
        let disks = Disks::for_guest(&case.disks)?;
        return crate::client::run(case, client, guest_command(case, &program, context, &disks)?);
    }
    let expected = match case.status {
        Some(status) => Output { status, ..Output::default() },
        None => context.native(case, &program)?,
    };
    let got = guest(case, &program, context)?;
    compare(case, context, &expected, &got)
}

fn compare(case: &Case, context: &Context, expected: &Output, got: &Output) -> Result<(), String> {
    let mut problems = Vec::new();
    if got.status != expected.status {
        problems.push(format!("exit status {}, on Linux {}", got.status, expected.status));
    }
    if case.status.is_none() && got.stdout != expected.stdout {
        let same = got.stdout.iter().zip(&expected.stdout).take_while(|(a, b)| a == b).count();
        problems.push(format!(
            "output differs at byte {same}\n  Linux: {}\n  Skiff: {}",
            excerpt(&expected.stdout, same),
            excerpt(&got.stdout, same)
        ));
    }
    if let Some(text) = case.stderr.as_deref().filter(|t| !String::from_utf8_lossy(&got.stderr).contains(t)) {
        problems.push(format!("standard error does not say {text:?}"));
    }
    if let Some(wanted) = case.direct.filter(|_| !context.no_patch) {
        match direct_share(&String::from_utf8_lossy(&got.stderr)) {
            Some(share) if share >= f64::from(wanted) => {}
            Some(share) => problems.push(format!("{share:.2} % of the system calls are direct, not {wanted} %")),
            None => problems.push("no count of system calls".into()),
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    if case.status.is_some() {
        problems.push(format!("  standard output: {}", tail(&got.stdout)));
    }
    Err(format!("{}\n  standard error: {}", problems.join("\n"), tail(&got.stderr)))
}

/// Percent of the system calls that were direct, by what `--stats` prints.
fn direct_share(stats: &str) -> Option<f64> {
    let count = |what: &str| {
        let rows = stats.lines().filter_map(|line| line.trim().split_once("  "));
        rows.filter(|(_, name)| *name == what).find_map(|(count, _)| count.parse::<f64>().ok())
    };
    Some(count("calls direct")? * 100.0 / count("calls")?)
}

fn tail(output: &[u8]) -> String {
    let from = output.len().saturating_sub(6 * EXCERPT);
    String::from_utf8_lossy(&output[from..]).trim_end().to_string()
}

fn excerpt(output: &[u8], from: usize) -> String {
    let line = output[..from].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let end = output.len().min(from + EXCERPT);
    format!("{:?}", String::from_utf8_lossy(&output[line..end]))
}

fn native(case: &Case, program: &Path) -> Result<Output, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut command = match &case.subject {
        Subject::Source { path, .. } if path.extension().is_some_and(|e| e == "java") => {
            let mut c = in_session("/usr/lib/jvm/java-17-openjdk-amd64/bin/java");
            let classes = program.parent().unwrap_or(Path::new("."));
            c.args(java_args(case, program, &classes.display().to_string()));
            c
        }
        Subject::App { folder, files, .. } => {
            for file in files {
                fs::copy(folder.join(file), dir.path().join(file)).map_err(|e| format!("{file}: {e}"))?;
            }
            // script(1) makes the session of a terminal.
            if case.talk.is_empty() { in_session(program) } else { fresh::command(program) }
        }
        Subject::Source { .. } | Subject::Network => in_session(program),
    };
    let disks = Disks::native(&case.disks)?;
    command.args(&case.args).args(&disks.paths).current_dir(dir.path()).env_clear();
    command.envs(mkimage::environment(&[]).iter().filter_map(|e| e.split_once('=')));
    if !case.talk.is_empty() {
        // Histories and settings of whoever tests stay out of it.
        command.env("HOME", dir.path());
    }
    output(command, case, NATIVE_LIMIT).map_err(|e| format!("on Linux: {e}"))
}

/// A command in a session of its own, as the first program of a machine is; what called the tests
/// may be out of sight in another PID namespace.
fn in_session(program: impl AsRef<OsStr>) -> Command {
    let mut command = fresh::command("setsid");
    command.arg(program);
    command
}

fn guest(case: &Case, program: &Path, context: &Context) -> Result<Output, String> {
    let limit = Duration::from_secs(case.timeout) + SPARE;
    let disks = Disks::for_guest(&case.disks)?;
    output(guest_command(case, program, context, &disks)?, case, limit).map_err(|e| format!("on Skiff: {e}"))
}

/// `skiff run` for the case.
fn guest_command(case: &Case, program: &Path, context: &Context, disks: &Disks) -> Result<Command, String> {
    let mut command = fresh::command(&context.skiff);
    command.args(["run", "--accel", "tcg", "--timeout", &case.timeout.to_string()]).args(&case.flags).args(&disks.flags);
    for port in case.client.iter().flat_map(|client| &client.ports) {
        command.arg(format!("--publish={}:{port}", crate::client::free_port()?));
    }
    if case.direct.is_some() {
        command.arg("--stats");
    }
    if context.no_patch {
        command.arg("--no-patch");
    }
    if let Some(cpus) = context.cpus.filter(|_| !case.flags.iter().any(|flag| flag.starts_with("--cpus"))) {
        command.arg(format!("--cpus={cpus}"));
    }
    let mut args = case.args.clone();
    match &case.subject {
        Subject::App { name, folder, files, .. } => {
            for file in files {
                command.arg("--add").arg(format!("{}:{file}", folder.join(file).display()));
            }
            command.arg(name);
        }
        Subject::Source { path, .. } if path.extension().is_some_and(|e| e == "java") => {
            let classes = program.parent().unwrap_or(Path::new("."));
            command.arg("--add").arg(format!("{}:/classes", classes.display())).arg("java");
            let one = context.cpus.is_some_and(|cpus| cpus > 1).then(|| FIRST_COMPILER.to_owned());
            args = one.into_iter().chain(java_args(case, program, "/classes")).chain(args).collect();
        }
        Subject::Source { .. } => drop(command.arg(program)),
        Subject::Network => {}
    }
    args.extend(disks.paths.iter().cloned());
    if !args.is_empty() {
        command.arg("--").args(args);
    }
    Ok(command)
}

fn java_args(case: &Case, class: &Path, classes: &str) -> Vec<String> {
    let name = class.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    case.jvm.iter().cloned().chain(["-cp".into(), classes.into(), name]).collect()
}

fn output(mut command: Command, case: &Case, limit: Duration) -> Result<Output, String> {
    if !case.talk.is_empty() {
        return talk(&command, &case.talk, limit);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    let input = child.stdin.take();
    let text = case.stdin.as_bytes().to_vec();
    let writer = thread::spawn(move || {
        // A program may end without reading its input.
        let _ = input.map(|mut i| i.write_all(&text));
    });
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if start.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no end after {} s", limit.as_secs()));
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let _ = writer.join();
    let collect = |t: Option<thread::JoinHandle<Vec<u8>>>| t.and_then(|t| t.join().ok()).unwrap_or_default();
    Ok(Output {
        stdout: collect(stdout),
        stderr: collect(stderr),
        status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
    })
}

pub fn drain(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        all
    })
}
