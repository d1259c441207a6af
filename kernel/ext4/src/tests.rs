//! Images of mke2fs in memory, changed by way of names and page cache, and looked at by e2fsck and
//! debugfs.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use block::device::Device;
use block::driver::{Driver, Properties};
use block::registry;
use block::request::{Batch, Operation, Outcome, Request};
use fd::OpenFile;
use fd::regular::Regular;
use fs::file::WriteRequest;
use fs::namespace::OpenHow;
use fs::tmpfs::Tmpfs;
use fs::{FallocateMode, FileSystem, InodeRef, LookupFlags, MountFlags, Namespace, OpenFlags};
use syscall_shim::{Errno, SysResult};

use crate::{Files, Options, mount};

/// A disk in memory.
struct Memory {
    properties: Properties,
    bytes: Mutex<Vec<u8>>,
    /// So many writes more fail.
    failing: AtomicU32,
}

impl Driver for Memory {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn start(&self, requests: Vec<Request>) {
        for request in requests {
            let fails = |left: u32| left.checked_sub(1);
            let writes = matches!(request.operation, Operation::Write);
            if writes && self.failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails).is_ok() {
                request.finish(Outcome::Failed);
                continue;
            }
            let mut bytes = self.bytes.lock().unwrap();
            let mut at = request.sector as usize * 512;
            for piece in &request.segments {
                let range = &mut bytes[at..at + piece.len as usize];
                match request.operation {
                    Operation::Read => piece.page.write(piece.offset as usize, range),
                    _ => piece.page.read(piece.offset as usize, range),
                };
                at += piece.len as usize;
            }
            drop(bytes);
            request.finish(Outcome::Done);
        }
    }

    fn wait(&self, batch: &Batch) {
        assert!(batch.is_done());
    }
}

struct Image {
    memory: Arc<Memory>,
    device: Arc<Device>,
    dir: tempfile::TempDir,
}

impl Image {
    /// 16 MiB with a file system of this type.
    fn new(kind: &str) -> Self {
        caller::testing::with(|_| ());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, vec![0; 16 << 20]).unwrap();
        run("mke2fs", &["-q", "-F", "-t", kind], &path);
        let bytes = std::fs::read(&path).unwrap();
        let properties = Properties {
            sectors: bytes.len() as u64 / 512,
            logical_block: 512,
            physical_block: 512,
            io_sizes: [0; 2],
            read_only: false,
            write_cache: true,
            discard: None,
            write_zeroes: None,
            max_segments: 60,
            max_segment_size: u32::MAX,
        };
        let memory = Arc::new(Memory { properties, bytes: Mutex::new(bytes), failing: AtomicU32::new(0) });
        let device = registry::add(memory.clone()).unwrap();
        Self { memory, device, dir }
    }

    fn mount(&self, kind: &str, read_only: bool) -> SysResult<Arc<Files>> {
        mount(self.device.clone(), kind, "", read_only, || 4)
    }

    /// What a tool says of the disk as it is now.
    fn ask(&self, tool: &str, args: &[&str]) -> String {
        let path = self.dir.path().join("disk");
        std::fs::write(&path, &*self.memory.bytes.lock().unwrap()).unwrap();
        run(tool, args, &path)
    }
}

fn run(tool: &str, args: &[&str], path: &Path) -> String {
    let output = Command::new(tool).args(args).arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {args:?}: {said}");
    said
}

/// A tree in which the file system is at `/mnt`.
fn tree(files: Arc<Files>) -> Arc<Namespace> {
    let tree = Namespace::new(Tmpfs::new(Default::default()).unwrap(), "rootfs", MountFlags::default());
    tree.mkdir(&tree.kernel_context(), None, b"/mnt", 0o755).unwrap();
    tree.mount(files, "disk", &place(&tree), MountFlags::default()).unwrap();
    tree
}

fn place(tree: &Namespace) -> fs::Path {
    tree.resolve(&tree.kernel_context(), None, b"/mnt", LookupFlags::default()).unwrap()
}

/// Takes it away, so that it is unmounted when the last user of it is gone.
fn umount(tree: &Namespace) {
    tree.umount(&tree.cross(place(tree)), true, false).unwrap();
}

