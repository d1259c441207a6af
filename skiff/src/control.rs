//! Talking to machines that run: each `skiff run` has a directory with a socket, on which others
//! ask it for things.
//!
//! A request is a line; the answer is text up to the end of the stream, the first word of which is
//! `ok` or `error`.

use crate::core::Cores;
use crate::error::{Error, On, Result};
use crate::folder::{self, Folder, Scratch};
use crate::frame::ToGuest;
use crate::guest::Guest;
use crate::outlet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long the guest may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a core file may take.
const CORE_TIMEOUT: Duration = Duration::from_secs(600);

/// What others want of a running machine's session.
pub struct Desk {
    guest: Guest,
    /// Takes core files.
    pub cores: Arc<Mutex<Cores>>,
    /// Who waits for the next core file, and for the next figures.
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    core: Option<Sender<std::result::Result<PathBuf, String>>>,
    stats: Vec<Sender<String>>,
    /// What has come of the figures so far.
    text: String,
}

impl Desk {
    /// For the machine behind that channel.
    pub fn new(guest: Guest, cores: Arc<Mutex<Cores>>) -> Self {
        Self { guest, cores, waiting: Mutex::default() }
    }

    /// A core file is there, or is not to be had.
    pub fn core_done(&self, result: std::result::Result<&Path, String>) {
        if let Some(who) = self.waiting.lock().ok().and_then(|mut waiting| waiting.core.take()) {
            let _ = who.send(result.map(Path::to_owned));
        }
    }

    /// A part of the figures has come.
    pub fn stats_part(&self, bytes: &[u8]) {
        let Ok(mut waiting) = self.waiting.lock() else { return };
        waiting.text.push_str(&String::from_utf8_lossy(bytes));
        if waiting.text == "end\n" || waiting.text.ends_with("\nend\n") {
            let text = std::mem::take(&mut waiting.text);
            waiting.stats.drain(..).for_each(|who| drop(who.send(text.clone())));
        }
    }

    /// What the guest has counted, as it tells it.
    pub fn stats(&self) -> std::result::Result<String, String> {
        let (who, answer): (Sender<String>, Receiver<String>) = channel();
        let first = match self.waiting.lock() {
            Ok(mut waiting) => {
                waiting.stats.push(who);
                waiting.stats.len() == 1
            }
            Err(_) => return Err("the session has failed".into()),
        };
        if first && !self.guest.send(&ToGuest::Stats) {
            return Err("the machine has ended".into());
        }
        answer.recv_timeout(ANSWER_TIMEOUT).map_err(|_| "the machine does not answer".into())
    }

    fn core(&self, pid: u32, path: &Path) -> std::result::Result<PathBuf, String> {
        let (who, answer) = channel();
        match self.waiting.lock() {
            Ok(waiting) if waiting.core.is_some() => return Err("a core file is being written already".into()),
            Ok(mut waiting) => waiting.core = Some(who),
            Err(_) => return Err("the session has failed".into()),
        }
        if let Ok(mut cores) = self.cores.lock() {
            cores.ask(path);
        }
        if !self.guest.send(&ToGuest::Core(pid)) {
            return Err("the machine has ended".into());
        }
        answer.recv_timeout(CORE_TIMEOUT).unwrap_or_else(|_| Err("the machine does not answer".into()))
    }

    fn answer(&self, request: &str) -> std::result::Result<String, String> {
        let mut words = request.trim_end_matches('\n').splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("stats"), None, None) => self.stats(),
            (Some("core"), Some(pid), Some(path)) => {
                let pid = pid.parse().map_err(|_| format!("{pid}: not a process id"))?;
                self.core(pid, Path::new(path)).map(|path| path.display().to_string())
            }
            _ => Err(format!("unknown request {request:?}")),
        }
    }
}

/// The directory of this process's machine; gone when it is dropped.
pub struct Place(Scratch);

impl Place {
    /// Makes it, for a machine that goes by `name`. `None` where there is nowhere to put it: the
    /// machine runs without, then, and the reason is said.
    pub fn make(name: &str) -> Option<Self> {
        let place = Scratch::new("").and_then(|own| fs::write(own.at("name"), name).map(|()| Self(own)));
        place
            .inspect_err(|e| outlet::tell(format_args!("skiff: note: skiff core and top will not find this machine: {e}\n")))
            .ok()
    }

    /// Answers whoever asks.
    pub fn serve(&self, desk: Arc<Desk>) -> std::io::Result<()> {
        let listener = UnixListener::bind(self.0.at("control"))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let desk = desk.clone();
                thread::spawn(move || {
                    let mut line = String::new();
                    let mut stream = BufReader::new(stream);
                    if stream.read_line(&mut line).is_ok() {
                        let answer = match desk.answer(&line) {
                            Ok(text) => format!("ok {text}"),
                            Err(text) => format!("error {text}"),
                        };
                        let _ = stream.get_mut().write_all(answer.as_bytes());
                    }
                });
            }
        });
        Ok(())
    }
}

/// Asks a machine, by its name or the id of its `skiff run`; without either, the only one that
/// runs.
pub fn ask(machine: Option<&str>, request: &str) -> Result<String> {
    let mut stream = connect(machine)?;
    stream.write_all(format!("{request}\n").as_bytes()).on("control socket")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).on("control socket")?;
    match answer.split_once(' ') {
        Some(("ok", text)) => Ok(text.into()),
        Some(("error", text)) => Err(Error::Usage(text.into())),
        _ => Err(Error::Usage("the machine has ended".into())),
    }
}

fn connect(machine: Option<&str>) -> Result<UnixStream> {
    let all = match Folder::open(folder::path(), false) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        all => Some(all.on(folder::path().display().to_string())?),
    };
    let wanted = |all: &Folder, pid: &str| match machine {
        None => true,
        Some(machine) => pid == machine || fs::read_to_string(all.at(pid).join("name")).is_ok_and(|name| name == machine),
    };
    let mut open: Vec<UnixStream> = Vec::new();
    if let Some(all) = &all {
        let found = all.names().into_iter().filter(|pid| wanted(all, pid));
        open.extend(found.filter_map(|pid| UnixStream::connect(all.at(pid).join("control")).ok()));
    }
    match (open.pop(), open.len(), machine) {
        (Some(stream), 0, _) => Ok(stream),
        (None, _, Some(machine)) => Err(Error::Usage(format!("no machine {machine} runs"))),
        (None, _, None) => Err(Error::Usage("no machine runs".into())),
        _ => Err(Error::Usage("several machines run: name the one that is meant, or the id of its skiff process".into())),
    }
}
