//! Which interfaces there are: those that the machine starts with, and those that programs make.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use spin::Once;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::Interface;

/// `IFNAMSIZ`, with the zero that ends a name.
pub const NAME: usize = 16;
/// Interfaces that programs may make besides.
const MAX_INTERFACES: usize = 1024;

static FIRST: Once<Vec<Arc<Interface>>> = Once::new();
/// All, where programs have made or named any. A leaf lock.
static LATER: SpinLock<Option<Arc<Vec<Arc<Interface>>>>> = SpinLock::new(None);
/// Whether [`LATER`] counts.
static CHANGED: AtomicBool = AtomicBool::new(false);
/// The next index. None is given twice.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// All interfaces at one moment, by index.
pub enum Listing {
    /// Those of the start, which cost nothing to look at.
    First(&'static [Arc<Interface>]),
    /// Others too.
    Later(Arc<Vec<Arc<Interface>>>),
}

impl Deref for Listing {
    type Target = [Arc<Interface>];
    fn deref(&self) -> &[Arc<Interface>] {
        match self {
            Listing::First(list) => list,
            Listing::Later(list) => list,
        }
    }
}

/// All interfaces, by index.
pub fn all() -> Listing {
    if CHANGED.load(Ordering::Acquire)
        && let Some(list) = &*LATER.lock()
    {
        return Listing::Later(list.clone());
    }
    Listing::First(FIRST.get().map(Vec::as_slice).unwrap_or_default())
}

/// Those of the start.
pub fn start(make: impl FnOnce() -> Vec<Arc<Interface>>) {
    FIRST.call_once(|| {
        let list = make();
        NEXT.store(list.iter().map(|interface| interface.index).max().unwrap_or(0) + 1, Ordering::Relaxed);
        list
    });
}

/// The interface with this index.
pub fn by_index(index: u32) -> Option<Arc<Interface>> {
    let all = all();
    // Where nothing has changed, each is at its place.
    let at_place = all.get(index.checked_sub(1)? as usize).filter(|interface| interface.index == index);
    at_place.or_else(|| all.iter().find(|interface| interface.index == index)).cloned()
}

/// The interface of this name.
pub fn by_name(name: &[u8]) -> Option<Arc<Interface>> {
    all().iter().find(|interface| interface.is_named(name)).cloned()
}

/// The interface that has `address` for its own. All of 127.0.0.0/8 is the loopback's.
pub fn owner(address: &IpAddr) -> Option<Arc<Interface>> {
    all().iter().find(|interface| interface.owns(address)).cloned()
}

/// Whether an address stands for everybody on one of our networks.
pub fn is_for_all(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if all().iter().any(|interface| interface.is_broadcast(v4)))
}

/// Whether an interface may be called so (`dev_valid_name`).
fn is_valid(name: &[u8]) -> bool {
    let odd = |byte: &u8| matches!(byte, b'/' | b':') || byte.is_ascii_whitespace() || *byte == 0x0b;
    !name.is_empty() && name.len() < NAME && name != b"." && name != b".." && !name.iter().any(odd)
}

fn change<T>(with: impl FnOnce(&mut Vec<Arc<Interface>>) -> SysResult<T>) -> SysResult<T> {
    let mut later = LATER.lock();
    let first = FIRST.get().map(Vec::as_slice).unwrap_or_default();
    let mut list = later.as_ref().map_or_else(|| first.to_vec(), |list| list.to_vec());
    let result = with(&mut list)?;
    *later = Some(Arc::new(list));
    CHANGED.store(true, Ordering::Release);
    Ok(result)
}

/// The name that `pattern` stands for: itself, or with `%d` the first number that is free.
/// `EINVAL`, `EEXIST`, `ENFILE`.
fn choose(list: &[Arc<Interface>], pattern: &[u8]) -> SysResult<String> {
    let taken = |name: &str| list.iter().any(|interface| interface.is_named(name.as_bytes()));
    let text = core::str::from_utf8(pattern).map_err(|_| Errno::EINVAL)?;
    if !is_valid(pattern) {
        return Err(Errno::EINVAL);
    }
    let Some((before, after)) = text.split_once('%') else {
        return if taken(text) { Err(Errno::EEXIST) } else { Ok(text.into()) };
    };
    let after = after.strip_prefix('d').filter(|after| !after.contains('%')).ok_or(Errno::EINVAL)?;
    let names = (0..=MAX_INTERFACES).map(|n| alloc::format!("{before}{n}{after}"));
    names.filter(|name| name.len() < NAME).find(|name| !taken(name)).ok_or(Errno::ENFILE)
}

/// Adds an interface, which `make` makes from its index and its name.
pub fn add(pattern: &[u8], make: impl FnOnce(u32, String) -> Interface) -> SysResult<Arc<Interface>> {
    change(|list| {
        if list.len() >= MAX_INTERFACES {
            return Err(Errno::ENFILE);
        }
        let name = choose(list, pattern)?;
        let interface = Arc::new(make(NEXT.fetch_add(1, Ordering::Relaxed), name));
        list.push(interface.clone());
        Ok(interface)
    })
}

/// Takes an interface out. Whether it was there.
pub fn remove(interface: &Arc<Interface>) -> bool {
    let removed = change(|list| {
        let before = list.len();
        list.retain(|other| !Arc::ptr_eq(other, interface));
        Ok(list.len() < before)
    });
    removed == Ok(true)
}

/// Names that an interface may have besides its first one, and how long they may be (`ALTIFNAMSIZ`,
/// with the zero).
const MAX_OTHER_NAMES: usize = 256;
const OTHER_NAME: usize = 128;

/// Gives an interface one more name. `EINVAL`, `EEXIST`, `ENOMEM`.
pub fn add_name(interface: &Interface, name: &[u8]) -> SysResult<()> {
    let text = core::str::from_utf8(name).map_err(|_| Errno::EINVAL)?;
    if name.is_empty() || name.len() >= OTHER_NAME {
        return Err(Errno::EINVAL);
    }
    change(|list| {
        if list.iter().any(|other| other.is_named(name)) {
            return Err(Errno::EEXIST);
        }
        let mut names = interface.other_names.lock();
        if names.len() >= MAX_OTHER_NAMES {
            return Err(Errno::ENOMEM);
        }
        names.push(text.into());
        Ok(())
    })
}

/// Takes one of an interface's further names away. `EINVAL` for its first one, `ENOENT`.
pub fn remove_name(interface: &Interface, name: &[u8]) -> SysResult<()> {
    if interface.name().as_bytes() == name {
        return Err(Errno::EINVAL);
    }
    let mut names = interface.other_names.lock();
    let at = names.iter().position(|other| other.as_bytes() == name).ok_or(Errno::ENOENT)?;
    names.remove(at);
    Ok(())
}

/// Gives an interface another name. `EINVAL`, `EEXIST`.
pub fn rename(interface: &Interface, pattern: &[u8]) -> SysResult<()> {
    change(|list| {
        let name = choose(list, pattern)?;
        *interface.name.lock() = name;
        Ok(())
    })
}
