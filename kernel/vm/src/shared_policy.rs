//! Memory policies of shared memory (`struct shared_policy`): what mbind(2) says of a file in
//! memory belongs to the file, and whoever maps it sees it.
//!
//! Few programs give any, so they are kept beside the files, in one table.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};

use fs::Mapping;
use mem::shortage;
use sync::SpinLock;
use syscall_shim::SysResult;

use super::flags::Policy;
use super::object::MappedFile;

/// Ranges of a file, by their first byte: the one behind the last, and the policy. Without overlap.
type Ranges = BTreeMap<u64, (u64, Policy)>;

struct Entry {
    file: Weak<Mapping>,
    ranges: Ranges,
}

/// By the address of the file's page cache, which is no other's while the entry refers to it. A
/// leaf lock.
static POLICIES: SpinLock<BTreeMap<usize, Entry>> = SpinLock::new(BTreeMap::new());

fn key(file: &Arc<Mapping>) -> usize {
    Arc::as_ptr(file).addr()
}

/// Whether a file has policies of its own: one in memory.
pub fn has_own(file: &Arc<dyn MappedFile>) -> bool {
    file.is_shmem()
}

/// The policy of the file's byte `offset`.
pub fn find(file: &Arc<dyn MappedFile>, offset: u64) -> Policy {
    let policies = POLICIES.lock();
    let ranges = policies.get(&key(file.mapping())).map(|entry| &entry.ranges);
    let before = ranges.and_then(|ranges| ranges.range(..=offset).next_back());
    before.filter(|(_, (end, _))| *end > offset).map_or_else(Policy::default, |(_, (_, policy))| *policy)
}

/// Gives the bytes `start..end` of the file a policy. `ENOMEM`.
pub fn set(file: &Arc<dyn MappedFile>, start: u64, end: u64, policy: Policy) -> SysResult<()> {
    shortage::check()?;
    let mut policies = POLICIES.lock();
    let key = key(file.mapping());
    if !policies.contains_key(&key) {
        if policy == Policy::default() {
            return Ok(());
        }
        // Now and then those of files that are gone are let go of.
        if policies.len().is_power_of_two() {
            policies.retain(|_, entry| entry.file.strong_count() != 0);
        }
    }
    let weak = || Entry { file: Arc::downgrade(file.mapping()), ranges: Ranges::new() };
    let ranges = &mut policies.entry(key).or_insert_with(weak).ranges;
    cut(ranges, start, end);
    if policy != Policy::default() {
        ranges.insert(start, (end, policy));
    }
    Ok(())
}

/// Takes `start..end` out, leaving what lies before and behind.
fn cut(ranges: &mut Ranges, start: u64, end: u64) {
    let first = ranges.range(..start).next_back().filter(|(_, (to, _))| *to > start).map(|(from, _)| *from);
    let mut next = first.or_else(|| ranges.range(start..end).next().map(|(from, _)| *from));
    while let Some(from) = next {
        let Some((to, policy)) = ranges.remove(&from) else { return };
        if from < start {
            ranges.insert(from, (start, policy));
        }
        if to > end {
            ranges.insert(end, (to, policy));
        }
        next = ranges.range(start..end).next().map(|(from, _)| *from);
    }
}
