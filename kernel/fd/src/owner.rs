//! Who is told by a signal that a file is ready (fcntl(2): `F_SETOWN`, `F_SETSIG`, `O_ASYNC`).
//!
//! Signal-driven input and output is a waker in the wait queues of the file, which sends the
//! signal. It runs with interrupts off, so it knows the owner and not the open file, of which it
//! must not hold the last reference; and under the lock of a queue, so no signal, nor anything that
//! a signal wakes, may come back to that queue ([`crate::FileOps::sends_signals`]).

use alloc::sync::Arc;
use alloc::vec::Vec;

use sync::IrqSpinLock;
use sync::wait::{Registration, Waker};
use syscall_shim::types::Siginfo;
use syscall_shim::{Signal, SysResult};

use crate::OpenFile;
use crate::poll::{PollQueue, PollTable, ev};

/// Whom `pid` names: `F_OWNER_TID`, `F_OWNER_PID`, `F_OWNER_PGRP`.
pub use caller::Target as OwnerKind;

/// The owner of an open file description.
#[derive(Clone, Copy, Debug, Default)]
pub struct Owner {
    /// What `pid` is.
    pub kind: OwnerKind,
    /// Id; 0 for nobody.
    pub pid: i32,
    /// `F_SETSIG`; 0 is `SIGIO` without further information.
    pub signal: i32,
    /// The descriptor that `O_ASYNC` was set through, for `si_fd`.
    pub fd: i32,
}

/// The owner as the file and its waker share it; a leaf lock.
pub type SharedOwner = Arc<IrqSpinLock<Owner>>;

/// Sends the signal when the file becomes ready.
struct Notifier(SharedOwner);

/// `si_code`, the event bits that it stands for, and what it gives as `si_band` (sigaction(2),
/// Linux's `band_table`).
const CODES: [(u32, i32, u32); 5] = [
    (ev::READABLE, 1, ev::READABLE),
    (ev::WRITABLE, 2, ev::WRITABLE | ev::WRBAND),
    (ev::PRI, 5, ev::PRI | ev::RDBAND),
    (ev::HUP, 6, ev::HUP | ev::ERR),
    (ev::ERR, 4, ev::ERR),
];

impl Waker for Notifier {
    fn wake(&self, key: u32) -> bool {
        let owner = *self.0.lock();
        if owner.pid == 0 {
            return false;
        }
        let events = if key == 0 { ev::READABLE } else { key };
        let found = CODES.iter().find(|(bits, ..)| events & bits != 0);
        let (code, band) = found.map_or((1, ev::READABLE), |(_, code, band)| (*code, *band));
        post(owner, code, i64::from(band), owner.fd);
        false
    }
}

/// Tells the owner of a socket that urgent data is on its way, whether or not it has asked for
/// signals (socket(7)).
pub fn tell_urgent(owner: &SharedOwner) {
    let owner = *owner.lock();
    if owner.pid != 0 {
        tell(owner, Siginfo::kernel(Signal::SIGURG));
    }
}

/// Sends the owner `F_SETSIG`'s signal with the band `events`, or a plain `SIGIO`.
fn post(owner: Owner, code: i32, events: i64, fd: i32) {
    let info = match u32::try_from(owner.signal).ok().and_then(Signal::new) {
        Some(signal) => Siginfo::poll(signal, code, events, fd),
        None => Siginfo::kernel(Signal::SIGIO),
    };
    tell(owner, info);
}

fn tell(owner: Owner, info: Siginfo) {
    caller::send(owner.kind, owner.pid, info);
}

/// Sends the owner the signal of something that is no readiness (`POLL_MSG`): the break of a lease,
/// a change of a directory. `fd` is the descriptor that it was asked for through.
pub fn post_message(owner: &Owner, fd: i32) {
    const POLL_MSG: i32 = 3;
    const BAND: i64 = (ev::IN | ev::RDNORM | ev::MSG) as i64;
    if owner.pid != 0 {
        post(*owner, POLL_MSG, BAND, fd);
    }
}

/// Where a file's notifier is registered: nowhere while signal-driven input and output is off.
pub type Registrations = Vec<Registration<PollQueue>>;

/// Starts or ends signal-driven input and output of `file`. `ENOMEM`.
pub fn set_async(file: &OpenFile, on: bool) -> SysResult<()> {
    let places = if on {
        let waker: Arc<dyn Waker> = Arc::new(Notifier(file.owner.clone()));
        let mut table = PollTable::collecting();
        file.poll(&mut table);
        table.into_queues()?.into_iter().map(|queue| Registration::new(queue, waker.clone(), false)).collect()
    } else {
        Registrations::new()
    };
    let old = core::mem::replace(&mut *file.notifier.lock(), places);
    drop(old);
    Ok(())
}
