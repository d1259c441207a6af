//! Memory policies on a machine with one node (set_mempolicy(2)), and barriers between threads
//! (membarrier(2)).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use syscall_shim::{Errno, SysResult};

use super::address_space::{AddressSpace, Area};
use super::flags::{Policy, page_down};
use super::object::{MappedFile, Object};
use super::{shared_policy, tlb, user_page};

const MPOL_DEFAULT: u32 = 0;
const MPOL_PREFERRED: u32 = 1;
const MPOL_BIND: u32 = 2;
const MPOL_INTERLEAVE: u32 = 3;
const MPOL_LOCAL: u32 = 4;
const MPOL_PREFERRED_MANY: u32 = 5;
const MPOL_WEIGHTED_INTERLEAVE: u32 = 6;
const MPOL_F_NUMA_BALANCING: u32 = 1 << 13;
const MPOL_F_RELATIVE_NODES: u32 = 1 << 14;
const MPOL_F_STATIC_NODES: u32 = 1 << 15;
const MODE_FLAGS: u32 = MPOL_F_NUMA_BALANCING | MPOL_F_RELATIVE_NODES | MPOL_F_STATIC_NODES;
const MPOL_F_NODE: u64 = 1;
const MPOL_F_ADDR: u64 = 2;
const MPOL_F_MEMS_ALLOWED: u64 = 4;

/// A set of nodes as a program names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// The first 64, a bit each.
    pub first: u64,
    /// Whether there are any after those.
    pub others: bool,
}

impl Nodes {
    fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether the one node that there is belongs to it.
    pub fn has_ours(self) -> bool {
        self.first & 1 != 0
    }

    /// Whether none but the one node that there is belongs to it.
    pub fn is_ours(self) -> bool {
        self.first & !1 == 0 && !self.others
    }
}

/// `EINVAL` for an unknown mode, and for flags that do not fit it.
pub fn check_mode(mode: u32) -> SysResult<()> {
    const EITHER: u32 = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;
    let base = mode & !MODE_FLAGS;
    let balances = mode & MPOL_F_NUMA_BALANCING != 0;
    let bad = base > MPOL_WEIGHTED_INTERLEAVE
        || mode & EITHER == EITHER
        || balances && !matches!(base, MPOL_BIND | MPOL_PREFERRED_MANY);
    if bad { Err(Errno::EINVAL) } else { Ok(()) }
}

impl Policy {
    /// The policy of a mode that [`check_mode`] has seen. `EINVAL` for nodes that do not fit it, or
    /// none of which is there.
    pub fn new(mode: u32, nodes: Nodes) -> SysResult<Self> {
        let base = mode & !MODE_FLAGS;
        let (is_static, is_relative) = (mode & MPOL_F_STATIC_NODES != 0, mode & MPOL_F_RELATIVE_NODES != 0);
        match base {
            MPOL_DEFAULT if nodes.is_empty() => return Ok(Self::default()),
            // `MPOL_PREFERRED` without a node means the local one.
            MPOL_PREFERRED | MPOL_LOCAL if nodes.is_empty() && !is_static && !is_relative => {
                return Ok(Self { mode: MPOL_LOCAL, nodes: 0 });
            }
            MPOL_DEFAULT | MPOL_LOCAL => return Err(Errno::EINVAL),
            _ => {}
        }
        // Relative nodes are counted round those that there are.
        if nodes.is_empty() || !nodes.has_ours() && !is_relative {
            return Err(Errno::EINVAL);
        }
        // What is shown is what was asked for where that is kept for the day when there are other
        // nodes.
        let keeps = mode & MODE_FLAGS != 0;
        Ok(Self { mode, nodes: if keeps { nodes.first } else { 1 } })
    }

    /// Whether set_mempolicy_home_node(2) means something for it.
    fn takes_home(self) -> bool {
        matches!(self.mode & !MODE_FLAGS, MPOL_BIND | MPOL_PREFERRED_MANY)
    }

    fn interleaves(self) -> bool {
        matches!(self.mode & !MODE_FLAGS, MPOL_INTERLEAVE | MPOL_WEIGHTED_INTERLEAVE)
    }
}

/// What membarrier(2) was registered for.
#[derive(Default)]
pub struct Barriers {
    registered: AtomicU32,
}

/// `MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ`
pub const PRIVATE_EXPEDITED_RSEQ: u32 = 128;

/// The file of an area whose policies belong to the file.
fn shared(area: &Area) -> Option<&Arc<dyn MappedFile>> {
    match &area.backing {
        Some(Object::File(map)) if shared_policy::has_own(&map.file) => Some(&map.file),
        _ => None,
    }
}

impl AddressSpace {
    /// get_mempolicy(2) of a thread whose own policy is `policy`: mode or node, and the set of
    /// nodes.
    pub fn get_mempolicy(&self, addr: u64, flags: u64, policy: Policy) -> SysResult<(i32, u64)> {
        if flags & !(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED) != 0 {
            return Err(Errno::EINVAL);
        }
        if flags & MPOL_F_MEMS_ALLOWED != 0 {
            return if flags & (MPOL_F_NODE | MPOL_F_ADDR) != 0 { Err(Errno::EINVAL) } else { Ok((0, 1)) };
        }
        if flags & MPOL_F_ADDR != 0 {
            let inner = self.inner.read();
            let area = inner.areas.find(addr).ok_or(Errno::EFAULT)?;
            let policy = match shared(area) {
                Some(file) => shared_policy::find(file, area.offset_of(page_down(addr))),
                None => area.policy,
            };
            // Either the node of the page, which is 0, or the policy of the area.
            return Ok((if flags & MPOL_F_NODE != 0 { 0 } else { policy.mode as i32 }, policy.nodes));
        }
        if addr != 0 || flags & MPOL_F_NODE != 0 && !policy.interleaves() {
            return Err(Errno::EINVAL);
        }
        // Either the node of the next page, which is 0, or the policy.
        Ok((if flags & MPOL_F_NODE != 0 { 0 } else { policy.mode as i32 }, policy.nodes))
    }

