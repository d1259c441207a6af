//! The Linux structures that cross the boundary as plain bytes.

use super::Pod;
use linux_raw_sys::general as g;

pod!(
    g::timespec, g::__kernel_timespec, g::timeval, g::__kernel_old_timeval, g::itimerval, g::itimerspec, g::iovec, g::rlimit,
    g::rlimit64, g::robust_list_head, g::clone_args, g::timezone, g::__kernel_old_itimerval, g::__kernel_itimerspec,
);
