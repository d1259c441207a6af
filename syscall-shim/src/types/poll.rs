//! Readiness: poll(2), epoll_ctl(2), pselect6(2).

abi_structs! {
    /// `struct pollfd` (poll(2)).
    Pollfd [8] { fd: i32, events: u16, revents: u16, }
    /// The last argument of pselect6(2): a signal mask and its size.
    SigsetArg [16] { ss: u64, ss_len: u64, }
}

/// `struct epoll_event`, packed on x86-64 (epoll_ctl(2)).
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(C, packed)]
pub struct EpollEvent {
    /// `EPOLL*` bits.
    pub events: u32,
    /// The caller's own word.
    pub data: u64,
}
const _: () = assert!(core::mem::size_of::<EpollEvent>() == 12);
