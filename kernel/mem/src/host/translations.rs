//! What the CPUs remember of page tables (SDM volume 3A, 4.10), and the rules for it.

use core::sync::atomic::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::String;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use super::cpus::percpu::ALL;
use super::cpus::tlb::FLUSH_ALL_ABOVE;
use super::cpus::{CPUS, own};
use super::layout::entry;
use crate::page_table::{A, D, NX, P, PS, Pte, W};
use crate::size::{LARGE_PAGE, PAGE};

/// How a CPU goes to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
}

/// The CPU may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault;

/// A translation of 4 KiB.
#[derive(Clone, Copy)]
struct Cached {
    phys: u64,
    write: bool,
    execute: bool,
    /// Its frame was freed while the CPU was lazy.
    stale: bool,
}

impl Cached {
    fn allows(&self, touch: Touch) -> bool {
        match touch {
            Touch::Read => true,
            Touch::Write => self.write,
            Touch::Execute => self.execute,
        }
    }
}

struct Cpu {
    root: u64,
    leaves: BTreeMap<u64, Cached>,
    /// Tables that it has walked: they may be walked on from at any time.
    tables: BTreeSet<u64>,
}

static CPU: [Mutex<Cpu>; CPUS] =
    [const { Mutex::new(Cpu { root: 0, leaves: BTreeMap::new(), tables: BTreeSet::new() }) }; CPUS];
static VIOLATIONS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn violation(what: String) {
    lock(&VIOLATIONS).push(what);
}

pub(super) fn violations() -> Vec<String> {
    core::mem::take(&mut lock(&VIOLATIONS))
}

pub(super) fn reset() {
    (0..CPUS).for_each(|cpu| load(cpu, 0));
    lock(&VIOLATIONS).clear();
}

fn is_lazy(cpu: usize) -> bool {
    ALL[cpu].lazy.load(Ordering::SeqCst)
}

pub(super) fn load(cpu: usize, root: u64) {
    let mut state = lock(&CPU[cpu]);
    state.root = root;
    state.leaves.clear();
    state.tables = BTreeSet::from([root]);
}

pub(super) fn loaded(cpu: usize) -> u64 {
    lock(&CPU[cpu]).root
}

pub(super) fn flush(cpu: usize, start: u64, end: u64) {
    let mut state = lock(&CPU[cpu]);
    if (end - start) / PAGE > FLUSH_ALL_ABOVE {
        state.leaves.clear();
    } else {
        state.leaves.retain(|addr, _| !(start..end).contains(addr));
    }
    // INVLPG drops what is remembered of upper levels, whatever its address.
    state.tables = BTreeSet::from([state.root]);
}

/// The leaf for `addr` below `root`, and the tables on the way.
fn walk(root: u64, addr: u64) -> Option<(&'static core::sync::atomic::AtomicU64, u64, Vec<u64>)> {
    let (mut table, mut tables) = (root, Vec::new());
    for level in (0..4).rev() {
        tables.push(table);
        let entry = entry(table, (addr >> (12 + 9 * level)) as usize & 511);
        let value = entry.load(Ordering::Acquire);
        if value & P == 0 {
            return None;
        }
        if level == 0 {
            return Some((entry, PAGE, tables));
        }
        if value & PS != 0 {
            return Some((entry, LARGE_PAGE, tables));
        }
        table = Pte(value).phys();
    }
    None
}

fn cached(pte: Pte, size: u64, page: u64) -> Cached {
    Cached { phys: pte.phys() + page % size, write: pte.has(W), execute: !pte.has(NX), stale: false }
}

pub(super) fn access(addr: u64, touch: Touch) -> Result<u64, PageFault> {
    let cpu = own();
    let mut state = lock(&CPU[cpu]);
    let page = addr & !(PAGE - 1);
    if let Some(found) = state.leaves.get(&page).copied() {
        if found.stale {
            violation(format!("CPU {cpu} used {page:#x}, which it should have dropped before it went on"));
        }
        if found.allows(touch) {
            return Ok(found.phys + addr % PAGE);
        }
        // A fault drops the translation that caused it.
        state.leaves.remove(&page);
        return Err(PageFault);
    }
    if state.root == 0 {
        return Err(PageFault);
    }
    let (leaf, size, tables) = walk(state.root, page).ok_or(PageFault)?;
    state.tables.extend(tables);
    let found = cached(Pte(leaf.load(Ordering::Acquire)), size, page);
    if !found.allows(touch) {
        return Err(PageFault);
    }
    leaf.fetch_or(if touch == Touch::Write { A | D } else { A }, Ordering::AcqRel);
    state.leaves.insert(page, found);
    Ok(found.phys + addr % PAGE)
}

/// Checks that no CPU may still use the frames, which are free from here on.
pub(crate) fn frames_freed(first: u64, count: usize) {
    let freed = first..first + count as u64 * PAGE;
    for (cpu, state) in CPU.iter().enumerate() {
        let mut state = lock(state);
        if let Some(table) = state.tables.range(freed.clone()).next() {
            violation(format!("the page table {table:#x} was freed while CPU {cpu} may walk it"));
        }
        for (addr, found) in state.leaves.iter_mut().filter(|(_, found)| freed.contains(&found.phys)) {
            found.stale = true;
            if !is_lazy(cpu) {
                violation(format!("the page {:#x} was freed while CPU {cpu} may use it at {addr:#x}", found.phys));
            }
        }
    }
}

/// Checks that what the CPUs remember, but for those that are lazy, is what the tables say.
pub(super) fn check() {
    for (cpu, state) in CPU.iter().enumerate().filter(|(cpu, _)| !is_lazy(*cpu)) {
        let state = lock(state);
        for (addr, found) in &state.leaves {
            let now = walk(state.root, *addr).map(|(leaf, size, _)| cached(Pte(leaf.load(Ordering::Acquire)), size, *addr));
            let agrees = |now: Cached| now.phys == found.phys && now.write >= found.write && now.execute >= found.execute;
            if !now.is_some_and(agrees) {
                violation(format!("CPU {cpu} still has a translation of {addr:#x} that is none any more"));
            }
        }
    }
}
