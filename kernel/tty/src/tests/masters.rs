//! The master's side: its reads and writes, packet mode, and the terminal that it opens itself.

use std::sync::mpsc::channel;
use std::thread;
use std::vec::Vec;

use caller::testing::interrupter;
use fd::poll::ev;
use fd::testing::{errno, events, ioctl, ioctl_get, ioctl_with, own_table, read, until, write};
use fs::OpenFlags;
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl as i;
use syscall_shim::Errno;

use super::{MASTER, Pty, change, character, mount, open, unlock};
use crate::DevptsOptions;

fn packets(pty: &Pty) {
    ioctl_with(&pty.master, i::TIOCPKT, &mut 1i32).unwrap();
    assert_eq!(ioctl_get::<i32>(&pty.master, i::TIOCGPKT), Ok(1));
}

/// The status that the master is told next.
fn status(pty: &Pty) -> Option<u32> {
    pty.master.set_nonblocking(true);
    match read(&pty.master, 10) {
        Ok(bytes) if bytes.len() == 1 => Some(bytes[0].into()),
        Err(Errno::EAGAIN) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_master_waits_for_what_is_shown() {
    let pty = Pty::new();
    assert_eq!(read(&pty.master, 0), Ok(Vec::new()));
    let master = pty.master.clone();
    let waiting = thread::spawn(move || read(&master, 100));
    write(&pty.slave, b"hello").unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(b"hello".to_vec()));
    pty.master.set_nonblocking(true);
    assert_eq!(errno(read(&pty.master, 1)), Some(Errno::EAGAIN));
    pty.master.set_nonblocking(false);
    let master = pty.master.clone();
    let (tell, told) = channel();
    let waiting = thread::spawn(move || {
        tell.send(interrupter()).unwrap();
        read(&master, 100)
    });
    told.recv().unwrap()();
    assert_eq!(waiting.join().unwrap(), Err(Errno::ERESTARTSYS));
}

#[test]
fn a_master_waits_until_somebody_reads() {
    let pty = Pty::raw();
    let master = pty.master.clone();
    let typist = thread::spawn(move || write(&master, &[b'k'; 30_000]));
    until(|| pty.tty().input_room() == 0);
    assert!(!typist.is_finished());
    let mut got = 0;
    while got < 30_000 {
        got += read(&pty.slave, 4096).unwrap().len();
    }
    assert_eq!((typist.join().unwrap(), got), (Ok(30_000), 30_000));
}

#[test]
fn packets_tell_what_changes() {
    let pty = Pty::new();
    packets(&pty);
    assert_eq!(status(&pty), None);
    write(&pty.slave, b"ab").unwrap();
    assert_eq!(read(&pty.master, 10), Ok(b"\0ab".to_vec()), "bytes come behind a zero");
    ioctl(&pty.slave, i::TCXONC, u64::from(g::TCOOFF)).unwrap();
    assert_eq!(events(&pty.master) & (ev::PRI | ev::IN), ev::PRI | ev::IN);
    assert_eq!(status(&pty), Some(g::TIOCPKT_STOP));
    ioctl(&pty.slave, i::TCXONC, u64::from(g::TCOON)).unwrap();
    assert_eq!(status(&pty), Some(g::TIOCPKT_START));
    ioctl(&pty.slave, i::TCFLSH, u64::from(g::TCIFLUSH)).unwrap();
    assert_eq!(status(&pty), Some(g::TIOCPKT_FLUSHREAD));
    ioctl(&pty.slave, i::TCFLSH, u64::from(g::TCIOFLUSH)).unwrap();
    assert_eq!(status(&pty), Some(g::TIOCPKT_FLUSHREAD | g::TIOCPKT_FLUSHWRITE));
    change(&pty.slave, |t| t.c_iflag &= !g::IXON);
    assert_eq!(status(&pty), Some(g::TIOCPKT_NOSTOP));
    change(&pty.slave, |t| t.c_iflag |= g::IXON);
    assert_eq!(status(&pty), Some(g::TIOCPKT_DOSTOP));
    change(&pty.slave, |t| character(t, g::VSTOP, 1));
    assert_eq!(status(&pty), Some(g::TIOCPKT_NOSTOP));
    change(&pty.slave, |t| t.c_lflag |= g::EXTPROC);
    assert_eq!(status(&pty), Some(g::TIOCPKT_IOCTL));
    assert_eq!((status(&pty), events(&pty.master) & ev::PRI), (None, 0));
    write(&pty.master, b"x\x03").unwrap();
    assert_eq!(status(&pty), Some(g::TIOCPKT_FLUSHREAD | g::TIOCPKT_FLUSHWRITE), "a signal throws away what was typed");
    ioctl_with(&pty.master, i::TIOCPKT, &mut 0i32).unwrap();
    assert_eq!(read(&pty.master, 10), Ok(b"^C".to_vec()));
}

#[test]
fn a_stopped_terminal_wakes_who_reads_packets() {
    let pty = Pty::new();
    packets(&pty);
    let master = pty.master.clone();
    let waiting = thread::spawn(move || read(&master, 10));
    ioctl(&pty.slave, i::TCXONC, u64::from(g::TCOOFF)).unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(Vec::from([g::TIOCPKT_STOP as u8])));
}

