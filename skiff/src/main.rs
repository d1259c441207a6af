//! `skiff`: runs unmodified Linux programs as virtual machines.

#![forbid(unsafe_code)]

use clap::{Args, Parser, Subcommand};
use skiff::background::{self, Background};
use skiff::control::{self, Place};
use skiff::core::Cores;
use skiff::disk::{self, Disk};
use skiff::error::{Error, On, Result};
use skiff::machine::{Accel, Channel, Machine, MachineType};
use skiff::network::{Network, Publish, check_address};
use skiff::prepare::{self, Prepared, Request};
use skiff::session::{ProfileEvent, Settings};
use skiff::terminal::Streams;
use skiff::volume::{self, Layer, Mounted, Root};
use skiff::{gdb, memory, metrics, outlet, profile, session, suite};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// Exit status when the machine could not be started, as of `docker run`.
const NOT_STARTED: u8 = 125;
/// Exit status when nobody reads what a command prints: what the signal would leave.
const BROKEN_PIPE: u8 = 141;

/// Run unmodified Linux programs as virtual machines.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an application, a program or an image, and exit with its status
    ///
    /// TARGET is an application of apps/, a program (a path, or a name on PATH), or an image that
    /// mkimage made. What a program needs is gathered and packed first; images are kept and used
    /// again.
    ///
    /// Ctrl-C goes to the program, a second one ends the machine; at a terminal Ctrl-] ends it. The
    /// exit status is the program's (128 + N if signal N killed it), 120 after a kernel panic, 121
    /// if the machine vanished, 124 after --timeout, 125 if it could not be started.
    Run(Box<Run>),
    /// List the machines in the background, those that have ended too
    Ps,
    /// End machines in the background: their programs get SIGTERM, and are killed if that does not
    /// help
    Stop {
        /// Names, as `skiff ps` lists them
        #[arg(required = true)]
        name: Vec<String>,
    },
    /// Print what a machine in the background has printed
    Logs {
        /// Its name
        name: String,
        /// Print also what comes, until it ends
        #[arg(short, long)]
        follow: bool,
    },
    /// Forget machines that have ended
    Rm {
        /// Names, as `skiff ps` lists them
        #[arg(required = true)]
        name: Vec<String>,
    },
    /// Run tests on Linux and on Skiff, and say where they differ
    ///
    /// Without --dir: the suite of system calls in compat-tests/cases.
    Test(Box<suite::cli::TestArgs>),
    /// Run as `skiff run` does, and draw at the end where the time went: a flame graph of kernel
    /// and program
    Profile(Box<Profile>),
    /// Run as `skiff run` does, under gdb: kernel and programs together
    ///
    /// The machine waits: set breakpoints, then `continue`. Symbols of programs and libraries come
    /// as these are mapped. gdb's threads are the machine's CPUs; `skiff tasks` lists the programs'
    /// threads, `skiff bt [TID]` shows where they are. The program has no standard input, ASLR is
    /// off, and its code is left as it is, as with --no-patch.
    Gdb(Box<Gdb>),
    /// Write a core file of a process in a machine that runs, which goes on
    Core {
        /// The machine: its name, or the id of its skiff process [default: the only one]
        machine: Option<String>,
        /// The process in it
        #[arg(long, value_name = "PID", default_value_t = 1)]
        pid: u32,
        /// The file
        #[arg(short, long, value_name = "FILE", default_value = "core")]
        output: PathBuf,
    },
    /// Make, show, check and copy volumes: what programs keep from one machine to the next (`skiff
    /// run --volume`)
    Volume {
        #[command(subcommand)]
        command: volume::cli::VolumeCommand,
    },
    /// Show tasks, memory and system calls of a machine that runs, again and again
    Top {
        /// The machine: its name, or the id of its skiff process [default: the only one]
        machine: Option<String>,
        /// Seconds between two looks
        #[arg(short, long, value_name = "SECONDS", default_value_t = 1.0)]
        interval: f64,
        /// End after that many
        #[arg(short = 'n', long, value_name = "N")]
        rounds: Option<u64>,
    },
}

