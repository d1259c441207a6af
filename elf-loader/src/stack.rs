//! The first stack of a program, byte for byte as Linux lays it out (`create_elf_tables`,
//! `copy_strings`; System V ABI for x86-64, 3.4.1). From high to low: eight zero bytes, the path
//! executed, environment strings, argument strings, a random gap, the platform's name, 16 random
//! bytes, the auxiliary vector, `envp`, `argv`, `argc`.

use crate::PAGE_SIZE;
use alloc::vec::Vec;
use core::fmt;
use linux_raw_sys::auxvec as at;
use syscall_shim::Errno;

/// Longest single string with its NUL: 32 pages (execve(2)).
const MAX_ARG_STRLEN: usize = 32 * PAGE_SIZE as usize;
/// Room for strings and pointers whatever the stack's limit (`ARG_MAX`).
const ARG_MAX: u64 = 131_072;
/// And at most three quarters of the default stack.
const ARG_LIMIT: u64 = (8 << 20) / 4 * 3;
/// `CLK_TCK`.
const CLOCK_TICKS: u64 = 100;
const PLATFORM: &[u8] = b"x86_64\0";

/// Why there is no stack for a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StackError {
    /// Arguments and environment take more room than `execve(2)` allows.
    TooLong,
    /// There is no memory to lay it out in.
    OutOfMemory,
}

impl StackError {
    /// `E2BIG`, `ENOMEM`.
    pub fn errno(self) -> Errno {
        match self {
            Self::TooLong => Errno::E2BIG,
            Self::OutOfMemory => Errno::ENOMEM,
        }
    }
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => {
                "the arguments and the environment are too long (a quarter of the stack's limit, or 128 KiB in one string)"
            }
            Self::OutOfMemory => "there is no memory for the arguments and the environment",
        })
    }
}

/// What goes into the auxiliary vector (getauxval(3)).
#[derive(Clone, Copy, Default, Debug)]
pub struct Aux {
    /// `AT_SYSINFO_EHDR`: the vDSO's ELF header.
    pub vdso: Option<u64>,
    /// `AT_MINSIGSTKSZ`.
    pub minsigstksz: u64,
    /// `AT_HWCAP`: `edx` of CPUID leaf 1.
    pub hwcap: u64,
    /// `AT_HWCAP2`: bit 1 says that `rdfsbase` and its kin may be used.
    pub hwcap2: u64,
    /// `AT_PHDR`.
    pub phdr: u64,
    /// `AT_PHENT`.
    pub phent: u64,
    /// `AT_PHNUM`.
    pub phnum: u64,
    /// `AT_BASE`: where the interpreter was loaded, or 0.
    pub base: u64,
    /// `AT_ENTRY`: the program's own entry point, not the interpreter's.
    pub entry: u64,
    /// `AT_UID`.
    pub uid: u32,
    /// `AT_EUID`.
    pub euid: u32,
    /// `AT_GID`.
    pub gid: u32,
    /// `AT_EGID`.
    pub egid: u32,
    /// `AT_SECURE`.
    pub secure: bool,
    /// The bytes behind `AT_RANDOM`.
    pub random: [u8; 16],
    /// `AT_RSEQ_FEATURE_SIZE` and `AT_RSEQ_ALIGN`.
    pub rseq: Option<(u64, u64)>,
}

/// What the stack is made of.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// Arguments, without their NULs. Linux gives a program with none an empty first argument, and
    /// so does this.
    pub argv: &'a [Vec<u8>],
    /// Environment.
    pub envp: &'a [Vec<u8>],
    /// `AT_EXECFN`: the path that was executed, a script's own where there was one.
    pub execfn: &'a [u8],
    /// The auxiliary vector's values.
    pub aux: &'a Aux,
    /// Soft `RLIMIT_STACK`, which bounds the strings.
    pub stack_limit: u64,
    /// [`crate::layout::Layout::stack_offset`].
    pub offset: u64,
}

/// The bytes of the stack and where things lie in it.
#[derive(Clone, Debug)]
pub struct StackImage {
    /// The first stack pointer, a multiple of 16: `argc` is there.
    pub sp: u64,
    /// What lies from `sp` to the stack's top.
    pub bytes: Vec<u8>,
    /// First byte of the arguments and first behind them (/proc/self/cmdline).
    pub args: (u64, u64),
    /// The same of the environment (/proc/self/environ).
    pub env: (u64, u64),
    /// The auxiliary vector as it lies on the stack, with its end (/proc/self/auxv).
    pub auxv: Vec<(u64, u64)>,
}

