//! Trees of mounts that are made, copied and joined to the tree of all, with what shared subtrees
//! ask (mount_namespaces(7)).
//!
//! Mounts of one peer group have the same number in `group`; a slave has the number of its master's
//! group in `master`. What is mounted on one of a group is mounted on its peers and slaves too, and
//! so down.

use crate::dentry::{Dentry, TREE};
use crate::mount::Mount;
use crate::path::Path;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use hashbrown::{HashMap, HashSet};
use syscall_shim::{Errno, SysResult};

/// Mounts that there may be (`/proc/sys/fs/mount-max`): fewer than on Linux, since a mount on one
/// of many peers looks at all.
pub static MAX_MOUNTS: AtomicU32 = AtomicU32::new(10_000);

fn max_mounts() -> usize {
    MAX_MOUNTS.load(Ordering::Relaxed) as usize
}

/// Mounts by the place they cover: mount id and address of the dentry, which the covering mount
/// keeps alive.
#[derive(Default)]
pub(super) struct Table {
    pub(super) by_place: HashMap<(u32, usize), Arc<Mount>>,
    pub(super) order: Vec<Arc<Mount>>,
    /// Numbers of peer groups in use.
    pub(super) groups: BTreeSet<u32>,
}

pub(super) fn key(path: &Path) -> (u32, usize) {
    (path.mount.id, Arc::as_ptr(&path.dentry).addr())
}

/// What mount(2) makes of how mounts propagate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Propagation {
    /// `MS_SHARED`.
    Shared,
    /// `MS_PRIVATE`.
    Private,
    /// `MS_SLAVE`.
    Slave,
    /// `MS_UNBINDABLE`.
    Unbindable,
}

/// Mounts that hang together and are not (or not there) in the tree: each with its place in
/// another, by number; the first without.
pub(super) struct Branch(Vec<(Arc<Mount>, Option<(usize, Arc<Dentry>)>)>);

/// How a copy of a branch relates to what it is a copy of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// In the same groups.
    Peer,
    /// A slave.
    Slave,
    /// A slave that begins a group of its own.
    SharedSlave,
}

impl Branch {
    pub(super) fn new(mount: Arc<Mount>) -> Branch {
        Branch(Vec::from([(mount, None)]))
    }

    pub(super) fn root(&self) -> &Arc<Mount> {
        &self.0[0].0
    }

    fn copy(&self, relation: Relation, table: &mut Table) -> Branch {
        let copied = self.0.iter().map(|(mount, place)| {
            let copy = mount.copy(mount.root.clone());
            if relation != Relation::Peer {
                copy.set_master(mount.group());
                copy.set_group(if relation == Relation::SharedSlave { table.new_group() } else { 0 });
            }
            (copy, place.clone())
        });
        Branch(copied.collect())
    }
}

/// Where a copy goes: on `mount`, and of which of the branches before (0 is the original).
struct Target {
    mount: Arc<Mount>,
    source: usize,
    relation: Relation,
}

impl Table {
    /// The mount at this place.
    pub(super) fn at(&self, mount: &Arc<Mount>, dentry: &Arc<Dentry>) -> Option<&Arc<Mount>> {
        self.by_place.get(&(mount.id, Arc::as_ptr(dentry).addr()))
    }

    /// Mounts whose place is in `mount`.
    pub(super) fn children(&self, mount: &Arc<Mount>) -> Vec<Arc<Mount>> {
        let is_child = |m: &&Arc<Mount>| m.place.read().as_ref().is_some_and(|p| Arc::ptr_eq(&p.mount, mount));
        self.order.iter().filter(is_child).cloned().collect()
    }

    /// Mounts by the id of the one that their place is in.
    fn by_parent(&self) -> HashMap<u32, Vec<&Arc<Mount>>> {
        let mut by_parent: HashMap<u32, Vec<&Arc<Mount>>> = HashMap::new();
        for m in &self.order {
            if let Some(place) = m.place.read().as_ref() {
                by_parent.entry(place.mount.id).or_default().push(m);
            }
        }
        by_parent
    }

    /// The mount and all that hang on it, above before below.
    pub(super) fn subtree(&self, mount: &Arc<Mount>) -> Vec<Arc<Mount>> {
        let by_parent = self.by_parent();
        let mut all = Vec::from([mount.clone()]);
        let mut next = 0;
        while let Some(at) = all.get(next) {
            let below = by_parent.get(&at.id).into_iter().flatten();
            all.extend(below.map(|m| Arc::clone(m)));
            next += 1;
        }
        all
    }

    /// The least number that no group has.
    fn new_group(&mut self) -> u32 {
        let mut free = 1;
        for used in &self.groups {
            if *used != free {
                break;
            }
            free += 1;
        }
        self.groups.insert(free);
        free
    }