/// The options of `skiff profile`.
#[derive(Args)]
struct Profile {
    /// Where the graph goes; a name that does not end in .svg gets stacks as flamegraph.pl takes
    /// them
    #[arg(short, long, value_name = "FILE", default_value = "profile.svg")]
    output: PathBuf,
    /// Samples a second of each CPU
    #[arg(long, value_name = "HZ", default_value_t = 499, value_parser = clap::value_parser!(u32).range(1..=10000))]
    frequency: u32,
    #[command(flatten)]
    run: Run,
}

/// The options of `skiff gdb`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  skiff gdb nginx --ex 'break ngx_http_process_request' --ex continue\n\nBreakpoints are QEMU's under TCG, which is the default here: they need not be in memory yet. Under KVM, use hbreak."
)]
struct Gdb {
    /// A command for gdb, as its own -ex
    #[arg(long, value_name = "COMMAND")]
    ex: Vec<String>,
    /// A file of commands for gdb, as its own -x, before those of --ex
    #[arg(short = 'x', long, value_name = "FILE")]
    command: Option<PathBuf>,
    /// End after these commands
    #[arg(long)]
    batch: bool,
    #[command(flatten)]
    run: Run,
}

impl Gdb {
    fn run(mut self) -> Result<u8> {
        let kernel = self.run.kernel.clone().unwrap_or_else(mkimage::default_kernel);
        let mut options = Vec::new();
        if self.batch {
            options.push("-batch".into());
        }
        let file = self.command.map(|file| ["-x".into(), file.to_string_lossy().into_owned()]);
        options.extend(file.into_iter().flatten());
        options.extend(self.ex.into_iter().flat_map(|command| ["-ex".into(), command]));
        let debugger = gdb::Debugger::new(&kernel, self.run.rootfs.iter().cloned().collect(), options)?;
        (self.run.no_aslr, self.run.no_patch) = (true, true);
        if self.run.accel == Accel::Auto {
            self.run.accel = Accel::Tcg;
        }
        self.run.run(None, Extras { options: vec!["gdb".into()], debugger: Some(debugger), ..Extras::default() })
    }
}

/// What other commands add to a run.
#[derive(Default)]
struct Extras {
    options: Vec<String>,
    profile: Option<SyncSender<ProfileEvent>>,
    debugger: Option<gdb::Debugger>,
}

