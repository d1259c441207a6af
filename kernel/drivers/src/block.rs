//! virtio-blk: disks (virtio 1.2, 5.2).
//!
//! A request is a chain of a header, the pages that it moves, and a byte for the device's answer.
//! Header and answer lie in a slot of the queue's own memory, found by the chain's token. The pages
//! belong to the request, which stays in the queue's table until the device gives it back, also
//! where nobody waits for it any more: so a device that is late writes into nobody else's memory.
//!
//! Whoever waits takes back what is done, for others too; the interrupt only wakes one of those who
//! wait. There is a queue for each CPU where the device has so many.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use arrayvec::ArrayVec;
use bitflags::bitflags;
use block::driver::{Driver, Properties};
use block::request::{Batch, Operation, Outcome, Request};
use block::virtio::{self, CONFIG_SIZE, feature};
use spin::Once;
use virtio_drivers::transport::{DeviceType, SomeTransport, Transport};
use virtio_drivers::{Error, PAGE_SIZE};

use super::Device;
use super::queue::new_queue;
use super::virtqueue::{EVENT_IDX, SplitQueue};
use arch::clock;
use arch::percpu::this_cpu;
use mem::{frames, phys_to_virt};
use sync::wait::{WaitQueue, wait_uninterruptible_in};
use sync::{IrqSpinLock, SpinLock};

/// Descriptors of each queue: what all known devices offer.
const QUEUE_SIZE: usize = 128;
/// The most queues of a disk.
const MAX_QUEUES: u16 = 16;
/// The most pages of a request, so that several fit into a queue.
const MAX_PIECES: usize = 60;
/// A header, a range, and the answer.
const MAX_CHAIN: usize = MAX_PIECES + 3;
/// How long a disk may take over a request: as long as Linux waits for others than this kind.
const TIMEOUT_NS: u64 = 30_000_000_000;
/// How long one that has not answered before, and has not answered since.
const DEAD_TIMEOUT_NS: u64 = 1_000_000_000;
const HEADER_LEN: u32 = 16;
const RANGE_LEN: u32 = 16;

/// The device's answers (5.2.6).
const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;
/// None of them.
const STATUS_NONE: u8 = 0xff;

bitflags! {
    /// The features that we take.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const DISK = feature::ALL;
        const EVENT_IDX = EVENT_IDX;
        const VERSION_1 = 1 << 32;
    }
}

/// What a chain has beside its pages. Shared with the device.
#[repr(C, align(64))]
struct Slot {
    header: [AtomicU64; 2],
    range: [AtomicU64; 2],
    status: AtomicU8,
}

/// A queue of requests.
struct Queue {
    ring: SplitQueue<QUEUE_SIZE>,
    /// By token.
    slots: &'static [Slot; QUEUE_SIZE],
    /// Where these are.
    slots_at: u64,
    /// Requests that the device has, by token.
    busy: Vec<Option<Request>>,
}

/// A disk.
struct VirtioDisk {
    properties: Properties,
    acknowledge: bool,
    /// Its registers. Taken last, also by the interrupt handler.
    transport: IrqSpinLock<SomeTransport<'static>>,
    /// Nothing but `transport` and a run queue is taken while one of them is held.
    queues: Vec<SpinLock<Queue>>,
    /// Those who wait for the device: the interrupt wakes one.
    waiting: WaitQueue,
    /// Those who wait for room in a queue.
    room: WaitQueue,
    /// It did not answer once, and has not since: nobody waits long for it.
    dead: AtomicBool,
}

static DISKS: Once<Vec<Arc<VirtioDisk>>> = Once::new();

/// Starts all disks.
pub fn init() {
    DISKS.call_once(|| {
        let mut disks = Vec::new();
        while let Some(device) = super::take(DeviceType::Block) {
            match VirtioDisk::start(device) {
                Ok(disk) => match block::registry::add(disk.clone()) {
                    Ok(_) => disks.push(disk),
                    Err(_) => kerr!("more than {} disks: the others are left alone", block::registry::MAX_DISKS),
                },
                Err(error) => kerr!("virtio-blk does not start: {error}"),
            }
        }
        disks
    });
}

