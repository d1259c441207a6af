//! ext2, ext3 and ext4 over any block device: read and written, with the journal, as pure code that
//! is tested on the host against e2fsprogs and Linux.
//!
//! From below to above: [`device`] is what the crate asks of the disk and the machine; `layout`,
//! `features` and `geometry` are the format; `cache` holds blocks of metadata, `volume` makes
//! operations of changes to them, `journal` makes operations durable; `group`, `balloc` and
//! `ialloc` give out blocks and inodes; `extent` and `indirect` map a file's blocks, `data`,
//! `ranges` and `files` its content; `dirblock`, `htree`, `dir` and `namei` are names; `xattr`,
//! `acl` and `inline` what lies behind an inode. [`Ext4`] is all of that under one lock.
//!
//! **Locking.** One lock that sleeps guards the metadata; whoever waits for it waits for a device
//! at most. Content and the log are read and written outside of it; who commits has the turn to do
//! so, a lock taken before. Nothing of the page cache is known here: the layer above has one,
//! serialises changes of the same file's content, and calls [`Ext4::release`] when the last user of
//! a file without a name is gone.
//!
//! **Durability.** An operation changes copies of blocks; one that fails is undone from them. Those
//! that succeed gather in the running transaction, which [`Ext4::sync`] commits: data, then the
//! log, a flush, the commit block, a flush. New blocks of files with extents are marked unwritten
//! until their content is on the disk, so no crash shows old content of others; freed blocks are
//! not given out again before the commit that frees them. After an internal error nothing more is
//! written, whatever `s_errors` says: what is not understood is not made worse.
//!
//! **Why not a crate.** Tried in November 2026 with images of mke2fs 1.47 and 150 mutations of one,
//! which neither panicked on. `ext4-view` 1.0.0 only reads, and refuses `inline_data` and
//! `large_dir`. `rsext4` 0.9.2 writes, but refuses these two too, knows neither `orphan_file` nor
//! fast commits, and takes `&mut self` for every read: one reader at a time, the wait for the disk
//! included, with no way to map blocks for a page cache that is not its own.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod acl;
mod balloc;
mod cache;
mod checksum;
mod data;
pub mod device;
mod dir;
mod dirblock;
mod error;
mod extent;
mod features;
mod files;
mod geometry;
mod group;
mod hash;
mod htree;
mod ialloc;
mod indirect;
mod inline;
mod inode;
mod journal;
mod layout;
mod mount;
mod namei;
mod orphan;
mod ranges;
mod sync;
mod volume;
mod whole;
mod xattr;

pub use data::Run;
pub use device::{BlockDevice, DeviceError, Environment};
pub use error::{Error, Result};
pub use mount::MountOptions;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use fs::inode::NewNode;
use fs::sync::SleepLock;
use fs::{DirEntry, FallocateMode, FileType, Metadata, RenameFlags, SetAttr, StatFs, XattrFlags};
use layout::flag;
use namei::NewContent;
use syscall_shim::Errno;
use volume::Volume;

/// The root directory's inode number.
pub const ROOT_INO: u32 = layout::ROOT_INO;

/// `EXT4_SUPER_MAGIC` of statfs(2).
pub const SUPER_MAGIC: u64 = layout::MAGIC as u64;

/// Flags of `FS_IOC_SETFLAGS` that a user may change.
const SETTABLE: u32 =
    0x01 | 0x02 | 0x08 | flag::IMMUTABLE | flag::APPEND | flag::NODUMP | flag::NOATIME | 0x1_0000 | flag::TOPDIR;

const CONTENT_LOCKS: usize = 32;

/// A mounted file system. Files are named by inode number; the caller keeps to those that it got
/// from here and has not released.
pub struct Ext4 {
    volume: sync::Mutex<Box<Volume>>,
    /// Held over a change of a file's content, each for the inodes with its number modulo their
    /// count: blocks that are being written without the volume's lock are not freed meanwhile.
    /// Taken before all others.
    content: [SleepLock; CONTENT_LOCKS],
    /// The turn to commit, taken before the volume's lock.
    committing: SleepLock,
    device: Arc<dyn BlockDevice>,
    block_bits: u32,
}

