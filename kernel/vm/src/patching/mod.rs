//! The call sites of an address space that have become jumps (`syscall_shim::patching` says how and
//! why), and their trampolines.
//!
//! The kernel knows a thread's place by the program's own addresses: where a frame's `rip` is in a
//! trampoline, [`AddressSpace::original_ip`] puts the one that it stands for, before a signal
//! handler, a dump or procfs sees it; and [`AddressSpace::resume`] goes the other way where a
//! thread is to go on amid a window. Whoever comes there by another way traps and is sent on by
//! [`AddressSpace::redirect`].
//!
//! A trampoline stays as long as its address space, since threads may sleep in it; only its site is
//! given its own bytes back: when the program unmaps, moves or means to write its page. The page of
//! a site is a private copy before it is changed, so neither the page cache nor the file ever is.

mod arena;
mod page_filter;
mod patch;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use litemap::LiteMap;
use spin::Once;
use syscall_shim::patching::{JUMP_LEN, RETRY, RETURN, Refusal, SYSCALL_LEN, Trampoline, is_trap};

use super::address_space::AddressSpace;
use ::sync::IrqSpinLock;
use arch::trap::TrapFrame;
use arena::Arena;
use page_filter::PageFilter;

static SWITCHED_OFF: AtomicBool = AtomicBool::new(false);
static PATCHED: AtomicU64 = AtomicU64::new(0);
static RESTORED: AtomicU64 = AtomicU64::new(0);
static REFUSED: [AtomicU64; Refusal::COUNT] = [const { AtomicU64::new(0) }; Refusal::COUNT];

/// PatchedSites that were found to be refused, so that the next trap need not look again. Kept as
/// the address behind it, mixed with the process.
pub static KNOWN: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

/// So many calls of a program trap before its sites are looked at: one that makes no more is over
/// before jumps have paid for their making.
const EARLY_CALLS: u32 = 64;
/// How often a site's window may be branched into before it is given back.
const BRANCHES: u32 = 1000;
/// How often a thread may be sent back to a site that was restored after it had trapped there.
const RETRIES: u32 = 256;

/// The code that trampolines jump to.
pub struct Entry {
    /// Address of the pointer to it, which lies in the highest 2 GiB.
    pub pointer: i32,
    /// Its first instructions, where the application's stack is still in use.
    pub before_stack_switch: Range<u64>,
}

static ENTRY: Once<Entry> = Once::new();

/// Says where trampolines enter the kernel. Without that, or with `switched_off`, every site is
/// left as it is.
pub fn init(entry: Entry, switched_off: bool) {
    ENTRY.call_once(|| entry);
    SWITCHED_OFF.store(switched_off, Ordering::Relaxed);
}

fn is_before_stack_switch(rip: u64) -> bool {
    ENTRY.get().is_some_and(|entry| entry.before_stack_switch.contains(&rip))
}

/// PatchedSites made jumps, and given back.
pub fn patched() -> (u64, u64) {
    (PATCHED.load(Ordering::Relaxed), RESTORED.load(Ordering::Relaxed))
}

/// PatchedSites left as they were, by reason.
pub fn refused() -> impl Iterator<Item = (Refusal, u64)> {
    Refusal::ALL.into_iter().zip(&REFUSED).map(|(why, count)| (why, count.load(Ordering::Relaxed))).filter(|row| row.1 > 0)
}

/// What an address space knows of its sites.
pub struct PatchedSites {
    /// Innermost but for the heap's lock. Taken by exceptions too, hence with interrupts off.
    table: IrqSpinLock<Table>,
    /// Where jumps and where trampolines may be: what every signal asks, mostly in vain, asks here
    /// first and takes no lock.
    site_pages: PageFilter,
    trampoline_pages: PageFilter,
    /// Lowest and highest of the addresses that [`KNOWN`] may have of it.
    refused_from: AtomicU64,
    refused_to: AtomicU64,
    /// Calls that have trapped, up to [`EARLY_CALLS`].
    early_calls: AtomicU32,
}

impl Default for PatchedSites {
    fn default() -> Self {
        let table = IrqSpinLock::new(Table::default());
        let (refused_from, refused_to) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        let (site_pages, trampoline_pages) = (PageFilter::default(), PageFilter::default());
        Self { table, site_pages, trampoline_pages, refused_from, refused_to, early_calls: AtomicU32::new(0) }
    }
}

