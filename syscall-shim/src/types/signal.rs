//! Signals: sigaction(2), sigaltstack(2), siginfo_t, sigevent(3type), signalfd(2).

use crate::{SaFlags, SigSet, Signal};
use linux_raw_sys::general as raw;

abi_structs! {
    /// The kernel's `struct sigaction` (rt_sigaction(2)), not libc's.
    Sigaction [32] { handler: u64, flags: u64, restorer: u64, mask: u64, }
    /// `stack_t` (sigaltstack(2)).
    StackT [24] { ss_sp: u64, ss_flags: u32, pad: u32, ss_size: u64, }
    /// `siginfo_t`: the head and the union, see the constructors.
    Siginfo [128] { si_signo: i32, si_errno: i32, si_code: i32, pad: i32, fields: [u64; 14], }
    /// `struct sigevent` (sigevent(3type)); `sigev_tid` is the first word of the union.
    Sigevent [64] { sigev_value: u64, sigev_signo: i32, sigev_notify: i32, sigev_tid: i32, pad: [i32; 11], }
    /// `struct signalfd_siginfo` (signalfd(2)).
    SignalfdSiginfo [128] {
        ssi_signo: u32, ssi_errno: i32, ssi_code: i32, ssi_pid: u32, ssi_uid: u32, ssi_fd: i32, ssi_tid: u32, ssi_band: u32,
        ssi_overrun: u32, ssi_trapno: u32, ssi_status: i32, ssi_int: i32, ssi_ptr: u64, ssi_utime: u64, ssi_stime: u64, ssi_addr: u64,
        ssi_addr_lsb: u16, pad2: u16, ssi_syscall: i32, ssi_call_addr: u64, ssi_arch: u32, pad: [u8; 28],
    }
}

/// `SIG_DFL` as a handler address.
pub const SIG_DFL: u64 = 0;
/// `SIG_IGN` as a handler address.
pub const SIG_IGN: u64 = 1;

impl Sigaction {
    /// The flags by name; bits that Linux does not know are dropped, as `SA_UNSUPPORTED` probing
    /// expects.
    pub fn sa_flags(&self) -> SaFlags {
        SaFlags::from_bits_truncate(self.flags)
    }

    /// The mask as a set.
    pub fn sa_mask(&self) -> SigSet {
        SigSet(self.mask)
    }
}

/// `si_code` values (sigaction(2)).
#[allow(missing_docs)]
pub mod si_code {
    pub const SI_USER: i32 = 0;
    pub const SI_KERNEL: i32 = 0x80;
    pub const SI_QUEUE: i32 = -1;
    pub const SI_TIMER: i32 = -2;
    pub const SI_MESGQ: i32 = -3;
    pub const SI_ASYNCIO: i32 = -4;
    pub const SI_SIGIO: i32 = -5;
    pub const SI_TKILL: i32 = -6;
    pub const ILL_ILLOPN: i32 = 2;
    pub const FPE_INTDIV: i32 = 1;
    pub const FPE_INTOVF: i32 = 2;
    pub const FPE_FLTDIV: i32 = 3;
    pub const FPE_FLTOVF: i32 = 4;
    pub const FPE_FLTUND: i32 = 5;
    pub const FPE_FLTRES: i32 = 6;
    pub const FPE_FLTINV: i32 = 7;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub const BUS_ADRALN: i32 = 1;
    pub const BUS_ADRERR: i32 = 2;
    pub const TRAP_BRKPT: i32 = 1;
    pub const TRAP_TRACE: i32 = 2;
    pub const SYS_SECCOMP: i32 = 1;
    pub const CLD_EXITED: i32 = 1;
    pub const CLD_KILLED: i32 = 2;
    pub const CLD_DUMPED: i32 = 3;
    pub const CLD_TRAPPED: i32 = 4;
    pub const CLD_STOPPED: i32 = 5;
    pub const CLD_CONTINUED: i32 = 6;
}

const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

impl Siginfo {
    fn new(signal: Signal, code: i32, words: &[u64]) -> Self {
        let mut info = Self { si_signo: i32::from(signal.number()), si_code: code, ..Self::default() };
        for (field, word) in info.fields.iter_mut().zip(words) {
            *field = *word;
        }
        info
    }

    /// From kill(2), tgkill(2) (`SI_TKILL`).
    pub fn kill(signal: Signal, code: i32, pid: i32, uid: u32) -> Self {
        Self::new(signal, code, &[pair(pid as u32, uid)])
    }

    /// `si_pid` of a signal that a program has sent.
    pub fn sender(&self) -> i32 {
        self.fields[0] as i32
    }

    /// From sigqueue(3).
    pub fn queue(signal: Signal, pid: i32, uid: u32, value: u64) -> Self {
        Self::new(signal, si_code::SI_QUEUE, &[pair(pid as u32, uid), value])
    }

    /// From the kernel itself, without a sender.
    pub fn kernel(signal: Signal) -> Self {
        Self::new(signal, si_code::SI_KERNEL, &[])
    }

    /// From a fault at `addr` (`SIGSEGV`, `SIGBUS`, `SIGILL`, `SIGFPE`, `SIGTRAP`).
    pub fn fault(signal: Signal, code: i32, addr: u64) -> Self {
        Self::new(signal, code, &[addr])
    }

