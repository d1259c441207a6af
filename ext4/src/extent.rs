//! Extent trees: a B+ tree from blocks of the file to runs of blocks on the disk, its root in the
//! inode.

use crate::checksum::crc32c;
use crate::error::{Error, Result, corrupt};
use crate::inode::Inode;
use crate::layout::{put, u16_at, u32_at};
use crate::volume::Volume;
use alloc::vec::Vec;
use syscall_shim::Errno;

const MAGIC: u16 = 0xf30a;
const ROOT_MAX: usize = 4;
/// Deeper than Linux makes them.
const MAX_DEPTH: u16 = 5;
/// Longest extent; an unwritten one is a block shorter.
pub(crate) const MAX_LEN: u32 = 32768;

/// An extent, or in an inner node (`len` 0) the child that begins with `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub first: u32,
    pub len: u32,
    pub block: u64,
    pub unwritten: bool,
}

impl Item {
    pub(crate) fn end(&self) -> u64 {
        u64::from(self.first) + u64::from(self.len)
    }

    /// The part of an extent within `[from, to)`.
    pub(crate) fn part(&self, from: u64, to: u64) -> Option<Item> {
        let start = u64::from(self.first).max(from);
        let end = self.end().min(to);
        let skip = start - u64::from(self.first).min(start);
        (start < end).then(|| Item {
            first: start as u32,
            len: (end - start) as u32,
            block: self.block + skip,
            unwritten: self.unwritten,
        })
    }

    fn joins(&self, next: &Item) -> bool {
        let max = if self.unwritten { MAX_LEN - 1 } else { MAX_LEN };
        self.unwritten == next.unwritten
            && self.end() == u64::from(next.first)
            && self.block + u64::from(self.len) == next.block
            && self.len + next.len <= max
    }
}

struct Node {
    depth: u16,
    items: Vec<Item>,
}

/// Where a node lies.
#[derive(Clone, Copy)]
enum Place {
    Root,
    Block(u64),
}

/// What became of a subtree: its first block, and a second one beside it if it was split.
struct Stored {
    first: u32,
    sibling: Option<Item>,
}

/// A removal on its way.
pub(crate) struct Cut {
    /// What was removed, from the end backwards.
    pub removed: Vec<Item>,
    /// What is left behind of an extent out of whose middle something was cut.
    rest: Option<Item>,
    budget: usize,
    /// Something remains to be removed.
    pub more: bool,
}

/// The root of an empty tree, for `i_block`.
pub(crate) fn empty_root() -> [u8; 60] {
    let mut root = [0; 60];
    encode(&mut root, &Node { depth: 0, items: Vec::new() }, ROOT_MAX);
    root
}

fn encode(data: &mut [u8], node: &Node, max: usize) {
    let mut fits = put(data, 0, &MAGIC.to_le_bytes());
    fits &= put(data, 2, &(node.items.len() as u16).to_le_bytes());
    fits &= put(data, 4, &(max as u16).to_le_bytes());
    fits &= put(data, 6, &node.depth.to_le_bytes());
    for (at, item) in node.items.iter().enumerate().map(|(i, item)| (12 + 12 * i, item)) {
        fits &= put(data, at, &item.first.to_le_bytes());
        let (lo, hi) = (item.block as u32, (item.block >> 32) as u16);
        if node.depth == 0 {
            let len = item.len as u16 + if item.unwritten { MAX_LEN as u16 } else { 0 };
            fits &= put(data, at + 4, &len.to_le_bytes());
            fits &= put(data, at + 6, &hi.to_le_bytes());
            fits &= put(data, at + 8, &lo.to_le_bytes());
        } else {
            fits &= put(data, at + 4, &lo.to_le_bytes());
            fits &= put(data, at + 8, &u32::from(hi).to_le_bytes());
        }
    }
    debug_assert!(fits, "a node larger than its place");
}

impl Volume {
    fn node_max(&self) -> usize {
        (self.geo.block_size - 12) / 12
    }

