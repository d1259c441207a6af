//! Queues of messages among threads of the host, each of which is a process.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use caller::Target;
use caller::testing::{become_user, interrupter, take_signals, with};
use fd::OpenFile;
use fd::poll::{PollTable, ev};
use fd::testing::{errno, events, read, until, write};
use fs::OpenFlags;
use linux_raw_sys::general::RLIMIT_MSGQUEUE;
use sync::clock::monotonic_ns;
use syscall_shim::types::si_code;
use syscall_shim::{Errno, Signal, SysResult};

use super::{COOKIE, Limits, Notification, QueueFile, Thread, open_queue, unlink};

const CREATE: OpenFlags = OpenFlags::CREAT;

/// Most tests make queues of names of their own; those that look at what all share take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    fs::testing::install();
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A queue of so many messages of at most 8 bytes.
fn queue(name: &str, messages: i64) -> Arc<OpenFile> {
    fs::testing::install();
    open_queue(name.as_bytes(), CREATE | OpenFlags::RDWR, 0o600, Some(Limits { messages, size: 8 })).unwrap()
}

fn send(file: &OpenFile, text: &str, priority: u32) -> SysResult<()> {
    QueueFile::of(file)?.send(file, text.as_bytes().to_vec(), priority, None)
}

fn receive(file: &OpenFile) -> SysResult<(Vec<u8>, u32)> {
    QueueFile::of(file)?.receive(file, None)
}

fn received(text: &str, priority: u32) -> SysResult<(Vec<u8>, u32)> {
    Ok((text.as_bytes().to_vec(), priority))
}

/// Whether a receiver sleeps.
fn somebody_waits(file: &OpenFile) -> bool {
    let mut table = PollTable::collecting();
    file.poll(&mut table);
    table.into_queues().unwrap().iter().any(|queue| !queue.is_empty())
}

#[test]
fn urgent_messages_come_first_and_equals_in_order() {
    let file = queue("order", 4);
    for (text, priority) in [("a", 1), ("b", 5), ("c", 1), ("d", 5)] {
        send(&file, text, priority).unwrap();
    }
    assert_eq!(QueueFile::of(&file).unwrap().counts(), [4, 8, 4]);
    let all: Vec<_> = (0..4).map(|_| receive(&file)).collect();
    assert_eq!(all, [received("b", 5), received("d", 5), received("a", 1), received("c", 1)]);
    assert_eq!(QueueFile::of(&file).unwrap().message_size(), 8);
    let other = fd::eventfd::EventFd::open(0, false, OpenFlags::empty());
    assert_eq!(errno(QueueFile::of(&other)), Some(Errno::EBADF));
}

#[test]
fn readiness_and_who_may_not_wait() {
    let file = queue("ready", 1);
    assert_eq!(events(&file), ev::WRITABLE);
    file.set_nonblocking(true);
    assert_eq!(errno(receive(&file)), Some(Errno::EAGAIN));
    send(&file, "one", 0).unwrap();
    assert_eq!(events(&file), ev::READABLE);
    assert_eq!(errno(send(&file, "two", 0)), Some(Errno::EAGAIN));
    file.set_nonblocking(false);
    let soon = Some(monotonic_ns() + 5_000_000);
    let late = QueueFile::of(&file).unwrap().send(&file, vec![1], 0, soon);
    assert_eq!(errno(late), Some(Errno::ETIMEDOUT));
}

#[test]
fn sleepers_are_woken() {
    let file = queue("sleep", 1);
    let receiver = thread::spawn({
        let file = file.clone();
        move || receive(&file)
    });
    until(|| somebody_waits(&file));
    send(&file, "wake", 3).unwrap();
    assert_eq!(receiver.join().unwrap(), received("wake", 3));
    send(&file, "full", 0).unwrap();
    let sender = thread::spawn({
        let file = file.clone();
        move || send(&file, "more", 0)
    });
    until(|| somebody_waits(&file));
    assert_eq!(receive(&file), received("full", 0));
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert_eq!(receive(&file), received("more", 0));
    let (tell, told) = mpsc::channel();
    let receiver = thread::spawn({
        let file = file.clone();
        move || {
            tell.send(interrupter()).unwrap();
            receive(&file)
        }
    });
    told.recv().unwrap()();
    assert_eq!(receiver.join().unwrap(), Err(Errno::ERESTARTSYS));
    // It is not counted as one who waits any more.
    QueueFile::of(&file).unwrap().notify(Some(Notification::Signal(Signal::new(10), 0))).unwrap();
    send(&file, "told", 0).unwrap();
    assert_eq!(take_signals(Target::Process, caller::pid()).len(), 1);
}

