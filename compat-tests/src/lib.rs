//! What the measuring, mutating and checking tools share: a machine's boot without a user, and the
//! run of checks ([`lab`]).

#![forbid(unsafe_code)]

pub mod lab;

use skiff::frame::{self, Exit, FromGuest, ToGuest};
use skiff::machine::{Accel, Channel, Machine, MachineType};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const SIGKILL: u32 = 9;

/// What a machine did.
#[derive(Debug, Default)]
pub struct Boot {
    /// From QEMU's start to the program's first output.
    pub first_output: Option<Duration>,
    /// How it ended; `None` if it did not, even when killed.
    pub exit: Option<Exit>,
}

/// Boots an image on microvm under TCG with so many MiB. A program that is silent for `limit` is
/// killed.
pub fn boot(image: &Path, memory: u64, limit: Duration) -> skiff::error::Result<Boot> {
    let machine = Machine {
        image: image.into(),
        initrd: None,
        kind: MachineType::Microvm,
        accel: Accel::Tcg,
        memory,
        cpus: 1,
        options: vec!["stdio=ppp".into()],
        channel: Channel::Virtio,
        network: None,
        disks: Vec::new(),
        monitor: false,
        debugger: None,
    };
    let start = Instant::now();
    let mut running = machine.start()?;
    let mut result = Boot::default();
    if let Some(mut channel) = running.channel.take() {
        let _ = channel.set_read_timeout(Some(limit));
        let mut killed = false;
        loop {
            match frame::read(&mut channel) {
                Ok(Some(FromGuest::Stdout(_) | FromGuest::Tty(_))) => {
                    result.first_output.get_or_insert_with(|| start.elapsed());
                }
                Ok(Some(FromGuest::Exit(exit))) => {
                    result.exit = Some(exit);
                    break;
                }
                Ok(Some(_)) if start.elapsed() < 2 * limit => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock && !killed => {
                    // A program may run for ever; a kernel that works can still end it.
                    killed = channel.write_all(&ToGuest::Signal(SIGKILL).encode()).is_ok();
                }
                _ => break,
            }
        }
    }
    let _ = running.child.kill();
    let _ = running.child.wait();
    Ok(result)
}