/// Sum of the strings with their NULs; none may be longer than [`MAX_ARG_STRLEN`].
fn strings_len(strings: &[Vec<u8>]) -> Result<u64, StackError> {
    strings.iter().try_fold(0u64, |sum, s| {
        if s.len() >= MAX_ARG_STRLEN { Err(StackError::TooLong) } else { Ok(sum.saturating_add(s.len() as u64 + 1)) }
    })
}

/// `bprm_stack_limits`.
fn check_limit(spec: &Spec<'_>, argc: usize, strings: u64) -> Result<(), StackError> {
    let limit = ARG_LIMIT.min(spec.stack_limit / 4).max(ARG_MAX);
    let pointers = (argc.max(1) as u64 + spec.envp.len() as u64).saturating_mul(8);
    if strings.saturating_add(pointers) > limit { Err(StackError::TooLong) } else { Ok(()) }
}

fn auxv(aux: &Aux, random: u64, execfn: u64, platform: u64) -> Vec<(u64, u64)> {
    let mut list = Vec::with_capacity(26);
    let mut put = |key: u32, value: u64| list.push((u64::from(key), value));
    if let Some(vdso) = aux.vdso {
        put(at::AT_SYSINFO_EHDR, vdso);
    }
    put(at::AT_MINSIGSTKSZ, aux.minsigstksz);
    put(at::AT_HWCAP, aux.hwcap);
    put(at::AT_PAGESZ, PAGE_SIZE);
    put(at::AT_CLKTCK, CLOCK_TICKS);
    put(at::AT_PHDR, aux.phdr);
    put(at::AT_PHENT, aux.phent);
    put(at::AT_PHNUM, aux.phnum);
    put(at::AT_BASE, aux.base);
    put(at::AT_FLAGS, 0);
    put(at::AT_ENTRY, aux.entry);
    put(at::AT_UID, u64::from(aux.uid));
    put(at::AT_EUID, u64::from(aux.euid));
    put(at::AT_GID, u64::from(aux.gid));
    put(at::AT_EGID, u64::from(aux.egid));
    put(at::AT_SECURE, u64::from(aux.secure));
    put(at::AT_RANDOM, random);
    put(at::AT_HWCAP2, aux.hwcap2);
    put(at::AT_EXECFN, execfn);
    put(at::AT_PLATFORM, platform);
    if let Some((size, align)) = aux.rseq {
        put(at::AT_RSEQ_FEATURE_SIZE, size);
        put(at::AT_RSEQ_ALIGN, align);
    }
    put(at::AT_NULL, 0);
    list
}

