//! Runs a batch on Skiff: in one machine, and in another one from where that ended.

use super::batch::Transcript;
use super::needs::Needs;
use super::{End, Ran, Test};
use crate::error::{On, Result};
use crate::fresh;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Above a test's limit, which the machine keeps itself as long as its kernel works. Booting counts
/// here too.
const SPARE: Duration = Duration::from_secs(30);
/// How much of what a machine says is kept.
const CONSOLE: usize = 64 << 10;

/// How machines are started.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The `skiff` command.
    pub skiff: PathBuf,
    /// The batch program.
    pub batch: PathBuf,
    /// The list of tests.
    pub list: PathBuf,
    /// Options of `skiff run`.
    pub options: Vec<String>,
    /// The directory that the tests are from, if each gets only what it needs of it.
    pub needs: Option<Arc<Needs>>,
}

/// What ended a machine's run.
struct Stay {
    transcript: Transcript,
    console: String,
}

impl Guest {
    /// What the tests gave on Skiff.
    pub fn run(&self, tests: &[Test], moved: impl Fn()) -> Result<HashMap<String, Ran>> {
        let mut done: HashMap<String, Ran> = HashMap::new();
        let mut skip: Vec<String> = Vec::new();
        loop {
            let left: Vec<&Test> =
                tests.iter().filter(|t| done.get(&t.id).is_none_or(|ran| ran.end == End::NotRun)).collect();
            let Some(first) = left.first().map(|test| test.id.clone()) else {
                return Ok(done);
            };
            let stay = self.machine(&left, &skip)?;
            skip.clear();
            let progress = !stay.transcript.done.is_empty();
            for (id, ran) in stay.transcript.done {
                merge(&mut done, id, ran);
                moved();
            }
            match stay.transcript.open {
                Some((id, mut ran)) => {
                    ran.console = stay.console;
                    // What a group of cases has ended is over; those behind it have another try.
                    if let Some(group) = last_group(&ran.output) {
                        ran.output.extend_from_slice(format!("\ndied {group}: the machine ended\n").as_bytes());
                        merge(&mut done, id.clone(), ran);
                        skip = done.get(&id).map(|ran| groups(&ran.output)).unwrap_or_default();
                    } else {
                        ran.end = End::Machine;
                        merge(&mut done, id, ran);
                        moved();
                    }
                }
                None if !progress => {
                    // It did not come as far as the first test.
                    merge(&mut done, first, Ran { end: End::Machine, console: stay.console, ..Ran::not_run() });
                    moved();
                }
                None => {}
            }
        }
    }

    /// One machine, until it ends or a test passes its limit by far.
    fn machine(&self, tests: &[&Test], skip: &[String]) -> Result<Stay> {
        let mut command = fresh::command(&self.skiff);
        // The limit is ours; with one, a machine can be asked for the state of its tasks.
        command.args(["run", "--timeout", "86400"]).args(&self.options);
        if let Some(needs) = &self.needs {
            let files = needs.files(tests.iter().map(|test| test.command.as_slice()));
            command.args(files.iter().map(|file| format!("--add={}", file.display())));
        }
        if !skip.is_empty() {
            command.arg("--env").arg(format!("SKIP_GROUPS= {}", skip.join(" ")));
        }
        command.arg("--add").arg(format!("{}:/tests.list", self.list.display())).arg(&self.batch);
        command.args(["--", "/tests.list"]).args(tests.iter().map(|t| &t.id));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().on(self.skiff.display().to_string())?;
        let console = child.stderr.take().map(|err| thread::spawn(move || tail(err)));
        let (sender, pieces) = channel();
        if let Some(mut out) = child.stdout.take() {
            thread::spawn(move || {
                let mut piece = vec![0; 64 << 10];
                while let Ok(n @ 1..) = out.read(&mut piece) {
                    if sender.send(piece[..n].to_vec()).is_err() {
                        break;
                    }
                }
            });
        }
        let mut transcript = Transcript::default();
        let limit = |transcript: &Transcript| {
            let open = transcript.open.as_ref().and_then(|(id, _)| tests.iter().find(|t| t.id == *id));
            Instant::now() + open.map_or(Duration::ZERO, |t| t.limit) + SPARE
        };
        let mut deadline = limit(&transcript);
        let mut asked = false;
        loop {
            match pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(piece) => {
                    if transcript.take(&piece) {
                        deadline = limit(&transcript);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    // The machine shows what its tasks do, and ends.
                    signal(&child, if asked { Signal::KILL } else { Signal::USR1 });
                    asked = true;
                    deadline = Instant::now() + SPARE;
                }
            }
        }
        transcript.finish();
        child.wait().on("skiff run")?;
        let console = console.and_then(|c| c.join().ok()).unwrap_or_default();
        if let Some((_, last)) = transcript.done.last_mut().filter(|(_, ran)| ran.end != End::Status(0)) {
            last.console = console.clone();
        }
        Ok(Stay { transcript, console })
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Adds to what earlier machines have shown of the same test.
fn merge(done: &mut HashMap<String, Ran>, id: String, ran: Ran) {
    let Some(earlier) = done.get_mut(&id) else {
        done.insert(id, ran);
        return;
    };
    earlier.end = ran.end;
    earlier.output.extend_from_slice(&ran.output);
    earlier.time += ran.time;
    earlier.console.push_str(&ran.console);
    for (name, count) in ran.calls {
        *earlier.calls.entry(name).or_default() += count;
    }
}

/// The groups of cases that a program has begun.
fn groups(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    text.lines().filter_map(|line| line.strip_prefix("group ")).map(str::to_owned).collect()
}

fn last_group(output: &[u8]) -> Option<String> {
    groups(output).pop()
}

fn tail(mut stream: impl Read) -> String {
    let mut all: Vec<u8> = Vec::new();
    let mut piece = vec![0; 16 << 10];
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..n]);
        if all.len() > 2 * CONSOLE {
            all.drain(..all.len() - CONSOLE);
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}
