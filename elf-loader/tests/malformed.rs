//! Files that are no programs: each gets its own error, and no mutation makes the parser panic.

use elf_loader::{ElfError, Kind, LoadPlan, PAGE_SIZE, USER_TOP, identify};
use syscall_shim::Errno;

/// An ELF header and program headers, made field by field.
#[derive(Clone)]
struct Elf {
    e_type: u16,
    entry: u64,
    phentsize: u16,
    segments: Vec<[u64; 7]>, // type | flags << 32, offset, vaddr, paddr, filesz, memsz, align
    size: usize,
}

const RX: u64 = 1 | 5 << 32;
const RW: u64 = 1 | 6 << 32;

fn load(kind: u64, offset: u64, vaddr: u64, filesz: u64, memsz: u64) -> [u64; 7] {
    [kind, offset, vaddr, vaddr, filesz, memsz, PAGE_SIZE]
}

impl Elf {
    fn program() -> Self {
        let segments = vec![load(RX, 0, 0x40_0000, 0x1800, 0x1800), load(RW, 0x1800, 0x40_2800, 0x400, 0x5000)];
        Self { e_type: 2, entry: 0x40_0100, phentsize: 56, segments, size: 0x2000 }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        out.extend(self.e_type.to_le_bytes());
        out.extend(62u16.to_le_bytes());
        out.extend(1u32.to_le_bytes());
        for word in [self.entry, 64, 0] {
            out.extend(word.to_le_bytes());
        }
        out.extend(0u32.to_le_bytes());
        for half in [64, self.phentsize, self.segments.len() as u16, 0, 0, 0] {
            out.extend(half.to_le_bytes());
        }
        for word in self.segments.iter().flatten() {
            out.extend(word.to_le_bytes());
        }
        out.resize(out.len().max(self.size), 0);
        out
    }

