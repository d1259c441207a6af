//! The set of areas.

use alloc::vec::Vec;

use crate::flags::{Policy, Prot, VmFlags};
use crate::vma::{Backing, Vma, VmaSet};

#[derive(Clone, Debug)]
struct File(u32);
impl Backing for File {
    fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

const P: u64 = 4096;

fn anon(start: u64, end: u64, prot: Prot) -> Vma<File> {
    let (flags, policy) = (VmFlags::empty(), Policy::default());
    Vma { start: start * P, end: end * P, prot, flags, offset: 0, backing: None, name: None, policy }
}

fn file(start: u64, end: u64, offset: u64) -> Vma<File> {
    Vma { offset: offset * P, backing: Some(File(1)), ..anon(start, end, Prot::READ) }
}

fn ranges(set: &VmaSet<File>) -> Vec<(u64, u64)> {
    set.iter().map(|v| (v.start / P, v.end / P)).collect()
}

#[test]
fn neighbours_that_agree_are_merged() {
    let mut s = VmaSet::default();
    s.insert(anon(10, 12, Prot::READ));
    s.insert(anon(14, 16, Prot::READ));
    s.insert(anon(12, 14, Prot::READ));
    s.insert(anon(16, 18, Prot::WRITE));
    assert_eq!(ranges(&s), [(10, 16), (16, 18)]);
    assert_eq!(s.bytes(), 8 * P);
}

#[test]
fn file_areas_merge_only_with_contiguous_offsets() {
    let mut s = VmaSet::default();
    s.insert(file(10, 12, 0));
    s.insert(file(12, 14, 2));
    s.insert(file(14, 16, 0));
    assert_eq!(ranges(&s), [(10, 14), (14, 16)]);
}

#[test]
fn free_range_around() {
    let mut s = VmaSet::default();
    s.insert(anon(10, 12, Prot::READ));
    s.insert(anon(20, 22, Prot::READ));
    assert_eq!(s.free_around(14 * P, 16 * P), 12 * P..20 * P);
    assert_eq!(s.free_around(12 * P, 20 * P), 12 * P..20 * P);
    assert_eq!(s.free_around(2 * P, 3 * P), 0..10 * P);
    assert_eq!(s.free_around(30 * P, 31 * P), 22 * P..u64::MAX);
}

#[test]
fn removal_of_everything() {
    let mut s = VmaSet::default();
    s.insert(file(10, 12, 0));
    s.insert(anon(20, 22, Prot::READ));
    assert_eq!(s.gap_top_down(P, P, 30 * P), Some(29 * P));
    let mut out = Vec::new();
    s.remove(10 * P, 22 * P, &mut out);
    assert_eq!(out.iter().map(|v| (v.start / P, v.end / P)).collect::<Vec<_>>(), [(10, 12), (20, 22)]);
    assert_eq!((s.count(), s.bytes(), s.gap_top_down(25 * P, P, 30 * P)), (0, 0, Some(5 * P)));
}

#[test]
fn removal_splits() {
    let mut s = VmaSet::default();
    s.insert(file(10, 20, 5));
    assert_eq!(s.len_without(12 * P, 14 * P), 2);
    let mut out = Vec::new();
    s.remove(12 * P, 14 * P, &mut out);
    assert_eq!((out.len(), out[0].offset), (1, 7 * P));
    assert_eq!(ranges(&s), [(10, 12), (14, 20)]);
    assert_eq!(s.find(14 * P).unwrap().offset, 9 * P);
    assert_eq!(s.bytes(), 8 * P);
}

#[test]
fn update_splits_and_merges_back() {
    let mut s = VmaSet::default();
    s.insert(anon(10, 20, Prot::READ));
    s.update(12 * P, 14 * P, |v| v.prot = Prot::WRITE);
    assert_eq!(ranges(&s), [(10, 12), (12, 14), (14, 20)]);
    s.update(11 * P, 15 * P, |v| v.prot = Prot::READ);
    assert_eq!(ranges(&s), [(10, 20)]);
}

#[test]
fn lookup_and_coverage() {
    let mut s = VmaSet::default();
    s.insert(anon(10, 12, Prot::READ));
    s.insert(anon(12, 14, Prot::WRITE));
    s.insert(anon(16, 18, Prot::READ));
    assert!(s.find(9 * P).is_none() && s.find(14 * P).is_none());
    assert_eq!(s.find_from(14 * P).unwrap().start, 16 * P);
    assert!(s.covers(11 * P, 14 * P) && !s.covers(11 * P, 17 * P) && !s.covers(9 * P, 11 * P));
    assert_eq!(s.overlapping(13 * P, 17 * P).count(), 2);
    assert!(!s.any(14 * P, 16 * P));
}

#[test]
fn gaps_are_found_from_either_side() {
    let mut s: VmaSet<File> = VmaSet::default();
    assert_eq!(s.gap_top_down(2 * P, P, 100 * P), Some(98 * P));
    s.insert(anon(90, 95, Prot::READ));
    assert_eq!(s.gap_top_down(5 * P, P, 100 * P), Some(95 * P));
    assert_eq!(s.gap_top_down(6 * P, P, 100 * P), Some(84 * P));
    assert_eq!(s.gap_bottom_up(6 * P, 91 * P, 200 * P), Some(95 * P));
    assert_eq!(s.gap_bottom_up(6 * P, 5 * P, 200 * P), Some(5 * P));
    assert_eq!(s.gap_top_down(100 * P, P, 100 * P), None);
}

#[test]
fn the_guard_gap_of_a_stack_is_left_free() {
    let mut s: VmaSet<File> = VmaSet::default();
    s.insert(Vma { flags: VmFlags::GROWSDOWN, ..anon(1000, 1010, Prot::WRITE) });
    assert_eq!(s.gap_top_down(4 * P, P, 1000 * P), Some((1000 - 256 - 4) * P));
    assert_eq!(s.gap_top_down(4 * P, P, 900 * P), Some((1000 - 256 - 4) * P));
    assert_eq!(s.gap_bottom_up(300 * P, 600 * P, 2000 * P), Some(1010 * P));
}

#[test]
fn a_stack_grows_down_and_merges() {
    let mut s: VmaSet<File> = VmaSet::default();
    s.insert(anon(5, 10, Prot::WRITE));
    s.insert(anon(20, 30, Prot::WRITE));
    s.grow_down(20 * P, 15 * P);
    assert_eq!(ranges(&s), [(5, 10), (15, 30)]);
    assert_eq!(s.bytes(), 20 * P);
}

/// The hint must never make a search miss the highest fit: compare with a search that has none.
#[test]
fn searches_with_a_hint_find_what_a_full_search_finds() {
    let mut s: VmaSet<File> = VmaSet::default();
    let mut state = 1u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % n
    };
    for step in 0..20_000 {
        let len = 1 + next(6);
        if next(2) == 0 {
            let mut full: Option<u64> = None;
            for at in (1..=400 - len).rev() {
                if !s.any(at * P, (at + len) * P) {
                    full = Some(at * P);
                    break;
                }
            }
            let found = s.gap_top_down(len * P, P, 400 * P);
            assert_eq!(found, full, "step {step}");
            if let Some(at) = found
                && next(4) > 0
            {
                let prot = if step % 2 == 0 { Prot::READ } else { Prot::WRITE };
                s.insert(anon(at / P, at / P + len, prot));
            }
        } else {
            let at = 1 + next(399);
            s.remove(at * P, (at + len) * P, &mut Vec::new());
        }
    }
}
