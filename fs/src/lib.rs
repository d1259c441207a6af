//! VFS, page cache, tmpfs and the formats of the pseudo file systems, as pure, host-tested code.
//!
//! From below to above: [`platform`] is what the crate asks of its host (page frames, time,
//! sleeping locks); [`inode`] and [`mapping`] are one file and its page cache; [`dentry`],
//! [`mount`] and [`walk`] turn names into [`Path`]s; [`namespace`] offers the path-based system
//! calls as methods; [`mod@file`] is the data path of an open file. [`tmpfs`], [`overlay`] and
//! [`pseudo`] are file systems; [`acl`], [`locks`] and [`cpio`] stand alone.
//!
//! Locking. Three levels, taken in this order: the rename lock of a file system, then inode locks
//! ([`sync::SleepLock`], parents before children), which may sleep; then spin locks inside
//! dentries, mount tables, mappings and tmpfs nodes, which are leaves: nothing sleeps, allocates a
//! page or calls out with one held.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod acl;
pub mod cpio;
pub mod creds;
pub mod dentry;
pub mod file;
pub mod inode;
pub mod lease;
pub mod locks;
pub mod mapping;
pub mod mount;
pub mod namespace;
pub mod notify;
pub mod overlay;
pub mod path;
pub mod platform;
pub mod pseudo;
pub mod sync;
#[cfg(any(test, feature = "std"))]
pub mod testing;
pub mod tmpfs;
pub mod types;
pub mod walk;

pub use creds::{Cap, Credentials};
pub use dentry::Dentry;
pub use inode::{FileHandle, FileSystem, Inode, InodeCommon, InodeRef, Link};
pub use mapping::{Mapping, MappingObserver, PageSource};
pub use mount::{Mount, MountFlags};
pub use namespace::Namespace;
pub use path::Path;
pub use platform::{PAGE_SIZE, PageRef, Platform, set_platform};
pub use types::*;
pub use walk::{FsContext, LookupFlags};