fn open(tree: &Namespace, path: &str, flags: OpenFlags) -> SysResult<InodeRef> {
    let how = OpenHow { flags, mode: 0o644, resolve: LookupFlags::default() };
    tree.open(&tree.kernel_context(), None, path.as_bytes(), &how).map(|opened| opened.inode)
}

fn write(inode: &InodeRef, pos: u64, bytes: &[u8]) -> SysResult<usize> {
    let request = WriteRequest { pos, len: bytes.len(), append: false, fsize_limit: u64::MAX, keep_setid: true };
    let mut done = 0;
    let copied = fs::file::write(inode, &request, &mut |page, offset, n| {
        page.write(offset, &bytes[done..done + n]);
        done += n;
        Ok(n)
    });
    copied.map(|(n, _)| n)
}

fn read(inode: &InodeRef, len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    fs::file::read(inode, 0, len, &mut |page, offset, n| {
        let from = out.len();
        out.resize(from + n, 0);
        page.map(|page| page.read(offset, &mut out[from..]));
        Ok(n)
    })
    .unwrap();
    out
}

#[test]
fn what_is_written_is_there_for_others() {
    for kind in ["ext2", "ext3", "ext4"] {
        let image = Image::new(kind);
        let content: Vec<u8> = (0..3_000_000u32).map(|i| (i * 7 + i / 300) as u8).collect();
        {
            let tree = tree(image.mount(kind, false).unwrap());
            let ctx = tree.kernel_context();
            tree.mkdir(&ctx, None, b"/mnt/dir", 0o755).unwrap();
            let file = open(&tree, "/mnt/dir/file", OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
            assert_eq!(write(&file, 0, &content), Ok(content.len()));
            assert_eq!(read(&file, 4_000_000), content);
            tree.symlink(&ctx, b"dir/file", None, b"/mnt/link").unwrap();
            let gone = open(&tree, "/mnt/gone", OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
            write(&gone, 0, b"gone").unwrap();
            tree.unlink(&ctx, None, b"/mnt/gone").unwrap();
            assert_eq!(read(&gone, 10), b"gone");
            assert_eq!(image.mount(kind, false).err(), Some(Errno::EBUSY));
            tree.end().unwrap();
            umount(&tree);
        }
        image.ask("e2fsck", &["-fn"]);
        let out = image.dir.path().join("out");
        let dump = format!("dump /dir/file {}", out.display());
        image.ask("debugfs", &["-R", &dump]);
        assert_eq!(std::fs::read(&out).unwrap(), content, "{kind}");
        assert!(!image.ask("debugfs", &["-R", "ls /"]).contains("gone"));
        // And once more for reading alone, which changes nothing.
        let before = image.memory.bytes.lock().unwrap().clone();
        let tree = tree(image.mount(kind, true).unwrap());
        assert_eq!(read(&open(&tree, "/mnt/link", OpenFlags::empty()).unwrap(), 4_000_000), content);
        assert_eq!(open(&tree, "/mnt/new", OpenFlags::CREAT | OpenFlags::RDWR).err(), Some(Errno::EROFS));
        umount(&tree);
        assert_eq!(*image.memory.bytes.lock().unwrap(), before);
    }
}

#[test]
fn sync_leaves_nothing_dirty() {
    let image = Image::new("ext4");
    let files = image.mount("ext4", false).unwrap();
    let tree = tree(files.clone());
    let file = open(&tree, "/mnt/file", OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
    write(&file, 5000, b"text").unwrap();
    // Nobody has it open, and it is not forgotten.
    drop(file);
    files.sync().unwrap();
    // It is in the journal at least.
    image.ask("e2fsck", &["-p"]);
    let said = run("debugfs", &["-R", "cat /file"], &image.dir.path().join("disk"));
    assert!(said.contains("text"));
}

#[test]
fn a_full_disk_is_said_in_time() {
    let image = Image::new("ext4");
    let tree = tree(image.mount("ext4", false).unwrap());
    let file = open(&tree, "/mnt/file", OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
    let mut at = 0;
    let errno = loop {
        match write(&file, at, &[7; 65536]) {
            Ok(n) => at += n as u64,
            Err(errno) => break errno,
        }
        assert!(at < 32 << 20);
    };
    assert_eq!(errno, Errno::ENOSPC);
    assert!(at > 4 << 20);
    tree.end().unwrap();
    drop(file);
    image.ask("e2fsck", &["-fn"]);
}

/// Tells others to stop, also where the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_truncation_beside_writing_back_keeps_the_size() {
    let image = Image::new("ext4");
    let files = image.mount("ext4", false).unwrap();
    let tree = tree(files.clone());
    let file = open(&tree, "/mnt/file", OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
    let stop = AtomicBool::new(false);
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                caller::testing::with(|_| ());
                while !stop.load(Ordering::Relaxed) {
                    files.sync().unwrap();
                }
            });
        }
        // As who has it mapped does, whom no lock of the file keeps out.
        scope.spawn(|| {
            caller::testing::with(|_| ());
            let mapping = file.mapping().unwrap();
            while !stop.load(Ordering::Relaxed) {
                (0..48).for_each(|index| drop(mapping.fault(index, true)));
            }
        });
        for round in 0..100u64 {
            write(&file, 0, &[round as u8; 200_000]).unwrap();
            let size = round * 37 % 9000;
            file.truncate(size).unwrap();
            let there = files.core.metadata(file.metadata().ino as u32).unwrap().size;
            wrong.extend((there != size).then_some((round, size, there)));
        }
    });
    assert_eq!(wrong, []);
    let size = file.metadata().size;
    drop(file);
    tree.end().unwrap();
    image.ask("e2fsck", &["-fn"]);
    assert!(image.ask("debugfs", &["-R", "stat /file"]).contains(&format!("Size: {size}")));
}

