//! The one tree of files: the root, unpacked from the image, and what is mounted on it.

pub mod overlay;
pub mod root;
pub mod volumes;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use block::device::Device;
use block::registry;
use fs::cpio::{self, Manifest as ArchiveManifest};
use fs::file::WriteRequest;
use fs::namespace::OpenHow;
use fs::tmpfs::{Tmpfs, TmpfsOptions};
use fs::{FileSystem, FileType, LookupFlags, MountFlags, Namespace, OpenFlags, PageRef, Path, makedev};
use spin::Once;
use syscall_shim::{Errno, SysResult};
use tty::DevptsOptions;

use crate::arch::boot;
use crate::fs_platform;
use crate::net::ResolvConf;
use crate::sync::SpinLock;
use fd::io::Source;
use fd::poll::{PollQueue, ev, poll_queue};
use fd::with_fs;
use mem::{boot_pages, frames};
use platform::rng;
use task::{current, namespace};

/// The tmpfs instances of the start, whose pages /proc/meminfo counts.
static MEMORY: SpinLock<Vec<Weak<Tmpfs>>> = SpinLock::new(Vec::new());

/// Directories that are made when the image lacks them (hier(7)), with their modes.
const DIRECTORIES: &[(&str, u32)] = &[
    ("/dev", 0o755),
    ("/proc", 0o555),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/run", 0o755),
    ("/root", 0o700),
    ("/etc", 0o755),
    ("/var", 0o755),
    ("/var/tmp", 0o1777),
];

/// Character devices of /dev: name, mode, major, minor.
const DEVICES: &[(&str, u32, u32, u32)] = &[
    ("/dev/null", 0o666, 1, 3),
    ("/dev/zero", 0o666, 1, 5),
    ("/dev/full", 0o666, 1, 7),
    ("/dev/random", 0o666, 1, 8),
    ("/dev/urandom", 0o666, 1, 9),
    ("/dev/kmsg", 0o644, 1, 11),
    ("/dev/net/tun", 0o666, 10, 200),
    ("/dev/tty", 0o666, 5, 0),
    ("/dev/console", 0o600, 5, 1),
    ("/dev/ptmx", 0o666, 5, 2),
];

/// Symbolic links of /dev.
const LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// The one file system of a type, or the same anew.
pub type Maker = fn() -> Arc<dyn FileSystem>;

/// Those of procfs and sysfs, which lie above.
static PSEUDO: Once<(Maker, Maker)> = Once::new();

/// Says how procfs and sysfs are made.
pub fn set_pseudo(procfs: Maker, sysfs: Maker) {
    PSEUDO.call_once(|| (procfs, sysfs));
}

/// Panics before [`set_pseudo`]: a mistake in the order of boot.
fn pseudo() -> (Maker, Maker) {
    match PSEUDO.get() {
        Some(makers) => *makers,
        None => panic!("file systems are mounted before procfs and sysfs are known"),
    }
}

/// The types of file systems, as /proc/filesystems lists them.
pub const TYPES: [&str; 13] = [
    "sysfs", "tmpfs", "proc", "devtmpfs", "pipefs", "sockfs", "mqueue", "devpts", "ramfs", "ext3", "ext2", "ext4", "overlay",
];

