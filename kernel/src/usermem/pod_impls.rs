//! The Linux structures that cross the boundary as plain bytes.

use super::Pod;
use linux_raw_sys::general as g;
use syscall_shim::types as t;

pod!(
    g::timespec,
    g::__kernel_timespec,
    g::timeval,
    g::__kernel_old_timeval,
    g::itimerval,
    g::itimerspec,
    g::iovec,
    g::rlimit,
    g::rlimit64,
    g::robust_list_head,
    g::clone_args,
    g::timezone,
    g::__kernel_old_itimerval,
    g::__kernel_itimerspec,
);

pod!(
    t::Sigaction,
    t::StackT,
    t::Siginfo,
    t::Sigevent,
    t::MqAttr,
    t::SignalfdSiginfo,
    t::Timespec,
    t::Timeval,
    t::Timezone,
    t::Itimerspec,
    t::Itimerval,
    t::Tms,
    t::Timex,
    t::Rusage,
    t::Rlimit,
    t::Sysinfo,
    t::Utsname,
    t::SchedParam,
    t::SchedAttr,
    t::RobustListHead,
    t::Rseq,
    t::RseqCs,
    t::CapHeader,
    t::CapData,
    t::FutexWaitv,
    t::ShmidDs,
    t::Shminfo,
    t::SemidDs,
    t::Sembuf,
    t::MsqidDs,
);

pod!(
    t::Stat,
    t::Statx,
    t::Statfs,
    t::Iovec,
    t::Flock,
    t::FOwnerEx,
    t::OpenHow,
    t::FileHandle,
    t::Utimbuf,
    t::Pollfd,
    t::SigsetArg,
    t::EpollEvent,
    t::Termios,
    t::Termio,
    t::Termios2,
    t::Winsize,
);
