//! Time: the TSC turned into nanoseconds, and wall-clock time on top.
//!
//! Under KVM the scale comes from its paravirtual clock, which also follows a migration. Elsewhere
//! it comes from CPUID, or, where that says nothing (QEMU's translator), from a measurement against
//! the local APIC timer, which runs at 1 GHz in QEMU and KVM. The measurement starts early and ends
//! late in boot, so that it costs next to nothing.
//!
//! Sources: Documentation/virt/kvm/x86/msr.rst (pvclock), SDM volume 2A, CPUID leaf 15H.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

pub use base::TscScale;
use base::addr::PAGE_SIZE;
use spin::Once;

use super::layout::{phys_to_virt, virt_to_phys};
use super::port::{inb, outb};
use super::{apic, boot, cpuid, irq, msr};

const NANOSECONDS: u64 = 1_000_000_000;
/// Frequency of the local APIC timer in QEMU and KVM, before division.
const APIC_FREQUENCY: u64 = NANOSECONDS;
/// Shortest and longest measurement of the TSC, in APIC ticks: 2 and 20 ms.
const MIN_CALIBRATION_TICKS: u32 = 2_000_000;
const MAX_CALIBRATION_TICKS: u32 = 20_000_000;
/// Between the two, it ends when the error is at most one part in this many.
const CALIBRATION_PRECISION: u64 = 10_000;

/// The scale in use, readable without a lock: an odd sequence number means that it is being
/// changed.
struct SharedScale {
    sequence: AtomicU32,
    base_tsc: AtomicU64,
    base_ns: AtomicU64,
    mult: AtomicU64,
}

static SCALE: SharedScale = SharedScale {
    sequence: AtomicU32::new(0),
    base_tsc: AtomicU64::new(0),
    base_ns: AtomicU64::new(0),
    mult: AtomicU64::new(0),
};

/// The scale before it is corrected.
static RAW: SharedScale = SharedScale {
    sequence: AtomicU32::new(0),
    base_tsc: AtomicU64::new(0),
    base_ns: AtomicU64::new(0),
    mult: AtomicU64::new(0),
};
/// By how much the clock's rate is corrected, in nanoseconds per second.
static CORRECTION: AtomicI64 = AtomicI64::new(0);
/// Held, with interrupts off, while the scale is changed.
static CHANGE: spin::Mutex<()> = spin::Mutex::new(());

impl SharedScale {
    fn set(&self, scale: TscScale) {
        self.sequence.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.base_tsc.store(scale.base_tsc, Ordering::Relaxed);
        self.base_ns.store(scale.base_ns, Ordering::Relaxed);
        self.mult.store(scale.mult, Ordering::Relaxed);
        self.sequence.fetch_add(1, Ordering::Release);
    }

    #[inline(always)]
    fn get(&self) -> TscScale {
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            let scale = TscScale {
                base_tsc: self.base_tsc.load(Ordering::Relaxed),
                base_ns: self.base_ns.load(Ordering::Relaxed),
                mult: self.mult.load(Ordering::Relaxed),
            };
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && before == self.sequence.load(Ordering::Relaxed) {
                return scale;
            }
            core::hint::spin_loop();
        }
    }
}

/// `struct pvclock_vcpu_time_info`.
#[repr(C)]
#[derive(Clone, Copy)]
struct PvclockTime {
    version: u32,
    pad0: u32,
    tsc_timestamp: u64,
    system_time: u64,
    tsc_to_system_mul: u32,
    tsc_shift: i8,
    flags: u8,
    pad: [u8; 2],
}

/// `struct pvclock_wall_clock`.
#[repr(C)]
#[derive(Clone, Copy)]
struct PvclockWall {
    version: u32,
    sec: u32,
    nsec: u32,
}

