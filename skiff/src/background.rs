//! Machines in the background: `skiff run --detach`, and `ps`, `stop`, `logs` and `rm` for them.
//!
//! A machine in the background is an ordinary `skiff run` in a session of its own. Each has a
//! directory, by its name, with what it is (`machine.toml`), what it and its program print (`log`),
//! and its exit status once it has ended (`status`).

use crate::error::{Error, On, Result, STDOUT};
use crate::outlet;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Tells the process in the background which machine it is.
const MARK: &str = "SKIFF_BACKGROUND_MACHINE";
/// How long a machine may take to end by itself before it is killed: longer than [`crate::session`]
/// gives its program.
const STOP_GRACE: Duration = Duration::from_secs(12);
/// What the machine says of itself, and what is said of it before.
const RECORD: &str = "machine.toml";
const STARTING: &str = "starting.toml";
const STEP: Duration = Duration::from_millis(50);
/// Exit status when the machine could not be started.
const NOT_STARTED: u8 = 125;
/// How long a machine is watched for an early end after it was started.
const EARLY: Duration = Duration::from_millis(300);

/// What a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The process that keeps it.
    pub pid: u32,
    /// When that process started, in the host's clock ticks: numbers of processes are used again.
    pub started: u64,
    /// What it runs.
    pub target: String,
    /// Seconds since 1970 at its start.
    pub since: u64,
    /// What it says of its ports.
    pub ports: Vec<String>,
}

/// A machine that was started in the background.
pub struct Background {
    name: String,
    dir: PathBuf,
}

/// Whether a machine may be called that.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(good)
}

fn root() -> Result<PathBuf> {
    // Without HOME, as services are started, the user's entry in the password file has it.
    let dir = match (std::env::var_os("XDG_STATE_HOME"), std::env::home_dir()) {
        (Some(state), _) => PathBuf::from(state),
        (None, Some(home)) => home.join(".local/state"),
        (None, None) => return Err(Error::Usage("this user has no home directory: set XDG_STATE_HOME".into())),
    };
    Ok(dir.join("skiff/machines"))
}

/// Keeps others from taking names, as long as it is held.
fn lock() -> Result<File> {
    let root = root()?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&root).on(root.display().to_string())?;
    let folder = File::open(&root).on(root.display().to_string())?;
    flock(&folder, FlockOperation::LockExclusive).map_err(Into::into).on(root.display().to_string())?;
    Ok(folder)
}

/// When a process started: field 22 of its `stat` (proc(5)), behind the name, which may hold
/// anything.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // A dead process that nobody has waited for is dead.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

impl Record {
    fn of(pid: u32, target: &str, ports: Vec<String>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { pid, started: start_of(pid).unwrap_or(0), target: target.into(), since, ports }
    }

    fn process(&self) -> Option<Pid> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw)?;
        (start_of(self.pid) == Some(self.started) && test_kill_process(pid).is_ok()).then_some(pid)
    }
}

