//! Open file descriptions: positions, flags, owners, and the files that programs know by name.

use alloc::string::String;
use alloc::vec::Vec;

use caller::testing::{become_user, take_signals};
use fs::pseudo::{NodeSpec, PseudoNode};
use fs::{InodeRef, OpenFlags, S_IFDIR};
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, Signal};

use super::{Tree, errno, events, read, user_mut, write};
use crate::io::{Sink, Source};
use crate::owner::{Owner, OwnerKind};
use crate::pipe::Pipe;
use crate::pseudo_file::{PseudoFile, Text, seek_file, seek_text};
use crate::{FileOps, OpenFile, dir, fileattr, open_file};

#[test]
fn the_position_moves_with_what_is_read_and_written() {
    let tree = Tree::new();
    let file = tree.file("/f", b"0123456789");
    assert_eq!(read(&file, 4).unwrap(), b"0123");
    write(&file, b"xy").unwrap();
    assert_eq!(file.position(), 6);
    assert_eq!(file.position_now(), 6);
    assert_eq!(file.with_position(|pos| core::mem::replace(pos, 3)), 6);
    assert_eq!(read(&file, 100).unwrap(), b"3xy6789");
    assert_eq!(read(&file, 100).unwrap(), b"");
    let mut buffer = [0; 3];
    assert_eq!(file.read_at(1, &mut Sink::Kernel(&mut buffer)), Ok(3));
    assert_eq!((&buffer, file.position()), (b"123", 10));
    file.write_at(8, &mut Source::Kernel(b"ZZZ")).unwrap();
    assert_eq!(file.inode.metadata().size, 11);

    assert_eq!(file.seek(-3, g::SEEK_END), Ok(8));
    assert_eq!(file.seek(1, g::SEEK_CUR), Ok(9));
    assert_eq!(file.seek(-10, g::SEEK_CUR), Err(Errno::EINVAL));
    assert_eq!(file.seek(0, 99), Err(Errno::EINVAL));
    assert_eq!(file.seek(0, g::SEEK_DATA), Ok(0));
    assert_eq!(file.seek(0, g::SEEK_HOLE), Ok(11));
    assert_eq!(file.seek(-1, g::SEEK_HOLE), Err(Errno::ENXIO));
    let [read_bytes, written] = caller::testing::with(|own| own.counts);
    assert!(read_bytes >= 14 && written == 15);
}

#[test]
fn append_goes_to_the_end_whatever_the_position() {
    let tree = Tree::new();
    tree.file("/f", b"abc");
    let file = tree.open("/f", OpenFlags::RDWR | OpenFlags::APPEND).unwrap();
    write(&file, b"d").unwrap();
    assert_eq!(file.position(), 4);
    file.write_at(0, &mut Source::Kernel(b"e")).unwrap();
    file.write_at_with(0, &mut Source::Kernel(b"A"), false).unwrap();
    file.set_flags(OpenFlags::empty()).unwrap();
    file.seek(1, 0).unwrap();
    write(&file, b"B").unwrap();
    file.write_with(&mut Source::Kernel(b"f"), true).unwrap();
    file.seek(0, 0).unwrap();
    assert_eq!(read(&file, 9).unwrap(), b"ABcdef");
}

#[test]
fn access_modes_are_kept() {
    let tree = Tree::new();
    tree.file("/f", b"abc");
    let reader = tree.open("/f", OpenFlags::empty()).unwrap();
    assert_eq!(errno(write(&reader, b"x")), Some(Errno::EBADF));
    assert_eq!(errno(reader.write_at(0, &mut Source::Kernel(b"x"))), Some(Errno::EBADF));
    assert_eq!(errno(reader.write_now(&mut Source::Kernel(b"x"))), Some(Errno::EBADF));
    let writer = tree.open("/f", OpenFlags::WRONLY).unwrap();
    assert_eq!(errno(read(&writer, 1)), Some(Errno::EBADF));
    assert_eq!(errno(writer.read_at(0, &mut Sink::Kernel(&mut [0]))), Some(Errno::EBADF));
    assert_eq!(errno(writer.read_now(None, &mut Sink::Kernel(&mut [0]))), Some(Errno::EBADF));
    assert_eq!(errno(reader.read_now(Some(0), &mut Sink::Kernel(&mut [0]))), Some(Errno::EOPNOTSUPP));
    assert!(!writer.is_path() && !writer.nonblocking() && writer.message_flags() == 0);
    writer.set_nonblocking(true);
    assert!(writer.nonblocking() && writer.message_flags() != 0);
    writer.set_nonblocking(false);
    assert!(!writer.nonblocking());
    assert_eq!(reader.ops.sync(&reader, true), Ok(()));
    assert!(!reader.ops.pollable());
}