/// The page that KVM writes the boot CPU's clock to.
#[repr(C, align(4096))]
struct PvclockPage(UnsafeCell<[u8; PAGE_SIZE]>);
// SAFETY: nothing refers to its bytes; they are read as volatile, by address.
unsafe impl Sync for PvclockPage {}
static PVCLOCK_PAGE: PvclockPage = PvclockPage(UnsafeCell::new([0; PAGE_SIZE]));
/// That page's physical address, once KVM knows it, and the version last taken over.
static PVCLOCK: Once<u64> = Once::new();
static PVCLOCK_VERSION: AtomicU32 = AtomicU32::new(0);
/// The wall clock's place in that page, clear of the clock itself.
const PVCLOCK_WALL_OFFSET: u64 = 2048;

/// Wall-clock time at boot, in nanoseconds since 1970.
static REALTIME_BASE: AtomicU64 = AtomicU64::new(0);
/// TSC and APIC timer when [`start`] was called, and how far apart they were read.
static START_TSC: AtomicU64 = AtomicU64::new(0);
static START_TICKS: AtomicU32 = AtomicU32::new(0);
static START_WIDTH: AtomicU64 = AtomicU64::new(0);

/// The time stamp counter.
#[inline]
pub fn tsc() -> u64 {
    // SAFETY: every x86-64 CPU has it, and ring 0 may always read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// TSC and APIC timer at one moment.
struct Sample {
    tsc: u64,
    ticks: u32,
    /// TSC ticks that the reading took: the error is at most half of that.
    width: u64,
}

impl Sample {
    /// Reads both several times, because a read of the APIC can take long, and keeps the closest
    /// pair.
    fn take() -> Self {
        const MIN_READS: usize = 6;
        const MAX_READS: usize = 60;
        const CLOSE: u64 = 600;

        let mut best = Self { tsc: 0, ticks: 0, width: u64::MAX };
        for read in 0..MAX_READS {
            let before = tsc();
            let ticks = apic::counted();
            let width = tsc() - before;
            if width < best.width {
                best = Self { tsc: before + width / 2, ticks, width };
            }
            if read >= MIN_READS && best.width <= CLOSE {
                break;
            }
        }
        best
    }
}

/// Marks the start of time, and of the measurement of the TSC if there has to be one. The local
/// APIC is up.
pub fn start() {
    apic::start_counting();
    let sample = Sample::take();
    START_TSC.store(sample.tsc, Ordering::Relaxed);
    START_TICKS.store(sample.ticks, Ordering::Relaxed);
    START_WIDTH.store(sample.width, Ordering::Relaxed);
}

/// Finds the scale of the TSC and the time of day. To be called as late in boot as can be: a
/// measurement then has no need to wait. `built` is when the kernel was built, in seconds since
/// 1970: what time begins at where no clock tells the date.
pub fn init(built: u64) {
    let start = START_TSC.load(Ordering::Relaxed);
    if !init_pvclock() {
        let hz = match cpuid::hypervisor_frequencies().0 {
            0 => cpuid::tsc_frequency().unwrap_or_else(measure_tsc),
            hz => hz,
        };
        let scale = TscScale::from_frequency(hz, start);
        RAW.set(scale);
        SCALE.set(scale);
    }
    let (source, realtime) = find_realtime(built);
    set_realtime_ns(realtime);
    kinfo!("TSC at {} kHz, time of day from {source}", scale().frequency() / 1000);
}

/// Measures the TSC since [`start`] against the local APIC timer, for as long as the error is
/// large, within reason.
fn measure_tsc() -> u64 {
    let start = START_TSC.load(Ordering::Relaxed);
    let ticks_start = START_TICKS.load(Ordering::Relaxed);
    let width_start = START_WIDTH.load(Ordering::Relaxed);
    loop {
        let now = Sample::take();
        let (elapsed, ticks) = (now.tsc - start, now.ticks - ticks_start);
        let precise = (width_start + now.width) / 2 <= elapsed / CALIBRATION_PRECISION;
        if ticks >= MAX_CALIBRATION_TICKS || ticks >= MIN_CALIBRATION_TICKS && precise {
            return (u128::from(elapsed) * u128::from(APIC_FREQUENCY) / u128::from(ticks)) as u64;
        }
        core::hint::spin_loop();
    }
}

/// Has KVM fill in its clock, if there is one.
fn init_pvclock() -> bool {
    if cpuid::kvm_features() & cpuid::KVM_FEATURE_CLOCKSOURCE2 == 0 {
        return false;
    }
    let phys = *PVCLOCK.call_once(|| virt_to_phys(PVCLOCK_PAGE.0.get()));
    const ENABLE: u64 = 1;
    // SAFETY: the feature bit says that the MSRs exist; the page is theirs from now on.
    unsafe {
        msr::write(msr::KVM_SYSTEM_TIME_NEW, phys | ENABLE);
        msr::write(msr::KVM_WALL_CLOCK_NEW, phys + PVCLOCK_WALL_OFFSET);
    }
    refresh();
    SCALE.get().mult != 0
}

/// Takes over what KVM has changed about its clock, and says whether it has. Called now and then,
/// by the timer interrupt of the boot CPU.
pub fn refresh() -> bool {
    let Some(&phys) = PVCLOCK.get() else { return false };
    let shared: *const PvclockTime = phys_to_virt(phys);
    loop {
        // SAFETY: the page lives for good; KVM writes it, so every read is volatile, and the
        // version tells a torn one.
        let (version, time, after) = unsafe {
            let version = (&raw const (*shared).version).read_volatile();
            fence(Ordering::Acquire);
            let time = shared.read_volatile();
            fence(Ordering::Acquire);
            (version, time, (&raw const (*shared).version).read_volatile())
        };
        if version % 2 != 0 || version != after {
            core::hint::spin_loop();
            continue;
        }
        let changed = version != PVCLOCK_VERSION.swap(version, Ordering::Relaxed);
        if changed {
            let raw = TscScale::from_pvclock(time.tsc_timestamp, time.system_time, time.tsc_to_system_mul, time.tsc_shift);
            change(|| RAW.set(raw));
        }
        return changed;
    }
}

/// Changes what the scale is made of, and the scale. A clock that was never corrected is the
/// hypervisor's own; any other goes on from where it is.
fn change(what: impl FnOnce()) {
    static CORRECTED: AtomicBool = AtomicBool::new(false);
    let interrupts = irq::save_and_disable();
    let guard = CHANGE.lock();
    let before = SCALE.get();
    what();
    let (raw, by) = (RAW.get(), CORRECTION.load(Ordering::Relaxed));
    if by != 0 {
        CORRECTED.store(true, Ordering::Relaxed);
    }
    SCALE.set(if CORRECTED.load(Ordering::Relaxed) { before.continued(tsc(), raw.mult, by) } else { raw });
    drop(guard);
    irq::restore(interrupts);
}

/// Has the clock go so many nanoseconds a second faster, or slower, than it would by itself.
pub fn correct(ns_per_second: i64) {
    if CORRECTION.load(Ordering::Relaxed) != ns_per_second {
        change(|| CORRECTION.store(ns_per_second, Ordering::Relaxed));
    }
}

/// The scale of the TSC now, for the data page of a vDSO.
pub fn scale() -> TscScale {
    SCALE.get()
}

/// Nanoseconds since boot (CLOCK_MONOTONIC).
#[inline(never)]
pub fn monotonic_ns() -> u64 {
    SCALE.get().to_ns(tsc())
}

/// Nanoseconds since 1970-01-01 UTC (CLOCK_REALTIME).
#[inline]
pub fn realtime_ns() -> u64 {
    realtime_base_ns().wrapping_add(monotonic_ns())
}

/// What [`realtime_ns`] adds to [`monotonic_ns`].
#[inline]
pub fn realtime_base_ns() -> u64 {
    REALTIME_BASE.load(Ordering::Relaxed)
}

/// Seconds that atomic time (`CLOCK_TAI`) is ahead of UTC.
static TAI_OFFSET: AtomicI32 = AtomicI32::new(0);

/// Seconds that atomic time is ahead of UTC, as far as anybody has told.
#[inline]
pub fn tai_offset() -> i32 {
    TAI_OFFSET.load(Ordering::Relaxed)
}

/// Tells that.
pub fn set_tai_offset(seconds: i32) {
    TAI_OFFSET.store(seconds, Ordering::Relaxed);
}

/// Sets the time of day (clock_settime(2)).
pub fn set_realtime_ns(now: u64) {
    REALTIME_BASE.store(now.wrapping_sub(monotonic_ns()), Ordering::Relaxed);
}

/// The time of day now, from the best source there is, and that source's name.
fn find_realtime(built: u64) -> (&'static str, u64) {
    if let Some(ns) = boot::option("time").and_then(|value| value.parse::<u64>().ok()) {
        return ("the command line", ns + monotonic_ns());
    }
    if let Some(&phys) = PVCLOCK.get() {
        // SAFETY: KVM filled it in when the MSR was written, and does not touch it again.
        let wall: PvclockWall = unsafe { phys_to_virt::<PvclockWall>(phys + PVCLOCK_WALL_OFFSET).read_volatile() };
        return ("KVM", u64::from(wall.sec) * NANOSECONDS + u64::from(wall.nsec) + monotonic_ns());
    }
    match rtc_seconds() {
        Some(seconds) => ("the RTC", seconds * NANOSECONDS),
        None => {
            kwarn!("no clock tells the date: it begins at the kernel's build; time=NANOSECONDS sets it");
            ("the kernel's build", built * NANOSECONDS + monotonic_ns())
        }
    }
}

/// The CMOS clock's time, in seconds since 1970; `None` where there is none. (MC146818A datasheet.)
fn rtc_seconds() -> Option<u64> {
    const INDEX: u16 = 0x70;
    const DATA: u16 = 0x71;
    const STATUS_A: u8 = 0x0a;
    const STATUS_B: u8 = 0x0b;
    const UPDATE_IN_PROGRESS: u8 = 0x80;
    const BINARY: u8 = 0x04;
    const HOURS_24: u8 = 0x02;
    const PM: u8 = 0x80;
    const ATTEMPTS: usize = 100_000;

    let register = |index: u8| -> u8 {
        // SAFETY: the CMOS ports are used here alone.
        unsafe {
            outb(INDEX, index);
            inb(DATA)
        }
    };
    let sample = || [0x00, 0x02, 0x04, 0x07, 0x08, 0x09].map(register);
    let status_b = register(STATUS_B);
    if status_b == 0xff {
        return None;
    }
    // An update takes 2 ms at most; two equal samples are one time.
    let raw = (0..ATTEMPTS).find_map(|_| {
        let first = (register(STATUS_A) & UPDATE_IN_PROGRESS == 0).then(sample)?;
        (first == sample()).then_some(first)
    })?;
    let number = |value: u8| if status_b & BINARY != 0 { value } else { (value >> 4) * 10 + (value & 15) };
    let [second, minute, hour, day, month, year] = raw;
    let mut hours = number(hour & !PM);
    if status_b & HOURS_24 == 0 {
        hours = hours % 12 + if hour & PM != 0 { 12 } else { 0 };
    }
    let days = days_since_1970(2000 + i64::from(number(year)), number(month).into(), number(day).into());
    let time = i64::from(hours) * 3600 + i64::from(number(minute)) * 60 + i64::from(number(second));
    u64::try_from(days * 86_400 + time).ok()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: years are counted from March, so that
/// the leap day is last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_of_year = (153 * month + 2) / 5 + day - 1;
    const DAYS_TO_1970: i64 = 719_468;
    year * 365 + leap_days + days_of_year - DAYS_TO_1970
}