impl Background {
    /// The machine of this name; whether there is one shows when it is used.
    pub fn named(name: &str) -> Result<Self> {
        if !is_name(name) {
            return Err(Error::Usage(format!("{name}: a machine's name has letters, digits, '-', '_' and '.'")));
        }
        Ok(Self { name: name.into(), dir: root()?.join(name) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All machines, by name.
    pub fn all() -> Result<Vec<Self>> {
        let entries = match fs::read_dir(root()?) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).on("list of machines"),
        };
        let mut names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort();
        // Whatever else lies there is none of ours.
        Ok(names.iter().filter_map(|name| Self::named(name).ok()).collect())
    }

    /// The machine that this process is to be.
    pub fn this_process() -> Option<Self> {
        std::env::var(MARK).ok().and_then(|name| Self::named(&name).ok())
    }

    /// A name that is free, made from what is run. The caller has the [`lock`].
    fn free_name(target: &str) -> Result<Self> {
        let good = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let base = PathBuf::from(target).file_stem().unwrap_or_default().to_string_lossy().replace(|c| good(c) != c, "-");
        let base = base.trim_start_matches('.').to_owned();
        let base = if base.is_empty() { "machine".into() } else { base };
        for n in 1.. {
            let machine = Self::named(&if n == 1 { base.clone() } else { format!("{base}-{n}") })?;
            if !machine.is_running() {
                return Ok(machine);
            }
        }
        unreachable!("some number is free")
    }

    fn read(&self, file: &str) -> Option<Record> {
        toml::from_str(&fs::read_to_string(self.dir.join(file)).ok()?).ok()
    }

    /// What the machine has written down of itself, or who started it as long as it has not.
    fn record(&self) -> Option<Record> {
        self.read(RECORD).or_else(|| self.read(STARTING))
    }

    fn write(&self, file: &str, record: &Record) -> Result<()> {
        let text = toml::to_string(record).map_err(|e| Error::Usage(e.to_string()))?;
        let path = self.dir.join(file);
        // Whole or not at all: others read it meanwhile.
        let new = self.dir.join(format!("{file}.new"));
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).on(path.display().to_string())
    }

    fn status(&self) -> Option<u8> {
        fs::read_to_string(self.dir.join("status")).ok()?.trim().parse().ok()
    }

    fn is_running(&self) -> bool {
        self.record().is_some_and(|record| record.process().is_some())
    }

    fn known(&self) -> Result<Record> {
        self.record().ok_or_else(|| Error::Usage(format!("no machine {}: `skiff ps` lists them", self.name)))
    }

    /// Starts this program again, with the same arguments, as a machine of that name, or of one
    /// made from what it runs, and returns once it runs.
    pub fn start(name: Option<&str>, target: &str, arguments: Vec<std::ffi::OsString>) -> Result<()> {
        let lock = lock()?;
        let machine = match name {
            Some(name) => Self::named(name)?,
            None => Self::free_name(target)?,
        };
        if machine.is_running() {
            let name = &machine.name;
            return Err(Error::Usage(format!("machine {name} runs already: `skiff stop {name}` ends it")));
        }
        let _ = fs::remove_dir_all(&machine.dir);
        fs::DirBuilder::new().mode(0o700).create(&machine.dir).on(machine.dir.display().to_string())?;
        let log = File::create(machine.dir.join("log")).on("log")?;
        let program = std::env::current_exe().on("this program")?;
        // A session of its own: neither the terminal's keys nor its end reach it.
        let mut command = Command::new("setsid");
        command.arg(program).args(arguments).env(MARK, &machine.name);
        command.stdin(Stdio::null()).stdout(log.try_clone().on("log")?).stderr(log);
        let mut child = command.spawn().on("setsid")?;
        machine.write(STARTING, &Record::of(child.id(), target, Vec::new()))?;
        // From here on the name is taken.
        drop(lock);
        let record = machine.await_record(&mut child)?;
        for port in &record.ports {
            outlet::tell(format_args!("skiff: {port}\n"));
        }
        outlet::print(format_args!("{}\n", machine.name))
    }

    fn await_record(&self, child: &mut Child) -> Result<Record> {
        let mut since = None;
        loop {
            if let Some(status) = child.try_wait().on("setsid")? {
                // A short program may have ended well before it was looked at.
                if let (Some(record), Some(code)) = (self.read(RECORD), self.status())
                    && code != crate::session::NO_EXIT
                    && code != NOT_STARTED
                {
                    return Ok(record);
                }
                let said = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                outlet::tell(format_args!("{said}"));
                let _ = fs::remove_dir_all(&self.dir);
                return Err(Error::Usage(format!("the machine has ended already ({status})")));
            }
            if let Some(record) = self.read(RECORD) {
                let seen = *since.get_or_insert_with(Instant::now);
                if seen.elapsed() > EARLY {
                    return Ok(record);
                }
            }
            thread::sleep(STEP);
        }
    }