    /// `SIGSYS` of a call that a filter does not let through (seccomp(2)): where the caller goes
    /// on, the call's number, `AUDIT_ARCH_*`, and what the filter says with it.
    pub fn seccomp(ip: u64, nr: i32, arch: u32, data: i32) -> Self {
        let info = Self::new(Signal::SIGSYS, si_code::SYS_SECCOMP, &[ip, pair(nr as u32, arch)]);
        Self { si_errno: data, ..info }
    }

    /// From a POSIX timer (timer_create(2)).
    pub fn timer(signal: Signal, timer_id: i32, overrun: i32, value: u64) -> Self {
        Self::new(signal, si_code::SI_TIMER, &[pair(timer_id as u32, overrun as u32), value])
    }

    /// `SIGCHLD`: `status` is the exit status or the signal; times in ticks of 1/100 s.
    pub fn child(code: i32, pid: i32, uid: u32, status: i32, utime: i64, stime: i64) -> Self {
        Self::new(Signal::SIGCHLD, code, &[pair(pid as u32, uid), pair(status as u32, 0), utime as u64, stime as u64])
    }

    /// `SIGIO`: readiness of a descriptor (`F_SETSIG` of fcntl(2)).
    pub fn poll(signal: Signal, code: i32, band: i64, fd: i32) -> Self {
        Self::new(signal, code, &[band as u64, pair(fd as u32, 0)])
    }

    /// `si_pid`.
    pub fn pid(&self) -> i32 {
        self.fields[0] as i32
    }

    /// `si_uid`.
    pub fn uid(&self) -> u32 {
        (self.fields[0] >> 32) as u32
    }

    /// `si_addr` of a fault.
    pub fn addr(&self) -> u64 {
        self.fields[0]
    }

    /// `si_value` of a queued signal or a timer.
    pub fn value(&self) -> u64 {
        self.fields[1]
    }

    /// `si_status` of `SIGCHLD`.
    pub fn status(&self) -> i32 {
        self.fields[1] as i32
    }

    /// The record that signalfd(2) reads for this signal.
    pub fn to_signalfd(&self) -> SignalfdSiginfo {
        let mut out = SignalfdSiginfo {
            ssi_signo: self.si_signo as u32,
            ssi_errno: self.si_errno,
            ssi_code: self.si_code,
            ..SignalfdSiginfo::default()
        };
        let is_fault = [raw::SIGSEGV, raw::SIGBUS, raw::SIGILL, raw::SIGFPE, raw::SIGTRAP].contains(&(self.si_signo as u32));
        match self.si_code {
            si_code::SI_TIMER => {
                out.ssi_tid = self.fields[0] as u32;
                out.ssi_overrun = (self.fields[0] >> 32) as u32;
                (out.ssi_ptr, out.ssi_int) = (self.value(), self.value() as i32);
            }
            si_code::SI_USER | si_code::SI_TKILL => (out.ssi_pid, out.ssi_uid) = (self.pid() as u32, self.uid()),
            c if c > 0 && c != si_code::SI_KERNEL && self.si_signo as u32 == raw::SIGCHLD => {
                (out.ssi_pid, out.ssi_uid) = (self.pid() as u32, self.uid());
                (out.ssi_status, out.ssi_utime, out.ssi_stime) = (self.status(), self.fields[2], self.fields[3]);
            }
            c if c > 0 && c != si_code::SI_KERNEL && is_fault => out.ssi_addr = self.addr(),
            c if c > 0 && c != si_code::SI_KERNEL => {
                (out.ssi_band, out.ssi_fd) = (self.fields[0] as u32, self.fields[1] as i32)
            }
            c if c < 0 => {
                (out.ssi_pid, out.ssi_uid) = (self.pid() as u32, self.uid());
                (out.ssi_ptr, out.ssi_int) = (self.value(), self.value() as i32);
            }
            _ => {}
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn siginfo_fields_lie_where_linux_has_them() {
        let info = Siginfo::child(si_code::CLD_EXITED, 42, 1000, 7, 1, 2);
        let b = info.as_bytes();
        assert_eq!(b[0..4], 17i32.to_le_bytes());
        assert_eq!(b[16..20], 42i32.to_le_bytes()); // si_pid
        assert_eq!(b[20..24], 1000u32.to_le_bytes()); // si_uid
        assert_eq!(b[24..28], 7i32.to_le_bytes()); // si_status
        assert_eq!(b[32..40], 1i64.to_le_bytes()); // si_utime
        let fault = Siginfo::fault(Signal::SIGSEGV, si_code::SEGV_MAPERR, 0x1234);
        assert_eq!(fault.as_bytes()[16..24], 0x1234u64.to_le_bytes());
    }

    #[test]
    fn signalfd_records() {
        let r = Siginfo::queue(Signal::SIGUSR1, 5, 6, 77).to_signalfd();
        assert_eq!((r.ssi_signo, r.ssi_pid, r.ssi_uid, r.ssi_int), (10, 5, 6, 77));
        let r = Siginfo::child(si_code::CLD_KILLED, 5, 6, 9, 0, 0).to_signalfd();
        assert_eq!((r.ssi_pid, r.ssi_status), (5, 9));
    }
}