/// The parameters of the file systems that can be mounted.
static PARAMETERS: &[(&str, &[&str])] = &[
    ("tmpfs", &["size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "huge", "mpol", "inode32", "inode64"]),
    ("ramfs", &["mode"]),
    ("proc", &[]),
    ("sysfs", &[]),
    ("devpts", &["uid", "gid", "mode", "ptmxmode", "max", "newinstance"]),
    ("mqueue", &[]),
    ("ext2", ext4_mount::NAMES),
    ("ext3", ext4_mount::NAMES),
    ("ext4", ext4_mount::NAMES),
    ("overlay", fs::overlay::options::NAMES),
];

/// Those that are on a device.
const ON_DEVICE: [&str; 3] = ["ext2", "ext3", "ext4"];

/// Whether there is a file system of this type that can be mounted.
pub fn can_mount(kind: &str) -> bool {
    PARAMETERS.iter().any(|(known, _)| *known == kind)
}

/// Whether it is on a block device.
pub fn is_on_device(kind: &str) -> bool {
    ON_DEVICE.contains(&kind)
}

/// The names of its parameters.
pub fn parameters(kind: &str) -> &'static [&'static str] {
    PARAMETERS.iter().find(|(known, _)| *known == kind).map_or(&[], |(_, keys)| keys)
}

/// Whether a parameter stands alone.
pub fn is_flag(key: &str) -> bool {
    matches!(key, "inode32" | "inode64" | "newinstance" | "userxattr" | "volatile")
}

/// Whether the file system takes these options. `EINVAL`.
pub fn check_options(kind: &str, data: &str) -> SysResult<()> {
    match kind {
        "tmpfs" | "ramfs" => TmpfsOptions::parse(data, half_of_memory()).map(|_| ()),
        "devpts" => DevptsOptions::parse(data).map(|_| ()),
        "ext2" | "ext3" | "ext4" => ext4_mount::Options::parse(data).map(|_| ()),
        "overlay" => fs::overlay::Options::parse(data).map(|_| ()),
        _ => Ok(()),
    }
}

/// A new file system of this type, or the one that all mounts of it show. `ENODEV` for an unknown
/// type, `EINVAL` for unknown options, and the errors of [`source_device`] for one that is on a
/// device.
pub fn file_system(kind: &str, source: Option<&[u8]>, data: &str, read_only: bool) -> SysResult<Arc<dyn FileSystem>> {
    if is_on_device(kind) {
        return Ok(ext4_mount::mount(source_device(source)?, kind, data, read_only, rng::next_u64)?);
    }
    let made: Arc<dyn FileSystem> = match kind {
        "tmpfs" | "ramfs" => new_tmpfs(TmpfsOptions::parse(data, half_of_memory())?)?,
        "proc" => pseudo().0(),
        "sysfs" => pseudo().1(),
        "devpts" => tty::devpts(DevptsOptions::parse(data)?),
        "mqueue" => ::ipc::mqueue::file_system(),
        "overlay" => overlay::make(data)?,
        _ => return Err(Errno::ENODEV),
    };
    if read_only {
        // A new file system is read-only itself, by whichever mount it is reached later.
        made.reconfigure("", true)?;
    }
    Ok(made)
}

/// The block device at a path. `EINVAL` without one, `ENOTBLK` for what is none, `EACCES` on a
/// mount that has no devices.
fn source_device(source: Option<&[u8]>) -> SysResult<Arc<Device>> {
    let text = source.filter(|text| !text.is_empty()).ok_or(Errno::EINVAL)?;
    let found = with_fs(|ctx| namespace().resolve(ctx, None, text, LookupFlags::FOLLOW))?;
    let inode = found.inode()?;
    if inode.file_type() != FileType::Block {
        return Err(Errno::ENOTBLK);
    }
    if found.mount.flags().contains(MountFlags::NODEV) {
        return Err(Errno::EACCES);
    }
    registry::find(inode.metadata().rdev)
}

/// How what is no place for programs is mounted.
const SECURE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC).union(MountFlags::RELATIME);

/// A tmpfs that is counted in [`shmem_pages`]. Where nothing else is said it may have half of
/// memory, and as many inodes as that has pages.
pub fn new_tmpfs(options: TmpfsOptions) -> SysResult<Arc<Tmpfs>> {
    let fs = Tmpfs::new(TmpfsOptions { default_limit: half_of_memory(), ..options })?;
    let mut all = MEMORY.lock();
    all.retain(|fs| fs.strong_count() > 0);
    all.push(Arc::downgrade(&fs));
    drop(all);
    Ok(fs)
}

/// Pages that files in memory hold.
pub fn shmem_pages() -> u64 {
    MEMORY.lock().iter().filter_map(Weak::upgrade).map(|fs| fs.used_pages()).sum()
}

/// In pages: what a tmpfs may have where nothing else is said.
pub fn half_of_memory() -> u64 {
    frames::total() as u64 / 2
}

/// Bytes of memory, the archives that the root is unpacked from included.
fn memory() -> u64 {
    frames::stats().total as u64 * fs::PAGE_SIZE as u64
}

/// How often mounts have come and gone.
static MOUNT_CHANGES: AtomicU64 = AtomicU64::new(0);
static MOUNT_QUEUE: spin::LazyLock<PollQueue> = spin::LazyLock::new(poll_queue);

/// How often mounts have come and gone: what /proc/PID/mounts tells pollers.
pub fn mount_changes() -> u64 {
    MOUNT_CHANGES.load(Ordering::Acquire)
}

/// Woken when [`mount_changes`] has changed.
pub fn mount_queue() -> &'static PollQueue {
    &MOUNT_QUEUE
}

/// A mount has come or gone.
pub fn mounts_changed() {
    MOUNT_CHANGES.fetch_add(1, Ordering::AcqRel);
    MOUNT_QUEUE.wake_key(ev::ERR | ev::PRI);
}