fn handle_interrupt() {
    for disk in DISKS.get().map(Vec::as_slice).unwrap_or_default() {
        if disk.acknowledge {
            disk.transport.lock().ack_interrupt();
        }
        disk.waiting.wake_one();
    }
}

impl VirtioDisk {
    fn start(device: Device) -> Result<Arc<Self>, Error> {
        let (mut transport, interrupt) = device.split();
        let features = transport.begin_init(Features::all());
        let mut config = [0; CONFIG_SIZE];
        for (at, byte) in config.iter_mut().enumerate() {
            // A device without a feature may end its configuration before what that feature has in
            // it.
            *byte = transport.read_config_space(at).unwrap_or(0);
        }
        let bits = features.bits();
        let properties = virtio::properties(bits, &config, MAX_PIECES).ok_or(Error::Unsupported)?;
        let event_idx = features.contains(Features::EVENT_IDX);
        let count = virtio::queues(bits, &config).min(MAX_QUEUES);
        let mut queues = Vec::new();
        for index in 0..count {
            queues.push(SpinLock::new(Queue::new(&mut transport, index, event_idx)?));
        }
        transport.finish_init();
        let disk = Arc::new(Self {
            properties,
            acknowledge: interrupt.needs_acknowledge(),
            transport: IrqSpinLock::new(transport),
            queues,
            waiting: WaitQueue::new(),
            room: WaitQueue::new(),
            dead: AtomicBool::new(false),
        });
        if !interrupt.connect(count, handle_interrupt) {
            kerr!("virtio-blk has no interrupt: its requests will not end");
        }
        Ok(disk)
    }

    /// Until when to wait for the device.
    fn deadline(&self) -> u64 {
        let timeout = if self.dead.load(Ordering::Relaxed) { DEAD_TIMEOUT_NS } else { TIMEOUT_NS };
        clock::monotonic_ns() + timeout
    }

    /// Takes back what the device is done with, in all queues.
    fn reap(&self) {
        let mut any = false;
        for queue in &self.queues {
            loop {
                let mut queue = queue.lock();
                // What comes after this interrupts.
                let done = queue.pop();
                let more = done.is_none() && queue.ring.listen();
                drop(queue);
                match done {
                    Some((request, outcome)) => {
                        any = true;
                        request.finish(outcome);
                    }
                    None if more => {}
                    None => break,
                }
            }
        }
        if any {
            self.dead.store(false, Ordering::Relaxed);
            self.room.wake_all();
        }
    }

    /// Gives the device as many of the requests as there is room for.
    fn fill(&self, index: usize, requests: &mut Vec<Request>) {
        let Some(queue) = self.queues.get(index) else { return };
        let mut queue = queue.lock();
        while let Some(request) = requests.pop() {
            if let Err(request) = queue.give(request) {
                requests.push(request);
                break;
            }
        }
        let tell = queue.ring.must_notify();
        drop(queue);
        if tell {
            self.transport.lock().notify(index as u16);
        }
    }
}

impl Driver for VirtioDisk {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn start(&self, mut requests: Vec<Request>) {
        let index = this_cpu().id.get() as usize % self.queues.len().max(1);
        // The first goes first.
        requests.reverse();
        loop {
            self.fill(index, &mut requests);
            if requests.is_empty() {
                return;
            }
            let room = wait_uninterruptible_in([&self.room, &self.waiting], self.deadline(), || {
                self.reap();
                let queue = self.queues.get(index)?.lock();
                (queue.ring.available() >= MAX_CHAIN).then_some(())
            });
            self.reap();
            if room.is_none() {
                self.dead.store(true, Ordering::Relaxed);
                requests.drain(..).for_each(|request| request.finish(Outcome::TimedOut));
                return;
            }
        }
    }