#[test]
fn the_other_side_is_asked_to_stop() {
    let pty = Pty::new();
    ioctl(&pty.slave, i::TCXONC, u64::from(g::TCIOFF)).unwrap();
    ioctl(&pty.slave, i::TCXONC, u64::from(g::TCION)).unwrap();
    assert_eq!(read(&pty.master, 10), Ok(b"\x13\x11".to_vec()));
    change(&pty.slave, |t| character(t, g::VSTOP, 0));
    ioctl(&pty.slave, i::TCXONC, u64::from(g::TCIOFF)).unwrap();
    assert_eq!(ioctl_get::<i32>(&pty.master, i::FIONREAD), Ok(0), "there is no such character");
    assert_eq!(errno(ioctl(&pty.slave, i::TCXONC, 9)), Some(Errno::EINVAL));
}

#[test]
fn a_master_flushes() {
    let pty = Pty::raw();
    write(&pty.slave, b"shown").unwrap();
    assert_eq!(ioctl_get::<i32>(&pty.master, i::FIONREAD), Ok(5));
    ioctl(&pty.master, i::TCFLSH, u64::from(g::TCIFLUSH)).unwrap();
    assert_eq!((ioctl_get::<i32>(&pty.master, i::FIONREAD), events(&pty.master) & ev::IN), (Ok(0), 0));
    pty.master.set_nonblocking(true);
    write(&pty.master, &[b'x'; 20_000]).unwrap();
    ioctl(&pty.master, i::TCFLSH, u64::from(g::TCOFLUSH)).unwrap();
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::FIONREAD), Ok(4095), "what the discipline has stays");
    assert_eq!(read(&pty.slave, 10_000).unwrap().len(), 4095);
    pty.slave.set_nonblocking(true);
    assert_eq!(errno(read(&pty.slave, 1)), Some(Errno::EAGAIN));
    assert_eq!(errno(ioctl(&pty.master, i::TCFLSH, 3)), Some(Errno::EINVAL));
}

#[test]
fn a_locked_terminal_is_not_opened() {
    mount(DevptsOptions::first());
    let master = open(MASTER, OpenFlags::RDWR).unwrap();
    assert_eq!(ioctl_get::<i32>(&master, i::TIOCGPTLCK), Ok(1));
    assert_eq!(errno(open("/dev/pts/0", OpenFlags::RDWR)), Some(Errno::EIO));
    unlock(&master);
    assert_eq!(ioctl_get::<i32>(&master, i::TIOCGPTLCK), Ok(0));
    open("/dev/pts/0", OpenFlags::RDWR).unwrap();
}

#[test]
fn a_master_opens_its_terminal() {
    let pty = Pty::new();
    let table = own_table();
    let peer = |flags: OpenFlags| ioctl(&pty.master, i::TIOCGPTPEER, flags.bits().into());
    let fd = peer(OpenFlags::RDWR | OpenFlags::NOCTTY | OpenFlags::CLOEXEC).unwrap() as i32;
    let file = table.get(fd).unwrap();
    assert!(alloc::sync::Arc::ptr_eq(&super::tty_of(&file), &pty.tty()));
    assert!(!file.path.dentry.is_anonymous());
    assert_eq!(errno(ioctl(&file, i::TIOCGPTPEER, 0)), Some(Errno::EIO), "a terminal has none");
    // Where something else is mounted there it is found all the same.
    let tree = caller::namespace();
    let place = caller::with_fs(|ctx| tree.resolve(ctx, None, b"/dev/pts", fs::LookupFlags::default())).unwrap();
    tree.mount(crate::devpts(DevptsOptions::default()), "devpts", &place, fs::MountFlags::default()).unwrap();
    let fd = peer(OpenFlags::RDWR | OpenFlags::NOCTTY).unwrap() as i32;
    assert!(alloc::sync::Arc::ptr_eq(&super::tty_of(&table.get(fd).unwrap()), &pty.tty()));
}