    fn parse(&self) -> Result<LoadPlan, ElfError> {
        LoadPlan::parse(self.bytes().as_slice())
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Result<LoadPlan, ElfError> {
        change(&mut self);
        self.parse()
    }
}

fn patched(at: usize, value: &[u8]) -> Result<LoadPlan, ElfError> {
    let mut bytes = Elf::program().bytes();
    bytes[at..at + value.len()].copy_from_slice(value);
    LoadPlan::parse(bytes.as_slice())
}

#[test]
fn a_sound_program() {
    let plan = Elf::program().parse().unwrap();
    assert_eq!(plan.mappings.len(), 3);
    assert_eq!((plan.start, plan.end, plan.entry, plan.phdr), (0x40_0000, 0x40_8000, 0x40_0100, 0x40_0040));
    assert_eq!(plan.mappings[1].zero, Some((0x40_2c00, 0x400)));
    assert_eq!((plan.mappings[2].vaddr, plan.mappings[2].offset), (0x40_3000, None));
}

#[test]
fn headers() {
    assert_eq!(LoadPlan::parse(&b""[..]), Err(ElfError::NotElf));
    assert_eq!(LoadPlan::parse(&b"\x7fELF\x02\x01"[..]), Err(ElfError::TruncatedHeader));
    assert_eq!(patched(0, b"MZ"), Err(ElfError::NotElf));
    assert_eq!(patched(4, &[1]), Err(ElfError::WrongClass));
    assert_eq!(patched(5, &[2]), Err(ElfError::WrongEndianness));
    assert_eq!(patched(6, &[9]), Err(ElfError::WrongVersion));
    assert_eq!(patched(18, &[183, 0]), Err(ElfError::WrongMachine));
    assert_eq!(patched(16, &[1, 0]), Err(ElfError::WrongType));
    assert_eq!(patched(32, &u64::MAX.to_le_bytes()), Err(ElfError::TruncatedProgramHeaders));
    assert_eq!(patched(32, &0x10_0000u64.to_le_bytes()), Err(ElfError::TruncatedProgramHeaders));
    assert_eq!(patched(56, &[0xff, 0xff]), Err(ElfError::TooManyProgramHeaders));
    let p = Elf::program();
    assert_eq!(p.clone().with(|e| e.phentsize = 32), Err(ElfError::BadProgramHeaderSize));
    assert_eq!(p.clone().with(|e| e.segments.clear()), Err(ElfError::NoProgramHeaders));
    assert_eq!(p.clone().with(|e| e.entry = USER_TOP), Err(ElfError::EntryTooHigh));
    assert_eq!(LoadPlan::parse(&p.bytes()[..100]), Err(ElfError::TruncatedProgramHeaders));
}

#[test]
fn segments() {
    let p = Elf::program();
    let one = |segment: [u64; 7]| p.clone().with(|e| e.segments = vec![segment]);
    assert_eq!(one(load(2, 0, 0, 0, 0)), Err(ElfError::NoLoadSegments));
    assert_eq!(one(load(RX, 0, 0x40_0000, 0x200, 0x100)), Err(ElfError::FileSizeAboveMemorySize));
    assert_eq!(one(load(RX, 8, 0x40_0000, 0x200, 0x200)), Err(ElfError::Misaligned));
    assert_eq!(one(load(RX, 0, USER_TOP - 0x1000, 0x200, 0x2000)), Err(ElfError::AddressTooHigh));
    assert_eq!(one(load(RX, 0, 0x40_0000, 0x200, u64::MAX)), Err(ElfError::AddressTooHigh));
    assert_eq!(one(load(RX, !0xfff, 0x40_0000, 0x2000, 0x2000)), Err(ElfError::OffsetOverflow));
    assert!(one(load(RX, 0, 0x40_0000, 0x20_0000, 0x20_0000)).is_ok(), "what lies behind the end is mapped all the same");
    let two = |a, b| p.clone().with(|e| e.segments = vec![a, b]);
    let (low, high) = (load(RX, 0, 0x40_0000, 0x100, 0x3000), load(RW, 0, 0x40_2000, 0x100, 0x100));
    // What overlaps or is out of order is mapped as the file has it.
    let places = |plan: &LoadPlan| plan.mappings.iter().map(|m| (m.vaddr, m.len)).collect::<Vec<_>>();
    let plan = two(low, high).unwrap();
    assert_eq!(places(&plan), [(0x40_0000, 0x1000), (0x40_1000, 0x1000), (0x40_2000, 0x1000)]);
    let plan = two(high, low).unwrap();
    assert_eq!(places(&plan), [(0x40_2000, 0x1000), (0x40_0000, 0x1000), (0x40_1000, 0x2000)]);
    assert_eq!((plan.start, plan.end, plan.span), (0x40_2000, 0x40_3000, 0x3000));
    // Two segments that meet inside one page are sound: the later one owns the page.
    let plan = two(load(RX, 0, 0x40_0000, 0x1200, 0x1200), load(RW, 0x1200, 0x40_1200, 0x100, 0x100)).unwrap();
    assert_eq!(places(&plan), [(0x40_0000, 0x1000), (0x40_1000, 0x1000)]);
}

#[test]
fn interpreters() {
    let interp = |text: &[u8], filesz: u64| {
        let mut e = Elf::program();
        e.segments.push([3 | 4 << 32, 0x1000, 0, 0, filesz, filesz, 1]);
        let mut bytes = e.bytes();
        bytes[0x1000..0x1000 + text.len()].copy_from_slice(text);
        LoadPlan::parse(bytes.as_slice()).map(|p| p.interp)
    };
    assert_eq!(interp(b"/ld.so\0", 7), Ok(Some(b"/ld.so".to_vec())));
    assert_eq!(interp(b"/ld.so", 6), Err(ElfError::BadInterpreter));
    assert_eq!(interp(b"\0\0", 2), Ok(Some(Vec::new())));
    assert_eq!(interp(b"\0", 1), Err(ElfError::BadInterpreter));
    assert_eq!(interp(b"", 5000), Err(ElfError::BadInterpreter));
}

#[test]
fn errors_have_linux_s_numbers_and_a_sentence() {
    assert_eq!(ElfError::WrongMachine.errno(), Errno::ENOEXEC);
    assert_eq!(ElfError::WrongMachine.interpreter_errno(), Errno::ELIBBAD);
    assert_eq!(ElfError::FileSizeAboveMemorySize.errno(), Errno::EINVAL);
    assert!(ElfError::WrongMachine.to_string().contains("x86-64"));
    assert_eq!(identify(&b"echo"[..]), Err(ElfError::NotElf));
    assert_eq!(identify(&b"#!\n"[..]), Err(ElfError::BadScript));
}

/// A small fixed generator: the same 10,000 files every time (xorshift64*).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

#[test]
fn ten_thousand_mutations_do_not_panic() {
    let mut seeds = vec![Elf::program().bytes()];
    for path in ["/bin/ls", "/bin/busybox", "/lib64/ld-linux-x86-64.so.2"] {
        seeds.extend(std::fs::read(path).ok().map(|mut f| {
            f.truncate(0x4000);
            f
        }));
    }
    let odd = [0, 1, 0x7f, 0xff, 0x1000, 0xffff_ffff, USER_TOP, u64::MAX, u64::MAX - 0xfff, 1 << 63];
    let mut rng = Rng(0x5eed);
    let (mut accepted, mut rejected) = (0, 0);
    for round in 0..10_000 {
        let mut file = seeds[round % seeds.len()].clone();
        let headers = file.len().min(64 + 56 * 14);
        for _ in 0..1 + rng.below(6) {
            match rng.below(4) {
                0 => file[rng.below(headers)] = rng.next() as u8,
                1 => file[rng.below(headers)] ^= 1 << rng.below(8),
                2 => {
                    let (at, word) = (rng.below(headers / 8) * 8, odd[rng.below(odd.len())]);
                    file[at..at + 8].copy_from_slice(&word.to_le_bytes());
                }
                _ => file.truncate(headers + rng.below(file.len() - headers + 1)),
            }
        }
        if let Ok(Kind::Elf) = identify(file.as_slice()) {
            match LoadPlan::parse(file.as_slice()) {
                Ok(plan) => {
                    assert!(plan.end <= USER_TOP && plan.start < plan.end && plan.span <= plan.end);
                    assert!(plan.mappings.iter().all(|m| m.len > 0 && m.vaddr + m.len <= plan.end));
                    accepted += 1;
                }
                Err(_) => rejected += 1,
            }
        }
    }
    assert!(accepted > 500 && rejected > 500, "{accepted} accepted, {rejected} rejected");
}
