//! Application memory: the one module through which the kernel reads and writes it.
//!
//! Application and kernel share one page table and ring 0, so an access is an ordinary load or
//! store. It is made by a few assembly routines whose faults are known to the page-fault handler: a
//! fault that the address space cannot resolve makes the routine return early, and the caller
//! answers `EFAULT`. Of locks only those whose waiters sleep may be held here.

#![no_std]

extern crate alloc;

use alloc::vec::Vec;

use core::arch::global_asm;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use syscall_shim::{Errno, PAGE_SIZE, SysResult};

/// First address above the application's half; Linux's `TASK_SIZE_MAX`.
pub const USER_END: u64 = 0x7fff_ffff_f000;

/// An address that the application gave. Nothing is known of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct UserAddr(pub u64);

impl UserAddr {
    /// Whether it is NULL, which many calls take for 'not wanted'.
    pub fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `bytes` further on. Wraps as pointers do; the access checks the range.
    #[allow(clippy::should_implement_trait, reason = "pointers have it under this name")]
    pub fn add(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The same address as a pointer to `T`.
    pub fn cast<T>(self) -> UserPtr<T> {
        UserPtr(self, PhantomData)
    }

    /// Whether `len` bytes from here lie in the application's half (Linux's `access_ok`).
    #[inline]
    pub fn range_ok(self, len: usize) -> bool {
        self.0.checked_add(len as u64).is_some_and(|end| end <= USER_END)
    }
}

/// A type whose values are plain bytes on both sides: any bit pattern is valid, and padding holds
/// nothing secret.
///
/// # Safety
/// Implementors are `repr(C)` integers, arrays or structures of such.
pub unsafe trait Pod: Copy {}

macro_rules! pod {
    ($($ty:ty),* $(,)?) => { $(
        // SAFETY: integers, or C structures of integers as the Linux headers lay them out.
        unsafe impl Pod for $ty {}
    )* };
}
pod!(u8, i8, u16, i16, u32, i32, u64, i64, usize, isize, UserAddr);
mod atomic;
pub mod page;
mod pod_impls;

pub use atomic::{compare_exchange_u32_nofault, fault_in_u32_writable, load_u32_nofault, nofault_fixup};

// SAFETY: an array of plain values is plain.
unsafe impl<T: Pod, const N: usize> Pod for [T; N] {}

/// A pointer to a `T` in application memory, possibly misaligned, dangling or hostile.
pub struct UserPtr<T>(UserAddr, PhantomData<*const T>);

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for UserPtr<T> {}

impl<T> UserPtr<T> {
    /// A pointer to `address`.
    pub const fn new(address: u64) -> Self {
        Self(UserAddr(address), PhantomData)
    }

    /// The address.
    pub fn addr(self) -> UserAddr {
        self.0
    }

    /// Whether it is NULL.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// `None` for NULL.
    pub fn non_null(self) -> Option<Self> {
        (!self.is_null()).then_some(self)
    }

    /// The pointer `n` elements further on.
    #[allow(clippy::should_implement_trait, reason = "pointers have it under this name")]
    pub fn add(self, n: usize) -> Self {
        self.0.add((n as u64).wrapping_mul(size_of::<T>() as u64)).cast()
    }
}

impl<T: Pod> UserPtr<T> {
    /// Reads the value. `EFAULT` where any byte of it cannot be read.
    pub fn read(self) -> SysResult<T> {
        let mut value = MaybeUninit::<T>::uninit();
        let size = size_of::<T>();
        if !self.0.range_ok(size) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the destination is `size` writable bytes; the source is checked and its faults
        // are caught. A `Pod` is valid for any bytes.
        unsafe {
            if raw_copy(value.as_mut_ptr().cast(), self.0.0 as *const u8, size) != 0 {
                return Err(Errno::EFAULT);
            }
            Ok(value.assume_init())
        }
    }

