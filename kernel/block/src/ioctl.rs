//! ioctl(2) of block files (linux/fs.h, linux/blkpg.h, linux/hdreg.h).

use core::sync::atomic::Ordering;

use caller::capable;
use fd::OpenFile;
use fs::PAGE_SIZE;
use linux_raw_sys::general::CAP_SYS_ADMIN;
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::SECTOR;
use crate::file::BlockFile;
use crate::partition::{self, Partition};
use crate::registry;

const HDIO_GETGEO: u32 = 0x301;
const BLKPG_ADD_PARTITION: i32 = 1;
const BLKPG_DEL_PARTITION: i32 = 2;

/// `EACCES` for who is not the super-user.
fn privileged() -> SysResult<()> {
    if capable(CAP_SYS_ADMIN) { Ok(()) } else { Err(Errno::EACCES) }
}

/// Serves a request. `ENOTTY` for one that block files do not know.
pub fn ioctl(own: &BlockFile, file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
    let device = &own.device;
    let disk = &device.disk;
    let properties = disk.properties();
    let int = |value: u32| arg.cast::<u32>().write(value).map(|()| 0);
    let long = |value: u64| arg.cast::<u64>().write(value).map(|()| 0);
    let short = |value: u64| arg.cast::<u16>().write(value.min(u16::MAX.into()) as u16).map(|()| 0);
    match request {
        i::BLKGETSIZE64 => long(device.size()),
        i::BLKGETSIZE => long(own.units()),
        i::BLKSSZGET => int(properties.logical_block),
        i::BLKPBSZGET => int(properties.physical_block),
        i::BLKBSZGET => int(device.block_size.load(Ordering::Relaxed)),
        i::BLKBSZSET => set_block_size(own, arg),
        i::BLKIOMIN => int(properties.io_sizes[0].max(properties.physical_block)),
        i::BLKIOOPT => int(properties.io_sizes[1]),
        i::BLKALIGNOFF | i::BLKDISCARDZEROES | i::BLKGETZONESZ | i::BLKGETNRZONES => int(0),
        i::BLKROGET => int(disk.read_only().into()),
        i::BLKROSET => set_read_only(own, arg),
        i::BLKRAGET | i::BLKFRAGET => long(disk.read_ahead.load(Ordering::Relaxed)),
        i::BLKRASET | i::BLKFRASET => {
            privileged()?;
            // In pages, as it is used.
            disk.read_ahead.store(arg.0 & !(PAGE_SIZE as u64 / SECTOR - 1), Ordering::Relaxed);
            Ok(0)
        }
        i::BLKSECTGET => short(crate::virtio::max_bytes(properties) / SECTOR),
        // Nothing turns.
        i::BLKROTATIONAL => short(0),
        i::BLKGETDISKSEQ => long(u64::from(disk.index) + 1),
        i::BLKFLSBUF => {
            privileged()?;
            // The cache keeps the error.
            let _ = device.cache.write_back(0, u64::MAX);
            device.cache.evict(0, u64::MAX, u64::MAX);
            Ok(0)
        }
        i::BLKDISCARD => discard(own, file, arg),
        i::BLKZEROOUT => zero(own, file, arg),
        i::BLKSECDISCARD if !file.flags().writable() => Err(Errno::EBADF),
        i::BLKSECDISCARD => Err(Errno::EOPNOTSUPP),
        i::BLKRRPART => reread(own),
        i::BLKPG => change_partitions(own, arg),
        HDIO_GETGEO => geometry(own, arg),
        _ => Err(Errno::ENOTTY),
    }
}

fn set_block_size(own: &BlockFile, arg: UserAddr) -> SysResult {
    privileged()?;
    if arg.is_null() {
        return Err(Errno::EINVAL);
    }
    let size = arg.cast::<u32>().read()?;
    // Pages hold whole blocks, and larger ones are of no use where no file system asks for them.
    let possible = size.is_power_of_two() && size >= own.device.disk.properties().logical_block && size <= 1 << 16;
    if !possible {
        return Err(Errno::EINVAL);
    }
    own.device.block_size.store(size, Ordering::Relaxed);
    Ok(0)
}

