//! The trampoline: its code, where it may be, and which of its addresses stands for which of the
//! program's.

use arrayvec::ArrayVec;

use super::window::{How, MOVED_MAX, Moved};
use super::{JUMP_LEN, Refusal, SYSCALL, SYSCALL_LEN, TRAPS, Window, is_trap};

/// Offset of the trampoline's own `syscall` instruction: what a single-stepping thread executes
/// instead.
pub const RETRY: u64 = 14;
/// Offset of the code that the kernel returns to.
pub const RETURN: u64 = 16;
/// Offset of the moved instructions.
const BODY: usize = 23;
/// The most bytes that a trampoline has.
pub const TRAMPOLINE_MAX: usize = 80;

/// `lea rcx, [rip + disp32]`
const LEA_RCX: [u8; 3] = [0x48, 0x8d, 0x0d];
/// `jmp qword ptr [disp32]`, the address sign-extended.
const JMP_ABSOLUTE: [u8; 3] = [0xff, 0x24, 0x25];

/// The code of a trampoline at its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trampoline {
    /// The `syscall` that it stands for.
    pub site: u64,
    /// Its own address.
    pub at: u64,
    /// Its code.
    pub code: ArrayVec<u8, TRAMPOLINE_MAX>,
    /// Offsets of moved instructions: in the trampoline, from the site; last the jump back.
    points: ArrayVec<(u8, u8), { MOVED_MAX + 1 }>,
}

impl Trampoline {
    /// The trampoline of `window` at address `at`. `entry` is the address, in the highest 2 GiB, of
    /// the pointer to the kernel's entry.
    pub fn build(window: &Window, site: u64, at: u64, entry: i32) -> Result<Self, Refusal> {
        let mut trampoline = Self { site, at, code: ArrayVec::new(), points: ArrayVec::new() };
        trampoline.lea_rcx(at.wrapping_add(RETURN))?;
        trampoline.put(&JMP_ABSOLUTE)?;
        trampoline.put(&entry.to_le_bytes())?;
        trampoline.put(&SYSCALL)?;
        trampoline.lea_rcx(site.wrapping_add(SYSCALL_LEN as u64))?;
        debug_assert_eq!(trampoline.code.len(), BODY);
        for moved in &window.moved {
            trampoline.note(moved.offset);
            trampoline.put_moved(moved)?;
        }
        if !window.ends {
            trampoline.note(window.len);
            trampoline.jump(&[0xe9], site.wrapping_add(window.len as u64))?;
        }
        Ok(trampoline)
    }

    /// The jump that replaces the first bytes of the window.
    pub fn jump_here(&self) -> Option<[u8; JUMP_LEN]> {
        let [a, b, c, d] = displacement(self.site, self.at)?.to_le_bytes();
        Some([0xe9, a, b, c, d])
    }

    /// Whether `rip` is one of its addresses.
    pub fn contains(&self, rip: u64) -> bool {
        rip.wrapping_sub(self.at) < self.code.len() as u64
    }

    /// The program's address that `rip` in the trampoline stands for. Up to the return it is the
    /// `syscall`, which can begin anew.
    pub fn original(&self, rip: u64) -> u64 {
        let offset = rip.wrapping_sub(self.at);
        if offset < RETURN {
            return self.site;
        }
        let passed = self.points.iter().take_while(|(at, _)| u64::from(*at) <= offset).last();
        self.site.wrapping_add(passed.map_or(SYSCALL_LEN as u64, |(_, from)| u64::from(*from)))
    }

    /// Where in the trampoline the instruction is that stood at `rip` in the window.
    pub fn moved(&self, rip: u64) -> Option<u64> {
        let offset = rip.wrapping_sub(self.site);
        let at = self.points.iter().find(|(_, from)| u64::from(*from) == offset)?.0;
        Some(self.at.wrapping_add(at.into()))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.code.try_extend_from_slice(bytes).map_err(|_| Refusal::Immovable)
    }