    /// Takes a mount out of its group. The slaves of a group that ends go to its master.
    fn leave_group(&mut self, mount: &Mount) {
        let group = mount.group();
        if group == 0 {
            return;
        }
        mount.set_group(0);
        if self.order.iter().any(|m| m.group() == group) {
            return;
        }
        self.groups.remove(&group);
        for slave in self.order.iter().filter(|m| m.master() == group) {
            slave.set_master(mount.master());
        }
    }

    /// Changes how one mount propagates (`change_mnt_propagation`).
    pub(super) fn change(&mut self, mount: &Mount, to: Propagation) {
        if to == Propagation::Shared {
            mount.set_unbindable(false);
            if mount.group() == 0 {
                let group = self.new_group();
                mount.set_group(group);
            }
            return;
        }
        let group = mount.group();
        if group != 0 {
            let has_peers = self.order.iter().filter(|m| m.group() == group).count() > 1;
            self.leave_group(mount);
            if has_peers {
                mount.set_master(group);
            }
        }
        if to != Propagation::Slave {
            mount.set_master(0);
            mount.set_unbindable(to == Propagation::Unbindable);
        }
    }

    /// A copy of what is at `from`, with `recurse` of all that is mounted below and may be bound.
    pub(super) fn copy_tree(&self, from: &Path, recurse: bool) -> Branch {
        let mut copies = Vec::from([(from.mount.copy(from.dentry.clone()), None)]);
        let mut work = Vec::from([(from.mount.clone(), from.dentry.clone(), 0)]);
        let by_parent = if recurse { self.by_parent() } else { HashMap::new() };
        while let Some((mount, below, index)) = work.pop() {
            for child in by_parent.get(&mount.id).into_iter().flatten() {
                let Some(place) = child.place().filter(|_| !child.unbindable()) else { continue };
                let _still = TREE.read();
                if !below.is_ancestor_of(&place.dentry) {
                    continue;
                }
                work.push((Arc::clone(child), child.root.clone(), copies.len()));
                copies.push((child.copy(child.root.clone()), Some((index, place.dentry))));
            }
        }
        Branch(copies)
    }

    /// What is mounted on `dest` at `dentry` goes there too.
    fn targets(&self, dest: &Arc<Mount>, dentry: &Arc<Dentry>) -> Vec<Target> {
        let mut out: Vec<Target> = Vec::new();
        if dest.group() == 0 {
            return out;
        }
        let _still = TREE.read();
        let covers = |mount: &Arc<Mount>| mount.root.is_ancestor_of(dentry);
        let peers = |group: u32| self.order.iter().filter(move |m| m.group() == group);
        for peer in peers(dest.group()).filter(|m| !Arc::ptr_eq(m, dest) && covers(m)) {
            out.push(Target { mount: peer.clone(), source: 0, relation: Relation::Peer });
        }
        let mut seen: HashSet<u32> = HashSet::new();
        seen.insert(dest.group());
        let mut work = Vec::from([(dest.group(), 0)]);
        while let Some((master, source)) = work.pop() {
            for slave in self.order.iter().filter(|m| m.master() == master) {
                if slave.group() == 0 {
                    if covers(slave) {
                        out.push(Target { mount: slave.clone(), source, relation: Relation::Slave });
                    }
                    continue;
                }
                if !seen.insert(slave.group()) {
                    continue;
                }
                let first = out.len() + 1;
                for (i, peer) in peers(slave.group()).filter(|m| covers(m)).enumerate() {
                    let (source, relation) = if i == 0 { (source, Relation::SharedSlave) } else { (first, Relation::Peer) };
                    out.push(Target { mount: peer.clone(), source, relation });
                }
                work.push((slave.group(), if out.len() >= first { first } else { source }));
            }
        }
        out
    }

    /// Joins a branch to the tree at `place`, and copies of it wherever that propagates
    /// (`attach_recursive_mnt`). `ENOSPC` when there would be too many mounts.
    pub(super) fn attach(&mut self, branch: Branch, place: Path) -> SysResult<()> {
        let targets = self.targets(&place.mount, &place.dentry);
        if self.order.len() + branch.0.len() * (targets.len() + 1) > max_mounts() {
            return Err(Errno::ENOSPC);
        }
        if place.mount.group() != 0 {
            for (mount, _) in &branch.0 {
                self.change(mount, Propagation::Shared);
            }
        }
        let mut branches = Vec::from([branch]);
        for target in &targets {
            let Some(source) = branches.get(target.source) else { continue };
            let source = Branch(source.0.clone());
            branches.push(source.copy(target.relation, self));
        }
        let mounts = core::iter::once(place.mount.clone()).chain(targets.into_iter().map(|target| target.mount));
        for (branch, mount) in branches.into_iter().zip(mounts) {
            self.join(branch, Path { mount, dentry: place.dentry.clone() });
        }
        Ok(())
    }

