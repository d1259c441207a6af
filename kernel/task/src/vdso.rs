//! The vDSO of every program: its image, and the page of clock data that it reads.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering, fence};
use spin::Once;
use syscall_shim::vdso::{IMAGE, IMAGE_PAGES, MODE_TSC, VdsoData};
use syscall_shim::{Errno, SysResult};
use zerocopy::IntoBytes;

use crate::Task;
use arch::{clock, percpu};
use mem::{PAGE_SIZE, frames, phys_to_virt};
use sync::IrqSpinLock;
use vm::{AddressSpace, Prot, SpecialPages};

/// What clock_getres(2) tells of the coarse clocks: Linux's tick at 250 Hz.
pub const COARSE_RESOLUTION_NS: u32 = 4_000_000;

/// What settimeofday(2) was told of the time zone, which the kernel itself makes nothing of.
struct Zone {
    minutes_west: AtomicI32,
    dst_time: AtomicI32,
}

static ZONE: Zone = Zone { minutes_west: AtomicI32::new(0), dst_time: AtomicI32::new(0) };

/// The time zone that was told: `tz_minuteswest`, `tz_dsttime`.
pub fn zone() -> (i32, i32) {
    (ZONE.minutes_west.load(Ordering::Relaxed), ZONE.dst_time.load(Ordering::Relaxed))
}

/// Keeps it, for all programs.
pub fn set_zone(minutes_west: i32, dst_time: i32) {
    ZONE.minutes_west.store(minutes_west, Ordering::Relaxed);
    ZONE.dst_time.store(dst_time, Ordering::Relaxed);
    publish_clock();
}

struct Frames {
    data: Arc<SpecialPages>,
    image: Arc<SpecialPages>,
}

static FRAMES: Once<Option<Frames>> = Once::new();

fn load() -> Option<Frames> {
    let data = frames::alloc_zeroed()?.into_raw();
    let mut image = Vec::with_capacity(IMAGE_PAGES);
    for chunk in IMAGE.chunks(PAGE_SIZE) {
        let frame = frames::alloc_zeroed()?;
        // SAFETY: the frame is new and a page long; the chunk is no longer.
        unsafe { core::ptr::copy_nonoverlapping(chunk.as_ptr(), frame.as_ptr(), chunk.len()) };
        image.push(frame.into_raw());
    }
    Some(Frames {
        data: Arc::new(SpecialPages { name: "[vvar]", frames: alloc::vec![data], owned: false }),
        image: Arc::new(SpecialPages { name: "[vdso]", frames: image, owned: false }),
    })
}

fn frames_or_load() -> Option<&'static Frames> {
    FRAMES.call_once(load).as_ref()
}

/// Maps data page and image into `mm` at the hint that `hint` gives for their length, and returns
/// the image's address.
pub fn map(mm: &AddressSpace, by: &Task, hint: impl FnOnce(u64) -> Option<u64>) -> SysResult<Option<u64>> {
    let frames = frames_or_load().ok_or(Errno::ENOMEM)?;
    let len = ((1 + IMAGE_PAGES) * PAGE_SIZE) as u64;
    // One place for both: reserve it, then put the two areas there.
    let place =
        mm.mmap(vm::MapRequest::anonymous(hint(len).unwrap_or(0), len, Prot::empty(), vm::MapFlags::NORESERVE), by)?;
    mm.munmap(place, len)?;
    let data = mm.mmap_special(place, Prot::READ, frames.data.clone())?;
    let image = mm.mmap_special(data + PAGE_SIZE as u64, Prot::READ | Prot::EXEC, frames.image.clone())?;
    if image != data + PAGE_SIZE as u64 {
        return Err(Errno::ENOMEM);
    }
    Ok(Some(image))
}

/// Gives the clock as it is now to all programs: to be called when it has been found, set, or
/// rescaled by the hypervisor.
pub fn publish_clock() {
    /// One at a time. A leaf lock.
    static PUBLISHING: IrqSpinLock<()> = IrqSpinLock::new(());
    let _one = PUBLISHING.lock();
    let scale = clock::scale();
    update(&VdsoData {
        mode: MODE_TSC,
        base_tsc: scale.base_tsc,
        base_ns: scale.base_ns,
        mult: scale.mult,
        realtime_ns: clock::realtime_base_ns(),
        coarse_resolution_ns: COARSE_RESOLUTION_NS,
        counts: percpu::VDSO_ANSWERS as u32,
        tai: clock::tai_offset(),
        tz_minuteswest: ZONE.minutes_west.load(Ordering::Relaxed),
        tz_dsttime: ZONE.dst_time.load(Ordering::Relaxed),
        ..VdsoData::default()
    });
}

/// Gives new clock data to all programs. Readers retry while the sequence is odd.
fn update(data: &VdsoData) {
    let Some(frames) = frames_or_load() else { return };
    let Some(&phys) = frames.data.frames.first() else { return };
    let page: *mut u8 = phys_to_virt(phys);
    // SAFETY: the page is this module's, mapped writable only for the kernel; `sequence` is its
    // first word and aligned. Programs read it concurrently, guarded by the sequence.
    unsafe {
        let sequence = &*page.cast::<AtomicU32>();
        let next = sequence.load(Ordering::Relaxed).wrapping_add(2) & !1;
        sequence.store(next.wrapping_sub(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let bytes = data.as_bytes();
        core::ptr::copy_nonoverlapping(bytes.as_ptr().add(4), page.add(4), bytes.len() - 4);
        fence(Ordering::SeqCst);
        sequence.store(next, Ordering::Relaxed);
    }
}