#[test]
fn flags_that_not_everybody_may_set() {
    let tree = Tree::new();
    let file = tree.file("/f", b"");
    file.set_flags(OpenFlags::NOATIME | OpenFlags::DIRECT | OpenFlags::CREAT).unwrap();
    assert!(file.flags().contains(OpenFlags::NOATIME | OpenFlags::DIRECT) && !file.flags().contains(OpenFlags::CREAT));
    file.set_flags(OpenFlags::empty()).unwrap();
    let [reader, _writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    assert_eq!(reader.set_flags(OpenFlags::DIRECT), Ok(()));
    let event = crate::eventfd::EventFd::open(0, false, OpenFlags::empty());
    assert_eq!(event.set_flags(OpenFlags::DIRECT), Err(Errno::EINVAL));
    // An eventfd sends no signals: the flag stays off.
    event.set_flags(OpenFlags::ASYNC).unwrap();
    assert!(!event.flags().contains(OpenFlags::ASYNC));

    assert_eq!(fileattr_set(&file, 0x20), Ok(0), "append only");
    assert_eq!(file.set_flags(OpenFlags::APPEND), Err(Errno::EPERM));
    become_user(77, 77);
    assert_eq!(file.set_flags(OpenFlags::NOATIME), Err(Errno::EPERM));
}

/// `FS_IOC_SETFLAGS`.
fn fileattr_set(file: &OpenFile, flags: u32) -> Result<usize, Errno> {
    fileattr::ioctl(file, 0x4008_6602, user_mut(&mut flags.to_ne_bytes()))
}

#[test]
fn flags_of_files() {
    let tree = Tree::new();
    let file = tree.file("/f", b"");
    let get = || {
        let mut word = [0; 4];
        file.ops.ioctl(&file, 0x8008_6601, user_mut(&mut word)).map(|_| u32::from_ne_bytes(word))
    };
    assert_eq!(get(), Ok(0));
    fileattr_set(&file, 0x10 | 0x80).unwrap();
    assert_eq!(get(), Ok(0x90));
    assert_eq!(fileattr_set(&file, 1), Err(Errno::EOPNOTSUPP));
    let mut words = [0u32; 7].map(u32::to_ne_bytes).concat();
    file.ops.ioctl(&file, 0x801c_581f, user_mut(&mut words)).unwrap();
    assert_eq!(words[..4], 0x48u32.to_ne_bytes());
    words[..4].fill(0);
    file.ops.ioctl(&file, 0x401c_5820, user_mut(&mut words)).unwrap();
    assert_eq!(get(), Ok(0));
    let (set, known) = fileattr::statx_attributes(&file.inode);
    assert_eq!((set, known), (0, 0x70));
    assert_eq!(file.ops.ioctl(&file, 0x1234, user_mut(&mut words)), Err(Errno::ENOTTY));
    become_user(78, 78);
    assert_eq!(fileattr_set(&file, 0x80), Err(Errno::EPERM), "not its owner");
    let event = crate::eventfd::EventFd::open(0, false, OpenFlags::empty());
    assert_eq!(fileattr_set(&event, 0), Err(Errno::ENOTTY));
    assert_eq!(fileattr::statx_attributes(&event.inode), (0, 0));
}

#[test]
fn requests_that_regular_files_know() {
    let tree = Tree::new();
    let file = tree.file("/f", b"12345");
    file.seek(2, 0).unwrap();
    let mut left = [0; 4];
    assert_eq!(file.ops.ioctl(&file, i::FIONREAD, user_mut(&mut left)), Ok(0));
    assert_eq!(left, 3i32.to_ne_bytes());
    let mut ask = |request| file.ops.ioctl(&file, request, user_mut(&mut left));
    assert_eq!(ask(i::FIBMAP), Err(Errno::EINVAL));
    assert_eq!(ask(i::FICLONE), Err(Errno::EOPNOTSUPP));
    assert_eq!(ask(0x1234), Err(Errno::ENOTTY));
    become_user(79, 79);
    assert_eq!(ask(i::FIBMAP), Err(Errno::EPERM));
}

#[test]
fn a_file_too_large_is_told_by_a_signal() {
    let tree = Tree::new();
    let file = tree.file("/f", b"");
    caller::testing::with(|own| own.rlimits.insert(g::RLIMIT_FSIZE, 4));
    assert_eq!(write(&file, b"123456"), Ok(4));
    assert_eq!(write(&file, b"7"), Err(Errno::EFBIG));
    let told = take_signals(OwnerKind::Thread, caller::tid());
    assert_eq!(told.iter().map(|info| info.si_signo).collect::<Vec<_>>(), [i32::from(Signal::SIGXFSZ.number())]);
}

#[test]
fn directories_are_read_in_pieces() {
    let tree = Tree::new();
    for name in ["/a", "/b", "/c"] {
        tree.file(name, b"");
    }
    let root = tree.open("/", OpenFlags::DIRECTORY).unwrap();
    assert_eq!(root.inode.metadata().mode & fs::S_IFMT, S_IFDIR);
    assert_eq!(errno(read(&root, 1)), Some(Errno::EISDIR));
    assert_eq!(root.ops.write_at(&root, 0, &mut Source::Kernel(b""), false), Err(Errno::EBADF));
    let mut names: Vec<String> = Vec::new();
    for _ in 0..9 {
        let mut one = false;
        let emit = |entry: fs::DirEntry<'_>| {
            if one {
                return false;
            }
            one = true;
            names.push(String::from_utf8(entry.name.to_vec()).unwrap());
            true
        };
        dir::read_entries(&root, emit, Ok).unwrap();
    }
    names.sort();
    assert_eq!(names, [".", "..", "a", "b", "c"]);
    root.seek(0, g::SEEK_SET).unwrap();
    assert_eq!(dir::read_entries(&root, |_| false, Ok), Err(Errno::EINVAL));
    assert_eq!(root.seek(0, g::SEEK_END), Err(Errno::EINVAL));
    assert_eq!(root.seek(0, g::SEEK_CUR), Ok(0));
    assert_eq!(dir::read_entries(&tree.file("/f", b""), |_| true, Ok), Err(Errno::ENOTDIR));
    assert_eq!(root.ops.sync(&root, false), Ok(()));
    assert!(root.ops.ioctl(&root, 1, user_mut(&mut [0])).is_err() && !root.ops.pollable());
}

