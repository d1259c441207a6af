//! The pages of areas: taking them out, changing their protection, moving and duplicating them.

use core::ops::Range;

use syscall_shim::{Errno, SysResult};

use super::account::{Rss, RssKind};
use super::address_space::{AddressSpace, Area};
use super::flags::{HUGE_SIZE, PAGE_SIZE, Prot, VmFlags};
use super::object::Object;
use super::page_table::{ANON, LastTable, NoMemory, PageTable, Pte, SPECIAL, W};
use super::put_back::{Fault, is_back};
use super::tlb::TlbBatch;
use super::{huge, user_page};

/// The page tables of a locked address space, with what changes to them entail.
pub(super) struct Pages<'p, 'a> {
    pub table: &'p mut PageTable,
    pub batch: &'p mut TlbBatch<'a>,
    pub space: &'p AddressSpace,
}

/// The page tables of an address space whose lock is held at least together with other faults: what
/// a fault may change.
pub(super) struct Faults<'p, 'a> {
    pub table: &'p PageTable,
    pub batch: &'p mut TlbBatch<'a>,
    pub space: &'p AddressSpace,
}

/// The counter that a page of `area` belongs to; `None` for pages that are not counted.
pub(super) fn rss_kind(area: &Area, pte: Pte) -> Option<RssKind> {
    if pte.has(SPECIAL) {
        return None;
    }
    if pte.has(ANON) {
        return Some(RssKind::Anon);
    }
    match area.backing.as_ref().and_then(Object::file) {
        Some(f) if f.is_shmem() => Some(RssKind::Shmem),
        _ => Some(RssKind::File),
    }
}

impl<'a> Pages<'_, 'a> {
    /// For what faults do too.
    pub fn faults(&mut self) -> Faults<'_, 'a> {
        Faults { table: self.table, batch: self.batch, space: self.space }
    }

    /// Splits large pages that `start` or `end` would cut.
    pub fn split_edges(&mut self, start: u64, end: u64) -> SysResult<()> {
        for edge in [start, end] {
            if !edge.is_multiple_of(HUGE_SIZE) {
                self.table.split_huge(edge)?;
            }
        }
        Ok(())
    }

    /// Takes the pages of `area` in `start..end` out; with `cow` also private copies of file pages.
    /// Edges are split already.
    pub fn zap(&mut self, area: &Area, start: u64, end: u64, cow: bool) {
        let (table, batch, rss) = (&*self.table, &mut *self.batch, &self.space.rss);
        let mut gone = [0; RssKind::ALL.len()];
        table.for_each(start, end, |leaf| {
            if !cow && leaf.get().has(ANON) {
                return;
            }
            let old = leaf.replace(Pte::NONE);
            if old.present() {
                batch.touch(leaf.addr, leaf.size);
            }
            if let Some(kind) = rss_kind(area, old) {
                gone[kind as usize] += leaf.size / PAGE_SIZE;
                if leaf.is_huge() {
                    batch.free_huge(old.phys());
                } else {
                    batch.free_frame(old.phys());
                }
            }
        });
        for (kind, pages) in RssKind::ALL.into_iter().zip(gone).filter(|(_, pages)| *pages != 0) {
            rss.sub(kind, pages);
        }
    }

    /// Gives the pages of `start..end` the protection `prot`, as mprotect(2). Writing is granted at
    /// once only where no fault is needed to make a copy or to note that a file changes. Edges are
    /// split already.
    pub fn protect(&mut self, start: u64, end: u64, prot: Prot, shared: bool) {
        let (table, batch) = (&*self.table, &mut *self.batch);
        table.for_each(start, end, |leaf| {
            let old = leaf.get();
            let writable = old.has(W) || (!shared && old.has(ANON) && leaf.is_exclusive(old));
            let new = old.with_prot(prot, writable);
            if new != old {
                leaf.replace(new);
                if old.present() && !is_back(Fault::ProtectWithoutFlush) {
                    batch.touch(leaf.addr, leaf.size);
                }
            }
        });
    }

    /// Moves the pages of `start..start + len` to `to`, amid the range `free` where nothing is
    /// mapped. On `ENOMEM` nothing has moved.
    pub fn relocate(&mut self, start: u64, len: u64, to: u64, free: &Range<u64>) -> SysResult<()> {
        self.split_edges(start, start + len)?;
        // First everything that can fail: whole large pages become small ones, and the tables at
        // the new place are made.
        let mut at = start;
        while at < start + len {
            self.table.split_huge(at)?;
            at = (at & !(HUGE_SIZE - 1)) + HUGE_SIZE;
        }
        let mut addrs = alloc::vec::Vec::new();
        let mut remembered = Ok(());
        self.table.for_each(start, start + len, |leaf| match addrs.try_reserve(1) {
            Ok(()) => addrs.push(leaf.addr),
            Err(_) => remembered = Err(Errno::ENOMEM),
        });
        remembered?;
        for addr in &addrs {
            if let Err(e) = self.table.prepare(addr - start + to) {
                self.table.free_unused(to, to + len, free, self.batch);
                return Err(e.into());
            }
        }
        for addr in addrs {
            let Some(old) = self.table.leaf(addr).map(|leaf| leaf.replace(Pte::NONE)) else { continue };
            if old.present() {
                self.batch.touch(addr, PAGE_SIZE);
            }
            self.table.map(addr - start + to, old)?;
        }
        Ok(())
    }

    /// Shares the private pages of `area` with the tables `child`: both lose the right to write,
    /// and fault to get a copy. Shared and clean file pages are left to fault in again in the
    /// child, as in Linux.
    pub fn duplicate(&mut self, area: &Area, child: &mut PageTable, child_rss: &Rss) -> SysResult<()> {
        if area.flags.contains(VmFlags::SHARED) {
            return Ok(());
        }
        let (table, batch) = (&*self.table, &mut *self.batch);
        let mut result = Ok(());
        let mut last = LastTable::default();
        table.for_each(area.start, area.end, |leaf| {
            if result.is_err() || !leaf.get().has(ANON) {
                return;
            }
            let old = if is_back(Fault::ForkWithoutProtection) { leaf.get() } else { leaf.clear(W) };
            if old.has(W) {
                batch.touch(leaf.addr, leaf.size);
            }
            let copy = Pte(old.0 & !W);
            // A large page stays one until somebody writes to it.
            let mapped = if leaf.is_huge() {
                child.map_huge(leaf.addr, copy).and_then(|placed| placed.then_some(()).ok_or(NoMemory))
            } else {
                child.map_after(&mut last, leaf.addr, copy)
            };
            match mapped {
                Ok(()) => {
                    if leaf.is_huge() {
                        huge::get(old.phys())
                    } else {
                        user_page::get(old.phys())
                    }
                    child_rss.add(RssKind::Anon, leaf.size / PAGE_SIZE);
                }
                Err(e) => result = Err(Errno::from(e)),
            }
        });
        result
    }
}
