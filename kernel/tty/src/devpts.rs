//! devpts: the file system of the pseudo terminals. Each mount has pairs of its own
//! (Documentation/filesystems/devpts.rst); those of `/dev/ptmx` are the first one's.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use fs::namespace::{OpenHow, Opened};
use fs::pseudo::{DEVPTS_MAGIC, DirSource, NodeSpec, PseudoEntry, PseudoFs, PseudoNode};
use fs::{FileSystem, FileType, InodeRef, Mount, MountFlags, OpenFlags, Path, makedev};
use litemap::LiteMap;
use spin::Once;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::pty::{MAJOR, Pair};

/// Most pairs of an instance at a time (`/proc/sys/kernel/pty/max`).
const MAX: u32 = 4096;
/// Group `tty`, which owns the terminals unless the mount says otherwise.
const TTY_GID: u32 = 5;

/// What the mount says about the files.
#[derive(Clone, Copy, Debug)]
pub struct DevptsOptions {
    /// Permissions of a terminal.
    pub mode: u32,
    /// Permissions of `ptmx`.
    pub ptmx_mode: u32,
    /// Owner of all terminals, if not who opens the master.
    pub uid: Option<u32>,
    /// Their group.
    pub gid: Option<u32>,
    /// How many pairs there may be.
    pub max: u32,
}

impl Default for DevptsOptions {
    fn default() -> Self {
        Self { mode: 0o600, ptmx_mode: 0, uid: None, gid: None, max: MAX }
    }
}

impl DevptsOptions {
    /// How /dev/pts is mounted at the start.
    pub fn first() -> Self {
        Self { mode: 0o620, ptmx_mode: 0o666, gid: Some(TTY_GID), ..Self::default() }
    }

    /// The options of mount(8). `EINVAL`.
    pub fn parse(data: &str) -> SysResult<Self> {
        let mut options = Self::default();
        for option in data.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let number = || value.parse::<u32>().map_err(|_| Errno::EINVAL);
            let octal = || u32::from_str_radix(value, 8).map(|mode| mode & 0o7777).map_err(|_| Errno::EINVAL);
            match key {
                "newinstance" => {}
                "mode" => options.mode = octal()?,
                "ptmxmode" => options.ptmx_mode = octal()?,
                "uid" => options.uid = Some(number()?),
                "gid" => options.gid = Some(number()?),
                "max" => options.max = Some(number()?).filter(|max| *max <= MAX).ok_or(Errno::EINVAL)?,
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(options)
    }

    fn show(&self) -> alloc::string::String {
        let id = |name: &str, id: Option<u32>| id.map_or(alloc::string::String::new(), |id| format!("{name}={id},"));
        format!("{}{}mode={:03o},ptmxmode={:03o}", id("uid", self.uid), id("gid", self.gid), self.mode, self.ptmx_mode)
    }
}

/// A pair and the file that its terminal is.
type Entry = (Arc<Pair>, InodeRef);

/// One devpts.
pub(super) struct Instance {
    dev: u64,
    options: DevptsOptions,
    me: Weak<Instance>,
    /// The pairs whose master is open, by number. A leaf lock.
    pairs: SpinLock<LiteMap<u32, Entry>>,
    /// For opening a terminal without a way to it.
    mount: Once<Arc<Mount>>,
}

static FIRST: Once<Arc<Instance>> = Once::new();
/// Those that are mounted, or whose pairs are open. A leaf lock.
static ALL: SpinLock<Vec<Weak<Instance>>> = SpinLock::new(Vec::new());

/// The pairs of all instances.
pub(super) fn pairs() -> Vec<Arc<Pair>> {
    let instances: Vec<_> = ALL.lock().iter().filter_map(Weak::upgrade).collect();
    let mut all = Vec::new();
    for instance in instances {
        all.extend(instance.pairs.lock().values().map(|(pair, _)| pair.clone()));
    }
    all
}

/// The instance that a device node belongs to: one outside of every devpts means the first.
pub(super) fn instance_of(inode: &InodeRef) -> Arc<Instance> {
    let own = inode.special().and_then(|object| object.downcast::<Owner>().ok()).and_then(|owner| owner.0.upgrade());
    own.unwrap_or_else(|| FIRST.call_once(|| Instance::new(0, DevptsOptions::first())).clone())
}

/// What the nodes of a devpts have behind them.
struct Owner(Weak<Instance>);

impl Instance {
    fn new(dev: u64, options: DevptsOptions) -> Arc<Self> {
        let instance = Arc::new_cyclic(|me| Self {
            dev,
            options,
            me: me.clone(),
            pairs: SpinLock::new(LiteMap::new_vec()),
            mount: Once::new(),
        });
        let mut all = ALL.lock();
        all.retain(|instance| instance.strong_count() > 0);
        all.push(Arc::downgrade(&instance));
        instance
    }

