//! Access to application memory by way of its page tables, whichever address space is active:
//! process_vm_readv(2), core dumps, `/proc/PID/mem`; and the observer through which files take
//! their pages back.

use fs::{Mapping, MappingObserver};
use syscall_shim::{Errno, SysResult};

use super::address_space::{AddressSpace, Area};
use super::flags::{Access, PAGE_SIZE, Prot, USER_END, VmFlags};
use super::object::Object;
use super::user_page;

impl AddressSpace {
    /// Copies out of the program's memory; returns how many bytes came before one that cannot be
    /// read.
    pub fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buf.len() {
            let at = addr.wrapping_add(done as u64);
            let off = (at % PAGE_SIZE) as usize;
            let n = (PAGE_SIZE as usize - off).min(buf.len() - done);
            let Some(part) = buf.get_mut(done..done + n) else { break };
            if self.with_page(at, Access::READ, |phys| user_page::read(phys, off, part)).is_err() {
                break;
            }
            done += n;
        }
        done
    }

    /// Copies into the program's memory; returns how many bytes went before one that cannot be
    /// written.
    pub fn write(&self, addr: u64, buf: &[u8]) -> usize {
        let mut done = 0;
        while done < buf.len() {
            let at = addr.wrapping_add(done as u64);
            let off = (at % PAGE_SIZE) as usize;
            let n = (PAGE_SIZE as usize - off).min(buf.len() - done);
            let Some(part) = buf.get(done..done + n) else { break };
            if self.with_page(at, Access::WRITE, |phys| user_page::write(phys, off, part)).is_err() {
                break;
            }
            done += n;
        }
        done
    }

    /// Writes all of `buf` to `addr`, or `EFAULT`.
    pub fn write_exact(&self, addr: u64, buf: &[u8]) -> SysResult<()> {
        if self.write(addr, buf) == buf.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Physical address behind `addr`, if a page is present there; changes nothing.
    pub fn translate(&self, addr: u64) -> Option<u64> {
        if addr >= USER_END {
            return None;
        }
        let inner = self.inner.read();
        let leaf = inner.table.leaf(addr)?;
        let pte = leaf.get();
        pte.has_page().then(|| pte.phys() + (addr - leaf.addr))
    }

    /// A number that names the memory behind a shared futex word: the same for every address space
    /// that maps the page, and stable while it does; `None` for memory of this address space alone.
    /// `EFAULT` if nothing is mapped there, or anonymous memory that cannot be written.
    pub fn shared_futex_key(&self, addr: u64) -> SysResult<Option<(usize, u64)>> {
        let inner = self.inner.read();
        let area = inner.areas.find(addr).ok_or(Errno::EFAULT)?;
        Ok(match &area.backing {
            Some(Object::File(map)) if area.flags.contains(VmFlags::MAYSHARE) => {
                Some((alloc::sync::Arc::as_ptr(map.file.mapping()) as usize, area.offset_of(addr)))
            }
            Some(Object::File(_)) => None,
            _ if area.prot.contains(Prot::WRITE) => None,
            _ => return Err(Errno::EFAULT),
        })
    }
}

impl MappingObserver for AddressSpace {
    fn invalidate(&self, mapping: &Mapping, first: u64, end: u64, even_cow: bool) {
        let mut locked = self.lock();
        let (first, end) = (first.saturating_mul(PAGE_SIZE), end.saturating_mul(PAGE_SIZE));
        if even_cow {
            // Truncation takes the pages from areas, whose sites go with them.
            let of_file = |area: &&Area| {
                let file = area.backing.as_ref().and_then(Object::file);
                file.is_some_and(|file| core::ptr::eq(alloc::sync::Arc::as_ptr(file.mapping()), mapping))
            };
            let code: alloc::vec::Vec<(u64, u64)> = locked
                .inner
                .areas
                .iter()
                .filter(|area| area.prot.contains(Prot::EXEC) && !area.flags.contains(VmFlags::SHARED))
                .filter(of_file)
                .map(|area| (area.start, area.end))
                .collect();
            code.into_iter().for_each(|(start, end)| locked.restore_sites(start, end));
        }
        let (areas, mut pages) = locked.parts();
        for area in areas.iter() {
            let Some(file) = area.backing.as_ref().and_then(Object::file) else { continue };
            if !core::ptr::eq(alloc::sync::Arc::as_ptr(file.mapping()), mapping) {
                continue;
            }
            let limit = area.offset + area.size();
            let (from, to) = (first.clamp(area.offset, limit), end.clamp(area.offset, limit));
            if from < to {
                pages.zap(area, area.start + (from - area.offset), area.start + (to - area.offset), even_cow);
            }
        }
    }
}

/// Copies between two lists of `[address, length]`, each in its own address space, as far as both
/// reach. Returns the bytes copied before the first page that one side does not grant, `EFAULT` if
/// that is the very first.
pub fn copy_vectors(from: &AddressSpace, source: &[[u64; 2]], to: &AddressSpace, target: &[[u64; 2]]) -> SysResult {
    let mut chunk = alloc::vec![0u8; PAGE_SIZE as usize];
    let mut targets = target.iter().copied();
    let mut room = [0u64; 2];
    let mut total = 0usize;
    for [mut addr, mut len] in source.iter().copied() {
        while len > 0 {
            while room[1] == 0 {
                match targets.next() {
                    Some(next) => room = next,
                    None => return Ok(total),
                }
            }
            let n = len.min(room[1]).min(PAGE_SIZE) as usize;
            let Some(part) = chunk.get_mut(..n) else { return Ok(total) };
            let got = from.read(addr, part);
            let put = to.write(room[0], part.get(..got).unwrap_or(&[]));
            total += put;
            if put < n {
                return if total == 0 { Err(Errno::EFAULT) } else { Ok(total) };
            }
            let n = n as u64;
            (addr, len) = (addr.wrapping_add(n), len - n);
            room = [room[0].wrapping_add(n), room[1] - n];
        }
    }
    Ok(total)
}