    /// Writes down that this process is the machine.
    pub fn register(&self, target: &str, ports: Vec<String>) -> Result<()> {
        self.write(RECORD, &Record::of(std::process::id(), target, ports))
    }

    /// Writes down how this process ends.
    pub fn ended(&self, status: u8) {
        let _ = fs::write(self.dir.join("status"), format!("{status}\n"));
    }

    /// The machine's line of `skiff ps`: name, state, age, what it runs, ports.
    pub fn line(&self) -> Option<[String; 5]> {
        let record = self.record()?;
        let state = match (record.process(), self.status()) {
            (Some(_), _) => "running".into(),
            (None, Some(status)) => format!("exited {status}"),
            (None, None) => "killed".into(),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let age = age(now.saturating_sub(record.since));
        Some([self.name.clone(), state, age, record.target, record.ports.join(", ")])
    }

    /// Asks the program to end, as Ctrl-C would, and kills the machine if it does not.
    pub fn stop(&self) -> Result<()> {
        let record = self.known()?;
        let Some(pid) = record.process() else {
            return Err(Error::Usage(format!("machine {} does not run any more", self.name)));
        };
        let gone = |limit: Duration| {
            let start = Instant::now();
            while record.process().is_some() && start.elapsed() < limit {
                thread::sleep(STEP);
            }
            record.process().is_none()
        };
        let _ = kill_process(pid, Signal::TERM);
        if !gone(STOP_GRACE) {
            // QEMU ends with the process that started it.
            let _ = kill_process(pid, Signal::KILL);
            gone(STOP_GRACE);
        }
        outlet::print(format_args!("{}\n", self.name))
    }

    /// Prints what the machine has printed; with `follow` also what comes, until it ends.
    pub fn logs(&self, follow: bool) -> Result<()> {
        self.known()?;
        let mut log = File::open(self.dir.join("log")).on("log")?;
        let mut out = io::stdout();
        loop {
            let running = self.is_running();
            let mut text = Vec::new();
            log.read_to_end(&mut text).on("log")?;
            out.write_all(&text).and_then(|()| out.flush()).on(STDOUT)?;
            if !follow || !running && text.is_empty() {
                return Ok(());
            }
            thread::sleep(STEP);
        }
    }

    /// Forgets a machine that has ended.
    pub fn remove(&self) -> Result<()> {
        self.known()?;
        if self.is_running() {
            return Err(Error::Usage(format!("machine {} runs: `skiff stop {}` first", self.name, self.name)));
        }
        fs::remove_dir_all(&self.dir).on(self.dir.display().to_string())
    }
}

/// A time for people: its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// Prints the lines of `skiff ps`, columns below each other.
pub fn list() -> Result<()> {
    let heads = ["NAME", "STATE", "AGE", "RUNS", "PORTS"].map(str::to_owned);
    let lines = Background::all()?.iter().filter_map(Background::line).collect::<Vec<_>>();
    let rows: Vec<[String; 5]> = std::iter::once(heads).chain(lines).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        outlet::print(format_args!("{}\n", cells.join("  ").trim_end()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_leave_the_folder() {
        for wrong in ["", ".", "..", "../x", "a/b", "a b"] {
            assert!(Background::named(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let own = Record::of(std::process::id(), "x", Vec::new());
        assert!(own.process().is_some());
        assert!(Record { started: own.started + 1, ..own.clone() }.process().is_none());
        let text = toml::to_string(&own).unwrap();
        assert_eq!(toml::from_str::<Record>(&text).unwrap(), own);
    }

    #[test]
    fn what_is_no_machine_is_passed_over() {
        let names: Vec<bool> = ["web", "web-2", "a b", ".hidden"].iter().map(|name| is_name(name)).collect();
        assert_eq!(names, [true, true, false, false]);
    }

    #[test]
    fn ages() {
        assert_eq!([5, 60, 7200, 200_000].map(age), ["5 s", "1 min", "2 h", "2 d"]);
    }
}