    /// Reads and checks a node.
    fn node(&mut self, inode: &Inode, place: Place, depth: Option<u16>) -> Result<Node> {
        match place {
            Place::Root => self.decode(&inode.raw.block, ROOT_MAX, depth),
            Place::Block(block) => {
                let seed = self.inode_seed(inode);
                let tail = 12 + 12 * self.node_max();
                let csum = self.geo.csum;
                let data = self.checked(block, "extent block", |data| {
                    !csum || u32_at(data, tail) == data.get(..tail).map(|body| crc32c(seed, body))
                })?;
                self.decode(&data, self.node_max(), depth)
            }
        }
    }

    fn decode(&self, data: &[u8], max: usize, depth: Option<u16>) -> Result<Node> {
        let word = |at| u16_at(data, at).ok_or(Error::Corrupt("extent node"));
        let (count, found) = (usize::from(word(2)?), word(6)?);
        if word(0)? != MAGIC || usize::from(word(4)?) > max || count > usize::from(word(4)?) {
            return corrupt("head of an extent node");
        }
        if found > MAX_DEPTH || depth.is_some_and(|depth| depth != found) || (found > 0 && count == 0) {
            return corrupt("depth of an extent node");
        }
        let mut items: Vec<Item> = Vec::new();
        items.try_reserve_exact(count + 1).map_err(|_| Errno::ENOMEM)?;
        let mut next = 0;
        for at in (0..count).map(|i| 12 + 12 * i) {
            let first = u32_at(data, at).ok_or(Error::Corrupt("extent"))?;
            let item = if found == 0 {
                let (len, hi) = (u32::from(word(at + 4)?), word(at + 6)?);
                let lo = u32_at(data, at + 8).ok_or(Error::Corrupt("extent"))?;
                let unwritten = len > MAX_LEN;
                let len = if unwritten { len - MAX_LEN } else { len };
                Item { first, len, block: u64::from(lo) | u64::from(hi) << 32, unwritten }
            } else {
                let lo = u32_at(data, at + 4).ok_or(Error::Corrupt("extent"))?;
                Item { first, len: 0, block: u64::from(lo) | u64::from(word(at + 8)?) << 32, unwritten: false }
            };
            let span = u64::from(item.len.max(1));
            if u64::from(first) < next || (found == 0 && item.len == 0) || !self.geo.valid(item.block, span) {
                return corrupt("extent");
            }
            next = u64::from(first) + span;
            if next > 1 << 32 {
                return corrupt("extent");
            }
            items.push(item);
        }
        Ok(Node { depth: found, items })
    }

    /// The extent that holds `block` of the file, or the hole there: `Err` of its end (2^32 when
    /// nothing follows).
    pub(crate) fn find_extent(&mut self, inode: &Inode, block: u32) -> Result<core::result::Result<Item, u64>> {
        let mut place = Place::Root;
        let mut depth = None;
        let mut end = 1u64 << 32;
        loop {
            let node = self.node(inode, place, depth)?;
            let at = node.items.partition_point(|item| item.first <= block);
            if let Some(next) = node.items.get(at) {
                end = end.min(u64::from(next.first));
            }
            let Some(item) = at.checked_sub(1).and_then(|at| node.items.get(at)) else { return Ok(Err(end)) };
            if node.depth == 0 {
                return Ok(if u64::from(block) < item.end() { Ok(*item) } else { Err(end) });
            }
            place = Place::Block(item.block);
            depth = Some(node.depth - 1);
        }
    }

    /// The last extent.
    pub(crate) fn last_extent(&mut self, inode: &Inode) -> Result<Option<Item>> {
        let mut node = self.node(inode, Place::Root, None)?;
        loop {
            let Some(item) = node.items.last().copied() else { return Ok(None) };
            if node.depth == 0 {
                return Ok(Some(item));
            }
            node = self.node(inode, Place::Block(item.block), Some(node.depth - 1))?;
        }
    }

