//! XSAVE areas as bytes, for signal frames (SDM vol. 1, 13.4: standard format).
//!
//! XSAVEOPT leaves out components in their initial state, so that an area's bytes there mean
//! nothing. A program that looks into a signal frame expects to read the registers all the same.

use core::arch::x86_64::__cpuid_count;

use spin::Once;

use super::fpu;

/// x87 and SSE: what the legacy area holds.
pub const LEGACY: u64 = 0b11;
const XSTATE_BV: usize = 512;
const HEADER_END: usize = 576;
const XSAVE_LEAF: u32 = 0xd;
/// x87 control word, then status word and the like up to the data pointer.
const X87_HEAD: core::ops::Range<usize> = 0..24;
const X87_REGISTERS: core::ops::Range<usize> = 32..160;
const XMM_REGISTERS: core::ops::Range<usize> = 160..416;
const FCW_INITIAL: u16 = 0x37f;
const COMPONENTS: usize = 64;

/// Offset and size of each component beyond the legacy area.
static LAYOUT: Once<[(usize, usize); COMPONENTS]> = Once::new();

fn layout() -> &'static [(usize, usize); COMPONENTS] {
    LAYOUT.call_once(|| {
        let mut layout = [(0, 0); COMPONENTS];
        for (component, entry) in layout.iter_mut().enumerate().skip(2) {
            if fpu::xcr0() >> component & 1 != 0 {
                let leaf = __cpuid_count(XSAVE_LEAF, component as u32);
                *entry = (leaf.ebx as usize, leaf.eax as usize);
            }
        }
        layout
    })
}

fn components(area: &[u8]) -> Option<u64> {
    let header = area.get(XSTATE_BV..HEADER_END)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*header))
}

/// Marks `components` as those that the area holds; the others will load as their initial state.
pub fn set_components(area: &mut [u8], components: u64) {
    if let Some(header) = area.get_mut(XSTATE_BV..HEADER_END) {
        header.fill(0);
        if let Some(word) = header.first_chunk_mut::<8>() {
            *word = components.to_le_bytes();
        }
    }
}

/// Drops the components outside `allowed` from those that the area holds.
pub fn keep_components(area: &mut [u8], allowed: u64) {
    if let Some(held) = components(area) {
        set_components(area, held & allowed);
    }
}

/// Writes the initial state's bytes where the area leaves a component out. x87 and SSE are marked
/// as present then, as Linux does in a signal frame.
pub fn write_initial_components(area: &mut [u8]) {
    let Some(held) = components(area) else { return };
    let mut zero = |range: core::ops::Range<usize>| {
        if let Some(bytes) = area.get_mut(range) {
            bytes.fill(0);
        }
    };
    if held & 1 == 0 {
        zero(X87_HEAD);
        zero(X87_REGISTERS);
    }
    if held & 2 == 0 {
        zero(XMM_REGISTERS);
    }
    let used = COMPONENTS - fpu::xcr0().leading_zeros() as usize;
    for (component, &(offset, size)) in layout().iter().take(used).enumerate() {
        if size != 0 && held >> component & 1 == 0 {
            zero(offset..offset + size);
        }
    }
    if held & 1 == 0 {
        // MXCSR lies between the two ranges and is always saved.
        if let Some(fcw) = area.first_chunk_mut::<2>() {
            *fcw = FCW_INITIAL.to_le_bytes();
        }
    }
    set_components(area, held | LEGACY);
}
