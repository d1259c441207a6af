//! Error numbers as Linux numbers them (errno(3)), and the kernel-internal restart codes.

use core::fmt;
use linux_raw_sys::errno as raw;

/// An error number, 1..=4095. Handlers return it; the entry code turns it into `-errno` in `rax`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub u16);

/// What a system-call handler returns: the value for `rax`, or an errno.
pub type SysResult<T = usize> = Result<T, Errno>;

macro_rules! errnos {
    ($($name:ident)*) => {
        #[allow(missing_docs)]
        impl Errno { $(pub const $name: Errno = Errno(raw::$name as u16);)* }
        /// The symbolic name, as strace prints it.
        pub fn name(e: Errno) -> Option<&'static str> {
            match u32::from(e.0) { $(raw::$name => Some(stringify!($name)),)* 512 => Some("ERESTARTSYS"),
                513 => Some("ERESTARTNOINTR"), 514 => Some("ERESTARTNOHAND"), 516 => Some("ERESTART_RESTARTBLOCK"), _ => None }
        }
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV
    ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK
    ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENOMSG EIDRM ENODATA ETIME ENOSTR ENOLINK EPROTO EBADMSG EOVERFLOW
    ELIBACC ELIBBAD EILSEQ EUCLEAN ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP
    EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS
    EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ECANCELED
    EOWNERDEAD ENOTRECOVERABLE
}

/// The result that `rax` tells: negative errnos are -4095..=-1.
pub fn from_rax(rax: i64) -> SysResult {
    match rax {
        -4095..0 => Err(Errno(rax.unsigned_abs() as u16)),
        value => Ok(value as usize),
    }
}

impl Errno {
    /// Interrupted; restart the call if the handler has `SA_RESTART` (or no handler ran), else
    /// `EINTR`.
    pub const ERESTARTSYS: Errno = Errno(512);
    /// Interrupted; always restart the call.
    pub const ERESTARTNOINTR: Errno = Errno(513);
    /// Interrupted; restart only if no handler ran, else `EINTR`.
    pub const ERESTARTNOHAND: Errno = Errno(514);
    /// Interrupted; if no handler ran, go on through `restart_syscall(2)`, else `EINTR`.
    pub const ERESTART_RESTARTBLOCK: Errno = Errno(516);
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(*self) {
            Some(n) => f.write_str(n),
            None => write!(f, "E{}", self.0),
        }
    }
}
