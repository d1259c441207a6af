//! Job control: controlling terminals, the foreground, and who is stopped.

use alloc::sync::Arc;
use std::thread;

use caller::testing::{become_user, join_group, with};
use fd::OpenFile;
use fd::testing::{errno, ioctl, ioctl_get, ioctl_with, read, write};
use fs::OpenFlags;
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, Signal};

use super::{Pty, change, signals_of};

/// Runs `f` as a process of another group of this session.
fn in_background<R: Send + 'static>(file: &Arc<OpenFile>, f: impl FnOnce(&OpenFile, i32) -> R + Send + 'static) -> R {
    let (session, file) = (caller::session(), file.clone());
    let other = thread::spawn(move || {
        join_group(caller::pid(), session);
        f(&file, caller::pid())
    });
    other.join().unwrap()
}

#[test]
fn a_leader_gets_the_terminal_that_it_opens() {
    let pty = Pty::controlling();
    let own = caller::pid();
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::TIOCGPGRP), Ok(own));
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::TIOCGSID), Ok(own));
    assert_eq!(ioctl_get::<i32>(&pty.master, i::TIOCGPGRP), Ok(own));
    assert_eq!(ioctl_get::<i32>(&pty.master, i::TIOCGSID), Ok(own));
    assert!(Arc::ptr_eq(&crate::controlling(own).unwrap(), &pty.tty()));
    // Only one at a time.
    let master = super::open(super::MASTER, OpenFlags::RDWR).unwrap();
    super::unlock(&master);
    let second = super::open("/dev/pts/1", OpenFlags::RDWR).unwrap();
    assert_eq!(errno(ioctl_get::<i32>(&second, i::TIOCGSID)), Some(Errno::ENOTTY));
    assert_eq!(errno(ioctl_get::<i32>(&master, i::TIOCGSID)), Some(Errno::ENOTTY));
    assert_eq!(errno(ioctl(&second, i::TIOCSCTTY, 0)), Some(Errno::EPERM));
    assert_eq!(errno(ioctl(&master, i::TIOCNOTTY, 0)), Some(Errno::ENOTTY));
    assert_eq!(errno(ioctl(&second, i::TIOCNOTTY, 0)), Some(Errno::ENOTTY));
}

#[test]
fn the_background_is_stopped_when_it_reads() {
    let pty = Pty::controlling();
    write(&pty.master, b"line\n").unwrap();
    let (result, signals) = in_background(&pty.slave, |file, group| (read(file, 10), signals_of(group)));
    assert_eq!((result, signals), (Err(Errno::ERESTARTSYS), [Signal::SIGTTIN].into()));
    let deaf = in_background(&pty.slave, |file, _| {
        with(|own| own.deaf_to.push(Signal::SIGTTIN));
        read(file, 10)
    });
    assert_eq!(deaf, Err(Errno::EIO));
    let orphan = in_background(&pty.slave, |file, group| {
        with(|own| own.is_orphaned = true);
        (read(file, 10), signals_of(group))
    });
    assert_eq!(orphan, (Err(Errno::EIO), [].into()));
    // A stranger is of no session that this controls.
    let file = pty.slave.clone();
    assert_eq!(thread::spawn(move || read(&file, 10)).join().unwrap(), Ok(b"line\n".to_vec()));
}

#[test]
fn the_background_is_stopped_when_it_writes_if_that_is_wanted() {
    let pty = Pty::controlling();
    assert_eq!(in_background(&pty.slave, |file, _| write(file, b"free")), Ok(4));
    change(&pty.slave, |t| t.c_lflag |= g::TOSTOP);
    let stopped = in_background(&pty.slave, |file, group| (write(file, b"x"), signals_of(group)));
    assert_eq!(stopped, (Err(Errno::ERESTARTSYS), [Signal::SIGTTOU].into()));
    let deaf = in_background(&pty.slave, |file, _| {
        with(|own| own.deaf_to.push(Signal::SIGTTOU));
        write(file, b"deaf")
    });
    assert_eq!(deaf, Ok(4));
    let setting = in_background(&pty.slave, |file, group| (ioctl(file, i::TCFLSH, 0), signals_of(group)));
    assert_eq!(setting, (Err(Errno::ERESTARTSYS), [Signal::SIGTTOU].into()));
    assert_eq!(read(&pty.master, 20), Ok(b"freedeaf".to_vec()));
}

