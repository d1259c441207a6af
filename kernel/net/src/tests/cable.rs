//! Cards whose cables end at another stack, in a process of its own. What a cable is asked to do
//! for frames it leaves to the other side, as virtio does between guests.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;

use inet::Bytes;

use super::machine::arrived;
use super::wire;
use crate::device::{Card, Features, Frame, Received, Traffic};

/// A card.
pub struct Cable {
    number: u8,
    /// The plug: nothing leaves while there is none.
    plug: Mutex<Option<Arc<UnixDatagram>>>,
    arrived: Mutex<VecDeque<Vec<u8>>>,
    /// One that was held back, to come late.
    late: Mutex<Option<Vec<u8>>>,
    random: AtomicU64,
    traffic: [Traffic; 2],
}

/// Where the sockets lie that are the cables: the second process is told so by its environment.
pub const FOLDER: &str = "SKIFF_NET_CABLES";
/// Which of the cables loses frames and changes their order.
pub const BAD: u8 = 0;
/// The other does neither, and completes checksums and takes segments of any length.
pub const GOOD: u8 = 1;

static CABLES: LazyLock<[Arc<Cable>; 2]> = LazyLock::new(|| [BAD, GOOD].map(|number| Arc::new(Cable::new(number))));

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a frame waits to be looked at, by its first byte: checksums left to the other side.
const LEFT: u8 = 1;

impl Cable {
    fn new(number: u8) -> Cable {
        Cable {
            number,
            plug: Mutex::default(),
            arrived: Mutex::default(),
            late: Mutex::default(),
            random: AtomicU64::new(u64::from(std::process::id()) | 1),
            traffic: Default::default(),
        }
    }

    /// All there are.
    pub fn all() -> Vec<Arc<Cable>> {
        CABLES.to_vec()
    }

    /// Plugs the cables in. `end` is 0 for one side and 1 for the other; each cable is two sockets
    /// in `folder`.
    pub fn plug_in(folder: &Path, end: usize) {
        for cable in Cable::all() {
            let path = |end: usize| folder.join(std::format!("{}-{end}", cable.number));
            let socket = Arc::new(UnixDatagram::bind(path(end)).unwrap());
            if end == 1 {
                socket.connect(path(0)).unwrap();
                // By which the other side knows that this one is there.
                socket.send(&[0]).unwrap();
            }
            *lock(&cable.plug) = Some(socket.clone());
            let far = path(1 - end);
            thread::spawn(move || cable.listen(&socket, &far));
        }
    }

    /// Pulls them out.
    pub fn pull_out() {
        for cable in Cable::all() {
            if let Some(socket) = lock(&cable.plug).take() {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
        }
    }

    fn listen(&self, socket: &UnixDatagram, far: &Path) {
        let mut buffer = alloc::vec![0; 1 << 17];
        while let Ok(len) = socket.recv(&mut buffer) {
            match len {
                // Pulled out.
                0 => return,
                1 => {
                    let _ = socket.connect(far);
                    continue;
                }
                _ => {}
            }
            lock(&self.arrived).push_back(buffer[..len].to_vec());
            arrived();
        }
    }

    fn random(&self) -> u64 {
        let next = self.random.load(Ordering::Relaxed).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x1234_5677);
        self.random.store(next, Ordering::Relaxed);
        next >> 33
    }

    fn put(&self, frame: &[u8]) {
        let plug = lock(&self.plug).clone();
        if let Some(plug) = plug {
            // A frame that is lost is sent again.
            let _ = plug.send(frame);
        }
    }
}

impl Card for Cable {
    fn features(&self) -> Features {
        let good = self.number == GOOD;
        let end = u8::from(std::env::var_os(FOLDER).is_some());
        Features { mac: [2, 0, 0, 1, self.number, end], mtu: 1500, checksums: good, segments: [good; 2] }
    }

    fn receive(&self, budget: usize, out: &mut Vec<Received>) -> bool {
        let mut arrived = lock(&self.arrived);
        let count = budget.min(arrived.len());
        for frame in arrived.drain(..count) {
            self.traffic[0].count(frame.len());
            let checked = frame[0] & LEFT != 0;
            out.push(Received { frame: Bytes::from(frame).slice(1, usize::MAX), checked });
        }
        !arrived.is_empty()
    }

    fn set_interrupts(&self, on: bool) -> bool {
        on && !lock(&self.arrived).is_empty()
    }

    fn transmit(&self, frame: Frame) {
        let mut bytes = alloc::vec![if frame.offload.is_some() { LEFT } else { 0 }];
        bytes.extend(wire::gathered(&frame));
        self.traffic[1].count(bytes.len());
        if self.number == GOOD {
            return self.put(&bytes);
        }
        match self.random() % 32 {
            // One in sixteen is lost, one in sixteen comes behind the next, one in 32 comes twice.
            0 | 1 => return,
            2 | 3 => {
                let before = lock(&self.late).replace(bytes);
                return before.into_iter().for_each(|bytes| self.put(&bytes));
            }
            4 => self.put(&bytes),
            _ => {}
        }
        self.put(&bytes);
        let late = lock(&self.late).take();
        late.into_iter().for_each(|bytes| self.put(&bytes));
    }

    fn kick(&self) {}

    fn received(&self) -> &Traffic {
        &self.traffic[0]
    }

    fn sent(&self) -> &Traffic {
        &self.traffic[1]
    }
}