#[test]
fn the_owner_is_told_of_readiness() {
    let [reader, writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    let pid = 100_000 + caller::pid();
    *reader.owner.lock() = Owner { kind: OwnerKind::Process, pid, signal: 0, fd: 7 };
    reader.set_flags(OpenFlags::ASYNC).unwrap();
    write(&writer, b"x").unwrap();
    let told = take_signals(OwnerKind::Process, pid);
    assert_eq!(told.iter().map(|info| info.si_signo).collect::<Vec<_>>(), [i32::from(Signal::SIGIO.number())]);

    // With a signal of its choice it learns more.
    reader.owner.lock().signal = 40;
    read(&reader, 9).unwrap();
    write(&writer, b"y").unwrap();
    let told = take_signals(OwnerKind::Process, pid);
    assert!(told.iter().any(|info| info.si_signo == 40));
    reader.set_flags(OpenFlags::empty()).unwrap();
    read(&reader, 9).unwrap();
    write(&writer, b"z").unwrap();
    assert!(take_signals(OwnerKind::Process, pid).is_empty());

    crate::owner::tell_urgent(&reader.owner);
    let owner = *reader.owner.lock();
    crate::owner::post_message(&owner, 3);
    assert_eq!(take_signals(OwnerKind::Process, pid).len(), 2);
    *reader.owner.lock() = Owner::default();
    crate::owner::tell_urgent(&reader.owner);
    crate::owner::post_message(&Owner::default(), 3);
    assert!(take_signals(OwnerKind::Process, 0).is_empty());
}

#[test]
fn open_files_are_counted() {
    let before = open_file::count();
    let file = crate::eventfd::EventFd::open(0, false, OpenFlags::empty());
    assert!(open_file::count() >= 1 && before < usize::MAX);
    drop(file);
    assert!(open_file::limit() >= 8192);
    open_file::check_count().unwrap();
}

struct Nothing;
impl FileOps for Nothing {}

#[test]
fn what_a_file_lacks_is_answered_for_it() {
    let (path, inode) = crate::anon::anon_inode("[nothing]");
    let file = OpenFile::new(path, inode, alloc::sync::Arc::new(Nothing), OpenFlags::RDWR);
    assert_eq!(errno(read(&file, 1)), Some(Errno::EINVAL));
    assert_eq!(errno(write(&file, b"x")), Some(Errno::EINVAL));
    assert_eq!(errno(file.read_at(0, &mut Sink::Kernel(&mut [0]))), Some(Errno::ESPIPE));
    assert_eq!(errno(file.write_at(0, &mut Source::Kernel(b"x"))), Some(Errno::ESPIPE));
    assert_eq!(file.seek(0, 0), Err(Errno::ESPIPE));
    assert_eq!(errno(file.read_now(None, &mut Sink::Kernel(&mut [0]))), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(file.write_now(&mut Source::Kernel(b"x"))), Some(Errno::EOPNOTSUPP));
    assert_eq!(file.ops.ioctl(&file, 1, user_mut(&mut [0])), Err(Errno::ENOTTY));
    assert_eq!(file.ops.sync(&file, true), Err(Errno::EINVAL));
    assert_eq!(file.ops.close_error(&file), Ok(()));
    assert_eq!((file.ops.splices(), file.ops.can_read_and_write()), ((true, true), (true, true)));
    assert!(!file.ops.maps_as_zero() && !file.ops.reads_now() && !file.ops.sends_signals() && file.ops.pollable());
    assert_eq!(events(&file), crate::poll::ev::READABLE | crate::poll::ev::WRITABLE);
    let mut text = String::new();
    file.ops.fdinfo(&file, &mut text);
    file.ops.flush(&file);
    assert!(text.is_empty());
}

#[test]
fn texts_stay_as_they_were_when_reading_began() {
    let text = Text::default();
    let take = |pos, fresh: &'static [u8]| {
        let mut buffer = [0; 2];
        let n = text.read_at(pos, &mut Sink::Kernel(&mut buffer), || Ok(fresh.to_vec())).unwrap();
        buffer[..n].to_vec()
    };
    assert_eq!(take(0, b"abc"), b"ab");
    assert_eq!(take(2, b"xyz"), b"c");
    assert_eq!(take(3, b"xyz"), b"");
    assert_eq!(take(0, b"xyz"), b"xy");
    assert_eq!(seek_text(5, -2, g::SEEK_CUR), Ok(3));
    assert_eq!(seek_text(5, 0, g::SEEK_END), Err(Errno::EINVAL));
    assert_eq!(seek_file(0, 10, 3, g::SEEK_DATA), Ok(3));
    assert_eq!(seek_file(0, 10, 3, g::SEEK_HOLE), Ok(10));
    assert_eq!(seek_file(0, 10, 10, g::SEEK_DATA), Err(Errno::ENXIO));
    assert_eq!(seek_file(0, 10, -1, g::SEEK_END), Ok(9));
}