/// Sets up an empty root and returns it.
pub fn init() -> SysResult<Path> {
    fs_platform::init();
    // Programs ask for free space before they write: it is what memory there is.
    let options =
        TmpfsOptions { name: "rootfs", size: Some(memory()), nr_inodes: Some(0), mode: 0o755, ..TmpfsOptions::default() };
    let root = new_tmpfs(options)?;
    Ok(task::set_namespace(Namespace::new(root, "rootfs", MountFlags::RELATIME)).root())
}

/// What the image says about the program to run.
pub struct Manifest {
    /// The program's path.
    pub exec: Vec<u8>,
    /// Arguments, `argv[0]` included.
    pub argv: Vec<Vec<u8>>,
    /// Environment, `NAME=VALUE` each.
    pub envp: Vec<Vec<u8>>,
    /// Working directory.
    pub cwd: Vec<u8>,
}

/// Unpacks the payload of the image and the boot modules over it, mounts what every Linux system
/// has, and tells which program to run. The error is a message for the user.
pub fn populate() -> Result<Manifest, String> {
    let mut manifest = ArchiveManifest::default();
    for mut archive in boot_pages::archives() {
        let sealed = archive.bytes();
        let bytes =
            cpio::seal::unsealed(sealed, archive.is_payload(), !boot::verified()).map_err(|error| error.to_string())?;
        // Copies are what it is measured against that there are none.
        let copies = boot::options("archive").any(|how| how == "copy");
        let mut take = |offset| archive.take(offset).map(|frame| PageRef::from_raw(frame.into_raw()));
        let mut in_place = |offset| if copies { None } else { take(offset) };
        let unpacked = cpio::unpack(namespace(), bytes, &mut in_place).map_err(|error| error.to_string())?;
        kinfo!("unpacked {} files, {} pages in place", unpacked.members, unpacked.pages_in_place);
        if let Some(later) = unpacked.manifest {
            manifest.merge(later);
        }
    }
    let on_disk = root::mount(namespace(), manifest.root.as_deref())?;
    overlay::over_root(namespace())?;
    mount_standard(namespace()).map_err(|errno| format!("cannot set up /dev, /proc and /sys: {errno:?}"))?;
    volumes::mount_all(namespace())?;
    // What the image has does not count, however much it is.
    if let Some(root) = MEMORY.lock().first().and_then(Weak::upgrade) {
        root.allow_inodes(half_of_memory());
    }
    match write_resolv_conf(namespace()) {
        // A disk says itself what is in its /etc.
        Err(Errno::EROFS) if on_disk => {}
        written => written.map_err(|errno| format!("cannot write /etc/resolv.conf: {errno:?}"))?,
    }
    if let Some(hostname) = manifest.hostname.take() {
        task::uts::set_hostname(&hostname);
    }
    let (exec, argv) = match (manifest.exec, manifest.args) {
        (Some(exec), Some(argv)) if !argv.is_empty() => (exec, argv),
        (Some(exec), _) => (exec.clone(), alloc::vec![exec]),
        (None, _) => from_command_line(),
    };
    Ok(Manifest {
        exec,
        argv,
        envp: manifest.env.unwrap_or_else(default_environment),
        cwd: manifest.cwd.unwrap_or_else(|| b"/".to_vec()),
    })
}

fn default_environment() -> Vec<Vec<u8>> {
    [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "USER=root",
        "LOGNAME=root",
        "LANG=C.UTF-8",
        "TERM=linux",
    ]
    .iter()
    .map(|entry| entry.as_bytes().to_vec())
    .collect()
}

/// `-- PATH ARGS` on the kernel's command line.
fn from_command_line() -> (Vec<u8>, Vec<Vec<u8>>) {
    let line = boot::info().command_line();
    let words = line.split_ascii_whitespace().skip_while(|word| *word != "--").skip(1);
    let argv: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).collect();
    (argv.first().cloned().unwrap_or_default(), argv)
}

/// Makes `path` the working directory of the current process.
pub fn change_directory(path: &[u8]) -> SysResult<()> {
    let found = with_fs(|ctx| namespace().resolve(ctx, None, path, LookupFlags::FOLLOW | LookupFlags::DIRECTORY))?;
    current().fs().set_cwd(found);
    Ok(())
}