    /// Adds an extent where there is a hole, joined with its neighbours where that goes.
    pub(crate) fn insert_extent(&mut self, inode: &mut Inode, item: Item) -> Result<()> {
        self.insert_below(inode, Place::Root, None, item).map(|_| ())
    }

    fn insert_below(&mut self, inode: &mut Inode, place: Place, depth: Option<u16>, item: Item) -> Result<Stored> {
        let mut node = self.node(inode, place, depth)?;
        let at = node.items.partition_point(|old| old.first <= item.first);
        if node.depth == 0 {
            let before = at.checked_sub(1).and_then(|at| node.items.get(at)).copied();
            let after = node.items.get(at).copied();
            if before.is_some_and(|old| old.end() > u64::from(item.first))
                || after.is_some_and(|old| item.end() > u64::from(old.first))
            {
                return corrupt("extents: one over another");
            }
            let mut joined = item;
            let mut range = at..at;
            if let Some(old) = before.filter(|old| old.joins(&joined)) {
                joined = Item { len: old.len + joined.len, ..old };
                range.start -= 1;
            }
            if let Some(old) = after.filter(|old| joined.joins(old)) {
                joined.len += old.len;
                range.end += 1;
            }
            node.items.splice(range, [joined]);
            return self.store_node(inode, place, node, at);
        }
        let child = at.saturating_sub(1);
        let Some(index) = node.items.get(child).copied() else { return corrupt("extent node") };
        let stored = self.insert_below(inode, Place::Block(index.block), Some(node.depth - 1), item)?;
        let same = stored.first == index.first && stored.sibling.is_none();
        if let Some(index) = node.items.get_mut(child) {
            index.first = stored.first;
        }
        if same {
            let first = node.items.first().map_or(0, |item| item.first);
            return Ok(Stored { first, sibling: None });
        }
        if let Some(sibling) = stored.sibling {
            node.items.insert(child + 1, sibling);
        }
        self.store_node(inode, place, node, child + 1)
    }

    /// Writes a node back; one with too many items is split, the root becomes a level deeper. `at`
    /// is where it grew.
    fn store_node(&mut self, inode: &mut Inode, place: Place, mut node: Node, at: usize) -> Result<Stored> {
        let first = node.items.first().map_or(0, |item| item.first);
        match place {
            Place::Root if node.items.len() <= ROOT_MAX => {
                encode(&mut inode.raw.block, &node, ROOT_MAX);
                Ok(Stored { first, sibling: None })
            }
            Place::Root => {
                let depth = node.depth + 1;
                if depth > MAX_DEPTH {
                    return Err(Errno::ENOSPC.into());
                }
                let block = self.new_node(inode, &node)?;
                let items = Vec::from([Item { first, len: 0, block, unwritten: false }]);
                encode(&mut inode.raw.block, &Node { depth, items }, ROOT_MAX);
                Ok(Stored { first, sibling: None })
            }
            Place::Block(block) if node.items.len() <= self.node_max() => {
                self.write_node(inode, block, &node)?;
                Ok(Stored { first, sibling: None })
            }
            Place::Block(block) => {
                // A file that grows at its end leaves full nodes behind.
                let last = node.items.len() - 1;
                let upper = node.items.split_off(if at >= last { last } else { node.items.len() / 2 });
                let upper = Node { depth: node.depth, items: upper };
                self.write_node(inode, block, &node)?;
                let block = self.new_node(inode, &upper)?;
                let start = upper.items.first().map_or(0, |item| item.first);
                Ok(Stored { first, sibling: Some(Item { first: start, len: 0, block, unwritten: false }) })
            }
        }
    }

    fn new_node(&mut self, inode: &mut Inode, node: &Node) -> Result<u64> {
        let goal = self.inode_goal(inode.ino);
        let block = self.new_metadata_block(inode, goal)?;
        self.fresh(block)?;
        self.write_node(inode, block, node)?;
        Ok(block)
    }

