//! Finds the vDSO's functions the way glibc, musl and Go do, and runs them.

use std::collections::HashMap;
use syscall_shim::vdso::{IMAGE, IMAGE_PAGES, MODE_SYSCALL, MODE_TSC, VdsoData};
use zerocopy::IntoBytes;

const NAMES: [&str; 5] =
    ["__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu", "__vdso_clock_getres"];
const VERSION: &str = "LINUX_2.6";
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;

fn u16_at(at: usize) -> usize {
    u16::from_le_bytes(IMAGE[at..at + 2].try_into().unwrap()).into()
}

fn u32_at(at: usize) -> u32 {
    u32::from_le_bytes(IMAGE[at..at + 4].try_into().unwrap())
}

fn u64_at(at: usize) -> usize {
    u64::from_le_bytes(IMAGE[at..at + 8].try_into().unwrap()) as usize
}

fn string(at: usize) -> &'static str {
    std::str::from_utf8(IMAGE[at..].split(|b| *b == 0).next().unwrap()).unwrap()
}

/// Program headers as (type, offset, vaddr).
fn segments() -> Vec<(u32, usize, usize)> {
    let (at, count) = (u64_at(32), u16_at(56));
    (0..count).map(|i| at + i * 56).map(|p| (u32_at(p), u64_at(p + 8), u64_at(p + 16))).collect()
}

fn dynamic() -> HashMap<usize, usize> {
    let (_, offset, _) = segments().into_iter().find(|s| s.0 == PT_DYNAMIC).unwrap();
    (0..).map(|i| offset + i * 16).map(|at| (u64_at(at), u64_at(at + 8))).take_while(|(tag, _)| *tag != 0).collect()
}

struct Symbol {
    name: &'static str,
    info: u8,
    defined: bool,
    value: usize,
}

fn symbol(index: usize) -> Symbol {
    let d = dynamic();
    let at = d[&6] + index * 24;
    Symbol {
        name: string(d[&5] + u32_at(at) as usize),
        info: IMAGE[at + 4],
        defined: u16_at(at + 6) != 0,
        value: u64_at(at + 8),
    }
}

fn sysv_hash(name: &str) -> u32 {
    name.bytes().fold(0u32, |h, c| {
        let h = (h << 4).wrapping_add(c.into());
        let high = h & 0xf000_0000;
        (h ^ high >> 24) & !high
    })
}

fn gnu_hash(name: &str) -> u32 {
    name.bytes().fold(5381u32, |h, c| h.wrapping_mul(33).wrapping_add(c.into()))
}

/// Walks the version definitions for the one that index `versym` means: its name and hash.
fn version(versym: usize) -> (&'static str, u32, u16) {
    let d = dynamic();
    let mut at = d[&0x6fff_fffc];
    loop {
        let (flags, index, hash, aux, next) =
            (u16_at(at + 2), u16_at(at + 4), u32_at(at + 8), u32_at(at + 12), u32_at(at + 16));
        if index == versym & 0x7fff {
            return (string(d[&5] + u32_at(at + aux as usize) as usize), hash, flags as u16);
        }
        assert_ne!(next, 0);
        at += next as usize;
    }
}

/// `do_lookup_x` of glibc: GNU hash with its Bloom filter, then the version by name and hash.
fn glibc_lookup(name: &str) -> Option<usize> {
    let table = dynamic()[&0x6fff_fef5];
    let hash = gnu_hash(name);
    let [buckets, first, bloom_size, shift] = [0, 4, 8, 12].map(|o| u32_at(table + o) as usize);
    let word = u64_at(table + 16 + (hash as usize / 64 % bloom_size) * 8);
    if word >> (hash % 64) & word >> ((hash >> shift) % 64) & 1 == 0 {
        return None;
    }
    let bucket_table = table + 16 + bloom_size * 8;
    let chains = bucket_table + buckets * 4;
    let mut index = u32_at(bucket_table + hash as usize % buckets * 4) as usize;
    while index != 0 {
        let chain = u32_at(chains + (index - first) * 4);
        let s = symbol(index);
        if (chain ^ hash) >> 1 == 0 && s.name == name && s.defined {
            let (version, version_hash, _) = version(u16_at(dynamic()[&0x6fff_fff0] + index * 2));
            assert_eq!((version, version_hash), (VERSION, 61_765_110)); // dl-vdso-setup.h
            return Some(s.value);
        }
        if chain & 1 != 0 {
            break;
        }
        index += 1;
    }
    None
}

/// `__vdsosym` of musl: every symbol that DT_HASH counts, by type, binding and version.
fn musl_lookup(name: &str) -> Option<usize> {
    let count = u32_at(dynamic()[&4] + 4) as usize;
    let (ok_types, ok_binds) = (1 << 0 | 1 << 1 | 1 << 2, 1 << 1 | 1 << 2 | 1 << 10);
    (0..count).find_map(|i| {
        let s = symbol(i);
        let ok = ok_types >> (s.info & 0xf) & 1 == 1 && ok_binds >> (s.info >> 4) & 1 == 1 && s.defined;
        let (version, _, flags) = version(u16_at(dynamic()[&0x6fff_fff0] + i * 2).max(1));
        (ok && s.name == name && flags & 1 == 0 && version == VERSION).then_some(s.value)
    })
}