#[test]
fn the_foreground_is_chosen() {
    let pty = Pty::controlling();
    let set = |mut group: i32| ioctl_with(&pty.slave, i::TIOCSPGRP, &mut group);
    assert_eq!(errno(set(-1)), Some(Errno::EINVAL));
    assert_eq!(errno(set(i32::MAX)), Some(Errno::ESRCH));
    let stranger = thread::spawn(caller::pid).join().unwrap();
    assert_eq!(errno(set(stranger)), Some(Errno::EPERM), "another session's");
    let job = in_background(&pty.slave, |_, group| group);
    set(job).unwrap();
    assert_eq!((ioctl_get::<i32>(&pty.slave, i::TIOCGPGRP), pty.tty().shown().1), (Ok(job), job));
    write(&pty.master, b"\x03\x1c\x1a").unwrap();
    assert_eq!(signals_of(job), [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP]);
    pty.tty().set_size(24, 80);
    pty.tty().set_size(24, 80);
    assert_eq!(signals_of(job), [Signal::SIGWINCH], "once, for it did not change again");
    assert_eq!(signals_of(caller::group()), []);
    let file = pty.slave.clone();
    let foreign = thread::spawn(move || {
        let mut own = caller::pid();
        (errno(ioctl_with(&file, i::TIOCSPGRP, &mut own)), errno(ioctl_get::<i32>(&file, i::TIOCGPGRP)))
    });
    assert_eq!(foreign.join().unwrap(), (Some(Errno::ENOTTY), Some(Errno::ENOTTY)));
}

#[test]
fn a_terminal_is_taken_given_up_and_stolen() {
    let pty = Pty::new();
    let own = caller::pid();
    assert_eq!(errno(ioctl_get::<i32>(&pty.slave, i::TIOCGPGRP)), Some(Errno::ENOTTY));
    ioctl(&pty.slave, i::TIOCSCTTY, 0).unwrap();
    ioctl(&pty.slave, i::TIOCSCTTY, 0).unwrap();
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::TIOCGSID), Ok(own));
    let member = in_background(&pty.slave, |file, _| ioctl(file, i::TIOCNOTTY, 0).map(|_| ()));
    assert_eq!((member, crate::controlling(own).is_some()), (Ok(()), true), "who leads nobody loses it alone");
    let file = pty.slave.clone();
    let thief = thread::spawn(move || {
        let polite = errno(ioctl(&file, i::TIOCSCTTY, 0));
        let stolen = ioctl(&file, i::TIOCSCTTY, 1).map(|_| ());
        let mine = ioctl_get::<i32>(&file, i::TIOCGSID) == Ok(caller::pid());
        join_group(caller::pid(), 1 << 20);
        let follower = errno(ioctl(&file, i::TIOCSCTTY, 1));
        (polite, stolen, mine, follower)
    });
    assert_eq!(thief.join().unwrap(), (Some(Errno::EPERM), Ok(()), true, Some(Errno::EPERM)));
    assert!(crate::controlling(own).is_none());
    become_user(1000, 1000);
    assert_eq!(errno(ioctl(&pty.slave, i::TIOCSCTTY, 1)), Some(Errno::EPERM));
}

#[test]
fn a_session_ends() {
    let pty = Pty::controlling();
    let own = caller::session();
    crate::session_ended(own);
    assert_eq!(signals_of(own), [Signal::SIGHUP]);
    assert_eq!(pty.tty().shown().1, 0);
    crate::session_ended(own);
    assert_eq!(signals_of(own), [], "it has no terminal any more");
    ioctl(&pty.slave, i::TIOCSCTTY, 0).unwrap();
    ioctl(&pty.slave, i::TIOCNOTTY, 0).unwrap();
    assert_eq!(signals_of(own), [Signal::SIGHUP, Signal::SIGCONT]);
    assert!(crate::controlling(own).is_none());
}

#[test]
fn bytes_are_put_into_ones_own_mouth() {
    let pty = Pty::controlling();
    for byte in *b"hi\n" {
        ioctl_with(&pty.slave, i::TIOCSTI, &mut { byte }).unwrap();
    }
    assert_eq!(read(&pty.slave, 10), Ok(b"hi\n".to_vec()));
    let file = pty.slave.clone();
    let foreign = thread::spawn(move || {
        become_user(1000, 1000);
        errno(ioctl_with(&file, i::TIOCSTI, &mut b'x'))
    });
    assert_eq!(foreign.join().unwrap(), Some(Errno::EPERM));
}