#[test]
fn what_is_mounted_read_only_can_be_written_later() {
    let image = Image::new("ext4");
    let files = image.mount("ext4", true).unwrap();
    let tree = tree(files.clone());
    let create = OpenFlags::CREAT | OpenFlags::RDWR;
    assert_eq!(open(&tree, "/mnt/file", create).err(), Some(Errno::EROFS));
    for round in 0..3u8 {
        files.reconfigure("", false).unwrap();
        assert_eq!(write(&open(&tree, "/mnt/file", create).unwrap(), round.into(), &[b'a' + round]), Ok(1));
        files.reconfigure("", true).unwrap();
        assert_eq!(open(&tree, "/mnt/new", create).err(), Some(Errno::EROFS));
        image.ask("e2fsck", &["-fn"]);
    }
    assert!(image.ask("debugfs", &["-R", "cat /file"]).contains("abc"));
}

#[test]
fn a_nameless_file_gives_its_blocks_back_when_it_is_closed() {
    let image = Image::new("ext4");
    let files = image.mount("ext4", false).unwrap();
    let tree = tree(files.clone());
    let file = open(&tree, "/mnt/file", OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
    let before = files.statfs().unwrap().bfree;
    write(&file, 0, &[1; 1 << 20]).unwrap();
    files.sync().unwrap();
    tree.unlink(&tree.kernel_context(), None, b"/mnt/file").unwrap();
    assert!(files.statfs().unwrap().bfree < before);
    drop(file);
    assert_eq!(files.statfs().unwrap().bfree, before);
}

#[test]
fn a_nameless_file_with_dirty_pages_is_deleted_once() {
    let image = Image::new("ext4");
    let files = image.mount("ext4", false).unwrap();
    let tree = tree(files.clone());
    let make = |name: &str| {
        let file = open(&tree, name, OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
        write(&file, 0, &[1; 1 << 20]).unwrap();
        files.sync().unwrap();
        write(&file, 0, &[2; 1 << 16]).unwrap();
        tree.unlink(&tree.kernel_context(), None, name.as_bytes()).unwrap();
        file
    };
    let before = files.statfs().unwrap().bfree;
    drop(make("/mnt/closed"));
    assert_eq!(files.statfs().unwrap().bfree, before);
    // One that nobody has open at the end, and one that somebody has.
    drop(make("/mnt/left"));
    let open = make("/mnt/open");
    assert_eq!(tree.end(), Ok(()));
    drop(open);
    image.ask("e2fsck", &["-fn"]);
}

#[test]
fn some_blocks_are_the_super_users() {
    let image = Image::new("ext4");
    let files = image.mount("ext4", false).unwrap();
    let tree = tree(files.clone());
    let file = open(&tree, "/mnt/file", OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
    let fill = |from: u64| {
        let mut at = from;
        while let Ok(n) = write(&file, at, &[7; 4096]) {
            at += n as u64;
        }
        files.sync().unwrap();
        at
    };
    caller::testing::with(|caller| caller.credentials = Arc::new(caller::Credentials { fsuid: 1000, ..Default::default() }));
    // Nor does a long piece reach into the reserve.
    let before = files.statfs().unwrap();
    let piece = 300 * before.bsize;
    let fails = |n: u64| file.fallocate(FallocateMode::empty(), n * piece, piece).err();
    assert_eq!((0..100).find_map(fails), Some(Errno::ENOSPC));
    let after = files.statfs().unwrap();
    assert!(after.bavail < 300 && after.bfree >= before.bfree - before.bavail, "{after:?}");
    file.truncate(0).unwrap();
    files.sync().unwrap();
    let others = fill(0);
    let sizes = files.statfs().unwrap();
    assert!(sizes.bfree > sizes.bavail && sizes.bavail < 16, "{sizes:?}");
    // Nor for what is no content.
    let fails = |n: u32| tree.mkdir(&tree.kernel_context(), None, format!("/mnt/{n}").as_bytes(), 0o755).err();
    assert_eq!((0..20).find_map(fails), Some(Errno::ENOSPC));
    caller::testing::with(|caller| caller.credentials = Arc::new(caller::Credentials::root()));
    assert!(fill(others) > others);
    assert!(files.statfs().unwrap().bfree < 16);
    drop(file);
    tree.end().unwrap();
    image.ask("e2fsck", &["-fn"]);
}

#[test]
fn what_is_no_file_system() {
    let image = Image::new("ext4");
    image.memory.bytes.lock().unwrap()[..4096].fill(0);
    assert_eq!(image.mount("ext4", false).err(), Some(Errno::EINVAL));
    assert_eq!(image.mount("xfs", false).err(), Some(Errno::ENODEV));
    // The device is free again.
    assert_eq!(image.device.claim(), Ok(()));
    image.device.unclaim();
    assert_eq!(Options::parse("noload,errors=remount-ro"), Ok(Options { no_replay: true }));
    for wrong in ["nonsense", "data=unknown", "commit", "acl=1"] {
        assert_eq!(Options::parse(wrong), Err(Errno::EINVAL), "{wrong}");
    }
}

#[test]
fn each_open_file_is_told_once_of_what_was_not_written() {
    let image = Image::new("ext4");
    let tree = tree(image.mount("ext4", false).unwrap());
    let open_file = |path: &str| {
        let how = OpenHow { flags: OpenFlags::CREAT | OpenFlags::RDWR, mode: 0o644, resolve: LookupFlags::default() };
        let opened = tree.open(&tree.kernel_context(), None, path.as_bytes(), &how).unwrap();
        let ops = Regular::ops(&opened.inode);
        OpenFile::opened(opened.path, opened.inode, ops, how.flags, opened.write_access, opened.created)
    };
    let sync = |file: &Arc<OpenFile>| file.ops.sync(file, true);
    let (one, two, other) = (open_file("/mnt/file"), open_file("/mnt/file"), open_file("/mnt/other"));
    write(&one.inode, 0, &[1; 5000]).unwrap();
    write(&other.inode, 0, b"other").unwrap();
    sync(&other).unwrap();
    image.memory.failing.store(1, Ordering::Relaxed);
    assert_eq!(sync(&one), Err(Errno::EIO));
    let later = open_file("/mnt/file");
    assert_eq!([sync(&one), sync(&two), sync(&two)], [Ok(()), Err(Errno::EIO), Ok(())]);
    assert_eq!([sync(&later), sync(&other)], [Ok(()), Ok(())]);
}