/// Builds the stack that ends at `top`.
pub fn build(top: u64, spec: &Spec<'_>) -> Result<StackImage, StackError> {
    let empty = [Vec::new()];
    let argv = if spec.argv.is_empty() { &empty[..] } else { spec.argv };
    let (args_len, env_len) = (strings_len(argv)?, strings_len(spec.envp)?);
    let execfn_len = spec.execfn.len() as u64 + 1;
    check_limit(spec, argv.len(), args_len.saturating_add(env_len).saturating_add(execfn_len))?;

    let execfn = top - 8 - execfn_len;
    let env = execfn - env_len;
    let args = env - args_len;
    let platform = ((args - spec.offset) & !15) - PLATFORM.len() as u64;
    let random = platform - spec.aux.random.len() as u64;
    let auxv = auxv(spec.aux, random, execfn, platform);
    let pointers = 1 + argv.len() as u64 + 1 + spec.envp.len() as u64 + 1;
    let sp = (random - auxv.len() as u64 * 16 - pointers * 8) & !15;

    let mut bytes = Vec::new();
    bytes.try_reserve_exact((top - sp) as usize).map_err(|_| StackError::OutOfMemory)?;
    let mut put = |word: u64| bytes.extend_from_slice(&word.to_le_bytes());
    put(argv.len() as u64);
    let mut put_pointers = |strings: &[Vec<u8>], mut at: u64| {
        for s in strings {
            put(at);
            at += s.len() as u64 + 1;
        }
        put(0);
    };
    put_pointers(argv, args);
    put_pointers(spec.envp, env);
    for (key, value) in &auxv {
        put(*key);
        put(*value);
    }
    bytes.resize((random - sp) as usize, 0);
    bytes.extend_from_slice(&spec.aux.random);
    bytes.extend_from_slice(PLATFORM);
    bytes.resize((args - sp) as usize, 0);
    for s in argv.iter().chain(spec.envp) {
        bytes.extend_from_slice(s);
        bytes.push(0);
    }
    bytes.extend_from_slice(spec.execfn);
    bytes.resize((top - sp) as usize, 0);
    Ok(StackImage { sp, bytes, args: (args, env), env: (env, execfn), auxv })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const TOP: u64 = 0x7fff_ffff_f000;

    fn spec<'a>(argv: &'a [Vec<u8>], envp: &'a [Vec<u8>], aux: &'a Aux) -> Spec<'a> {
        Spec { argv, envp, execfn: b"/bin/x", aux, stack_limit: 8 << 20, offset: 0 }
    }

    fn word(image: &StackImage, address: u64) -> u64 {
        let at = (address - image.sp) as usize;
        u64::from_le_bytes(image.bytes[at..at + 8].try_into().unwrap())
    }

    fn string(image: &StackImage, address: u64) -> &[u8] {
        image.bytes[(address - image.sp) as usize..].split(|b| *b == 0).next().unwrap()
    }

    #[test]
    fn a_program_finds_its_arguments() {
        let aux = Aux { random: *b"0123456789abcdef", entry: 0x1234, vdso: Some(0x5000), ..Aux::default() };
        let (argv, envp) = (vec![b"x".to_vec(), b"arg".to_vec()], vec![b"A=1".to_vec(), b"B=".to_vec()]);
        let image = build(TOP, &spec(&argv, &envp, &aux)).unwrap();
        assert_eq!(image.sp % 16, 0);
        assert_eq!(image.sp + image.bytes.len() as u64, TOP);
        assert_eq!(word(&image, image.sp), 2);
        assert_eq!(string(&image, word(&image, image.sp + 8)), b"x");
        assert_eq!(string(&image, word(&image, image.sp + 16)), b"arg");
        assert_eq!(word(&image, image.sp + 24), 0);
        assert_eq!(string(&image, word(&image, image.sp + 32)), b"A=1");
        assert_eq!(string(&image, word(&image, image.sp + 40)), b"B=");
        assert_eq!(word(&image, image.sp + 48), 0);
        for (i, (key, value)) in image.auxv.iter().enumerate() {
            let at = image.sp + 56 + i as u64 * 16;
            assert_eq!((word(&image, at), word(&image, at + 8)), (*key, *value));
        }
        let find = |key: u32| image.auxv.iter().find(|(k, _)| *k == u64::from(key)).unwrap().1;
        assert_eq!(image.auxv[0], (u64::from(at::AT_SYSINFO_EHDR), 0x5000));
        assert_eq!(string(&image, find(at::AT_EXECFN)), b"/bin/x");
        assert_eq!(string(&image, find(at::AT_PLATFORM)), b"x86_64");
        let random = (find(at::AT_RANDOM) - image.sp) as usize;
        assert_eq!(&image.bytes[random..random + 16], b"0123456789abcdef");
        assert_eq!(image.auxv.last(), Some(&(0, 0)));
        // As on Linux: eight zero bytes, below them the path.
        assert_eq!(find(at::AT_EXECFN), TOP - 8 - 7);
        assert_eq!(image.env.1, TOP - 8 - 7);
        assert_eq!(image.args.1 - image.args.0, 6);
    }

    #[test]
    fn alignment_holds_for_every_offset_and_count() {
        let aux = Aux::default();
        for n in 0..40usize {
            let argv = vec![vec![b'a'; n]; n];
            let image = build(TOP, &Spec { offset: n as u64 * 37, ..spec(&argv, &argv, &aux) }).unwrap();
            assert_eq!(image.sp % 16, 0);
            assert_eq!(image.sp + image.bytes.len() as u64, TOP);
            assert_eq!(word(&image, image.sp), n.max(1) as u64);
        }
    }

    #[test]
    fn limits() {
        let aux = Aux::default();
        let long = vec![vec![b'a'; MAX_ARG_STRLEN]];
        assert_eq!(build(TOP, &spec(&long, &[], &aux)).unwrap_err(), StackError::TooLong);
        let just = vec![vec![b'a'; MAX_ARG_STRLEN - 1]];
        assert!(build(TOP, &spec(&just, &[], &aux)).is_ok());
        let many = vec![vec![b'a'; 100_000]; 21];
        assert_eq!(build(TOP, &spec(&many, &[], &aux)).unwrap_err(), StackError::TooLong);
        assert!(build(TOP, &Spec { stack_limit: u64::MAX, ..spec(&many, &[], &aux) }).is_ok());
        let small = Spec { stack_limit: 0, ..spec(&just, &[], &aux) };
        assert_eq!(build(TOP, &small).unwrap_err(), StackError::TooLong);
    }
}