/// The options of `skiff run`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  skiff run sqlite3\n  skiff run python3 --add job.py -- job.py --fast\n  skiff run /usr/bin/redis-server --memory 512M --cpus 2\n  skiff run redis-server --root-disk redis.img --size 1G\n  skiff run ./nginx.img --trace=openat,read"
)]
struct Run {
    /// Application, program or image
    target: String,
    /// Arguments of the program
    #[arg(last = true)]
    args: Vec<String>,
    /// Memory of the machine [default: by the image's size, at least 128M]
    #[arg(long, value_name = "SIZE", value_parser = memory::parse)]
    memory: Option<u64>,
    /// Run it in the background: print its name, and leave it running (`skiff ps`, `skiff logs`,
    /// `skiff stop`)
    #[arg(short, long)]
    detach: bool,
    /// Name of a machine in the background [default: by what it runs]
    #[arg(long, value_name = "NAME", requires = "detach")]
    name: Option<String>,
    /// Number of CPUs, at most 64
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: u32,
    /// Set an environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Working directory in the guest
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Print system calls as strace does, all or only those named
    #[arg(long, value_name = "CALLS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    trace: Option<String>,
    /// Print at the end how long system calls took: a table as that of strace -c
    #[arg(short = 'c', long)]
    summary: bool,
    /// Keep histograms of how long each system call takes, for --metrics, and print them at the end
    #[arg(long)]
    latency: bool,
    /// Offer what the machine counts to Prometheus, at http://127.0.0.1:PORT/metrics
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    metrics: Option<String>,
    /// Print at the end how often each system call was made, and which call sites became jumps
    #[arg(long)]
    stats: bool,
    /// Write a core file to FILE on the host when a signal like SIGSEGV kills a process (of others
    /// than the first, to FILE.PID) [default FILE: core]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "core")]
    core: Option<PathBuf>,
    /// End the machine after that many seconds, with the state of every task
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Show the kernel's messages of levels below N, of syslog(3)'s: 7 shows all but those for
    /// debugging [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    loglevel: Option<u8>,
    /// Load program, libraries and stack at fixed addresses
    #[arg(long)]
    no_aslr: bool,
    /// Machine type
    #[arg(long, value_enum, default_value_t = MachineType::Microvm)]
    machine: MachineType,
    /// Who executes the guest's code
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    accel: Accel,
    /// Let a port of the host lead to one of the guest's, over QEMU's user networking; port 0 is
    /// any free one
    #[arg(long, value_name = "[ADDRESS:]PORT:GUESTPORT[/udp]", help_heading = "Network")]
    publish: Vec<Publish>,
    /// Give the machine a network card, even if no port is published
    #[arg(long, help_heading = "Network")]
    net: bool,
    /// Attach the machine to an existing tap interface of the host
    #[arg(long, value_name = "NAME", conflicts_with = "publish", help_heading = "Network")]
    tap: Option<String>,
    /// An address of the machine, or `dhcp` [default on a tap: dhcp]
    #[arg(long, value_name = "ADDRESS/PREFIX", help_heading = "Network")]
    ip: Vec<String>,
    /// The machine's router on that tap
    #[arg(long, value_name = "ADDRESS", requires = "tap", help_heading = "Network")]
    gateway: Vec<String>,
    /// Give the machine a disk, /dev/vda and so on: a file of the host, raw or qcow2
    ///
    /// More may be said behind the name: `ro`, that it is only read, by several machines if need
    /// be; `raw` or `qcow2`; `sector=4096`, the size of its sectors; `writethrough`, that it keeps
    /// nothing in a cache; `faults=FILE`, what is to go wrong, as QEMU's blkdebug takes it.
    #[arg(long, value_name = "FILE[:ro]", help_heading = "Disks")]
    disk: Vec<Disk>,
    /// Mount a volume there before the program starts: a name, as of `skiff volume`, or an image of
    /// ext4, ending in .img or with a slash
    ///
    /// What is written to it is there for the next machine, and for any Linux. A volume is one
    /// machine's at a time; with `:ro`, it is only read, by several if need be.
    #[arg(long, value_name = "NAME-or-FILE.img:DIRECTORY[:ro]", help_heading = "Disks")]
    volume: Vec<Mounted>,
    /// Start from a disk: the program's files are put on it when it is made, and it is the guest's
    /// root, in which programs keep what they write
    ///
    /// A name, as of `skiff volume`, or an image of ext4, ending in .img or with a slash; with
    /// `:ro`, it is only read. What is on it stays: a machine that is started from it again finds
    /// it as the last one left it. Without it, the files are in memory.
    #[arg(long, value_name = "NAME-or-FILE.img[:ro]", help_heading = "Disks")]
    root_disk: Option<Root>,
    /// Leave the root as it is: what programs change in it is kept in memory, or on a volume for
    /// the next machine
    ///
    /// The files of the image, or the disk with them, are only read, by several machines if need
    /// be; a layer above has what changes, as Linux's overlayfs does it.
    #[arg(long, value_name = "VOLUME", num_args = 0..=1, require_equals = true, default_missing_value = "", help_heading = "Disks")]
    overlay: Option<Layer>,
    /// Make the files of --disk, --root-disk and the volumes that are missing, with this size
    #[arg(long, value_name = "SIZE", value_parser = disk::parse_size, help_heading = "Disks")]
    size: Option<u64>,
    /// Directory that becomes the guest's root
    #[arg(long, value_name = "DIR", help_heading = "What goes into the image")]
    rootfs: Option<PathBuf>,
    /// Add a file or directory; a relative PATH goes below the guest's working directory
    #[arg(long, value_name = "PATH[:GUESTPATH]", help_heading = "What goes into the image")]
    add: Vec<String>,
    /// Add all files of an installed Debian package
    #[arg(long, value_name = "NAME", help_heading = "What goes into the image")]
    package: Vec<String>,
    /// Run the program natively under strace first, and add the files it opens
    #[arg(long, help_heading = "What goes into the image")]
    learn: bool,
    /// The kernel [default: the checkout's, or $SKIFF_KERNEL]
    #[arg(long, value_name = "FILE", help_heading = "What goes into the image")]
    kernel: Option<PathBuf>,
    /// Leave the program's code as it is: every system call traps
    #[arg(long, help_heading = "For kernel developers")]
    no_patch: bool,
    /// A further option for the kernel's command line
    #[arg(long, value_name = "OPTION", help_heading = "For kernel developers")]
    append: Vec<String>,
    /// Talk over the serial port alone
    #[arg(long, help_heading = "For kernel developers")]
    serial: bool,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(run) => run.run_or_detach(),
        Command::Test(test) => test.run().map(|same| u8::from(!same)),
        Command::Ps => background::list().map(|()| 0),
        Command::Stop { name } => each(&name, Background::stop),
        Command::Logs { name, follow } => Background::named(&name).and_then(|m| m.logs(follow)).map(|()| 0),
        Command::Rm { name } => each(&name, Background::remove),
        Command::Profile(profile) => profile.run(),
        Command::Gdb(gdb) => gdb.run(),
        Command::Core { machine, pid, output } => core(machine.as_deref(), pid, output),
        Command::Volume { command } => command.run(),
        Command::Top { machine, interval, rounds } => top(machine.as_deref(), interval, rounds),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(e) if e.is_broken_pipe() => ExitCode::from(BROKEN_PIPE),
        Err(e) => {
            outlet::last_words(&format!("skiff: {e}\n"));
            ExitCode::from(NOT_STARTED)
        }
    }
}