#[test]
fn generated_files_come_from_their_inode() {
    let (path, _) = crate::anon::anon_inode("[text]");
    let inode: InodeRef = PseudoNode::control(
        NodeSpec::new(1, 0o644),
        || Ok(b"a text\n".to_vec()),
        |new| {
            if new == b"good" { Ok(()) } else { Err(Errno::EINVAL) }
        },
    );
    let ops = PseudoFile::open(&inode, OpenFlags::RDWR).unwrap();
    let file = OpenFile::new(path, inode, ops, OpenFlags::RDWR);
    assert_eq!(read(&file, 3).unwrap(), b"a t");
    assert_eq!(read(&file, 99).unwrap(), b"ext\n");
    assert_eq!(read(&file, 99).unwrap(), b"");
    assert_eq!(write(&file, b"good"), Ok(4));
    assert_eq!(write(&file, b"bad"), Err(Errno::EINVAL));
    assert!(!file.ops.pollable() && file.seek(0, g::SEEK_SET) == Ok(0));
    let mut left = [0; 4];
    assert_eq!(file.ops.ioctl(&file, i::FIONREAD, user_mut(&mut left)), Ok(0));
    assert_eq!(file.ops.ioctl(&file, 1, user_mut(&mut left)), Err(Errno::ENOTTY));
}
