//! The file system that programs see: the root, unpacked from the image, and what is mounted on it.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use fs::cpio::{self, Manifest as ArchiveManifest};
use fs::tmpfs::{Tmpfs, TmpfsOptions};
use fs::{LookupFlags, MountFlags, Namespace, PageRef, Path, Timespec};
use spin::Once;
use syscall_shim::{Errno, SysResult};

use crate::arch::boot::{self, PhysRange};
use crate::arch::clock;
use crate::files::with_fs;
use crate::mm::{PAGE_SIZE, frames, phys_to_virt};
use crate::task::current;
use crate::task::wait::{WaitQueue, wait_uninterruptible};

static NAMESPACE: Once<Arc<Namespace>> = Once::new();

/// The mounts. One namespace serves all processes.
///
/// # Panics
/// Before [`init`]: a mistake in the order of boot.
pub fn namespace() -> &'static Arc<Namespace> {
    match NAMESPACE.get() {
        Some(namespace) => namespace,
        None => panic!("the file system is used before it is there"),
    }
}

/// Sets up an empty root and returns it.
pub fn init() -> SysResult<Path> {
    fs::set_platform(&KernelPlatform);
    let root = Tmpfs::new(TmpfsOptions { mode: 0o755, ..TmpfsOptions::default() })?;
    Ok(NAMESPACE.call_once(|| Namespace::new(root, "rootfs", MountFlags::empty())).root())
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

/// Unpacks the payload of the image and the boot modules over it, and tells which program to run. The error is a message for
/// the user.
pub fn populate() -> Result<Manifest, String> {
    let mut manifest = ArchiveManifest::default();
    let payload = boot::payload();
    if !payload.is_empty() {
        unpack(payload, "the image's payload", &mut manifest)?;
    }
    for module in boot::info().modules.as_slice() {
        unpack(*module, "initrd", &mut manifest)?;
    }
    for (name, mode) in STANDARD_DIRECTORIES {
        make_directory(name, *mode).map_err(|errno| format!("cannot make {}: {errno:?}", String::from_utf8_lossy(name)))?;
    }
    if let Some(hostname) = manifest.hostname.take() {
        crate::task::uts::set_hostname(&hostname);
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

/// Mount points and the directories that every program may expect (hier(7)).
const STANDARD_DIRECTORIES: &[(&[u8], u32)] = &[
    (b"/dev", 0o755),
    (b"/proc", 0o555),
    (b"/sys", 0o555),
    (b"/run", 0o755),
    (b"/tmp", 0o1777),
    (b"/root", 0o700),
    (b"/etc", 0o755),
    (b"/var", 0o755),
    (b"/var/tmp", 0o1777),
];

fn make_directory(name: &[u8], mode: u32) -> SysResult<()> {
    let namespace = namespace();
    match namespace.mkdir(&namespace.kernel_context(), None, name, mode) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn default_environment() -> Vec<Vec<u8>> {
    [&b"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"[..], b"HOME=/root", b"TERM=linux"]
        .iter()
        .map(|entry| entry.to_vec())
        .collect()
}

/// `-- PATH ARGS` on the kernel's command line.
fn from_command_line() -> (Vec<u8>, Vec<Vec<u8>>) {
    let line = boot::info().command_line();
    let words = line.split_ascii_whitespace().skip_while(|word| *word != "--").skip(1);
    let argv: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).collect();
    (argv.first().cloned().unwrap_or_default(), argv)
}

fn unpack(range: PhysRange, what: &str, manifest: &mut ArchiveManifest) -> Result<(), String> {
    let len = (range.end - range.start) as usize;
    // SAFETY: the loader put the archive there and the frame allocator keeps it reserved. Frames that go to the page cache
    // below may be written by programs later, when this slice is gone; until then nothing writes them.
    let archive = unsafe { core::slice::from_raw_parts(phys_to_virt::<u8>(range.start).cast_const(), len) };
    let mut taken = Vec::new();
    let unpacked = cpio::unpack(namespace(), archive, &mut |offset| {
        let phys = range.start + offset as u64;
        if !phys.is_multiple_of(PAGE_SIZE as u64) {
            return None;
        }
        // SAFETY: `unpack` offers each page of the archive once, and it lies within the reserved range.
        let frame = unsafe { frames::adopt(phys) }?;
        taken.push(phys);
        Some(PageRef::from_raw(frame.into_raw()))
    })
    .map_err(|error| format!("{what}: {error}"))?;
    if let Some(found) = unpacked.manifest {
        manifest.merge(found);
    }
    let keep_symbols = unpacked.symbols.map(|symbols| {
        let start = symbols.as_ptr() as u64 - archive.as_ptr() as u64 + range.start;
        PhysRange { start, end: start + symbols.len() as u64 }
    });
    give_back(range, &taken, keep_symbols);
    Ok(())
}

/// Frees the archive's own pages: headers, names, and data that was copied. The kernel's symbols stay.
fn give_back(range: PhysRange, taken: &[u64], keep: Option<PhysRange>) {
    let mut taken = taken.iter().copied().peekable();
    for page in range.pages() {
        while taken.next_if(|&t| t < page).is_some() {}
        let used = taken.peek() == Some(&page);
        let kept = keep.as_ref().is_some_and(|k| page + PAGE_SIZE as u64 > k.start && page < k.end);
        // A first or last page that the range shares with something else is not only the archive's.
        let whole = page >= range.start && page + PAGE_SIZE as u64 <= range.end.next_multiple_of(PAGE_SIZE as u64);
        if !used && !kept && whole {
            // SAFETY: the boot's reference to this frame has gone to nobody else.
            drop(unsafe { frames::adopt(page) });
        }
    }
}

/// Makes `path` the working directory of the current process.
pub fn change_directory(path: &[u8]) -> SysResult<()> {
    let found = with_fs(|ctx| namespace().resolve(ctx, None, path, LookupFlags::FOLLOW | LookupFlags::DIRECTORY))?;
    current().fs().set_cwd(found);
    Ok(())
}

/// What the fs crate needs of the machine.
struct KernelPlatform;

/// Those who wait for a word in the fs crate's locks, by its address. Few ever do.
static SLEEPERS: [WaitQueue; 16] = [const { WaitQueue::new() }; 16];

fn sleepers(word: &AtomicU32) -> &'static WaitQueue {
    let hash = core::ptr::from_ref(word) as usize / align_of::<u64>();
    &SLEEPERS[hash % SLEEPERS.len()]
}

impl fs::Platform for KernelPlatform {
    fn alloc_page(&self) -> Option<u64> {
        frames::alloc_zeroed().map(frames::Frame::into_raw)
    }

    fn ref_page(&self, phys: u64) {
        frames::inc(phys);
    }

    fn unref_page(&self, phys: u64) {
        frames::dec(phys);
    }

    fn read_page(&self, phys: u64, off: usize, buf: &mut [u8]) {
        assert!(off + buf.len() <= PAGE_SIZE);
        // SAFETY: the caller holds a reference to the frame, and the range lies within it. Programs that map the page may
        // write it meanwhile; what is read then is either their old or their new bytes.
        unsafe { core::ptr::copy_nonoverlapping(phys_to_virt::<u8>(phys).add(off), buf.as_mut_ptr(), buf.len()) };
    }

    fn write_page(&self, phys: u64, off: usize, buf: &[u8]) {
        assert!(off + buf.len() <= PAGE_SIZE);
        // SAFETY: as in `read_page`.
        unsafe { core::ptr::copy_nonoverlapping(buf.as_ptr(), phys_to_virt::<u8>(phys).add(off), buf.len()) };
    }

    fn zero_page(&self, phys: u64, off: usize, len: usize) {
        assert!(off + len <= PAGE_SIZE);
        // SAFETY: as in `read_page`.
        unsafe { phys_to_virt::<u8>(phys).add(off).write_bytes(0, len) };
    }

    fn copy_page(&self, src: u64, dst: u64) {
        // SAFETY: the caller holds references to two different frames.
        unsafe { core::ptr::copy_nonoverlapping(phys_to_virt::<u8>(src), phys_to_virt::<u8>(dst), PAGE_SIZE) };
    }

    fn now(&self) -> Timespec {
        let ns = clock::realtime_ns();
        Timespec { sec: (ns / 1_000_000_000) as i64, nsec: (ns % 1_000_000_000) as u32 }
    }

    fn wait(&self, word: &AtomicU32, expected: u32) {
        wait_uninterruptible(sleepers(word), || (word.load(Ordering::Acquire) != expected).then_some(()));
    }

    fn wake(&self, word: &AtomicU32) {
        sleepers(word).wake_all();
    }
}