    /// Gives a range of whole pages a policy. `EFAULT` for holes; the default may be given to
    /// whatever is mapped of it, if anything.
    pub fn mbind(&self, start: u64, end: u64, policy: Policy) -> SysResult<()> {
        let mut locked = self.lock();
        let areas = &mut locked.inner.areas;
        let is_default = policy == Policy::default();
        let bound = if is_default { areas.overlapping(start, end).next().is_some() } else { areas.covers(start, end) };
        if !bound {
            return Err(Errno::EFAULT);
        }
        // What an area was told before is not told to the file anew.
        for area in areas.overlapping(start, end).filter(|area| area.policy != policy) {
            if let Some(file) = shared(area) {
                let (from, to) = (area.offset_of(area.start.max(start)), area.offset_of(area.end.min(end)));
                shared_policy::set(file, from, to, policy)?;
            }
        }
        areas.update(start, end, |area| area.policy = policy);
        Ok(())
    }

    /// set_mempolicy_home_node(2) for the one node: checks the range. `ENOENT` for one without
    /// policies, `EOPNOTSUPP` for policies that have no home.
    pub fn check_home_node(&self, start: u64, end: u64) -> SysResult<()> {
        let inner = self.inner.read();
        let mut found = Err(Errno::ENOENT);
        for policy in inner.areas.overlapping(start, end).map(|area| area.policy).filter(|p| *p != Policy::default()) {
            found = if policy.takes_home() { Ok(()) } else { return Err(Errno::EOPNOTSUPP) };
        }
        found
    }

    /// Whether all of `start..end` is mapped.
    pub fn is_mapped(&self, start: u64, end: u64) -> bool {
        self.inner.read().areas.covers(start, end)
    }

    /// What move_pages(2) reports of a page: its node, `-ENOENT` when it is not present, `-EFAULT`
    /// when nothing is mapped or the page is the one of zeroes, which is nobody's.
    pub fn node_of(&self, addr: u64) -> i32 {
        match (self.is_mapped(page_down(addr), page_down(addr).saturating_add(1)), self.translate(page_down(addr))) {
            (false, _) => -i32::from(Errno::EFAULT.0),
            (true, None) => -i32::from(Errno::ENOENT.0),
            (true, Some(phys)) if user_page::zero_page() == Some(phys) => -i32::from(Errno::EFAULT.0),
            (true, Some(_)) => 0,
        }
    }

    /// Whether a private command of membarrier(2) has been registered for: each is one bit below
    /// its registration.
    pub fn barrier_registered(&self, command: u32) -> bool {
        self.barriers.registered.load(Ordering::Relaxed) & (command << 1) != 0
    }

    /// membarrier(2) without flags. Whoever gives [`PRIVATE_EXPEDITED_RSEQ`] has told the threads
    /// before.
    pub fn membarrier(&self, command: u32) -> SysResult {
        const GLOBAL: u32 = 1;
        const GLOBAL_EXPEDITED: u32 = 2;
        const REGISTER_GLOBAL_EXPEDITED: u32 = 4;
        const PRIVATE_EXPEDITED: u32 = 8;
        const REGISTER_PRIVATE_EXPEDITED: u32 = 16;
        const PRIVATE_EXPEDITED_SYNC_CORE: u32 = 32;
        const REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: u32 = 64;
        const REGISTER_PRIVATE_EXPEDITED_RSEQ: u32 = 256;
        const GET_REGISTRATIONS: u32 = 512;
        const ALL: u32 = 1023;
        match command {
            0 => return Ok(ALL as usize),
            // Whoever else runs a program is interrupted; that is a full barrier on that CPU, and
            // serialises it.
            GLOBAL | GLOBAL_EXPEDITED => tlb::interrupt_all(),
            REGISTER_GLOBAL_EXPEDITED
            | REGISTER_PRIVATE_EXPEDITED
            | REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
            | REGISTER_PRIVATE_EXPEDITED_RSEQ => {
                self.barriers.registered.fetch_or(command, Ordering::Relaxed);
            }
            GET_REGISTRATIONS => {
                let registered = self.barriers.registered.load(Ordering::Relaxed);
                // The other private ones are shown as the plain one, too.
                let others = REGISTER_PRIVATE_EXPEDITED_SYNC_CORE | REGISTER_PRIVATE_EXPEDITED_RSEQ;
                let plain = if registered & others != 0 { REGISTER_PRIVATE_EXPEDITED } else { 0 };
                return Ok((registered | plain) as usize);
            }
            PRIVATE_EXPEDITED | PRIVATE_EXPEDITED_SYNC_CORE | PRIVATE_EXPEDITED_RSEQ => {
                if !self.barrier_registered(command) {
                    return Err(Errno::EPERM);
                }
                tlb::interrupt(&self.cpus);
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }
}