impl Ext4 {
    /// Mounts: checks the superblock, replays the journal, deletes files that lost their last name
    /// before a crash. Names the field or feature that forbids it.
    pub fn mount(device: Arc<dyn BlockDevice>, env: Arc<dyn Environment>, options: MountOptions) -> Result<Ext4> {
        let volume = mount::mount(device.clone(), env, options)?;
        let block_bits = volume.geo.block_bits;
        let content = [const { SleepLock::new() }; CONTENT_LOCKS];
        Ok(Ext4 { volume: sync::Mutex::new(volume), content, committing: SleepLock::new(), device, block_bits })
    }

    /// Makes everything durable, marks the file system clean. It is read-only afterwards.
    pub fn unmount(&self) -> Result<()> {
        self.with(Volume::unmount)
    }

    /// Has what was mounted to be read, or made so since, be written from now on. `EROFS` where the
    /// disk, a feature or an error forbids it, or where the journal was left alone and is still to
    /// be replayed.
    pub fn make_writable(&self) -> Result<()> {
        self.with(Volume::make_writable)
    }

    /// Whether the caller may use the blocks that are kept for the super-user.
    pub fn may_use_reserve(&self) -> bool {
        self.volume.lock().may_use_reserve()
    }

    fn with<T>(&self, f: impl FnOnce(&mut Volume) -> Result<T>) -> Result<T> {
        let mut volume = self.volume.lock();
        let result = f(&mut volume);
        if let Err(error) = &result
            && error.is_internal()
        {
            volume.fail(error);
        }
        result
    }

    fn content(&self, ino: u32) -> &SleepLock {
        let [first, ..] = &self.content;
        self.content.get(ino as usize % CONTENT_LOCKS).unwrap_or(first)
    }

    fn bits(&self) -> u32 {
        self.block_bits
    }

