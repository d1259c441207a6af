//! `prctl(PR_SET_MM)`: where the parts of a program lie, told anew by who restores one, or moves
//! its arguments.

use alloc::vec::Vec;

use linux_raw_sys::general::{CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN, CAP_SYS_RESOURCE, RLIMIT_DATA};
use linux_raw_sys::prctl as p;
use syscall_shim::{Errno, SysResult};

use super::paths;
use crate::usermem::{USER_END, UserPtr};
use fd::{capable, with_fs};
use task::current;
use task::namespace;
use vm::Layout;
use vm::flags::MMAP_MIN_ADDR;

/// Words of an auxiliary vector at most (`AT_VECTOR_SIZE`).
const AUXV_WORDS: usize = 56;
const AT_NULL: u64 = 0;
/// Words of `struct prctl_mm_map`, and their bytes.
const MAP_WORDS: usize = 13;
const MAP_SIZE: u64 = 8 * MAP_WORDS as u64;
/// `exe_fd` that names no file.
const NO_FILE: u32 = u32::MAX;

/// Where the parts lie, and the break.
struct Parts {
    layout: Layout,
    brk: u64,
}

/// `PR_SET_MM`
pub(super) fn set_mm(op: u64, value: u64, arg4: u64, arg5: u64) -> SysResult {
    let op = u32::try_from(op).map_err(|_| Errno::EINVAL)?;
    let takes_size = matches!(op, p::PR_SET_MM_AUXV | p::PR_SET_MM_MAP | p::PR_SET_MM_MAP_SIZE);
    if arg5 != 0 || arg4 != 0 && !takes_size {
        return Err(Errno::EINVAL);
    }
    match op {
        p::PR_SET_MM_MAP => return set_map(value, arg4),
        p::PR_SET_MM_MAP_SIZE => return UserPtr::new(value).write(MAP_SIZE as u32).map(|()| 0),
        _ if !capable(CAP_SYS_RESOURCE) => return Err(Errno::EPERM),
        p::PR_SET_MM_EXE_FILE => set_executable(value as i32)?,
        p::PR_SET_MM_AUXV => {
            let words = read_auxv(value, arg4)?;
            set_auxv(words, true);
        }
        _ => set_part(op, value)?,
    }
    Ok(0)
}

fn set_part(op: u32, value: u64) -> SysResult<()> {
    if !(MMAP_MIN_ADDR..USER_END).contains(&value) {
        return Err(Errno::EINVAL);
    }
    let mm = current().process.mm();
    let (mut layout, mut brk) = mm.parts();
    let mut on_stack = false;
    let part = match op {
        p::PR_SET_MM_START_CODE => &mut layout.start_code,
        p::PR_SET_MM_END_CODE => &mut layout.end_code,
        p::PR_SET_MM_START_DATA => &mut layout.start_data,
        p::PR_SET_MM_END_DATA => &mut layout.end_data,
        p::PR_SET_MM_START_BRK => &mut layout.start_brk,
        p::PR_SET_MM_BRK => &mut brk,
        other => {
            on_stack = true;
            match other {
                p::PR_SET_MM_START_STACK => &mut layout.start_stack,
                p::PR_SET_MM_ARG_START => &mut layout.arg_start,
                p::PR_SET_MM_ARG_END => &mut layout.arg_end,
                p::PR_SET_MM_ENV_START => &mut layout.env_start,
                p::PR_SET_MM_ENV_END => &mut layout.env_end,
                _ => return Err(Errno::EINVAL),
            }
        }
    };
    *part = value;
    Parts { layout, brk }.check()?;
    if on_stack && !mm.has_area_above(value) {
        return Err(Errno::EFAULT);
    }
    mm.set_parts(layout, brk);
    Ok(())
}