/// `vdsoParseSymbols` of Go's runtime: through DT_HASH's buckets.
fn go_lookup(name: &str) -> Option<usize> {
    let table = dynamic()[&4];
    let buckets = u32_at(table) as usize;
    let mut index = u32_at(table + 8 + sysv_hash(name) as usize % buckets * 4) as usize;
    while index != 0 {
        let s = symbol(index);
        if s.name == name && s.defined && [0, 2].contains(&(s.info & 0xf)) && [1, 2].contains(&(s.info >> 4)) {
            assert_eq!(version(u16_at(dynamic()[&0x6fff_fff0] + index * 2)).1, 0x3ae_75f6); // vdso_linux_amd64.go
            return Some(s.value);
        }
        index = u32_at(table + 8 + (buckets + index) * 4) as usize;
    }
    None
}

#[test]
fn the_image_needs_no_relocation_and_fits_a_page() {
    let loads: Vec<_> = segments().into_iter().filter(|s| s.0 == PT_LOAD).collect();
    assert_eq!(loads, [(PT_LOAD, 0, 0)]);
    let d = dynamic();
    for tag in [7, 8, 17, 23, 0x16] {
        assert!(!d.contains_key(&tag), "relocations");
    }
    assert_eq!(string(d[&5] + d[&14]), "linux-vdso.so.1");
    assert_eq!(IMAGE_PAGES, 1);
}

#[test]
fn three_c_libraries_find_every_function() {
    for name in NAMES {
        let at = glibc_lookup(name);
        assert!(at.is_some(), "{name}");
        assert_eq!(at, musl_lookup(name), "{name}");
        assert_eq!(at, go_lookup(name), "{name}");
        assert_eq!(at, glibc_lookup(&name["__vdso_".len()..]), "{name}");
    }
    assert_eq!(glibc_lookup("__vdso_nothing"), None);
    assert_eq!(sysv_hash(VERSION), 61_765_110);
}

/// The data page and the image, mapped as the kernel maps them.
struct Mapped(usize);

impl Mapped {
    fn new(data: VdsoData) -> Self {
        let len = (1 + IMAGE_PAGES) * 4096;
        // SAFETY: a fresh private mapping, written within its length and then made executable.
        unsafe {
            let page = libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(page, libc::MAP_FAILED);
            let bytes = std::slice::from_raw_parts_mut(page.cast::<u8>(), len);
            bytes[..size_of::<VdsoData>()].copy_from_slice(data.as_bytes());
            bytes[4096..4096 + IMAGE.len()].copy_from_slice(IMAGE);
            assert_eq!(libc::mprotect(page, len, libc::PROT_READ | libc::PROT_EXEC), 0);
            Self(page as usize + 4096)
        }
    }

    fn clock_gettime(&self, clock: i32) -> (i32, i128) {
        let mut ts = libc::timespec { tv_sec: -1, tv_nsec: 0 };
        // SAFETY: the image is mapped with its data below it, and the symbol has this type.
        let ret = unsafe {
            let f: extern "C" fn(i32, *mut libc::timespec) -> i32 =
                std::mem::transmute(self.0 + glibc_lookup("__vdso_clock_gettime").unwrap());
            f(clock, &mut ts)
        };
        (ret, i128::from(ts.tv_sec) * 1_000_000_000 + i128::from(ts.tv_nsec))
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, of which nothing is left in use.
        unsafe { libc::munmap((self.0 - 4096) as *mut _, (1 + IMAGE_PAGES) * 4096) };
    }
}

fn kernel_time(clock: i32) -> i128 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: an ordinary call.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut ts) }, 0);
    i128::from(ts.tv_sec) * 1_000_000_000 + i128::from(ts.tv_nsec)
}

#[test]
fn without_a_tsc_it_asks_the_kernel() {
    let vdso = Mapped::new(VdsoData { mode: MODE_SYSCALL, ..Default::default() });
    for clock in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_PROCESS_CPUTIME_ID, libc::CLOCK_THREAD_CPUTIME_ID]
    {
        let (before, (ret, time), after) = (kernel_time(clock), vdso.clock_gettime(clock), kernel_time(clock));
        assert!(ret == 0 && before <= time && time <= after, "{clock}");
    }
    assert_eq!(vdso.clock_gettime(999).0, -libc::EINVAL);
}

#[test]
fn with_a_tsc_it_reckons_as_the_kernel_does() {
    // SAFETY: every x86-64 CPU has it.
    let tsc = || unsafe { core::arch::x86_64::_rdtsc() };
    // Half a nanosecond, one and four per tick or so; the figures are checked through the same
    // arithmetic in Rust.
    for shift in [-1, 0, 2] {
        let data = VdsoData {
            mode: MODE_TSC,
            base_tsc: tsc(),
            base_ns: 5_000_000_000,
            mult: 1 << (47 + shift),
            realtime_ns: 1_700_000_000_000_000_000,
            ..Default::default()
        };
        let vdso = Mapped::new(data);
        let before = data.monotonic_ns(tsc());
        let (ret, time) = vdso.clock_gettime(libc::CLOCK_MONOTONIC);
        let after = data.monotonic_ns(tsc());
        assert!(ret == 0 && i128::from(before) <= time && time <= i128::from(after), "{shift}: {before} {time} {after}");
        let (_, real) = vdso.clock_gettime(libc::CLOCK_REALTIME_COARSE);
        assert!(real >= i128::from(data.realtime_ns + after));
        assert!(kernel_time(libc::CLOCK_THREAD_CPUTIME_ID) <= vdso.clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID).1);
    }
}