/// Does something to several machines; what fails for one does not keep the others from it.
fn each(names: &[String], act: fn(&Background) -> Result<()>) -> Result<u8> {
    let mut status = 0;
    for name in names {
        if let Err(e) = Background::named(name).and_then(|machine| act(&machine)) {
            outlet::tell(format_args!("skiff: {e}\n"));
            status = 1;
        }
    }
    Ok(status)
}

impl Run {
    fn run_or_detach(self) -> Result<u8> {
        match Background::this_process() {
            Some(machine) => {
                let status = self.run(Some(&machine), Extras::default());
                machine.ended(*status.as_ref().unwrap_or(&NOT_STARTED));
                status
            }
            None if self.detach => {
                let arguments = std::env::args_os().skip(1).collect();
                Background::start(self.name.as_deref(), &self.target, arguments).map(|()| 0)
            }
            None => self.run(None, Extras::default()),
        }
    }
}

/// `skiff core`.
fn core(machine: Option<&str>, pid: u32, output: PathBuf) -> Result<u8> {
    let output = std::path::absolute(&output).on(output.display().to_string())?;
    let path = control::ask(machine, &format!("core {pid} {}", output.display()))?;
    outlet::print(format_args!("{path}\n")).map(|()| 0)
}

/// `skiff top`.
fn top(machine: Option<&str>, interval: f64, rounds: Option<u64>) -> Result<u8> {
    let interval = Duration::try_from_secs_f64(interval).map_err(|e| Error::Usage(format!("--interval: {e}")))?;
    metrics::top(machine, interval, rounds).map(|()| 0)
}