fn make_dir(ns: &Namespace, path: &str, mode: u32) -> SysResult<()> {
    match ns.mkdir(&ns.kernel_context(), None, path.as_bytes(), mode) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn mount(ns: &Namespace, fs: Arc<dyn FileSystem>, source: &str, target: &str, flags: MountFlags) -> SysResult<()> {
    let target = ns.resolve(&ns.kernel_context(), None, target.as_bytes(), LookupFlags::FOLLOW | LookupFlags::DIRECTORY)?;
    ns.mount(fs, source, &target, flags).map(|_| ())
}

/// Tells programs the name servers, unless the image brings a file of its own (resolv.conf(5)).
fn write_resolv_conf(ns: &Namespace) -> SysResult<()> {
    let text = match crate::net::resolv_conf() {
        Some(ResolvConf::Text(text)) => text,
        Some(ResolvConf::Link(to)) => {
            return match ns.symlink(&ns.kernel_context(), to.as_bytes(), None, b"/etc/resolv.conf") {
                Ok(_) | Err(Errno::EEXIST) => Ok(()),
                Err(errno) => Err(errno),
            };
        }
        None => return Ok(()),
    };
    let flags = OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::WRONLY;
    let how = OpenHow { flags, mode: 0o644, resolve: LookupFlags::empty() };
    let opened = match ns.open(&ns.kernel_context(), None, b"/etc/resolv.conf", &how) {
        Err(Errno::EEXIST) => return Ok(()),
        opened => opened?,
    };
    let request = WriteRequest { pos: 0, len: text.len(), append: false, fsize_limit: u64::MAX, keep_setid: true };
    let mut from = Source::Kernel(text.as_bytes());
    fs::file::write(&opened.inode, &request, &mut |page, off, n| from.take_page(page, off, n)).map(|_| ())
}

/// Makes and removes the nodes of block devices.
struct Nodes;

fn node_path(device: &Device) -> Vec<u8> {
    format!("/dev/{}", device.name()).into_bytes()
}

impl registry::Nodes for Nodes {
    fn added(&self, device: &Device) {
        let ns = namespace();
        let made = ns.mknod(&ns.kernel_context(), None, &node_path(device), fs::S_IFBLK | 0o600, device.rdev);
        if let Err(errno) = made.map(|_| ()) {
            kwarn!("no node for {}: {errno:?}", device.name());
        }
    }

    fn removed(&self, device: &Device) {
        let ns = namespace();
        // The program may have removed it itself.
        let _ = ns.unlink(&ns.kernel_context(), None, &node_path(device));
    }
}

/// The nodes of the disks and of the partitions that they have.
fn disk_nodes(ns: &Namespace) -> SysResult<()> {
    registry::set_nodes(&Nodes);
    for device in registry::all() {
        ns.mknod(&ns.kernel_context(), None, &node_path(&device), fs::S_IFBLK | 0o600, device.rdev)?;
        // Where the root is on a partition, they are known by now.
        let known = device.number != 0 || !registry::partitions(&device.disk).is_empty();
        if !known && let Err(errno) = registry::rescan(&device) {
            kwarn!("{}: the partition table cannot be read: {errno:?}", device.name());
        }
    }
    Ok(())
}

fn mount_standard(ns: &Namespace) -> SysResult<()> {
    let ctx = ns.kernel_context();
    for (path, mode) in DIRECTORIES {
        make_dir(ns, path, *mode)?;
    }
    mount(ns, pseudo().0(), "proc", "/proc", SECURE)?;
    mount(ns, pseudo().1(), "sysfs", "/sys", SECURE)?;
    let dev = new_tmpfs(TmpfsOptions { name: "devtmpfs", mode: 0o755, ..TmpfsOptions::default() })?;
    mount(ns, dev, "devtmpfs", "/dev", MountFlags::NOSUID | MountFlags::RELATIME)?;
    make_dir(ns, "/dev/net", 0o755)?;
    for (path, mode, major, minor) in DEVICES {
        ns.mknod(&ctx, None, path.as_bytes(), fs::S_IFCHR | mode, makedev(*major, *minor))?;
    }
    disk_nodes(ns)?;
    for (path, target) in LINKS {
        ns.symlink(&ctx, target.as_bytes(), None, path.as_bytes())?;
    }
    make_dir(ns, "/dev/pts", 0o755)?;
    mount(
        ns,
        tty::devpts(DevptsOptions::first()),
        "devpts",
        "/dev/pts",
        MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::RELATIME,
    )?;
    make_dir(ns, "/dev/mqueue", 0o1777)?;
    mount(ns, ::ipc::mqueue::file_system(), "mqueue", "/dev/mqueue", SECURE)?;
    make_dir(ns, "/dev/shm", 0o1777)?;
    let shm = new_tmpfs(TmpfsOptions::default())?;
    mount(ns, shm, "tmpfs", "/dev/shm", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RELATIME)
}