    fn block_shape(&self) -> (u32, u64) {
        (self.block_bits, 1 << self.block_bits)
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u64 {
        1 << self.block_bits
    }

    /// Whether nothing can be written: by the mount's options, by a feature, or after an error.
    pub fn read_only(&self) -> bool {
        self.volume.lock().read_only
    }

    /// The identifier of the file system.
    pub fn uuid(&self) -> [u8; 16] {
        self.volume.lock().geo.uuid
    }

    /// The label.
    pub fn label(&self) -> String {
        let name = self.volume.lock().sb.volume_name;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        String::from_utf8_lossy(name.get(..end).unwrap_or(&[])).into_owned()
    }

    /// Sizes for statfs(2).
    pub fn statfs(&self) -> Result<StatFs> {
        self.with(|vol| vol.statfs())
    }

    /// Makes everything durable that calls before this one have changed.
    ///
    /// Callers that come while a commit is on its way share the next one, and other calls go on
    /// meanwhile.
    pub fn sync(&self) -> Result<()> {
        let mine = {
            let vol = self.volume.lock();
            if vol.read_only && !vol.failed {
                return Ok(());
            }
            (!vol.txn.blocks.is_empty() || vol.sb_dirty).then_some(vol.txn_number)
        };
        let _turn = self.committing.lock();
        let mut vol = self.volume.lock();
        if mine.is_some_and(|number| vol.txn_number > number) {
            // Whoever had the turn before took it along. One that was taken out under the lock has
            // ended there.
            return if vol.failed { Err(Error::Device) } else { Ok(()) };
        }
        let Some(cargo) = vol.launch()? else { return Ok(()) };
        let flight = cargo.flight.clone();
        let hold = flight.hold();
        drop(vol);
        cargo.write(hold);
        self.with(|vol| {
            vol.land()?;
            // Another may have ended it, and was told in our place.
            if vol.failed { Err(Error::Device) } else { Ok(()) }
        })
    }

    /// Tells the device of free blocks in pieces of at least `min` bytes (FITRIM): the bytes that
    /// were told.
    pub fn trim(&self, min: u64) -> Result<u64> {
        self.with(|vol| vol.trim(min))
    }

    // One file.

    /// Everything stat(2) reports; the caller fills in the device.
    pub fn metadata(&self, ino: u32) -> Result<Metadata> {
        self.with(|vol| vol.inode(ino).map(|inode| vol.metadata(&inode)))
    }

    /// `i_generation`, which tells one user of an inode number from the next.
    pub fn generation(&self, ino: u32) -> Result<u32> {
        self.with(|vol| Ok(vol.inode(ino)?.raw.generation.get()))
    }

    /// The flags of `FS_IOC_GETFLAGS`.
    pub fn flags(&self, ino: u32) -> Result<u32> {
        self.with(|vol| Ok(vol.inode(ino)?.raw.flags.get()))
    }

    /// Changes those flags that a user may change (`FS_IOC_SETFLAGS`).
    pub fn set_flags(&self, ino: u32, flags: u32) -> Result<()> {
        self.change(ino, |vol, inode| {
            let kept = inode.raw.flags.get() & !SETTABLE;
            inode.raw.flags.set(kept | flags & SETTABLE);
            inode.set_ctime(vol.now());
            Ok(())
        })
    }

    /// Applies checked changes of attributes.
    pub fn setattr(&self, ino: u32, attr: &SetAttr) -> Result<()> {
        self.change(ino, |vol, inode| {
            if let Some(mode) = attr.mode {
                inode.raw.mode.set((inode.mode() & fs::S_IFMT | mode & 0o7777) as u16);
            }
            let (uid, gid) = (attr.uid.unwrap_or(inode.uid()), attr.gid.unwrap_or(inode.gid()));
            inode.set_owner(uid, gid);
            if let Some(time) = attr.atime {
                inode.set_atime(time);
            }
            if let Some(time) = attr.mtime {
                inode.set_mtime(time);
            }
            if !attr.keep_ctime {
                inode.set_ctime(attr.ctime.unwrap_or(vol.now()));
            }
            if attr.kill_capability {
                match vol.set_xattr(inode, b"security.capability", None, XattrFlags::empty()) {
                    Err(Error::Refused(Errno::ENODATA)) => {}
                    other => other?,
                }
            }
            Ok(())
        })
    }

    fn change(&self, ino: u32, f: impl Fn(&mut Volume, &mut inode::Inode) -> Result<()>) -> Result<()> {
        self.with(|vol| {
            vol.transact(|vol| {
                let mut inode = vol.inode(ino)?;
                f(vol, &mut inode)?;
                vol.put_inode(&inode)
            })
        })
    }

    /// Deletes a file whose last name and last user are gone; does nothing for one that has a name.
    pub fn release(&self, ino: u32) -> Result<()> {
        let _alone = self.content(ino).lock();
        self.with(|vol| vol.evict(ino))
    }

    /// Sets the size of a regular file. What it gains reads as zeros.
    pub fn truncate(&self, ino: u32, size: u64) -> Result<()> {
        let _alone = self.content(ino).lock();
        self.with(|vol| match vol.inode(ino)?.file_type() {
            Some(FileType::Regular) => vol.truncate(ino, size),
            _ => Err(Errno::EINVAL.into()),
        })
    }

    /// fallocate(2). Edges of punched and zeroed ranges are zeroed on the disk: a page cache writes
    /// its pages back before, and drops them after.
    pub fn fallocate(&self, ino: u32, mode: FallocateMode, off: u64, len: u64) -> Result<()> {
        let _alone = self.content(ino).lock();
        self.with(|vol| vol.fallocate(ino, mode, off, len))
    }

    /// `SEEK_DATA`: unwritten blocks count as holes. `ENXIO`.
    pub fn seek_data(&self, ino: u32, off: u64) -> Result<u64> {
        self.with(|vol| vol.seek(ino, off, true))
    }

    /// `SEEK_HOLE`. `ENXIO`.
    pub fn seek_hole(&self, ino: u32, off: u64) -> Result<u64> {
        self.with(|vol| vol.seek(ino, off, false))
    }

    /// The text of a symbolic link. `EINVAL`.
    pub fn readlink(&self, ino: u32) -> Result<Vec<u8>> {
        self.with(|vol| vol.inode(ino).and_then(|inode| vol.link_text(&inode)))
    }

    /// The value of an extended attribute, by its whole name. `ENODATA`, `EOPNOTSUPP`.
    pub fn getxattr(&self, ino: u32, name: &[u8]) -> Result<Vec<u8>> {
        self.with(|vol| vol.inode(ino).and_then(|inode| vol.get_xattr(&inode, name)))
    }

    /// The names of all extended attributes.
    pub fn listxattr(&self, ino: u32) -> Result<Vec<Vec<u8>>> {
        self.with(|vol| vol.inode(ino).and_then(|inode| vol.list_xattrs(&inode)))
    }

    /// Sets an extended attribute. `ENOSPC` when it has no room.
    pub fn setxattr(&self, ino: u32, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        self.change(ino, |vol, inode| {
            vol.set_xattr(inode, name, Some(value), flags)?;
            inode.set_ctime(vol.now());
            Ok(())
        })
    }

    /// Removes one. `ENODATA`.
    pub fn removexattr(&self, ino: u32, name: &[u8]) -> Result<()> {
        self.change(ino, |vol, inode| {
            vol.set_xattr(inode, name, None, XattrFlags::empty())?;
            inode.set_ctime(vol.now());
            Ok(())
        })
    }

    // Names.

    /// The inode called `name` in a directory. `ENOENT`, `ENOTDIR`.
    pub fn lookup(&self, dir: u32, name: &[u8]) -> Result<u32> {
        self.with(|vol| {
            let dir = vol.dir_inode(dir)?;
            vol.lookup(&dir, name).map(|inode| inode.ino)
        })
    }

    /// Hands out entries as [`fs::Inode::readdir`] says, `.` and `..` not among them. `emit` runs
    /// under the lock.
    pub fn readdir(&self, dir: u32, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<u64> {
        self.with(|vol| {
            let dir = vol.dir_inode(dir)?;
            vol.readdir(&dir, cookie, emit)
        })
    }

    /// A new regular file, directory, FIFO or socket, as `node.mode` says: its inode. `EEXIST`,
    /// `ENOSPC`, `EMLINK`.
    pub fn create(&self, dir: u32, name: &[u8], node: NewNode) -> Result<u32> {
        self.with(|vol| vol.make(dir, name, node, NewContent::Nothing))
    }

    /// A new device node.
    pub fn mknod(&self, dir: u32, name: &[u8], node: NewNode, rdev: u64) -> Result<u32> {
        self.with(|vol| vol.make(dir, name, node, NewContent::Device(rdev)))
    }

    /// A new symbolic link. `ENAMETOOLONG` for a text that does not fit into a block.
    pub fn symlink(&self, dir: u32, name: &[u8], text: &[u8], node: NewNode) -> Result<u32> {
        let node = NewNode { mode: fs::S_IFLNK | 0o777, ..node };
        self.with(|vol| vol.make(dir, name, node, NewContent::Link(text)))
    }

    /// A new regular file without a name (`O_TMPFILE`), near `dir`.
    pub fn tmpfile(&self, dir: u32, node: NewNode) -> Result<u32> {
        self.with(|vol| vol.make_unnamed(dir, node))
    }

    /// A further name for a file that is no directory.
    pub fn link(&self, dir: u32, name: &[u8], ino: u32) -> Result<()> {
        self.with(|vol| vol.link(dir, name, ino))
    }

    /// Removes a name of what is no directory. Answers the inode, for [`Ext4::release`] once nobody
    /// uses it.
    pub fn unlink(&self, dir: u32, name: &[u8]) -> Result<u32> {
        self.with(|vol| vol.unlink(dir, name, false))
    }

    /// Removes an empty directory. Answers the inode, for [`Ext4::release`].
    pub fn rmdir(&self, dir: u32, name: &[u8]) -> Result<u32> {
        self.with(|vol| vol.unlink(dir, name, true))
    }

    /// Moves a name, over what has the new one; the caller has seen that no directory goes below
    /// itself. `whiteout` owns what `RENAME_WHITEOUT` leaves. Answers an inode that lost its last
    /// name, for [`Ext4::release`], or 0.
    pub fn rename(&self, from: (u32, &[u8]), to: (u32, &[u8]), flags: RenameFlags, whiteout: NewNode) -> Result<u32> {
        self.with(|vol| vol.rename(from, to, flags, whiteout))
    }
}