fn set_read_only(own: &BlockFile, arg: UserAddr) -> SysResult {
    privileged()?;
    let on = arg.cast::<i32>().read()? != 0;
    own.device.disk.set_read_only.store(on, Ordering::Relaxed);
    Ok(0)
}

/// `BLKDISCARD`: in the order of Linux's checks.
fn discard(own: &BlockFile, file: &OpenFile, arg: UserAddr) -> SysResult {
    let disk = &own.device.disk;
    if !file.flags().writable() {
        return Err(Errno::EBADF);
    }
    if disk.properties().discard.is_none() {
        return Err(Errno::EOPNOTSUPP);
    }
    if disk.read_only() {
        return Err(Errno::EPERM);
    }
    let [at, len] = arg.cast::<[u64; 2]>().read()?;
    own.check_range(at, len)?;
    own.discard(at, len).map(|()| 0)
}

fn zero(own: &BlockFile, file: &OpenFile, arg: UserAddr) -> SysResult {
    if !file.flags().writable() {
        return Err(Errno::EBADF);
    }
    let [at, len] = arg.cast::<[u64; 2]>().read()?;
    own.check_range(at, len)?;
    own.zero(at, len).map(|()| 0)
}

fn reread(own: &BlockFile) -> SysResult {
    if own.device.number != 0 {
        return Err(Errno::EINVAL);
    }
    privileged()?;
    // The table is read anew, from the disk.
    let _ = own.device.cache.write_back(0, u64::MAX);
    own.device.cache.evict(0, u64::MAX, u64::MAX);
    registry::rescan(&own.device).map(|()| 0)
}

/// `BLKPG`: `struct blkpg_ioctl_arg` points to a `struct blkpg_partition`.
fn change_partitions(own: &BlockFile, arg: UserAddr) -> SysResult {
    let operation = arg.cast::<i32>().read()?;
    // Two ints, a third with room behind it, and a pointer.
    let [_, _, data] = arg.cast::<[u64; 3]>().read()?;
    privileged()?;
    let [start, length, number] = UserAddr(data).cast::<[u64; 3]>().read()?;
    let (start, length, number) = (start as i64, length as i64, number as i32);
    let device = &own.device;
    if device.number != 0 {
        return Err(Errno::EINVAL);
    }
    if number <= 0 {
        return Err(Errno::EINVAL);
    }
    if operation == BLKPG_DEL_PARTITION {
        return registry::delete(&device.disk, number as u32).map(|()| 0);
    }
    let mask = i64::from(device.disk.properties().logical_block) - 1;
    let end = start.checked_add(length).filter(|_| start >= 0 && length > 0).ok_or(Errno::EINVAL)?;
    if (start | length) & mask != 0 || end as u64 > device.size() || number as u32 >= partition::MAX {
        return Err(Errno::EINVAL);
    }
    if operation != BLKPG_ADD_PARTITION {
        return Err(Errno::EINVAL);
    }
    let partition = Partition {
        number: number as u32,
        start: start as u64 / SECTOR,
        sectors: length as u64 / SECTOR,
        uuid: Default::default(),
        label: Default::default(),
    };
    registry::create(&device.disk, partition).map(|()| 0)
}

/// `HDIO_GETGEO`: heads, sectors and cylinders that never were, as Linux makes them up, and where a
/// partition begins.
fn geometry(own: &BlockFile, arg: UserAddr) -> SysResult {
    const HEADS: u8 = 64;
    const SECTORS: u8 = 32;
    if arg.is_null() {
        return Err(Errno::EINVAL);
    }
    let cylinders = (own.device.disk.properties().sectors >> 11) as u16;
    let [low, high] = cylinders.to_le_bytes();
    let mut out = [HEADS, SECTORS, low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if let Some(start) = out.last_chunk_mut::<8>() {
        *start = own.device.start.to_le_bytes();
    }
    arg.cast::<[u8; 16]>().write(out).map(|()| 0)
}
