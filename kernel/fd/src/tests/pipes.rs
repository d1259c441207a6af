//! Pipes, FIFOs and eventfd.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::thread;

use caller::Target;
use caller::testing::{become_user, interrupter, take_signals};
use fs::{OpenFlags, PAGE_SIZE};
use linux_raw_sys::ioctl::FIONREAD;
use syscall_shim::{Errno, Signal};

use super::{Tree, errno, events, read, until, user_mut, write};
use crate::eventfd::EventFd;
use crate::io::{Sink, Source};
use crate::pipe::{self, Pipe, PipeEnd};
use crate::pipe_share::{USER_PAGES_HARD, USER_PAGES_SOFT};
use crate::poll::ev;

#[test]
fn bytes_come_out_as_they_went_in() {
    let [reader, writer] = Pipe::open_pair(OpenFlags::NONBLOCK).unwrap();
    assert_eq!(errno(read(&reader, 1)), Some(Errno::EAGAIN));
    let sent: Vec<u8> = (0..100_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
    let (mut put, mut got) = (0, Vec::new());
    while got.len() < sent.len() {
        while put < sent.len() {
            match write(&writer, &sent[put..(put + 4999).min(sent.len())]) {
                Ok(n) => put += n,
                Err(errno) => {
                    assert_eq!(errno, Errno::EAGAIN);
                    break;
                }
            }
        }
        got.extend(read(&reader, 3001).unwrap());
    }
    assert!(got == sent);
    assert_eq!(read(&reader, 0).unwrap(), b"");
}

#[test]
fn small_writes_share_a_page() {
    let [reader, writer] = Pipe::open_pair(OpenFlags::NONBLOCK).unwrap();
    for _ in 0..1000 {
        write(&writer, b"12345678").unwrap();
    }
    let mut bytes = [0; 4];
    assert_eq!(reader.ops.ioctl(&reader, FIONREAD, user_mut(&mut bytes)), Ok(0));
    assert_eq!(bytes, 8000i32.to_ne_bytes());
    assert_eq!(reader.ops.ioctl(&reader, 1, user_mut(&mut bytes)), Err(Errno::ENOTTY));
    assert_eq!(read(&reader, 9000).unwrap().len(), 8000);
}

#[test]
fn packets_are_read_alone() {
    let [reader, writer] = Pipe::open_pair(OpenFlags::NONBLOCK | OpenFlags::DIRECT).unwrap();
    write(&writer, b"first").unwrap();
    write(&writer, b"second").unwrap();
    assert_eq!(read(&reader, 3).unwrap(), b"fir");
    assert_eq!(read(&reader, 99).unwrap(), b"second");
}

#[test]
fn the_ends_go() {
    let [reader, writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    assert_eq!((events(&reader), events(&writer)), (0, ev::WRITABLE));
    write(&writer, b"rest").unwrap();
    assert_eq!(events(&reader), ev::READABLE);
    drop(writer);
    assert_eq!(events(&reader), ev::READABLE | ev::HUP);
    assert_eq!(read(&reader, 9).unwrap(), b"rest");
    assert_eq!(read(&reader, 9).unwrap(), b"");

    let [reader, writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    drop(reader);
    assert_eq!(events(&writer), ev::WRITABLE | ev::ERR);
    assert_eq!(write(&writer, b"x"), Err(Errno::EPIPE));
    let told = take_signals(Target::Thread, caller::tid());
    assert_eq!(told.iter().map(|info| info.si_signo).collect::<Vec<_>>(), [i32::from(Signal::SIGPIPE.number())]);
    assert_eq!(crate::events::without_broken_pipe(|| write(&writer, b"x")), Err(Errno::EPIPE));
    assert!(take_signals(Target::Thread, caller::tid()).is_empty());
}

#[test]
fn readers_and_writers_wait_for_each_other() {
    let [reader, writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    let sent: Vec<u8> = (0..300_000u32).map(|n| (n >> 5) as u8).collect();
    let copy = sent.clone();
    let sender = thread::spawn(move || write(&writer, &copy));
    let mut got = Vec::new();
    loop {
        let part = read(&reader, 10_000).unwrap();
        if part.is_empty() {
            break;
        }
        got.extend(part);
    }
    assert_eq!(sender.join().unwrap(), Ok(sent.len()));
    assert!(got == sent);
}

#[test]
fn a_signal_ends_a_wait() {
    let [reader, writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let waiting = thread::spawn(move || {
        tell.send(interrupter()).unwrap();
        errno(read(&reader, 1))
    });
    told.recv().unwrap()();
    assert_eq!(waiting.join().unwrap(), Some(Errno::ERESTARTSYS));
    // What was written before the signal counts.
    drop(writer);
    let [reader, writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let waiting = thread::spawn(move || {
        tell.send(interrupter()).unwrap();
        write(&writer, &vec![1; 100_000])
    });
    let interrupt = told.recv().unwrap();
    until(|| reader.ops_as::<PipeEnd>().unwrap().pipe().room() == 0);
    interrupt();
    assert_eq!(waiting.join().unwrap(), Ok(65536));
}

#[test]
fn sizes() {
    let _turn = turn();
    let [reader, writer] = Pipe::open_pair(OpenFlags::NONBLOCK).unwrap();
    let pipe = writer.ops_as::<PipeEnd>().unwrap().pipe();
    assert_eq!(pipe.capacity(), 65536);
    assert_eq!(pipe.set_capacity(5000, false), Ok(8192));
    assert_eq!(write(&writer, &[0; 9000]), Ok(8192));
    assert_eq!(pipe.set_capacity(1, true), Err(Errno::EBUSY));
    assert_eq!(pipe.set_capacity(pipe::max_size() + 1, false), Err(Errno::EPERM));
    assert_eq!(pipe.set_capacity((1 << 31) + 1, true), Err(Errno::EINVAL));
    assert_eq!(pipe.set_capacity(pipe::max_size() * 2, true), Ok(pipe::max_size() * 2));
    assert_eq!(pipe::set_max_size((1 << 31) + 1), Err(Errno::EINVAL));
    pipe::set_max_size(1 << 20).unwrap();
    read(&reader, 1).unwrap();
}

/// Limits are those of the machine.
fn turn() -> std::sync::MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn users_have_so_many_pages() {
    let _turn = turn();
    become_user(5005, 5005);
    let slots = |file: &crate::OpenFile| file.ops_as::<PipeEnd>().unwrap().pipe().capacity() / PAGE_SIZE;
    let soft = USER_PAGES_SOFT.swap(20, Ordering::Relaxed);
    let [first, _a] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    let [second, _b] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    assert_eq!((slots(&first), slots(&second)), (16, 2));
    let pipe = second.ops_as::<PipeEnd>().unwrap().pipe();
    assert_eq!(pipe.set_capacity(16 * PAGE_SIZE, false), Err(Errno::EPERM));
    USER_PAGES_HARD.store(18, Ordering::Relaxed);
    assert_eq!(errno(Pipe::open_pair(OpenFlags::empty())), Some(Errno::ENFILE));
    USER_PAGES_HARD.store(0, Ordering::Relaxed);
    USER_PAGES_SOFT.store(soft, Ordering::Relaxed);
}

#[test]
fn fifos_wait_for_the_other_side() {
    let tree = Tree::new();
    crate::with_fs(|ctx| tree.0.mknod(ctx, None, b"/fifo", fs::S_IFIFO | 0o600, 0)).unwrap();
    let nonblock = OpenFlags::NONBLOCK;
    assert_eq!(errno(tree.open("/fifo", OpenFlags::WRONLY | nonblock)), Some(Errno::ENXIO));
    let reader = tree.open("/fifo", nonblock).unwrap();
    assert_eq!(events(&reader), 0, "no hang-up before the first writer");
    let writer = tree.open("/fifo", OpenFlags::WRONLY).unwrap();
    write(&writer, b"x").unwrap();
    let mut byte = [0];
    assert_eq!(errno(reader.read_now(None, &mut Sink::Kernel(&mut byte))), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(writer.write_now(&mut Source::Kernel(b"y"))), Some(Errno::EOPNOTSUPP));
    drop(writer);
    assert_eq!(read(&reader, 9).unwrap(), b"x");
    assert_eq!(events(&reader), ev::HUP);
    let both = tree.open("/fifo", OpenFlags::RDWR).unwrap();
    write(&both, b"gone").unwrap();
    drop((both, reader));
    let reader = tree.open("/fifo", nonblock).unwrap();
    assert_eq!(read(&reader, 9).unwrap(), b"", "a FIFO that nobody has open keeps nothing");
    drop(reader);

    let inode = tree.open("/fifo", nonblock).unwrap().inode.clone();
    let opener = {
        let inode = inode.clone();
        thread::spawn(move || Pipe::open_fifo(&inode, OpenFlags::empty()).map(drop))
    };
    until(|| Pipe::open_fifo(&inode, OpenFlags::WRONLY | nonblock).is_ok());
    assert_eq!(opener.join().unwrap(), Ok(()));
    assert!(alloc::sync::Arc::ptr_eq(
        &Pipe::open_again(&inode, OpenFlags::RDWR).pipe,
        &Pipe::open_again(&inode, OpenFlags::empty()).pipe
    ));
}

#[test]
fn pipes_can_promise_not_to_wait() {
    let [reader, writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    let mut byte = [0];
    assert_eq!(reader.read_now(None, &mut Sink::Kernel(&mut byte)), Err(Errno::EAGAIN));
    assert_eq!(writer.write_now(&mut Source::Kernel(b"a")), Ok(1));
    assert_eq!(reader.read_now(None, &mut Sink::Kernel(&mut byte)), Ok(1));
    assert_eq!(&byte, b"a");
}

#[test]
fn counters() {
    let count = |file: &crate::OpenFile| read(file, 8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    let add = |file: &crate::OpenFile, n: u64| write(file, &n.to_le_bytes());
    let file = EventFd::open(3, false, OpenFlags::NONBLOCK);
    assert_eq!(events(&file), ev::IN | ev::OUT);
    assert_eq!(count(&file), Ok(3));
    assert_eq!(count(&file), Err(Errno::EAGAIN));
    assert_eq!(events(&file), ev::OUT);
    add(&file, u64::MAX - 1).unwrap();
    assert_eq!(events(&file), ev::IN);
    assert_eq!(add(&file, 1), Err(Errno::EAGAIN));
    assert_eq!(add(&file, u64::MAX), Err(Errno::EINVAL));
    assert_eq!((write(&file, b"short"), errno(read(&file, 7))), (Err(Errno::EINVAL), Some(Errno::EINVAL)));
    let mut text = String::new();
    file.ops.fdinfo(&file, &mut text);
    assert_eq!(text, "eventfd-count: fffffffffffffffe\n");
    assert_eq!(file.seek(0, 0), Ok(0));

    let semaphore = EventFd::open(2, true, OpenFlags::NONBLOCK);
    assert_eq!([count(&semaphore), count(&semaphore), count(&semaphore)], [Ok(1), Ok(1), Err(Errno::EAGAIN)]);
    assert_eq!(semaphore.read_now(None, &mut Sink::Kernel(&mut [0; 8])), Err(Errno::EAGAIN));

    let file = EventFd::open(0, false, OpenFlags::empty());
    let other = file.clone();
    let reader = thread::spawn(move || count(&other));
    add(&file, 5).unwrap();
    assert_eq!(reader.join().unwrap(), Ok(5));
    add(&file, u64::MAX - 1).unwrap();
    let other = file.clone();
    let writer = thread::spawn(move || add(&other, 4));
    assert_eq!(count(&file), Ok(u64::MAX - 1));
    assert_eq!(writer.join().unwrap(), Ok(8));
    assert_eq!(count(&file), Ok(4));
}