impl Profile {
    fn run(self) -> Result<u8> {
        // Samples must not wait for those before them to be unwound; the machine waits where far
        // too many do.
        const WAITING: usize = 10_000;
        let kernel = self.run.kernel.clone().unwrap_or_else(mkimage::default_kernel);
        let kernel = mkimage::Kernel::open(&kernel)?;
        let symbols = String::from_utf8_lossy(kernel.symbols()).into_owned();
        let roots = self.run.rootfs.iter().cloned().collect();
        let title = self.run.target.clone();
        let (events, inbox) = std::sync::mpsc::sync_channel(WAITING);
        let output = self.output.clone();
        let drawing = std::thread::spawn(move || {
            let mut profile = profile::Profile::new(&symbols, roots);
            for event in inbox {
                match event {
                    ProfileEvent::Mapped(bytes) => profile.mapped(&bytes),
                    ProfileEvent::Sample(bytes) => profile.sample(&bytes),
                    ProfileEvent::Stack(bytes) => profile.stack(&bytes),
                }
            }
            profile.write(&output, &title).map(|count| (count, profile.commonest()))
        });
        let options = vec![format!("profile={}", self.frequency)];
        let status = self.run.run(None, Extras { options, profile: Some(events), debugger: None })?;
        let written = drawing.join().unwrap_or_else(|_| Err(std::io::Error::other("the drawing failed")));
        let (count, commonest) = written.on(self.output.display().to_string())?;
        outlet::tell(format_args!("skiff: {count} samples: {}\n", self.output.display()));
        for (name, samples) in commonest.iter().take(10) {
            outlet::tell(format_args!("skiff: {:>5.1} %  {name}\n", *samples as f64 * 100.0 / count as f64));
        }
        Ok(status)
    }
}

impl Run {
    /// What the kernel would refuse is refused before anything is built.
    fn check(&self) -> Result<()> {
        let layer = self.overlay.as_ref().is_some_and(Layer::is_kept);
        let disks = self.disk.len() + self.volume.len() + usize::from(self.root_disk.is_some()) + usize::from(layer);
        if self.size.is_some() && disks == 0 {
            return Err(Error::Usage("--size is for --disk, --volume, --root-disk or --overlay=VOLUME".into()));
        }
        if disks > disk::MAX {
            return Err(Error::Usage(format!(
                "--disk, --volume, --root-disk, --overlay: a machine has at most {} of them",
                disk::MAX
            )));
        }
        self.ip.iter().try_for_each(|text| check_address(text))?;
        if let Some(text) = self.gateway.iter().find(|text| text.parse::<std::net::IpAddr>().is_err()) {
            return Err(Error::Usage(format!("--gateway {text}: expected an address")));
        }
        let mut calls = self.trace.iter().flat_map(|calls| calls.split(',')).filter(|call| !call.is_empty());
        if let Some(call) = calls.find(|call| syscall_shim::table::number(call).is_none()) {
            return Err(Error::Usage(format!("--trace={call}: there is no such system call")));
        }
        match self.append.iter().find(|option| option.contains(char::is_whitespace)) {
            Some(option) => Err(Error::Usage(format!("--append {option:?}: one option each"))),
            None => Ok(()),
        }
    }

