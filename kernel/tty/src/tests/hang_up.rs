//! What is left of a terminal when one side goes.

use std::thread;
use std::vec::Vec;

use caller::testing::become_user;
use caller::{Target, testing::take_signals};
use fd::poll::ev;
use fd::testing::{errno, events, ioctl, ioctl_get, read, until, write};
use fs::OpenFlags;
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, Signal};

use super::{MASTER, Pty, mount, open, signals_of, unlock};
use crate::DevptsOptions;

/// asm-generic/ioctls.h.
const TIOCVHANGUP: u32 = 0x5437;

#[test]
fn the_master_goes() {
    let pty = Pty::controlling();
    let (session, tty) = (caller::session(), pty.tty());
    write(&pty.master, b"line\n").unwrap();
    drop(pty.master);
    assert_eq!(events(&pty.slave), ev::READABLE | ev::WRITABLE | ev::ERR | ev::HUP);
    assert_eq!(read(&pty.slave, 10), Ok(Vec::new()));
    assert_eq!(errno(write(&pty.slave, b"x")), Some(Errno::EIO));
    assert_eq!(errno(ioctl_get::<i32>(&pty.slave, i::FIONREAD)), Some(Errno::EIO));
    assert_eq!(errno(ioctl(&pty.slave, i::TIOCSPGRP, 0)), Some(Errno::ENOTTY));
    assert_eq!(signals_of(session), [Signal::SIGHUP, Signal::SIGCONT]);
    let leader = take_signals(Target::Process, session);
    assert_eq!(leader.iter().map(|info| info.si_signo as u32).collect::<Vec<_>>(), [1, 18]);
    assert_eq!(tty.shown().1, 0);
    assert!(crate::controlling(session).is_none());
    assert_eq!(errno(open("/dev/pts/0", OpenFlags::RDWR)), Some(Errno::ENOENT));
}

#[test]
fn who_waits_when_the_master_goes_is_told() {
    let pty = Pty::new();
    let slave = pty.slave.clone();
    let waiting = thread::spawn(move || read(&slave, 10));
    until(|| !pty.tty().input_queue.is_empty());
    drop(pty.master);
    assert_eq!(waiting.join().unwrap(), Err(Errno::EIO));
    let pty = { Pty::of_new() };
    pty.slave.set_nonblocking(true);
    while write(&pty.slave, &[0; 1000]).is_ok() {}
    pty.slave.set_nonblocking(false);
    let slave = pty.slave.clone();
    let waiting = thread::spawn(move || write(&slave, b"x"));
    until(|| !pty.tty().output_queue.is_empty());
    drop(pty.master);
    assert_eq!(waiting.join().unwrap(), Err(Errno::EIO));
}

impl Pty {
    /// A further pair, when the first has gone.
    fn of_new() -> Self {
        Self::of(OpenFlags::NOCTTY)
    }
}

#[test]
fn the_last_terminal_goes() {
    let pty = Pty::new();
    let second = open("/dev/pts/0", OpenFlags::RDWR | OpenFlags::NOCTTY).unwrap();
    write(&pty.slave, b"last words").unwrap();
    drop(pty.slave);
    assert_eq!(events(&pty.master) & ev::HUP, 0);
    drop(second);
    assert_eq!(events(&pty.master) & (ev::HUP | ev::IN), ev::HUP | ev::IN);
    assert_eq!(read(&pty.master, 100), Ok(b"last words".to_vec()));
    assert_eq!(errno(read(&pty.master, 100)), Some(Errno::EIO));
    let again = open("/dev/pts/0", OpenFlags::RDWR | OpenFlags::NOCTTY).unwrap();
    assert_eq!(events(&pty.master) & ev::HUP, 0, "it can be opened again");
    pty.master.set_nonblocking(true);
    assert_eq!(errno(read(&pty.master, 1)), Some(Errno::EAGAIN));
    drop(again);
}

#[test]
fn a_master_waits_for_the_first_terminal() {
    mount(DevptsOptions::first());
    let master = open(MASTER, OpenFlags::RDWR).unwrap();
    assert_eq!(events(&master), ev::WRITABLE);
    unlock(&master);
    let copy = master.clone();
    let waiting = thread::spawn(move || read(&copy, 10));
    let slave = open("/dev/pts/0", OpenFlags::RDWR | OpenFlags::NOCTTY).unwrap();
    assert!(!waiting.is_finished());
    drop(slave);
    assert_eq!(waiting.join().unwrap(), Err(Errno::EIO), "the hang-up wakes it");
}

#[test]
fn vhangup_ends_what_is_open_and_nothing_else() {
    let pty = Pty::controlling();
    let session = caller::session();
    let slave = pty.slave.clone();
    // Another session's, for the group in the foreground is the caller's.
    let waiting = thread::spawn(move || read(&slave, 10));
    until(|| !pty.tty().input_queue.is_empty());
    ioctl(&pty.slave, TIOCVHANGUP, 0).unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(Vec::new()));
    assert_eq!(signals_of(session), [Signal::SIGHUP, Signal::SIGCONT]);
    assert_eq!(events(&pty.master) & ev::HUP, ev::HUP);
    assert_eq!(read(&pty.slave, 1), Ok(Vec::new()));
    let anew = open("/dev/pts/0", OpenFlags::RDWR | OpenFlags::NOCTTY).unwrap();
    write(&anew, b"new").unwrap();
    assert_eq!(read(&pty.master, 10), Ok(b"new".to_vec()));
    drop(pty.slave);
    assert_eq!(events(&pty.master) & ev::HUP, 0, "what was hung up is not counted again");
    become_user(1000, 1000);
    assert_eq!(errno(ioctl(&anew, TIOCVHANGUP, 0)), Some(Errno::EPERM));
}

#[test]
fn a_terminal_for_one_alone() {
    let pty = Pty::new();
    ioctl(&pty.slave, i::TIOCEXCL, 0).unwrap();
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::TIOCGEXCL), Ok(1));
    let open_again = || open("/dev/pts/0", OpenFlags::RDWR | OpenFlags::NOCTTY).map(drop);
    assert_eq!(open_again(), Ok(()), "the super-user opens it all the same");
    become_user(0, 5);
    assert_eq!(open_again(), Err(Errno::EBUSY));
    ioctl(&pty.slave, i::TIOCNXCL, 0).unwrap();
    assert_eq!(open_again(), Ok(()));
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::TIOCGEXCL), Ok(0));
    assert_eq!(super::settings(&pty.slave).c_cflag & g::HUPCL, 0);
}