    /// Puts a branch at a place; what is mounted there already comes to lie on top of it.
    pub(super) fn join(&mut self, branch: Branch, place: Path) {
        let above = self.by_place.remove(&key(&place));
        let root = branch.root().clone();
        root.set_detached(false);
        self.join_at(branch, Some(&place));
        if let Some(above) = above {
            place.dentry.remove_mount();
            let mut top = root;
            while let Some(next) = self.at(&top, &top.root).cloned() {
                top = next;
            }
            let dentry = top.root.clone();
            self.hang(above, Path { mount: top, dentry });
        }
    }

    /// Enters the mounts of a branch, of which the first hangs at `place`, or nowhere.
    pub(super) fn join_at(&mut self, branch: Branch, place: Option<&Path>) {
        let mounts: Vec<Arc<Mount>> = branch.0.iter().map(|(mount, _)| mount.clone()).collect();
        for (mount, at) in branch.0 {
            let at = match at {
                None => place.cloned(),
                Some((parent, dentry)) => mounts.get(parent).map(|parent| Path { mount: parent.clone(), dentry }),
            };
            self.order.push(mount.clone());
            if let Some(at) = at {
                self.hang(mount, at);
            }
        }
    }

    fn hang(&mut self, mount: Arc<Mount>, at: Path) {
        at.dentry.add_mount();
        self.by_place.insert(key(&at), mount.clone());
        let old = mount.place.write().replace(at);
        drop(old);
    }

    /// `ENOSPC` where `count` mounts that move to `place` would become too many.
    pub(super) fn check_room(&self, count: usize, place: &Path) -> SysResult<()> {
        let copies = self.targets(&place.mount, &place.dentry).len();
        if self.order.len() + count * copies > max_mounts() { Err(Errno::ENOSPC) } else { Ok(()) }
    }

    /// Takes a mount from its place, and with it what hangs on it (`MS_MOVE`).
    pub(super) fn lift(&mut self, mount: &Arc<Mount>) -> Option<Branch> {
        let place = mount.place();
        if place.is_none() && !mount.is_detached() {
            return None;
        }
        let all = self.subtree(mount);
        let mut branch = Branch(Vec::from([(mount.clone(), None)]));
        for m in all.iter().skip(1) {
            let Some(at) = m.place() else { continue };
            let Some(parent) = all.iter().position(|p| Arc::ptr_eq(p, &at.mount)) else { continue };
            self.by_place.remove(&key(&at));
            at.dentry.remove_mount();
            branch.0.push((m.clone(), Some((parent, at.dentry))));
        }
        if let Some(place) = place {
            self.by_place.remove(&key(&place));
            place.dentry.remove_mount();
        }
        let ids: HashSet<u32> = all.iter().map(|m| m.id).collect();
        self.order.retain(|m| !ids.contains(&m.id));
        Some(branch)
    }

    /// What goes along when the mounts `going` (above before below) are unmounted: what they
    /// propagated, unless more hangs on it than one mount right on top.
    pub(super) fn with_propagated(&self, going: Vec<Arc<Mount>>) -> Vec<Arc<Mount>> {
        let mut ids: HashSet<u32> = going.iter().map(|m| m.id).collect();
        let mut all = going.clone();
        // Places of which all that is mounted on a group's peers and slaves goes: most mounts of a
        // large group have the same.
        let mut done: HashSet<(u32, usize)> = HashSet::new();
        for mount in going.iter().rev() {
            let Some(place) = mount.place() else { continue };
            let common = (place.mount.group(), Arc::as_ptr(&place.dentry).addr());
            if done.contains(&common) {
                continue;
            }
            let mut stays = false;
            for target in self.targets(&place.mount, &place.dentry) {
                let Some(child) = self.at(&target.mount, &place.dentry).filter(|child| !ids.contains(&child.id)) else {
                    continue;
                };
                let on_top = self.at(child, &child.root).map(|top| top.id);
                if self.children(child).iter().all(|c| ids.contains(&c.id) || Some(c.id) == on_top) {
                    ids.insert(child.id);
                    all.push(child.clone());
                } else {
                    stays = true;
                }
            }
            if !stays {
                done.insert(common);
            }
        }
        all
    }

    /// Removes mounts. What lies on top of one of them and stays comes to lie where that was.
    pub(super) fn remove(&mut self, going: &[Arc<Mount>]) {
        let ids: HashSet<u32> = going.iter().map(|m| m.id).collect();
        for mount in going {
            let Some(place) = mount.place() else { continue };
            let above = self.at(mount, &mount.root).filter(|above| !ids.contains(&above.id)).cloned();
            self.by_place.remove(&key(&place));
            if let Some(above) = above {
                self.by_place.remove(&(mount.id, Arc::as_ptr(&mount.root).addr()));
                mount.root.remove_mount();
                self.hang(above, place);
            }
        }
        self.order.retain(|m| !ids.contains(&m.id));
        for mount in going {
            self.leave_group(mount);
            mount.set_master(0);
        }
    }
}