#[derive(Default)]
struct Table {
    /// PatchedSites that are jumps, or are just becoming such.
    active: BTreeMap<u64, Active>,
    /// PatchedSites that were: the trampoline's address.
    former: BTreeMap<u64, Former>,
    /// Every trampoline, by address.
    trampolines: BTreeMap<u64, Trampoline>,
    arenas: Vec<Arena>,
    /// PatchedSites that are branched into too often.
    banned: LiteMap<u64, ()>,
}

#[derive(Clone)]
struct Active {
    trampoline: u64,
    original: [u8; JUMP_LEN],
    branches: u32,
}

#[derive(Clone)]
struct Former {
    trampoline: u64,
    retries: u32,
}

impl Table {
    fn trampoline_at(&self, rip: u64) -> Option<&Trampoline> {
        self.trampolines
            .range(..=rip)
            .next_back()
            .map(|(_, trampoline)| trampoline)
            .filter(|trampoline| trampoline.contains(rip))
    }

    /// The site whose jump covers `rip`.
    fn site_before(&self, rip: u64) -> Option<u64> {
        self.active.range(..=rip).next_back().map(|(site, _)| *site).filter(|site| rip - site < JUMP_LEN as u64)
    }

    /// Where a thread goes on whose place is `rip`, one of the program's addresses that the jump at
    /// `site` covers.
    fn moved(&self, site: u64, rip: u64) -> Option<u64> {
        self.trampolines.get(&self.active.get(&site)?.trampoline)?.moved(rip)
    }

    /// Gives a site up whose bytes are its own again.
    fn retire(&mut self, site: u64) {
        if let Some(active) = self.active.remove(&site) {
            self.former.insert(site, Former { trampoline: active.trampoline, retries: RETRIES });
        }
    }
}

/// Where [`KNOWN`] has the site before `rip` of the program `program`, and as what.
#[inline]
fn known(rip: u64, program: usize) -> (&'static AtomicU64, u64) {
    (&KNOWN[rip as usize % KNOWN.len()], rip ^ program as u64)
}

/// Whether the site before `rip` is known to be refused. `program` tells the program from others.
#[inline]
pub fn is_refused(rip: u64, program: usize) -> bool {
    let (known, mixed) = known(rip, program);
    known.load(Ordering::Relaxed) == mixed
}

/// What an exception at an instruction's address comes to.
pub enum Redirect {
    /// Go on at this address.
    To(u64),
    /// The same, and the site should be given back: the program keeps branching into it.
    Often(u64, u64),
    /// It is the program's own.
    No,
}

