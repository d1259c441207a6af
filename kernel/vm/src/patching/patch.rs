//! Making a site a jump, and giving it its own bytes back.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general::{__NR_execve, __NR_execveat, __NR_exit, __NR_exit_group, __NR_rt_sigreturn};
use syscall_shim::patching::{INT3, JUMP_LEN, LOOK_AHEAD, Refusal, Trampoline, Window, window};

use super::{Active, ENTRY, KNOWN, PATCHED, PatchedSites, REFUSED, RESTORED, SWITCHED_OFF};
use crate::account::RssKind;
use crate::address_space::{AddressSpace, Locked};
use crate::flags::{Access, PAGE_SIZE, Prot, VmFlags, page_down};
use crate::object::Object;
use crate::page_table::{ANON, D, Pte};
use crate::pages::rss_kind;
use crate::put_back::{Fault, is_back};
use crate::{tlb, user_page};

/// Calls that do not return to the instruction behind theirs.
const NO_RETURN: [u32; 4] = [__NR_exit, __NR_exit_group, __NR_execve, __NR_execveat];

impl AddressSpace {
    /// Makes `site`, which has just trapped with call `nr`, a jump to a trampoline, and returns the
    /// trampoline's address. `Err(None)` when this call does not allow to say.
    pub(super) fn patch(&self, site: u64, nr: u64) -> Result<u64, Option<Refusal>> {
        if SWITCHED_OFF.load(Ordering::Relaxed) {
            return Err(Some(Refusal::SwitchedOff));
        }
        if nr == u64::from(__NR_rt_sigreturn) {
            return Err(Some(Refusal::Sigreturn));
        }
        if NO_RETURN.iter().any(|call| u64::from(*call) == nr) {
            return Err(None);
        }
        self.lock().patch(site).map_err(Some)
    }