    /// Writes the value. `EFAULT` where any byte cannot be written; bytes before the fault may have
    /// been.
    pub fn write(self, value: T) -> SysResult<()> {
        let size = size_of::<T>();
        if !self.0.range_ok(size) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the source is the value's own bytes; the destination is checked and its faults
        // are caught.
        let left = unsafe { raw_copy(self.0.0 as *mut u8, core::ptr::from_ref(&value).cast(), size) };
        if left == 0 { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Writes the value unless the pointer is NULL.
    pub fn write_if_some(self, value: T) -> SysResult<()> {
        if self.is_null() { Ok(()) } else { self.write(value) }
    }

    /// Reads `count` values in a row. The caller bounds `count`.
    pub fn read_vec(self, count: usize) -> SysResult<Vec<T>> {
        let bytes = count.checked_mul(size_of::<T>()).ok_or(Errno::EFAULT)?;
        if !self.0.range_ok(bytes) {
            return Err(Errno::EFAULT);
        }
        let mut out = Vec::<T>::new();
        out.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        // SAFETY: room for `count` values was reserved; they are all filled before the length is
        // set.
        unsafe {
            if raw_copy(out.as_mut_ptr().cast(), self.0.0 as *const u8, bytes) != 0 {
                return Err(Errno::EFAULT);
            }
            out.set_len(count);
        }
        Ok(out)
    }

    /// Writes `values` in a row.
    pub fn write_slice(self, values: &[T]) -> SysResult<()> {
        let bytes = size_of_val(values);
        if !self.0.range_ok(bytes) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the source is a slice of plain values; the destination is checked and its faults
        // are caught.
        let left = unsafe { raw_copy(self.0.0 as *mut u8, values.as_ptr().cast(), bytes) };
        if left == 0 { Ok(()) } else { Err(Errno::EFAULT) }
    }
}

/// A buffer of `len` zeroes for what a program wants moved or kept; `ENOMEM`.
pub fn buffer(len: usize) -> SysResult<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    out.resize(len, 0);
    Ok(out)
}

/// Reads `len` bytes into a buffer of their own. The caller bounds `len`.
pub fn read_bytes(src: UserAddr, len: usize) -> SysResult<Vec<u8>> {
    src.cast::<u8>().read_vec(len)
}

/// Reads `dst.len()` bytes.
pub fn copy_in(dst: &mut [u8], src: UserAddr) -> SysResult<()> {
    if copy_in_partial(dst, src) == dst.len() { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Writes `src.len()` bytes.
pub fn copy_out(dst: UserAddr, src: &[u8]) -> SysResult<()> {
    if copy_out_partial(dst, src) == src.len() { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Reads a structure that grows from version to version (`copy_struct_from_user`): what the
/// caller's lacks is zero, and what it has more must be zero, or it asks for something that is not
/// known here: `E2BIG`.
pub fn read_extensible<T: zerocopy::FromBytes + zerocopy::IntoBytes>(from: UserAddr, size: usize) -> SysResult<T> {
    let mut value = T::new_zeroed();
    let known = size.min(size_of::<T>());
    let mut piece = [0; 64];
    let mut at = known;
    while at < size {
        let len = piece.len().min(size - at);
        let part = piece.get_mut(..len).unwrap_or_default();
        copy_in(part, UserAddr(from.0.wrapping_add(at as u64)))?;
        if part.iter().any(|byte| *byte != 0) {
            return Err(Errno::E2BIG);
        }
        at += len;
    }
    copy_in(value.as_mut_bytes().get_mut(..known).unwrap_or_default(), from)?;
    Ok(value)
}

/// Reads as many bytes as are readable, and tells how many.
pub fn copy_in_partial(dst: &mut [u8], src: UserAddr) -> usize {
    let len = accessible(src, dst.len());
    // SAFETY: the destination has `len` bytes; the source is in the application's half and its
    // faults are caught.
    len - unsafe { raw_copy(dst.as_mut_ptr(), src.0 as *const u8, len) }
}

/// Writes as many bytes as are writable, and tells how many.
pub fn copy_out_partial(dst: UserAddr, src: &[u8]) -> usize {
    let len = accessible(dst, src.len());
    // SAFETY: the source has `len` bytes; the destination is in the application's half and its
    // faults are caught.
    len - unsafe { raw_copy(dst.0 as *mut u8, src.as_ptr(), len) }
}

/// Copies `len` bytes at `kernel` out to the application, and tells how many arrived.
///
/// # Safety
/// `kernel` is readable for `len` bytes (a page-cache page: the application may write it
/// meanwhile).
pub unsafe fn copy_out_raw(dst: UserAddr, kernel: *const u8, len: usize) -> usize {
    let len = accessible(dst, len);
    // SAFETY: by the caller and the check above.
    len - unsafe { raw_copy(dst.0 as *mut u8, kernel, len) }
}

/// Copies `len` bytes from the application to `kernel`, and tells how many arrived.
///
/// # Safety
/// `kernel` is writable for `len` bytes and no reference to them exists.
pub unsafe fn copy_in_raw(kernel: *mut u8, src: UserAddr, len: usize) -> usize {
    let len = accessible(src, len);
    // SAFETY: by the caller and the check above.
    len - unsafe { raw_copy(kernel, src.0 as *const u8, len) }
}

/// Writes zeroes, and tells how many.
pub fn zero_partial(dst: UserAddr, len: usize) -> usize {
    const ZEROES: [u8; 512] = [0; 512];
    let mut done = 0;
    while done < len {
        let chunk = (len - done).min(ZEROES.len());
        let n = copy_out_partial(dst.add(done as u64), &ZEROES[..chunk]);
        done += n;
        if n < chunk {
            break;
        }
    }
    done
}

fn accessible(addr: UserAddr, len: usize) -> usize {
    len.min(USER_END.saturating_sub(addr.0) as usize)
}

/// Reads a NUL-terminated string of at most `max` bytes, without the NUL. `None` when no NUL came
/// within `max` bytes.
pub fn read_cstr_bounded(addr: UserAddr, max: usize) -> SysResult<Option<Vec<u8>>> {
    let mut out = Vec::new();
    let mut at = addr;
    let mut chunk = [0u8; 256];
    while out.len() < max {
        // Up to the end of the page, so that a string that ends there is read without touching the
        // next page.
        let to_page_end = PAGE_SIZE - at.0 as usize % PAGE_SIZE;
        let want = chunk.len().min(to_page_end).min(max - out.len());
        let got = copy_in_partial(&mut chunk[..want], at);
        if got == 0 {
            return Err(Errno::EFAULT);
        }
        if let Some(end) = chunk[..got].iter().position(|&b| b == 0) {
            out.extend_from_slice(&chunk[..end]);
            return Ok(Some(out));
        }
        if got < want {
            return Err(Errno::EFAULT);
        }
        out.extend_from_slice(&chunk[..got]);
        at = at.add(got as u64);
    }
    Ok(None)
}

/// Bytes of the longest path that calls take or give, with the NUL.
pub const PATH_MAX: usize = 4096;

/// Reads a path: `ENAMETOOLONG` beyond [`PATH_MAX`].
pub fn read_path(addr: UserAddr) -> SysResult<Vec<u8>> {
    read_cstr_bounded(addr, PATH_MAX)?.ok_or(Errno::ENAMETOOLONG)
}

/// Atomically reads a `u32`; the futex calls check alignment first.
pub fn load_u32(addr: UserAddr) -> SysResult<u32> {
    loop {
        if let Ok(value) = load_u32_nofault(addr) {
            return Ok(value);
        }
        // Brings the page in.
        addr.cast::<u32>().read()?;
    }
}

/// Atomically replaces the `u32` at `addr` by `new` if it is `old`; returns what was there.
pub fn compare_exchange_u32(addr: UserAddr, old: u32, new: u32) -> SysResult<u32> {
    if !addr.range_ok(4) {
        return Err(Errno::EFAULT);
    }
    let mut seen = 0u32;
    // SAFETY: in the application's half, and faults are caught.
    if unsafe { raw_cmpxchg(addr.0 as *mut u32, old, new, &mut seen) } == 0 { Ok(seen) } else { Err(Errno::EFAULT) }
}

global_asm!(
    ".section .text.usermem, \"ax\"",
    // Global, since the code that names them may land in another codegen unit.
    ".global usermem_copy, usermem_copy_words, usermem_copy_bytes, usermem_fixup_words, usermem_fixup_bytes",
    ".global usermem_cas, usermem_cas_access, usermem_fixup_cas",
    "usermem_copy:",
    "mov rcx, rdx",
    "and edx, 7",
    "shr rcx, 3",
    "usermem_copy_words:",
    "rep movsq",
    "mov ecx, edx",
    "usermem_copy_bytes:",
    "rep movsb",
    "xor eax, eax",
    "ret",
    // Words left in rcx; finish byte by byte so that the count is exact.
    "usermem_fixup_words:",
    "lea rcx, [rdx + rcx * 8]",
    "jmp usermem_copy_bytes",
    "usermem_fixup_bytes:",
    "mov rax, rcx",
    "ret",
    "usermem_cas:",
    "mov eax, esi",
    "usermem_cas_access:",
    "lock cmpxchg dword ptr [rdi], edx",
    "mov dword ptr [rcx], eax",
    "xor eax, eax",
    "ret",
    "usermem_fixup_cas:",
    "mov eax, 1",
    "ret",
    ".previous",
);

unsafe extern "C" {
    /// Copies forward and returns how many bytes were left when an access faulted, 0 when none did.
    #[link_name = "usermem_copy"]
    fn raw_copy(dst: *mut u8, src: *const u8, len: usize) -> usize;
    /// Compares and exchanges, and stores what was there to `seen`. Returns 0, or 1 when the access
    /// faulted.
    #[link_name = "usermem_cas"]
    fn raw_cmpxchg(addr: *mut u32, old: u32, new: u32, seen: *mut u32) -> usize;

    #[link_name = "usermem_copy_words"]
    static COPY_WORDS: u8;
    #[link_name = "usermem_copy_bytes"]
    static COPY_BYTES: u8;
    #[link_name = "usermem_fixup_words"]
    static FIXUP_WORDS: u8;
    #[link_name = "usermem_fixup_bytes"]
    static FIXUP_BYTES: u8;
    #[link_name = "usermem_cas_access"]
    static CAS: u8;
    #[link_name = "usermem_fixup_cas"]
    static FIXUP_CAS: u8;
}

/// Where to go on when the instruction at `rip` faults for good, if it is one of this module's.
pub fn fixup(rip: u64) -> Option<u64> {
    let table = [
        (&raw const COPY_WORDS, &raw const FIXUP_WORDS),
        (&raw const COPY_BYTES, &raw const FIXUP_BYTES),
        (&raw const CAS, &raw const FIXUP_CAS),
    ];
    table.iter().find(|(at, _)| *at as u64 == rip).map(|(_, to)| *to as u64)
}
