//! The machine that both guests get: one QEMU command line, apart from kernel, initial file system
//! and kernel options.

use crate::build;
use crate::error::{On, Result, fail};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

const QEMU: &str = "qemu-system-x86_64";
/// Of the time-stamp counter where one instruction is a nanosecond.
const ICOUNT_KHZ: u64 = 1_000_000;

/// What differs between the guests.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// A kernel, or a Skiff image.
    pub kernel: PathBuf,
    /// The initial file system, where it is not in the image.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub options: String,
    /// The option that tells it the frequency of the time-stamp counter in kHz, where it cannot
    /// measure that by itself.
    pub tsc_option: Option<&'static str>,
}

/// What is the same for both.
#[derive(Debug, Clone)]
pub struct Vm {
    /// Number of CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// One instruction is one virtual nanosecond, so that the guest's own clock counts
    /// instructions.
    pub icount: bool,
    /// Further arguments for QEMU.
    pub extra: Vec<String>,
    /// The longest that a run may take.
    pub limit: Duration,
}

/// A machine that runs; it ends with this value.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    end: Instant,
    /// Everything that was on its serial port, for a message about what went wrong.
    seen: Vec<String>,
}

impl Vm {
    /// One CPU and 1 GiB, for at most five minutes. (With less than 512 MiB, Linux goes without
    /// huge pages.)
    pub fn new() -> Self {
        Self { cpus: 1, memory: 1024, icount: false, extra: Vec::new(), limit: Duration::from_secs(300) }
    }

    /// Starts it.
    pub fn start(&self, kernel: &Kernel) -> Result<Running> {
        // QEMU dies with this process, even if that is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", QEMU]).process_group(0);
        if self.icount {
            // With sleep=off an idle machine does not wait: its clock goes on to the next timer.
            command.args(["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]);
        } else {
            command.args(["-accel", "tcg,thread=multi"]);
        }
        command.args(["-cpu", "max", "-M", "microvm,pit=off,pic=off,rtc=off", "-global", "virtio-mmio.force-legacy=false"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        command.args(["-m", &self.memory.to_string(), "-smp", &self.cpus.to_string()]);
        command.args(["-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]);
        let mut options = kernel.options.clone();
        if let Some(name) = kernel.tsc_option {
            options += &format!(" {name}={}", if self.icount { ICOUNT_KHZ } else { build::host_tsc_khz()? });
        }
        command.arg("-kernel").arg(&kernel.kernel).args(["-append", &options]);
        if let Some(initrd) = &kernel.initrd {
            command.arg("-initrd").arg(initrd);
        }
        command.args(&self.extra);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().on(format!("{QEMU} (run scripts/setup)"))?;
        let (sender, lines) = mpsc::channel();
        let streams: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|s| Box::new(s) as _), child.stderr.take().map(|s| Box::new(s) as _)];
        for stream in streams.into_iter().flatten() {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(std::io::Result::ok) {
                    let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Running { child, lines, end: Instant::now() + self.limit, seen: Vec::new() })
    }
}

impl Running {
    /// The next line of the serial port (or of QEMU's own messages); `None` at the machine's end.
    pub fn line(&mut self) -> Result<Option<String>> {
        match self.lines.recv_timeout(self.end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.seen.push(line.clone());
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => fail!("still running after its time; it said last:\n{}", self.last()),
        }
    }

    /// Reads to the line that a program ends its report with; a machine that ends without it has
    /// failed.
    pub fn report(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        while let Some(line) = self.line()? {
            if line == "bench-end" {
                return Ok(lines);
            }
            lines.push(line);
        }
        fail!("ended without a result; it said last:\n{}", self.last())
    }

    /// Reads to the machine's end.
    pub fn to_end(&mut self) -> Result<Vec<String>> {
        while self.line()?.is_some() {}
        Ok(self.seen.clone())
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// The last lines of its serial port.
    pub fn last(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        let from = self.seen.len().saturating_sub(30);
        self.seen[from..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
