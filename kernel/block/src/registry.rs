//! All disks and their partitions.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use fs::makedev;
use sync::{SleepMutex, SpinLock};
use syscall_shim::{Errno, SysResult};

use crate::cache;
use crate::device::{Device, EXTENDED_MAJOR, MAJOR, MINORS};
use crate::disk::Disk;
use crate::driver::Driver;
use crate::partition::{self, Partition};

/// The most disks.
pub const MAX_DISKS: usize = 16;

/// Disks, each with its partitions behind it. A leaf lock; what is taken out is dropped after it is
/// released.
static DEVICES: SpinLock<Vec<Arc<Device>>> = SpinLock::new(Vec::new());
/// Held by who changes the partitions of a disk. Device locks are taken while it is held.
static CHANGE: SleepMutex<()> = SleepMutex::new(());
static NEXT_DISK: AtomicU32 = AtomicU32::new(0);
/// Minor numbers of partitions beyond the fifteenth, which are given once.
static NEXT_EXTENDED: AtomicU32 = AtomicU32::new(0);

/// Adds the disk of a driver: `vda` is the first. `ENOSPC` where there are enough.
pub fn add(driver: Arc<dyn Driver>) -> SysResult<Arc<Device>> {
    let one_more = |count: u32| ((count as usize) < MAX_DISKS).then_some(count + 1);
    let index = NEXT_DISK.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).map_err(|_| Errno::ENOSPC)?;
    let device = Device::whole(&Disk::new(index, driver));
    DEVICES.lock().push(device.clone());
    Ok(device)
}

/// All devices: each disk, and its partitions after it.
pub fn all() -> Vec<Arc<Device>> {
    DEVICES.lock().clone()
}

/// The device with this number. `ENXIO`.
pub fn find(rdev: u64) -> SysResult<Arc<Device>> {
    DEVICES.lock().iter().find(|device| device.rdev == rdev).cloned().ok_or(Errno::ENXIO)
}

/// The partitions of a disk.
pub fn partitions(disk: &Disk) -> Vec<Arc<Device>> {
    let devices = DEVICES.lock();
    devices.iter().filter(|device| device.number != 0 && device.disk.index == disk.index).cloned().collect()
}

/// The number of a partition's node.
fn partition_rdev(disk: &Disk, number: u32) -> u64 {
    if number < MINORS {
        makedev(MAJOR, disk.index * MINORS + number)
    } else {
        makedev(EXTENDED_MAJOR, NEXT_EXTENDED.fetch_add(1, Ordering::Relaxed))
    }
}

/// Reads the partition table of a disk, and has the partitions be as it says. Answers those that
/// are gone, and those that there are. `EBUSY` while one of them is open, `EINVAL` on a partition,
/// or the error of reading.
fn scan(device: &Arc<Device>) -> SysResult<(Vec<Arc<Device>>, Vec<Arc<Device>>)> {
    if device.number != 0 {
        return Err(Errno::EINVAL);
    }
    let disk = &device.disk;
    let _one = CHANGE.lock();
    if partitions(disk).iter().any(|part| part.is_open()) {
        return Err(Errno::EBUSY);
    }
    let found = partition::find(device.sectors, disk.properties().logical_block, &mut |at, buffer| device.read(at, buffer))?;
    let fresh: Vec<_> = found.into_iter().map(|partition| make(disk, partition)).collect();
    Ok((replace(disk, &fresh), fresh))
}

fn make(disk: &Arc<Disk>, partition: Partition) -> Arc<Device> {
    let rdev = partition_rdev(disk, partition.number);
    Device::part(disk, partition, rdev)
}

/// Exchanges the partitions of a disk. Answers those that were there.
fn replace(disk: &Disk, fresh: &[Arc<Device>]) -> Vec<Arc<Device>> {
    let mut devices = DEVICES.lock();
    let (gone, mut kept): (Vec<_>, Vec<_>) =
        core::mem::take(&mut *devices).into_iter().partition(|device| device.number != 0 && device.disk.index == disk.index);
    let at = kept.iter().position(|device| device.disk.index == disk.index).map_or(kept.len(), |at| at + 1);
    kept.splice(at..at, fresh.iter().cloned());
    *devices = kept;
    gone
}