    fn note(&mut self, offset: usize) {
        self.points.push((self.code.len() as u8, offset as u8));
    }

    fn lea_rcx(&mut self, target: u64) -> Result<(), Refusal> {
        self.jump(&LEA_RCX, target)
    }

    /// An instruction that ends with its displacement to `target`.
    fn jump(&mut self, opcode: &[u8], target: u64) -> Result<(), Refusal> {
        self.put(opcode)?;
        let next = self.at.wrapping_add(self.code.len() as u64 + 4);
        self.put(&relative(next, target)?.to_le_bytes())
    }

    fn put_moved(&mut self, moved: &Moved) -> Result<(), Refusal> {
        match moved.how {
            How::Copy => self.put(&moved.bytes),
            How::Jump(target) => self.jump(&[0xe9], target),
            How::Branch(condition, target) => self.jump(&[0x0f, 0x80 | condition], target),
            How::RipRelative { at, target } => {
                let start = self.code.len();
                self.put(&moved.bytes)?;
                let next = self.at.wrapping_add(self.code.len() as u64);
                let field = self.code.get_mut(start + at..start + at + 4).ok_or(Refusal::Immovable)?;
                field.copy_from_slice(&relative(next, target)?.to_le_bytes());
                Ok(())
            }
        }
    }
}

fn relative(next: u64, target: u64) -> Result<i32, Refusal> {
    i32::try_from(target.wrapping_sub(next) as i64).map_err(|_| Refusal::OutOfReach)
}

/// The displacement of the jump at `site` to `at`.
fn displacement(site: u64, at: u64) -> Option<i32> {
    relative(site.wrapping_add(JUMP_LEN as u64), at).ok()
}

/// Whether the jump from `site` to `at` is as it must be: every instruction that it covers is
/// guarded by a byte of [`TRAPS`], and what stands behind the window stays.
pub fn is_guarded(window: &Window, site: u64, at: u64) -> bool {
    let Some(bytes) = displacement(site, at).map(i32::to_le_bytes) else { return false };
    window.covered().all(|offset| bytes.get(offset - 1).is_some_and(|byte| is_trap(*byte)))
        && (1..).zip(bytes).all(|(offset, byte)| window.kept(offset).is_none_or(|kept| kept == byte))
}

/// The highest bytes of displacements that lead about a gigabyte away, where neither heap nor
/// mappings soon grow to. They are [`TRAPS`] too, so that trampolines of most sites can share
/// pages.
const FAR: [u8; 8] = [0xcc, 0xce, 0xd6, 0x61, 0x60, 0x3f, 0x37, 0x2f];

/// What a byte of a displacement may be: what it must be, where something stands there that stays,
/// or any, or any of [`TRAPS`].
fn candidates(kept: Option<u8>, guarded: bool) -> impl Iterator<Item = u8> {
    let traps = TRAPS.into_iter().filter(move |_| guarded && kept.is_none());
    let all = (0..=u8::MAX).take(if guarded || kept.is_some() { 0 } else { 256 });
    kept.filter(|byte| !guarded || is_trap(*byte)).into_iter().chain(traps).chain(all)
}

/// The ranges of 256 addresses, by their first ones, where a trampoline for `site` may begin
/// ([`is_guarded`] holds for each of them), best first.
pub fn places(window: &Window, site: u64) -> impl Iterator<Item = u64> {
    let guarded = window.covered().any(|offset| offset == 3);
    let (low, middle, high) = (window.kept(2), window.kept(3), window.kept(4));
    let highs = FAR.into_iter().filter(move |_| high.is_none()).chain(high);
    highs.flat_map(move |high| {
        candidates(middle, guarded).flat_map(move |middle| {
            candidates(low, true).filter_map(move |low| {
                let displacement = i32::from_le_bytes([0, low, middle, high]);
                site.checked_add(JUMP_LEN as u64)?.checked_add_signed(displacement.into())
            })
        })
    })
}
