//! Transfers past the cache (`O_DIRECT`).
//!
//! The bytes go by way of pages of the kernel: the program's may be taken from it while the disk
//! still looks at them.

use alloc::vec::Vec;

use fd::io::{Sink, Source};
use fs::{PAGE_SIZE, PageRef};
use syscall_shim::{Errno, SysResult};

use crate::device::Device;
use crate::request::Operation;

const PAGE: u64 = PAGE_SIZE as u64;
/// The most bytes that are under way for one call at a time.
const CHUNK: usize = 1 << 20;

/// `EINVAL` unless a transfer begins and ends with a sector.
fn check(device: &Device, pos: u64, len: usize) -> SysResult<()> {
    let mask = u64::from(device.disk.properties().logical_block) - 1;
    if (pos | len as u64) & mask == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Pages for `bytes` bytes, or for fewer where memory is short. `ENOMEM`.
fn pages(bytes: usize) -> SysResult<Vec<PageRef>> {
    let mut pages = Vec::new();
    for _ in 0..bytes.div_ceil(PAGE_SIZE) {
        match PageRef::alloc_buffer() {
            Ok(page) => pages.push(page),
            Err(errno) if pages.is_empty() => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(pages)
}

/// The pages of the cache that `len` bytes from `pos` on are in.
fn cached(pos: u64, len: usize) -> (u64, u64) {
    (pos / PAGE, (pos + len as u64).div_ceil(PAGE))
}

/// Reads up to `len` bytes at `pos`, which are within the device.
pub fn read(device: &Device, pos: u64, len: usize, to: &mut Sink<'_>) -> SysResult<usize> {
    check(device, pos, len)?;
    let (first, end) = cached(pos, len);
    device.cache.write_back(first, end)?;
    let mut done = 0;
    while done < len {
        let pages = pages((len - done).min(CHUNK))?;
        let n = (len - done).min(pages.len() * PAGE_SIZE);
        let step = device.transfer(Operation::Read, pos + done as u64, &pages, n as u64).and_then(|()| {
            caller::count_blocks_read(n as u64);
            let mut moved = 0;
            for page in &pages {
                let want = PAGE_SIZE.min(n - moved);
                match to.put_page(Some(page), 0, want) {
                    Ok(got) => moved += got,
                    Err(errno) if moved == 0 => return Err(errno),
                    Err(_) => break,
                }
            }
            Ok(moved)
        });
        match step {
            Ok(moved) => {
                done += moved;
                if moved < n {
                    break;
                }
            }
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Writes `len` bytes at `pos`, which are within the device. What the cache has of them is written
/// back before and gone after.
pub fn write(device: &Device, pos: u64, len: usize, from: &mut Source<'_>) -> SysResult<usize> {
    check(device, pos, len)?;
    let (first, end) = cached(pos, len);
    device.cache.forget(first, end)?;
    let result = write_chunks(device, pos, len, from);
    device.cache.forget(first, end)?;
    result
}

fn write_chunks(device: &Device, pos: u64, len: usize, from: &mut Source<'_>) -> SysResult<usize> {
    let mut done = 0;
    while done < len {
        let pages = pages((len - done).min(CHUNK))?;
        let n = (len - done).min(pages.len() * PAGE_SIZE);
        let mut taken = 0;
        for page in &pages {
            taken += from.take_page(page, 0, PAGE_SIZE.min(n - taken)).unwrap_or(0);
            if taken < n && taken % PAGE_SIZE != 0 {
                break;
            }
        }
        // A part of a sector cannot be written.
        let whole = taken & !(device.disk.properties().logical_block as usize - 1);
        if whole == 0 {
            return if done == 0 { Err(Errno::EFAULT) } else { Ok(done) };
        }
        match device.transfer(Operation::Write, pos + done as u64, &pages, whole as u64) {
            Ok(()) => caller::count_blocks_written(whole as u64),
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => return Ok(done),
        }
        done += whole;
        if whole < n {
            break;
        }
    }
    Ok(done)
}