    fn node(&self, spec: NodeSpec, rdev: u64) -> Arc<PseudoNode> {
        PseudoNode::special(spec.changeable(), FileType::Char, rdev, Some(Arc::new(Owner(self.me.clone()))))
    }

    /// Enters a new pair, which `make` makes for the lowest number that is free. `ENOSPC`.
    pub fn add(&self, make: impl FnOnce(u32) -> Arc<Pair>) -> SysResult<Arc<Pair>> {
        let own = caller::credentials();
        let uid = self.options.uid.unwrap_or(own.fsuid);
        let gid = self.options.gid.unwrap_or(own.fsgid);
        let mut pairs = self.pairs.lock();
        let number = (0..self.options.max).find(|n| !pairs.contains_key(n)).ok_or(Errno::ENOSPC)?;
        let pair = make(number);
        let spec = NodeSpec::new(self.dev, self.options.mode).ino(u64::from(number) + 3).owner(uid, gid);
        pairs.insert(number, (pair.clone(), self.node(spec, makedev(MAJOR, number))));
        Ok(pair)
    }

    /// Takes a pair out.
    pub fn remove(&self, number: u32) {
        let removed = self.pairs.lock().remove(&number);
        drop(removed);
    }

    /// The pair `number`.
    pub fn pair(&self, number: u32) -> Option<Arc<Pair>> {
        self.pairs.lock().get(&number).map(|(pair, _)| pair.clone())
    }

    /// The terminal `number` as open(2) finds it.
    pub fn open(&self, number: u32, flags: OpenFlags) -> SysResult<Opened> {
        let path = format!("/dev/pts/{number}");
        let inode = self.pairs.lock().get(&number).map(|(_, inode)| inode.clone()).ok_or(Errno::EIO)?;
        let how = OpenHow { flags, ..OpenHow::default() };
        let found = caller::with_fs(|ctx| caller::namespace().open(ctx, None, path.as_bytes(), &how));
        match found {
            Ok(opened) if Arc::ptr_eq(&opened.inode, &inode) => Ok(opened),
            _ => {
                let mount = self.mount.call_once(|| {
                    let root = PseudoFs::new("devpts", DEVPTS_MAGIC, |dev| PseudoNode::dir(NodeSpec::new(dev, 0o755)));
                    Mount::new(root, None, "devpts", MountFlags::default())
                });
                let name = format!("/{number}");
                let path = Path::anonymous(mount, inode.clone(), name.as_bytes(), false);
                Ok(Opened { path, inode, created: false, truncated: false, write_access: None })
            }
        }
    }
}

/// The entries of a devpts.
struct Names(Arc<Instance>);

impl DirSource for Names {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let number: u32 = core::str::from_utf8(name).ok().and_then(|s| s.parse().ok()).ok_or(Errno::ENOENT)?;
        if number.to_string().as_bytes() != name {
            return Err(Errno::ENOENT);
        }
        self.0.pairs.lock().get(&number).map(|(_, inode)| inode.clone()).ok_or(Errno::ENOENT)
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let pairs = self.0.pairs.lock();
        let entry = |number: &u32| PseudoEntry {
            key: *number,
            name: number.to_string().into_bytes(),
            ino: u64::from(*number) + 3,
            file_type: FileType::Char,
        };
        Ok(pairs.keys().filter(|number| **number >= from).map(entry).collect())
    }

    fn refuses_creation(&self) -> Errno {
        Errno::EACCES
    }
}

/// A devpts, for mounting.
pub fn devpts(options: DevptsOptions) -> Arc<dyn FileSystem> {
    let make_root = |dev| {
        let instance = Instance::new(dev, options);
        FIRST.call_once(|| instance.clone());
        let ptmx = instance.node(NodeSpec::new(dev, options.ptmx_mode).ino(2), makedev(5, 2));
        let root = PseudoNode::dynamic(NodeSpec::new(dev, 0o755).ino(1), Names(instance));
        root.insert("ptmx", ptmx);
        let root: InodeRef = root;
        root
    };
    PseudoFs::with_options("devpts", DEVPTS_MAGIC, options.show(), make_root)
}