    fn run(self, background: Option<&Background>, extras: Extras) -> Result<u8> {
        self.check()?;
        let mut streams = Streams::of_process();
        // gdb has the keys.
        streams.tty[0] &= extras.debugger.is_none();
        let name = Path::new(&self.target).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let request = Request {
            target: self.target.clone(),
            args: self.args,
            env: self.env,
            cwd: self.cwd,
            rootfs: self.rootfs,
            add: self.add,
            packages: self.package,
            learn: self.learn,
            kernel: self.kernel,
            root: self.root_disk.clone().map(|root| (root, self.size)),
            term: std::env::var("TERM").ok().filter(|_| streams.tty.contains(&true)),
        };
        let prepared = prepare::prepare(&request)?;
        let (network, ports) = network(self.publish, self.net, self.tap, (self.ip, self.gateway), &prepared)?;
        let timeout = self.timeout;
        let asked = match (self.memory, &prepared.memory) {
            (None, Some(text)) => Some(memory::parse(text).map_err(Error::Usage)?),
            (asked, _) => asked,
        };
        let channel = if self.serial { Channel::Serial } else { Channel::Virtio };
        let mut options = vec![format!("stdio={}", streams.option())];
        // The machine has no clock of its own with a date.
        if let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            options.push(format!("time={}", now.as_nanos()));
        }
        match self.trace.as_deref() {
            Some("") => options.push("trace".into()),
            Some(calls) => options.push(format!("trace={calls}")),
            None => {}
        }
        for (wanted, option) in [(self.summary, "summary"), (self.latency, "latency")] {
            if wanted {
                options.push(option.into());
            }
        }
        if self.core.is_some() {
            options.push("core=host".into());
        }
        options.extend(self.loglevel.map(|level| format!("loglevel={level}")));
        if self.no_aslr {
            options.push("aslr=off".into());
        }
        if self.stats {
            options.push("stats".into());
        }
        if self.no_patch {
            options.push("no-patch".into());
        }
        options.extend(extras.options);
        options.extend(self.append);
        // The machine finds its disks in this order.
        let mut disks = disk::take(&self.disk, self.size)?;
        for volume in &self.volume {
            options.push(volume.option(disks.len()));
            disks.push(volume.take(self.size)?);
        }
        // Behind the user's own, which keep their names.
        let stays = self.overlay.is_some();
        if let Some(root) = &self.root_disk {
            let root = root.clone().only_read(stays);
            options.extend(root.options(disks.len()));
            disks.push(root.take()?);
        }
        if let Some(disk) = prepared.disk(stays)? {
            options.extend(stays.then(|| "ro".into()));
            disks.push(disk.take(None)?);
        }
        if let Some(layer) = &self.overlay {
            options.push(layer.option(disks.len()));
            disks.extend(layer.take(self.size)?);
        }
        let initrd = prepared.manifest.as_ref().map(write_archive).transpose()?;
        let machine = Machine {
            memory: memory::choose(&prepared.image, asked)?,
            image: prepared.image.path,
            initrd,
            kind: self.machine,
            accel: self.accel,
            cpus: self.cpus,
            options,
            channel,
            network,
            disks,
            monitor: timeout.is_some(),
            debugger: extras.debugger.as_ref().map(gdb::Debugger::socket),
        };
        let timeout = match timeout.map(Duration::try_from_secs_f64).transpose() {
            Ok(timeout) => timeout,
            Err(e) => return Err(Error::Usage(format!("--timeout: {e}"))),
        };
        if let Some(background) = background {
            background.register(&self.target, ports)?;
        }
        let cores = Cores::new(self.core.as_deref().unwrap_or("core".as_ref()));
        let settings = Settings {
            timeout,
            cores: Arc::new(Mutex::new(cores)),
            place: Place::make(background.map_or(&name, Background::name)),
            metrics: self.metrics,
            profile: extras.profile,
            debugger: extras.debugger,
        };
        session::run(&machine, streams, settings)
    }
}

/// How the machine is attached: as the user says, else by the application's own ports; and what
/// there is to say of these.
fn network(
    publish: Vec<Publish>,
    always: bool,
    tap: Option<String>,
    (addresses, gateways): (Vec<String>, Vec<String>),
    prepared: &Prepared,
) -> Result<(Option<Network>, Vec<String>)> {
    if let Some(name) = tap {
        return Ok((Some(Network::Tap { name, addresses, gateways }), Vec::new()));
    }
    let always = always || !addresses.is_empty();
    let chosen: Result<Vec<Publish>> = if publish.is_empty() {
        let own = prepared.publish.iter().map(|text| text.parse::<Publish>().map_err(Error::Usage));
        own.map(|port| port.and_then(|port| port.clone().settle().or_else(|_| Publish { host: 0, ..port }.settle())))
            .collect()
    } else {
        publish.into_iter().map(Publish::settle).collect()
    };
    let chosen = chosen?;
    let say = |(n, port): (usize, &Publish)| {
        let place = std::net::SocketAddr::new(port.address, port.host).to_string();
        match &prepared.url {
            Some(url) if n == 0 => url.replace("{}", &place),
            _ => format!("{place} leads to port {}", port.guest),
        }
    };
    let said: Vec<String> = chosen.iter().enumerate().map(say).collect();
    for line in &said {
        outlet::tell(format_args!("skiff: {line}\n"));
    }
    Ok(((always || !chosen.is_empty()).then_some(Network::User { ports: chosen, addresses }), said))
}

/// A file without a name: nobody has to remove it.
fn write_archive(manifest: &mkimage::Manifest) -> Result<File> {
    let bytes = mkimage::override_archive(manifest).on("archive")?;
    let mut file = tempfile::tempfile().on("temporary file")?;
    file.write_all(&bytes).on("temporary file")?;
    Ok(file)
}