impl Parts {
    /// `validate_prctl_map_addr`
    fn check(&self) -> SysResult<()> {
        let Self { layout: l, brk } = self;
        let all = [
            l.start_code,
            l.end_code,
            l.start_data,
            l.end_data,
            l.start_brk,
            *brk,
            l.start_stack,
            l.arg_start,
            l.arg_end,
            l.env_start,
            l.env_end,
        ];
        let ordered = l.start_code < l.end_code
            && l.start_data <= l.end_data
            && l.start_brk <= *brk
            && l.arg_start <= l.arg_end
            && l.env_start <= l.env_end;
        if !all.iter().all(|at| (MMAP_MIN_ADDR..USER_END).contains(at)) || !ordered {
            return Err(Errno::EINVAL);
        }
        let data = (brk - l.start_brk).saturating_add(l.end_data - l.start_data);
        if data > current().process.rlimit(RLIMIT_DATA) { Err(Errno::EINVAL) } else { Ok(()) }
    }
}

/// `PR_SET_MM_MAP`: all at once.
fn set_map(at: u64, size: u64) -> SysResult {
    if size != MAP_SIZE {
        return Err(Errno::EINVAL);
    }
    let words = UserPtr::<[u64; MAP_WORDS]>::new(at).read()?;
    let [start_code, end_code, start_data, end_data, start_brk, brk, start_stack, words @ ..] = words;
    let [arg_start, arg_end, env_start, env_end, auxv, last] = words;
    let (auxv_size, exe) = (last as u32, (last >> 32) as u32);
    let mm = current().process.mm();
    let (old, _) = mm.parts();
    let layout = Layout {
        mmap_base: old.mmap_base,
        start_brk,
        start_code,
        end_code,
        start_data,
        end_data,
        start_stack,
        arg_start,
        arg_end,
        env_start,
        env_end,
    };
    Parts { layout, brk }.check()?;
    let auxv = match auxv_size {
        0 => None,
        _ if auxv == 0 => return Err(Errno::EINVAL),
        size => Some(read_auxv(auxv, size.into())?),
    };
    if exe != NO_FILE {
        if !capable(CAP_SYS_ADMIN) && !capable(CAP_CHECKPOINT_RESTORE) {
            return Err(Errno::EPERM);
        }
        set_executable(exe as i32)?;
    }
    mm.set_parts(layout, brk);
    if let Some(words) = auxv {
        set_auxv(words, false);
    }
    Ok(0)
}

/// The words of a vector of `size` bytes, of which the last may not be whole.
fn read_auxv(at: u64, size: u64) -> SysResult<Vec<u64>> {
    if size > 8 * AUXV_WORDS as u64 {
        return Err(Errno::EINVAL);
    }
    let bytes = UserPtr::<u8>::new(at).read_vec(size as usize)?;
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    Ok(bytes.chunks(8).map(word).collect())
}

/// Makes `words` the beginning of the vector; what is behind them stays if it is kept.
fn set_auxv(words: Vec<u64>, keeps_rest: bool) {
    let mut vector = current().process.auxv.lock();
    let mut all: Vec<u64> =
        if keeps_rest { vector.iter().flat_map(|(key, value)| [*key, *value]).collect() } else { Vec::new() };
    let kept = all.split_off(all.len().min(words.len()));
    let pairs = words.into_iter().chain(kept).chain([AT_NULL; 2]).collect::<Vec<u64>>();
    let end = pairs.chunks_exact(2).position(|pair| pair.first() == Some(&AT_NULL));
    let pairs = pairs.chunks_exact(2).take(end.map_or(usize::MAX, |end| end + 1));
    *vector = pairs.filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect();
}

/// `PR_SET_MM_EXE_FILE`: what /proc/PID/exe shows. `EBADF`, `EACCES` for what cannot be executed,
/// `EBUSY` while the old one is mapped.
fn set_executable(fd: i32) -> SysResult<()> {
    let file = paths::file(fd)?;
    with_fs(|ctx| namespace().may_exec(ctx, &file.path))?;
    let process = &current().process;
    let old = process.exe.lock().clone();
    if let Some(old) = old.and_then(|path| path.inode().ok().cloned()) {
        let about = old.metadata();
        if process.mm().maps_file(about.dev, about.ino) {
            return Err(Errno::EBUSY);
        }
    }
    let before = process.exe.lock().replace(file.path.clone());
    drop(before);
    Ok(())
}