impl AddressSpace {
    /// The frame is of a thread that has executed a `syscall` instruction, at `frame.rip - 2`, and
    /// is about to make the call. Makes the site, which is not known to [be refused](is_refused), a
    /// jump if it can be one.
    #[cold]
    #[inline(never)]
    pub fn call_trapped(&self, frame: &mut TrapFrame, program: usize) {
        let (known, mixed) = known(frame.rip, program);
        if self.sites.early_calls.load(Ordering::Relaxed) < EARLY_CALLS {
            self.sites.early_calls.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.patch(frame.rip.wrapping_sub(SYSCALL_LEN as u64), frame.error) {
            Ok(trampoline) => frame.rip = trampoline + RETURN,
            // Calls that do not return say nothing about what follows the instruction.
            Err(None) => {}
            Err(Some(why)) => {
                if let Some(count) = REFUSED.get(why as usize) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                self.sites.refuse(frame.rip, known, mixed);
            }
        }
    }

    /// If the frame's `rip` is in a trampoline, or on the way from one into the kernel, puts the
    /// program's own address in its place, and what `syscall` leaves in rcx.
    pub fn original_ip(&self, frame: &mut TrapFrame) {
        let rip = if is_before_stack_switch(frame.rip) { frame.rcx.wrapping_sub(RETURN) } else { frame.rip };
        if !self.sites.trampoline_pages.may_have(rip) {
            return;
        }
        let table = self.sites.table.lock();
        let Some(trampoline) = table.trampoline_at(rip) else { return };
        frame.rip = trampoline.original(rip);
        if rip == trampoline.at + RETURN {
            frame.rcx = frame.rip;
        }
    }

    /// Whether the frame's `rip` is in a trampoline, or on the way from one into the kernel.
    pub fn is_in_trampoline(&self, frame: &TrapFrame) -> bool {
        let mut original = *frame;
        self.original_ip(&mut original);
        original.rip != frame.rip
    }

    /// As [`Self::original_ip`], for dumps: only the address, and it waits for no lock.
    pub fn try_original_ip(&self, rip: u64) -> Option<u64> {
        let table = self.sites.table.try_lock()?;
        table.trampoline_at(rip).map(|trampoline| trampoline.original(rip))
    }

    /// Puts the program's own bytes into `code`, read from `at` on, where call sites are jumps.
    pub fn unpatched(&self, at: u64, code: &mut [u8]) {
        let table = self.sites.table.lock();
        let first = at.saturating_sub(JUMP_LEN as u64 - 1);
        for (site, active) in table.active.range(first..at.saturating_add(code.len() as u64)) {
            for (address, byte) in (*site..).zip(active.original) {
                if let Some(place) = address.checked_sub(at).and_then(|offset| code.get_mut(offset as usize)) {
                    *place = byte;
                }
            }
        }
    }

    /// If the frame's `rip` is amid a window whose bytes are a jump now, has the thread go on in
    /// the trampoline.
    pub fn resume(&self, frame: &mut TrapFrame) {
        if !self.sites.site_pages.may_have(frame.rip) {
            return;
        }
        let table = self.sites.table.lock();
        if let Some(to) = table.site_before(frame.rip).and_then(|site| table.moved(site, frame.rip)) {
            frame.rip = to;
        }
    }

    /// The exception of an instruction that begins at `rip` with one of
    /// [`syscall_shim::patching::TRAPS`]: where the thread is to go on if that byte is a jump's, or
    /// was until just now. `now` is what was found there after the exception.
    pub fn redirect(&self, rip: u64, now: Option<u8>) -> Redirect {
        let mut table = self.sites.table.lock();
        if let Some(site) = table.site_before(rip) {
            if site == rip {
                // The site is being changed: this is the `int3` that stands there meanwhile.
                return table.active.get(&site).map_or(Redirect::No, |active| Redirect::To(active.trampoline));
            }
            let Some(to) = table.moved(site, rip) else { return Redirect::No };
            let Some(active) = table.active.get_mut(&site) else { return Redirect::No };
            active.branches += 1;
            return if active.branches < BRANCHES { Redirect::To(to) } else { Redirect::Often(to, site) };
        }
        // Restored after the exception: the byte that caused it is no longer there.
        let gone = now.is_some_and(|byte| !is_trap(byte));
        let former = table.former.range_mut(..=rip).next_back().filter(|(site, _)| rip - **site < JUMP_LEN as u64);
        match former {
            Some((_, former)) if gone && former.retries > 0 => {
                former.retries -= 1;
                Redirect::To(rip)
            }
            _ => Redirect::No,
        }
    }

    /// Where a thread goes on that single-steps and is at `rip`, on the way into the kernel: at the
    /// trampoline's own `syscall`.
    pub fn single_step(&self, frame: &TrapFrame) -> Option<u64> {
        let table = self.sites.table.lock();
        let rip = if is_before_stack_switch(frame.rip) { frame.rcx.wrapping_sub(RETURN) } else { frame.rip };
        let trampoline = table.trampoline_at(rip).filter(|trampoline| rip < trampoline.at + RETRY)?;
        Some(trampoline.at + RETRY)
    }

    /// Takes over the sites of a space of which this is a copy. Its trampolines are shared, and new
    /// ones go elsewhere.
    pub(super) fn inherit_sites(&self, from: &AddressSpace) {
        let early_calls = from.sites.early_calls.load(Ordering::Relaxed);
        let table = from.sites.table.lock();
        let copy = Table {
            active: table.active.clone(),
            former: table.former.clone(),
            trampolines: table.trampolines.clone(),
            arenas: table.arenas.iter().map(Arena::shared).collect(),
            banned: table.banned.clone(),
        };
        // Under the lock: what is in the table is in these already.
        self.sites.site_pages.copy_from(&from.sites.site_pages);
        self.sites.trampoline_pages.copy_from(&from.sites.trampoline_pages);
        drop(table);
        *self.sites.table.lock() = copy;
        self.sites.early_calls.store(early_calls, Ordering::Relaxed);
    }
}