    fn wait(&self, batch: &Batch) {
        let done = wait_uninterruptible_in([&batch.done, &self.waiting], self.deadline(), || {
            self.reap();
            batch.is_done().then_some(())
        });
        // The interrupt may have chosen this thread just when it had what it waited for.
        self.reap();
        if done.is_some() || batch.is_done() {
            return;
        }
        self.dead.store(true, Ordering::Relaxed);
        for queue in &self.queues {
            queue.lock().name_one();
        }
        batch.give_up();
    }
}

impl Queue {
    fn new(transport: &mut SomeTransport<'static>, index: u16, event_idx: bool) -> Result<Self, Error> {
        let ring = new_queue(transport, index, event_idx)?;
        let pages = size_of::<[Slot; QUEUE_SIZE]>().div_ceil(PAGE_SIZE);
        let slots_at = frames::alloc_contiguous(pages).ok_or(Error::DmaError)?;
        let memory = phys_to_virt::<u8>(slots_at);
        // SAFETY: the frames are ours, for good, and large enough; slots of zeroes are valid.
        let slots: &'static [Slot; QUEUE_SIZE] = unsafe {
            memory.write_bytes(0, pages * PAGE_SIZE);
            &*memory.cast()
        };
        Ok(Self { ring, slots, slots_at, busy: (0..QUEUE_SIZE).map(|_| None).collect() })
    }

    /// Gives the device a request, or back to the caller where there are no descriptors for it.
    fn give(&mut self, request: Request) -> Result<(), Request> {
        let token = usize::from(self.ring.next_token());
        let Some(slot) = self.slots.get(token) else { return Err(request) };
        if self.ring.available() < request.segments.len() + 3 {
            return Err(request);
        }
        let fill = |to: &[AtomicU64; 2], from: [u64; 2]| {
            to.iter().zip(from).for_each(|(to, from)| to.store(from.to_le(), Ordering::Relaxed));
        };
        fill(&slot.header, virtio::header(request.operation, request.sector));
        slot.status.store(STATUS_NONE, Ordering::Relaxed);
        let at = |offset: usize| self.slots_at + (token * size_of::<Slot>() + offset) as u64;
        let mut chain: ArrayVec<(u64, u32, bool), MAX_CHAIN> = ArrayVec::new();
        chain.push((at(core::mem::offset_of!(Slot, header)), HEADER_LEN, false));
        if let Some(range) = virtio::range(request.operation, request.sector, request.sectors) {
            fill(&slot.range, range);
            chain.push((at(core::mem::offset_of!(Slot, range)), RANGE_LEN, false));
        }
        let device_writes = request.operation == Operation::Read;
        let pieces = request.segments.iter().map(|piece| (piece.address(), piece.len, device_writes));
        chain.extend(pieces.take(MAX_PIECES));
        chain.push((at(core::mem::offset_of!(Slot, status)), 1, true));
        // SAFETY: the slot is this token's alone until it comes back, and what it holds are
        // atomics; the request keeps its pages, and stays in `busy` until then.
        match unsafe { self.ring.add_mixed(chain.into_iter()) } {
            Some(token) => {
                if let Some(place) = self.busy.get_mut(usize::from(token)) {
                    *place = Some(request);
                }
                Ok(())
            }
            None => Err(request),
        }
    }

    /// Takes back a request that the device is done with, and how that went.
    fn pop(&mut self) -> Option<(Request, Outcome)> {
        loop {
            let (token, written) = self.ring.pop()?;
            let place = self.busy.get_mut(usize::from(token));
            let (Some(request), Some(slot)) = (place.and_then(Option::take), self.slots.get(usize::from(token))) else {
                continue;
            };
            let short = request.operation == Operation::Read && u64::from(written) < request.bytes();
            let outcome = match slot.status.load(Ordering::Relaxed) {
                STATUS_OK if short => Outcome::Short,
                STATUS_OK => Outcome::Done,
                STATUS_UNSUPPORTED => Outcome::Unsupported,
                _ => Outcome::Failed,
            };
            return Some((request, outcome));
        }
    }

    /// Names the request that has waited longest, if there is one.
    fn name_one(&self) {
        if let Some(request) = self.busy.iter().flatten().min_by_key(|request| request.started()) {
            request.name_timeout();
        }
    }
}
