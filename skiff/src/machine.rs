//! The QEMU command line of a machine. As few devices as will do: each costs start-up time.

use crate::backlog;
use crate::disk::Held;
use crate::error::{Error, On, Result};
use crate::kvm;
use crate::network::Network;
use crate::outlet;
use rustix::io::FdFlags;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const QEMU: &str = "qemu-system-x86_64";

/// QEMU's machine types that Skiff boots on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum MachineType {
    /// The smallest and fastest to start
    Microvm,
    /// A PC with PCI Express
    Q35,
    /// A PC with PCI
    Pc,
}

/// Who executes the guest's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Accel {
    /// KVM where it really works, else TCG
    Auto,
    /// The host's CPU
    Kvm,
    /// QEMU's translator
    Tcg,
}

/// How host and guest talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Frames over a virtio console.
    Virtio,
    /// The serial port as a plain terminal.
    Serial,
}

/// A machine to start.
#[derive(Debug)]
pub struct Machine {
    /// Image or kernel.
    pub image: PathBuf,
    /// An archive to go over the image's own.
    pub initrd: Option<File>,
    /// Its kind.
    pub kind: MachineType,
    /// Who executes.
    pub accel: Accel,
    /// Memory in MiB.
    pub memory: u64,
    /// Number of CPUs.
    pub cpus: u32,
    /// The kernel's command line.
    pub options: Vec<String>,
    /// How to talk to it.
    pub channel: Channel,
    /// How it is attached to the network, if it is.
    pub network: Option<Network>,
    /// Its disks.
    pub disks: Vec<Held>,
    /// Whether the watchdog needs QEMU's monitor.
    pub monitor: bool,
    /// Where QEMU offers a stub to gdb; the machine waits for it to begin.
    pub debugger: Option<PathBuf>,
}

/// A running machine.
pub struct Running {
    /// QEMU. Its standard output is the serial port.
    pub child: Child,
    /// The control channel.
    pub channel: Option<UnixStream>,
    /// QEMU's monitor (QMP).
    pub monitor: Option<UnixStream>,
}

impl Machine {
    /// Starts QEMU.
    pub fn start(&self) -> Result<Running> {
        let qemu = find(QEMU).ok_or(Error::NoQemu)?;
        // QEMU dies with this process, even if that is killed. The terminal's Ctrl-C is for us
        // alone.
        let mut command = match find("setpriv") {
            Some(setpriv) => {
                let mut c = Command::new(setpriv);
                c.args(["--pdeathsig", "KILL", "--"]).arg(qemu);
                c
            }
            None => Command::new(qemu),
        };
        command.process_group(0);
        command.args(self.accel_args()).args(self.machine_args());
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        command.args(["-m", &self.memory.to_string(), "-smp", &self.cpus.to_string()]);
        command.arg("-kernel").arg(&self.image);
        let mut inherited: Vec<OwnedFd> = Vec::new();
        if let Some(initrd) = &self.initrd {
            let file = initrd.try_clone().on("temporary file")?.into();
            command.arg("-initrd").arg(format!("/proc/self/fd/{}", inherit(&mut inherited, file)?));
        }
        command.args(["-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"]);
        command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]);
        let mut options = self.options.clone();
        // Of no use to check it twice.
        options.push("verified".into());
        let channel = if self.channel == Channel::Virtio {
            let (ours, number) = socket(&mut inherited)?;
            let bus = if self.kind == MachineType::Microvm { "virtio-serial-device" } else { "virtio-serial-pci" };
            command.args(["-chardev", &format!("socket,id=channel,fd={number}"), "-device", bus]);
            // Not a virtconsole: QEMU drops what one of those sends while nobody reads.
            command.args(["-device", "virtserialport,chardev=channel,nr=1"]);
            options.extend(["channel=virtio:1".into(), "flow".into()]);
            Some(ours)
        } else {
            None
        };
        if let Some(network) = &self.network {
            command.args(network.arguments(if self.kind == MachineType::Microvm { "device" } else { "pci" }));
            options.extend(network.options());
        }
        for (index, disk) in self.disks.iter().enumerate() {
            command.args(disk.arguments(index, self.cpus, self.kind == MachineType::Microvm)?);
        }
        let monitor = if self.monitor {
            let (ours, number) = socket(&mut inherited)?;
            command.args(["-chardev", &format!("socket,id=monitor,fd={number}")]);
            command.args(["-mon", "chardev=monitor,mode=control"]);
            Some(ours)
        } else {
            None
        };
        if let Some(socket) = &self.debugger {
            command.args(["-S", "-gdb", &format!("unix:{},server=on,wait=off", socket.display())]);
        }
        command.args(["-append", &options.join(" ")]);
        let stdin = if self.channel == Channel::Serial { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        if std::env::var_os("SKIFF_SHOW_QEMU").is_some() {
            outlet::tell(format_args!("skiff: {command:?}\n"));
        }
        let child = command.spawn().on(QEMU)?;
        if let Some(Network::User { ports, .. }) = &self.network {
            backlog::raise(child.id(), ports);
        }
        Ok(Running { child, channel, monitor })
    }

    fn accel_args(&self) -> Vec<&'static str> {
        let kvm = match self.accel {
            Accel::Kvm => true,
            Accel::Tcg => false,
            Accel::Auto => match kvm::usable() {
                Ok(()) => true,
                Err(why) => {
                    outlet::tell(format_args!("skiff: {why}: using TCG, which is slower\n"));
                    false
                }
            },
        };
        if kvm { vec!["-accel", "kvm", "-cpu", "host"] } else { vec!["-accel", "tcg,thread=multi", "-cpu", "max"] }
    }

    fn machine_args(&self) -> Vec<&'static str> {
        match self.kind {
            // With acpi=off the virtio-mmio slots come on the command line.
            MachineType::Microvm => vec![
                "-M",
                "microvm,pit=off,pic=off,rtc=off,acpi=off,auto-kernel-cmdline=on",
                "-global",
                "virtio-mmio.force-legacy=false",
            ],
            MachineType::Q35 => vec!["-M", "q35"],
            MachineType::Pc => vec!["-M", "pc"],
        }
    }
}

/// A connected socket whose far end QEMU inherits under the returned number.
fn socket(inherited: &mut Vec<OwnedFd>) -> Result<(UnixStream, i32)> {
    let (ours, theirs) = UnixStream::pair().on("socketpair")?;
    Ok((ours, inherit(inherited, theirs.into())?))
}

/// Lets QEMU have an open file, under the returned number.
fn inherit(inherited: &mut Vec<OwnedFd>, file: OwnedFd) -> Result<i32> {
    rustix::io::fcntl_setfd(file.as_fd(), FdFlags::empty()).map_err(Into::into).on("fcntl")?;
    let number = file.as_raw_fd();
    inherited.push(file);
    Ok(number)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/bin", "/bin"]).map(|dir| Path::new(dir).join(program)).find(|p| p.is_file())
}