    fn write_node(&mut self, inode: &Inode, block: u64, node: &Node) -> Result<()> {
        let (max, seed, csum) = (self.node_max(), self.inode_seed(inode), self.geo.csum);
        let data = self.edit(block)?;
        encode(data, node, max);
        if csum {
            let tail = 12 + 12 * max;
            let sum = crc32c(seed, data.get(..tail).unwrap_or(&[]));
            if !put(data, tail, &sum.to_le_bytes()) {
                return corrupt("extent block");
            }
        }
        self.mark_checked(block);
        Ok(())
    }

    /// Takes up to `budget` extents, the last ones of `[from, to)`, out of the tree. The blocks
    /// that they name are not freed.
    pub(crate) fn cut_extents(&mut self, inode: &mut Inode, from: u64, to: u64, budget: usize) -> Result<Cut> {
        let mut cut = Cut { removed: Vec::new(), rest: None, budget, more: false };
        self.cut_below(inode, Place::Root, None, (from, to), &mut cut)?;
        if let Some(rest) = cut.rest.take() {
            self.insert_extent(inode, rest)?;
        }
        Ok(cut)
    }

    /// Answers the first block of what is left of the subtree, if anything is.
    fn cut_below(
        &mut self,
        inode: &mut Inode,
        place: Place,
        depth: Option<u16>,
        (from, to): (u64, u64),
        cut: &mut Cut,
    ) -> Result<Option<u32>> {
        let mut node = self.node(inode, place, depth)?;
        let mut changed = false;
        for i in (0..node.items.len()).rev() {
            let Some(item) = node.items.get(i).copied() else { break };
            let end = match node.depth {
                0 => item.end(),
                _ => node.items.get(i + 1).map_or(1 << 32, |next| u64::from(next.first)),
            };
            if u64::from(item.first) >= to || end <= from {
                continue;
            }
            if cut.removed.len() >= cut.budget {
                cut.more = true;
                break;
            }
            if node.depth > 0 {
                let below = self.cut_below(inode, Place::Block(item.block), Some(node.depth - 1), (from, to), cut)?;
                match below {
                    Some(first) if first == item.first => continue,
                    Some(first) => {
                        if let Some(item) = node.items.get_mut(i) {
                            item.first = first;
                        }
                    }
                    None => {
                        node.items.remove(i);
                        self.free_metadata_block(inode, item.block)?;
                    }
                }
                changed = true;
                continue;
            }
            let Some(part) = item.part(from, to) else { continue };
            cut.removed.push(part);
            changed = true;
            let (left, right) = (item.part(0, from), item.part(to, 1 << 32));
            match (left, right) {
                (Some(left), right) => {
                    cut.rest = right;
                    if let Some(place) = node.items.get_mut(i) {
                        *place = left;
                    }
                }
                (None, Some(right)) => {
                    if let Some(place) = node.items.get_mut(i) {
                        *place = right;
                    }
                }
                (None, None) => {
                    node.items.remove(i);
                }
            }
        }
        let first = node.items.first().map(|item| item.first);
        match place {
            Place::Root if changed => {
                if node.items.is_empty() {
                    node.depth = 0;
                }
                encode(&mut inode.raw.block, &node, ROOT_MAX);
            }
            Place::Block(block) if changed && first.is_some() => self.write_node(inode, block, &node)?,
            _ => {}
        }
        Ok(first)
    }

    /// Blocks that the tree's own nodes take, without the root.
    pub(crate) fn tree_blocks(&mut self, inode: &Inode) -> Result<u64> {
        let root = self.node(inode, Place::Root, None)?;
        self.nodes_below(inode, &root)
    }

    fn nodes_below(&mut self, inode: &Inode, node: &Node) -> Result<u64> {
        let mut count = 0;
        for item in node.items.iter().filter(|_| node.depth > 0) {
            let child = self.node(inode, Place::Block(item.block), Some(node.depth - 1))?;
            count += 1 + self.nodes_below(inode, &child)?;
        }
        Ok(count)
    }
}
