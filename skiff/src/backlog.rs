//! How many clients may wait at a published port.
//!
//! QEMU's user networking listens with a backlog of one: of a burst of clients, all but a few have
//! their connection requests dropped by the host's kernel, and try again a second later, then two,
//! then four. The backlog belongs to the socket, not to the process that made it, so it is raised
//! from here, through a duplicate of QEMU's descriptor.

use crate::network::Publish;
use rustix::fd::OwnedFd;
use rustix::net::{self, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

/// As many as `net.core.somaxconn` has allowed since Linux 5.4.
const BACKLOG: i32 = 4096;
/// QEMU opens the ports before anything else: it is given this long, in steps.
const TRIES: u32 = 50;
const STEP: Duration = Duration::from_millis(40);

/// Raises the backlogs of `ports` as soon as QEMU, whose process is `pid`, listens there. Where the
/// host does not allow it, all stays as it is: bursts are served slowly.
pub fn raise(pid: u32, ports: &[Publish]) {
    let mut wanted: Vec<SocketAddr> =
        ports.iter().filter(|port| !port.udp).map(|port| SocketAddr::new(port.address, port.host)).collect();
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    thread::spawn(move || {
        for _ in 0..TRIES {
            if wanted.is_empty() || try_once(pid, &mut wanted).is_none() {
                return;
            }
            thread::sleep(STEP);
        }
    });
}

/// Raises those that are open, and takes them off the list. `None` when it is no use to try again.
fn try_once(pid: Pid, wanted: &mut Vec<SocketAddr>) -> Option<()> {
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let folder = format!("/proc/{}/fd", pid.as_raw_nonzero());
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let is_socket = fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|_| is_socket) else {
            continue;
        };
        let socket = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok()?;
        if let Some(at) = listens_at(&socket).and_then(|local| wanted.iter().position(|port| *port == local)) {
            net::listen(&socket, BACKLOG).ok()?;
            wanted.remove(at);
        }
    }
    Some(())
}

fn listens_at(socket: &OwnedFd) -> Option<SocketAddr> {
    let listens = sockopt::socket_acceptconn(socket).ok()?;
    listens.then(|| net::getsockname(socket).ok()?.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, TcpListener};

    #[test]
    fn finds_a_listening_socket_and_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let other = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 1);
        let mut wanted = vec![other, local];
        let own = Pid::from_raw(std::process::id() as i32).unwrap();
        // A process may always duplicate its own.
        try_once(own, &mut wanted).unwrap();
        assert_eq!(wanted, [other]);
    }
}