    /// Gives a site back that the program branches into, for good.
    pub fn ban_site(&self, site: u64) {
        let mut locked = self.lock();
        locked.restore_sites(site, site + 1);
        self.sites.table.lock().banned.insert(site, ());
        if let Some(count) = REFUSED.get(Refusal::BranchedInto as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Locked<'_> {
    fn patch(&mut self, site: u64) -> Result<u64, Refusal> {
        {
            let table = self.space.sites.table.lock();
            if let Some(active) = table.active.get(&site) {
                return Ok(active.trampoline);
            }
            if table.banned.contains_key(&site) {
                return Err(Refusal::BranchedInto);
            }
        }
        self.check_memory().map_err(|_| Refusal::OutOfMemory)?;
        let (code, len) = self.code_at(site)?;
        let code = code.get(..len).unwrap_or(&[]);
        let window = window(site, code)?;
        // Jumps must not share bytes, nor a window hold the beginning of another.
        let near = site.saturating_sub(JUMP_LEN as u64 - 1)..site + window.len.max(JUMP_LEN) as u64;
        if self.space.sites.table.lock().active.range(near).next().is_some() {
            return Err(Refusal::Immovable);
        }
        let trampoline = self.trampoline_for(&window, site)?;
        let jump = trampoline.jump_here().ok_or(Refusal::OutOfReach)?;
        let original: [u8; JUMP_LEN] =
            code.get(..JUMP_LEN).and_then(|bytes| bytes.try_into().ok()).ok_or(Refusal::Undecodable)?;
        self.make_private(site)?;
        self.make_private(site + JUMP_LEN as u64 - 1)?;
        self.batch.flush();
        let at = trampoline.at;
        self.space.sites.trampoline_pages.add(at, trampoline.code.len() as u64);
        self.space.sites.site_pages.add(site, JUMP_LEN as u64);
        {
            let mut table = self.space.sites.table.lock();
            table.former.remove(&site);
            table.trampolines.insert(at, trampoline);
            table.active.insert(site, Active { trampoline: at, original, branches: 0 });
        }
        self.write_jump(site, &window, jump);
        PATCHED.fetch_add(1, Ordering::Relaxed);
        Ok(at)
    }

    /// The code from `site` to the end of its area, as much as a window can need.
    fn code_at(&mut self, site: u64) -> Result<([u8; LOOK_AHEAD], usize), Refusal> {
        let area = self.inner.areas.find(site).ok_or(Refusal::Undecodable)?.clone();
        if area.flags.intersects(VmFlags::SHARED | VmFlags::MAYSHARE) {
            return Err(Refusal::Shared);
        }
        if area.prot.contains(Prot::WRITE) {
            return Err(Refusal::Writable);
        }
        if matches!(area.backing, Some(Object::Special(_))) {
            return Err(Refusal::Kernel);
        }
        let mut code = [0; LOOK_AHEAD];
        let mut len = 0;
        let end = area.end.min(site + LOOK_AHEAD as u64);
        while site + (len as u64) < end {
            let at = site + len as u64;
            let n = (PAGE_SIZE - at % PAGE_SIZE).min(end - at) as usize;
            let Ok(phys) = self.page(at) else { break };
            let Some(part) = code.get_mut(len..len + n) else { break };
            user_page::read(phys, (at % PAGE_SIZE) as usize, part);
            len += n;
        }
        Ok((code, len))
    }

    /// The frame of the page at `at`, brought in if need be.
    fn page(&mut self, at: u64) -> Result<u64, Refusal> {
        self.fault(at, Access { write: false, exec: true }).map_err(|_| Refusal::Undecodable)?;
        let leaf = self.inner.table.leaf(at).ok_or(Refusal::Undecodable)?;
        Ok(leaf.get().phys() + (page_down(at) - leaf.addr))
    }

    /// A trampoline for the window, written and ready: the one that the site had before, or a new
    /// one.
    fn trampoline_for(&mut self, window: &Window, site: u64) -> Result<Trampoline, Refusal> {
        let entry = ENTRY.get().ok_or(Refusal::SwitchedOff)?.pointer;
        let former = {
            let table = self.space.sites.table.lock();
            table.former.get(&site).and_then(|former| table.trampolines.get(&former.trampoline)).cloned()
        };
        if let Some(former) = former
            && self.space.sites.table.lock().arenas.iter().any(|arena| arena.contains(former.at))
            && Trampoline::build(window, site, former.at, entry).as_ref() == Ok(&former)
        {
            return Ok(former);
        }
        let sites = &self.space.sites;
        let found = sites.table.lock().arenas.iter_mut().find_map(|arena| arena.take(window, site));
        let at = match found {
            Some(at) => at,
            None => {
                let mut arena = self.new_arena(window, site).ok_or(Refusal::OutOfReach)?;
                let at = arena.take(window, site).ok_or(Refusal::OutOfReach)?;
                sites.table.lock().arenas.push(arena);
                at
            }
        };
        let trampoline = Trampoline::build(window, site, at, entry)?;
        let mut table = sites.table.lock();
        if let Some(arena) = table.arenas.iter_mut().find(|arena| arena.contains(at)) {
            arena.trim(at, trampoline.code.len());
            arena.write(at, &trampoline.code);
        }
        Ok(trampoline)
    }

    /// Gives the program a copy of its own of the page at `addr`, which it may not write.
    fn make_private(&mut self, addr: u64) -> Result<(), Refusal> {
        let (areas, pages) = self.parts();
        let area = areas.find(addr).ok_or(Refusal::Undecodable)?;
        if pages.table.leaf(addr).is_some_and(|leaf| leaf.is_huge()) {
            pages.table.split_huge(addr).map_err(|_| Refusal::OutOfMemory)?;
        }
        let leaf = pages.table.leaf(addr).ok_or(Refusal::Undecodable)?;
        let old = leaf.get();
        if old.has(ANON) && leaf.is_exclusive(old) {
            return Ok(());
        }
        let copy = user_page::alloc_copy(old.phys()).ok_or(Refusal::OutOfMemory)?;
        leaf.replace(Pte::new(copy, area.prot, false, ANON | D));
        pages.batch.touch(leaf.addr, leaf.size);
        if let Some(kind) = rss_kind(area, old) {
            pages.space.rss.sub(kind, 1);
            pages.batch.free_frame(old.phys());
        }
        pages.space.rss.add(RssKind::Anon, 1);
        Ok(())
    }

    /// Replaces the window's first bytes. Whoever executes there meanwhile traps at an
    /// instruction's first byte and is sent to the trampoline; each step is seen by all CPUs before
    /// the next. The last need not be: who still sees the `int3` gets to the trampoline as well, by
    /// the site's entry or, should it be given back by then, once more by its own bytes.
    fn write_jump(&mut self, site: u64, window: &Window, jump: [u8; JUMP_LEN]) {
        let [_, tail @ ..] = jump;
        let guards: Vec<usize> = window.covered().collect();
        self.poke(site, INT3);
        for (at, byte) in (1..).zip(tail).filter(|(at, _)| guards.contains(at)) {
            self.poke(site + at as u64, byte);
        }
        if !is_back(Fault::JumpInOneStep) {
            self.sync_cores();
        }
        for (at, byte) in (1..).zip(tail).filter(|(at, _)| !guards.contains(at)) {
            self.poke(site + at as u64, byte);
        }
        self.sync_cores();
        self.poke(site, jump[0]);
    }

    /// The same backwards, for many sites at once. They stay known until the last step is done.
    fn write_originals(&mut self, sites: &[Restored]) {
        for site in sites {
            self.poke(site.at, INT3);
        }
        self.sync_cores();
        for site in sites {
            self.poke_tail(site, false);
        }
        self.sync_cores();
        for site in sites {
            self.poke_tail(site, true);
            self.poke(site.at, site.original[0]);
        }
        self.sync_cores();
    }

    /// Puts back those bytes behind the first that guard an instruction's beginning, or those that
    /// do not.
    fn poke_tail(&mut self, site: &Restored, guards: bool) {
        for (offset, byte) in site.original.into_iter().enumerate().skip(1) {
            if site.guards[offset] == guards {
                self.poke(site.at + offset as u64, byte);
            }
        }
    }

    /// Changes one byte of the program's code, on a page that is its own.
    fn poke(&mut self, addr: u64, byte: u8) {
        if let Some(leaf) = self.inner.table.leaf(addr) {
            user_page::write(leaf.get().phys() + (page_down(addr) - leaf.addr), (addr % PAGE_SIZE) as usize, &[byte]);
        }
    }

    /// Has every CPU that runs this space see what was written to its code before it executes on.
    fn sync_cores(&mut self) {
        tlb::serialize(&self.space.cpus, &self.space.generation);
    }

    /// The sites with a byte of their jump in `start..end`, and those whose trampolines are there.
    fn sites_within(&self, start: u64, end: u64) -> (Vec<u64>, Vec<u64>) {
        let table = self.space.sites.table.lock();
        let from = start.saturating_sub(JUMP_LEN as u64 - 1);
        let there = table.active.range(from..end.max(from)).map(|(site, _)| *site).collect();
        if !table.arenas.iter().any(|arena| arena.overlaps(start, end)) {
            return (there, Vec::new());
        }
        let trampolines =
            |active: &Active| table.arenas.iter().any(|a| a.overlaps(start, end) && a.contains(active.trampoline));
        let theirs = table.active.iter().filter(|(_, active)| trampolines(active)).map(|(site, _)| *site).collect();
        (there, theirs)
    }

    /// Gives the sites in `start..end` their own bytes back, and those whose trampolines are there:
    /// the pages are to be moved or written, or their protection changes.
    pub fn restore_sites(&mut self, start: u64, end: u64) {
        let (there, theirs) = self.sites_within(start, end);
        self.restore(there.into_iter().chain(theirs));
        let mut table = self.space.sites.table.lock();
        table.arenas.iter_mut().filter(|arena| arena.overlaps(start, end)).for_each(super::Arena::close);
        drop(table);
        self.space.sites.forget_refused(start, end);
    }

    /// The pages of `start..end` are about to go, and what is mapped there next is other code.
    pub fn forget_sites(&mut self, start: u64, end: u64) {
        let (there, theirs) = self.sites_within(start, end);
        // A window that reaches out of the range leaves its last bytes behind.
        let reaches_out = |site: &u64| *site < start || *site + JUMP_LEN as u64 > end;
        let theirs = theirs.into_iter().filter(|site| !there.contains(site));
        self.restore(theirs.chain(there.iter().copied().filter(reaches_out)));
        let mut table = self.space.sites.table.lock();
        there.into_iter().for_each(|site| table.retire(site));
        table.arenas.retain(|arena| !arena.overlaps(start, end));
        table.banned.retain(|site, ()| !(start..end).contains(site));
        drop(table);
        self.space.sites.forget_refused(start, end);
    }

    /// Nobody is left in the space, and it is to be emptied.
    pub fn forget_all_sites(&mut self) {
        let gone = core::mem::take(&mut *self.space.sites.table.lock());
        drop(gone);
        self.space.sites.site_pages.clear();
        self.space.sites.trampoline_pages.clear();
        self.space.sites.forget_refused(0, u64::MAX);
    }

    fn restore(&mut self, sites: impl Iterator<Item = u64>) {
        // A page that is gone, or that memory is too short to copy, stays as it is: the jump still
        // does what the site did.
        let sites: Vec<Restored> = sites
            .filter_map(|site| self.space.sites.restored(site))
            .filter(|site| self.make_private(site.at).is_ok() && self.make_private(site.at + JUMP_LEN as u64 - 1).is_ok())
            .collect();
        if sites.is_empty() {
            return;
        }
        self.batch.flush();
        self.write_originals(&sites);
        let mut table = self.space.sites.table.lock();
        sites.iter().for_each(|site| table.retire(site.at));
        RESTORED.fetch_add(sites.len() as u64, Ordering::Relaxed);
    }
}

/// What a site gets back.
struct Restored {
    at: u64,
    original: [u8; JUMP_LEN],
    /// Which of its bytes begin an instruction of the program's, behind the first.
    guards: [bool; JUMP_LEN],
}

impl PatchedSites {
    fn restored(&self, at: u64) -> Option<Restored> {
        let table = self.table.lock();
        let original = table.active.get(&at)?.original;
        let guards = core::array::from_fn(|offset| offset > 0 && table.moved(at, at + offset as u64).is_some());
        Some(Restored { at, original, guards })
    }

    /// Remembers that the site before `rip` is refused.
    pub(super) fn refuse(&self, rip: u64, known: &AtomicU64, mixed: u64) {
        self.refused_from.fetch_min(rip, Ordering::Relaxed);
        self.refused_to.fetch_max(rip, Ordering::Relaxed);
        known.store(mixed, Ordering::Relaxed);
    }

    /// Other code may come to `start..end`.
    fn forget_refused(&self, start: u64, end: u64) {
        let (from, to) = (self.refused_from.load(Ordering::Relaxed), self.refused_to.load(Ordering::Relaxed));
        if start <= to && from <= end {
            forget_known();
        }
    }
}

impl AddressSpace {
    /// Forgets which sites of the space are refused: a process that has used it goes on to another
    /// program.
    pub fn forget_refused_sites(&self) {
        self.sites.forget_refused(0, u64::MAX);
    }
}

/// Forgets which sites are refused, of all processes.
fn forget_known() {
    KNOWN.iter().for_each(|known| known.store(0, Ordering::Relaxed));
}