/// Makes a partition that the table on the disk does not have (`BLKPG_ADD_PARTITION`). `EBUSY`
/// where there is one of that number, or one that it would lie over.
fn add_partition(disk: &Arc<Disk>, partition: Partition) -> SysResult<Arc<Device>> {
    let _one = CHANGE.lock();
    let end = partition.start + partition.sectors;
    let present = partitions(disk);
    let over = |other: &Device| partition.start < other.start + other.sectors && other.start < end;
    if present.iter().any(|other| other.number == partition.number || over(other)) {
        return Err(Errno::EBUSY);
    }
    let fresh = make(disk, partition);
    let all: Vec<_> = present.into_iter().chain([fresh.clone()]).collect();
    replace(disk, &all);
    Ok(fresh)
}

/// Takes a partition away, but not from the disk (`BLKPG_DEL_PARTITION`). `ENXIO` without it,
/// `EBUSY` while it is open.
fn remove_partition(disk: &Disk, number: u32) -> SysResult<Arc<Device>> {
    let _one = CHANGE.lock();
    let (gone, rest): (Vec<_>, Vec<_>) = partitions(disk).into_iter().partition(|part| part.number == number);
    let [gone] = <[_; 1]>::try_from(gone).map_err(|_| Errno::ENXIO)?;
    if gone.is_open() {
        return Err(Errno::EBUSY);
    }
    replace(disk, &rest);
    Ok(gone)
}

/// Told of devices that come and go, so that their nodes do.
pub trait Nodes: Send + Sync {
    /// A device is there.
    fn added(&self, device: &Device);
    /// A device is gone.
    fn removed(&self, device: &Device);
}

/// Set once, before anything is scanned.
static NODES: SpinLock<Option<&'static dyn Nodes>> = SpinLock::new(None);

/// Says who makes nodes.
pub fn set_nodes(nodes: &'static dyn Nodes) {
    *NODES.lock() = Some(nodes);
}

fn tell(gone: &[Arc<Device>], fresh: &[Arc<Device>]) {
    let Some(nodes) = *NODES.lock() else { return };
    gone.iter().for_each(|device| nodes.removed(device));
    fresh.iter().for_each(|device| nodes.added(device));
}

/// [`scan`], with the nodes.
pub fn rescan(device: &Arc<Device>) -> SysResult<()> {
    let (gone, fresh) = scan(device)?;
    tell(&gone, &fresh);
    Ok(())
}

/// [`add_partition`], with its node.
pub fn create(disk: &Arc<Disk>, partition: Partition) -> SysResult<()> {
    let fresh = add_partition(disk, partition)?;
    tell(&[], &[fresh]);
    Ok(())
}

/// [`remove_partition`], with its node.
pub fn delete(disk: &Disk, number: u32) -> SysResult<()> {
    let gone = remove_partition(disk, number)?;
    tell(&[gone], &[]);
    Ok(())
}

/// Writes back and flushes all devices. Answers the first error.
pub fn sync() -> SysResult<()> {
    let mut result = Ok(());
    for device in all() {
        result = result.and(device.sync());
    }
    result
}

/// Frees up to `want` clean pages of the devices' caches. Answers how many.
pub fn shrink(want: u64) -> u64 {
    let mut freed = 0;
    for device in all() {
        if freed < want {
            freed += device.cache.evict(0, u64::MAX, want - freed).0;
        }
    }
    freed
}

/// Brings the caches back to what they may have, those of `device` first.
pub(crate) fn trim(device: &Device) {
    /// Freed beyond that, so that it is not done for every page.
    const SPARE: u64 = 64;
    let excess = cache::excess();
    if excess == 0 {
        return;
    }
    let want = excess + SPARE;
    let from = device.hand.load(Ordering::Relaxed);
    let (mut freed, next) = device.cache.evict(from, u64::MAX, want);
    device.hand.store(next.unwrap_or(0), Ordering::Relaxed);
    if freed < want {
        freed += shrink(want - freed);
    }
    if freed < excess && device.cache.dirty_count() > 0 {
        // The error is kept for who asks.
        let _ = device.cache.write_back(0, u64::MAX);
        shrink(want - freed);
    }
}