#[test]
fn a_signal_tells_of_a_message_once() {
    let file = queue("signal", 4);
    let queue = QueueFile::of(&file).unwrap();
    let signal = || Notification::Signal(Signal::new(10), 77);
    queue.notify(Some(signal())).unwrap();
    assert_eq!(errno(queue.notify(Some(signal()))), Some(Errno::EBUSY));
    file.seek(0, 0).unwrap();
    let pid = caller::pid();
    let line = alloc::format!("QSIZE:0          NOTIFY:0     SIGNO:10    NOTIFY_PID:{pid:<6}\n");
    assert_eq!(read(&file, 200), Ok(line.into_bytes()));
    let other = thread::spawn({
        let file = file.clone();
        move || {
            send(&file, "x", 0).unwrap();
            send(&file, "y", 0).unwrap();
            caller::pid()
        }
    });
    let sender = other.join().unwrap();
    let told = take_signals(Target::Process, pid);
    assert_eq!(told.iter().map(|info| (info.si_signo, info.si_code)).collect::<Vec<_>>(), [(10, si_code::SI_MESGQ)]);
    assert_ne!(sender, pid);
    // The registration is used up, and there may be another.
    queue.notify(Some(signal())).unwrap();
    queue.notify(None).unwrap();
    receive(&file).unwrap();
    receive(&file).unwrap();
    send(&file, "z", 0).unwrap();
    assert!(take_signals(Target::Process, pid).is_empty());
}

#[test]
fn who_waits_is_not_told_by_signal() {
    let file = queue("waiting", 4);
    let receiver = thread::spawn({
        let file = file.clone();
        move || receive(&file)
    });
    until(|| somebody_waits(&file));
    QueueFile::of(&file).unwrap().notify(Some(Notification::Signal(Signal::new(10), 1))).unwrap();
    send(&file, "for him", 0).unwrap();
    assert_eq!(receiver.join().unwrap(), received("for him", 0));
    assert!(take_signals(Target::Process, caller::pid()).is_empty());
    // Closing any descriptor takes the registration back.
    file.ops.flush(&file);
    let nobody = Notification::Nothing;
    QueueFile::of(&file).unwrap().notify(Some(nobody)).unwrap();
    send(&file, "quiet", 0).unwrap();
    assert_eq!(receive(&file), received("quiet", 0));
}

/// A thread of the C library's.
#[derive(Default)]
struct Listener(Mutex<Vec<Vec<u8>>>);

impl Thread for Listener {
    fn deliver(&self, cookie: Vec<u8>) {
        self.0.lock().unwrap().push(cookie);
    }
}

#[test]
fn a_thread_is_sent_its_cookie() {
    let file = queue("thread", 4);
    let listener = Arc::new(Listener::default());
    let queue = QueueFile::of(&file).unwrap();
    queue.notify(Some(Notification::Thread(listener.clone(), [7; COOKIE]))).unwrap();
    let line = String::from_utf8(read(&file, 200).unwrap()).unwrap();
    assert!(line.contains("NOTIFY:2     SIGNO:0 "), "{line}");
    send(&file, "x", 0).unwrap();
    queue.notify(Some(Notification::Thread(listener.clone(), [8; COOKIE]))).unwrap();
    queue.notify(None).unwrap();
    let sent = listener.0.lock().unwrap().clone();
    let cookie = |byte: u8, last: u8| [vec![byte; COOKIE - 1], vec![last]].concat();
    assert_eq!(sent, [cookie(7, 1), cookie(8, 2)]);
}

