//! The network between host and guest: a tap device in a namespace that ends with this process.

use crate::build;
use crate::error::{Error, On, Result, fail};
use crate::vm::Running;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Address of the guest.
pub const GUEST: &str = "10.77.0.2";
const HOST: &str = "10.77.0.1/24";
const DEVICE: &str = "bench0";
const MARK: &str = "SKIFF_BENCH_NAMESPACE";
/// A guest that has no open port after this has failed.
const PATIENCE: Duration = Duration::from_secs(90);
/// A server that takes one client at a time has to see first that the probe was none.
const SETTLE: Duration = Duration::from_secs(2);

/// Whether this process is in a namespace of its own already.
pub fn in_namespace() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Becomes this program again, in a new namespace. Returns only what went wrong.
pub fn enter_namespace() -> Result<()> {
    let program = std::env::current_exe().on("this program")?;
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let error = command.args(["--net", "--"]).arg(program).args(std::env::args_os().skip(1)).env(MARK, "1").exec();
    Err(Error(format!("unshare: {error}")))
}

/// Makes the device.
pub fn create() -> Result<()> {
    for words in [
        "link set lo up".to_owned(),
        format!("tuntap add dev {DEVICE} mode tap"),
        format!("addr add {HOST} dev {DEVICE}"),
        format!("link set {DEVICE} up"),
    ] {
        build::run(Command::new("ip").args(words.split(' ')))?;
    }
    Ok(())
}

/// The guest's end of it.
pub fn qemu_args() -> Vec<String> {
    [
        "-netdev",
        &format!("tap,id=net,ifname={DEVICE},script=no,downscript=no,vhost=off"),
        "-device",
        "virtio-net-device,netdev=net,mac=52:54:00:12:34:56",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Where the device is. With ACPI on, which Linux needs to find it, QEMU leaves the command line
/// alone: the first device takes the last of 24 slots of 512 bytes from 0xfeb00000, whose
/// interrupts are those from 24.
pub fn skiff_options() -> String {
    format!(" virtio_mmio.device=512@0xfeb02e00:47 ip={GUEST}/24")
}

/// Waits until the guest takes connections on a port.
pub fn wait_for(port: u16, running: &mut Running) -> Result<()> {
    let address: SocketAddr = format!("{GUEST}:{port}").parse().map_err(|e| Error(format!("{GUEST}: {e}")))?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            thread::sleep(SETTLE);
            return Ok(());
        }
        if running.ended() {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    fail!("the server is not there after {} s; the machine said last:\n{}", start.elapsed().as_secs(), running.last())
}