#[test]
fn names() {
    let _turn = turn();
    assert_eq!(errno(open_queue(b"", CREATE, 0o600, None)), Some(Errno::ENOENT));
    assert_eq!(errno(open_queue(b"..", CREATE, 0o600, None)), Some(Errno::EACCES));
    assert_eq!(errno(open_queue(b"a/b", CREATE, 0o600, None)), Some(Errno::EACCES));
    assert_eq!(errno(open_queue(b"names-none", OpenFlags::RDWR, 0, None)), Some(Errno::ENOENT));
    let first = queue("names", 2);
    send(&first, "kept", 0).unwrap();
    let again = open_queue(b"names", CREATE | OpenFlags::RDWR, 0, None).unwrap();
    assert_eq!(receive(&again), received("kept", 0));
    let exclusive = open_queue(b"names", CREATE | OpenFlags::EXCL | OpenFlags::RDWR, 0, None);
    assert_eq!(errno(exclusive), Some(Errno::EEXIST));
    assert_eq!(errno(open_queue(b"names", OpenFlags::ACCMODE, 0, None)), Some(Errno::EINVAL));
    let metadata = first.inode.metadata();
    assert_eq!((metadata.mode & 0o7777, metadata.nlink, metadata.size), (0o600, 1, 80));
    assert_eq!(errno(write(&first, b"x")), Some(Errno::EINVAL));
    unlink(b"names").unwrap();
    assert_eq!((first.inode.metadata().nlink, errno(unlink(b"names"))), (0, Some(Errno::ENOENT)));
    send(&first, "still", 0).unwrap();
    assert_eq!(receive(&again), received("still", 0), "it lives while it is open");
}

#[test]
fn the_directory_lists_queues() {
    let _turn = turn();
    let _queues = [queue("listed-a", 1), queue("listed-b", 1)];
    let file_system = super::file_system();
    let root = file_system.root();
    let mut names = Vec::new();
    root.readdir(2, &mut |entry| {
        names.push(entry.name.to_vec());
        true
    })
    .unwrap();
    let at = |name: &[u8]| names.iter().position(|listed| listed == name);
    assert!(at(b"listed-a").is_some() && at(b"listed-a") < at(b"listed-b"));
    let mut first = None;
    root.readdir(2, &mut |entry| first.replace(entry.next).is_none()).unwrap();
    assert!(first.is_some());
    assert_eq!((file_system.name(), file_system.statfs().unwrap().namelen), ("mqueue", 255));
    assert_eq!((root.metadata().mode & 0o7777, root.cache_children()), (0o1777, false));
    unlink(b"listed-a").unwrap();
    assert_eq!(errno(root.lookup(b"listed-a")), Some(Errno::ENOENT));
    assert!(root.lookup(b"listed-b").is_ok());
}

#[test]
fn limits_hold_for_those_without_privilege() {
    let _turn = turn();
    let make = |name: &str, messages: i64, size: i64| {
        open_queue(name.as_bytes(), CREATE | OpenFlags::RDWR, 0o600, Some(Limits { messages, size })).map(drop)
    };
    for (messages, size) in [(0, 8), (8, 0), (-1, 8), (65_537, 8), (1, (16 << 20) + 1)] {
        assert_eq!(errno(make("limits-wrong", messages, size)), Some(Errno::EINVAL), "{messages} {size}");
    }
    assert_eq!(make("limits-root", 11, 8), Ok(()));
    let usual = open_queue(b"limits-usual", CREATE | OpenFlags::RDWR, 0o600, None).unwrap();
    assert_eq!(QueueFile::of(&usual).unwrap().counts(), [10, 8192, 0]);
    become_user(4711, 4711);
    assert_eq!(errno(make("limits-user", 11, 8)), Some(Errno::EINVAL), "msg_max");
    assert_eq!(errno(make("limits-user", 1, 8193)), Some(Errno::EINVAL), "msgsize_max");
    // What a queue of two messages of eight bytes is charged with Linux's own records.
    with(|own| _ = own.rlimits.insert(RLIMIT_MSGQUEUE, 2 * (2 * (48 + 8) + 2 * 48)));
    let first = open_queue(b"limits-1", CREATE | OpenFlags::RDWR, 0o600, Some(Limits { messages: 2, size: 8 })).unwrap();
    assert_eq!(make("limits-2", 2, 8), Ok(()));
    assert_eq!(errno(make("limits-3", 1, 1)), Some(Errno::EMFILE));
    drop(first);
    assert_eq!(errno(make("limits-3", 1, 1)), Some(Errno::EMFILE), "it has its name still");
    unlink(b"limits-1").unwrap();
    assert_eq!(make("limits-3", 1, 1), Ok(()));
}
