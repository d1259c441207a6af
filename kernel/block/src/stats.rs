//! What a block device has done (Documentation/admin-guide/iostats.rst).

use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::request::Operation;

const MILLISECOND: u64 = 1_000_000;

/// Requests, sectors and time of one kind.
#[derive(Default)]
struct Kind {
    requests: AtomicU64,
    sectors: AtomicU64,
    /// Nanoseconds, of all requests together.
    time: AtomicU64,
}

/// The counts of one device.
#[derive(Default)]
pub struct Stats {
    read: Kind,
    written: Kind,
    discarded: Kind,
    flushed: Kind,
    /// Requests under way: reads, others.
    in_flight: [AtomicU64; 2],
    /// Nanoseconds in which there were some, up to `changed`.
    busy: AtomicU64,
    changed: AtomicU64,
}

impl Stats {
    fn kind(&self, operation: Operation) -> &Kind {
        match operation {
            Operation::Read => &self.read,
            Operation::Write | Operation::WriteZeroes => &self.written,
            Operation::Discard => &self.discarded,
            Operation::Flush => &self.flushed,
        }
    }

    fn count(&self) -> u64 {
        self.in_flight.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Counts the time since the last change as busy, if there was something to do.
    fn moved(&self, now: u64) {
        let before = self.changed.swap(now, Ordering::Relaxed);
        if self.count() > 0 {
            self.busy.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
        }
    }

    /// A request is under way.
    pub(crate) fn began(&self, operation: Operation, now: u64) {
        self.moved(now);
        let [reads, others] = &self.in_flight;
        let count = if operation == Operation::Read { reads } else { others };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// It has come back.
    pub(crate) fn ended(&self, operation: Operation, sectors: u64, started: u64, now: u64) {
        self.moved(now);
        let [reads, others] = &self.in_flight;
        let count = if operation == Operation::Read { reads } else { others };
        count.fetch_sub(1, Ordering::Relaxed);
        let kind = self.kind(operation);
        kind.requests.fetch_add(1, Ordering::Relaxed);
        kind.sectors.fetch_add(sectors, Ordering::Relaxed);
        kind.time.fetch_add(now.saturating_sub(started), Ordering::Relaxed);
    }

    /// Requests under way: reads, others. `/sys/block/NAME/inflight`.
    pub fn in_flight(&self) -> [u64; 2] {
        self.in_flight.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// The seventeen numbers of `/sys/block/NAME/stat`, which `/proc/diskstats` has too. Nothing is
    /// merged.
    pub fn numbers(&self) -> [u64; 17] {
        let of = |kind: &Kind| {
            let [requests, sectors, time] =
                [&kind.requests, &kind.sectors, &kind.time].map(|count| count.load(Ordering::Relaxed));
            [requests, 0, sectors, time / MILLISECOND]
        };
        let [r, w, d, f] = [&self.read, &self.written, &self.discarded, &self.flushed].map(of);
        let busy = self.busy.load(Ordering::Relaxed) / MILLISECOND;
        let weighted = r[3] + w[3] + d[3] + f[3];
        [r[0], r[1], r[2], r[3], w[0], w[1], w[2], w[3], self.count(), busy, weighted, d[0], d[1], d[2], d[3], f[0], f[3]]
    }

    /// The line of `/sys/block/NAME/stat`.
    pub fn line(&self) -> String {
        let fields = self.numbers().map(|number| format!("{number:>8}"));
        fields.join(" ")
    }

    /// The line of `/proc/diskstats`.
    pub fn diskstats(&self, major: u32, minor: u32, name: &str) -> String {
        let fields = self.numbers().map(|number| format!("{number}"));
        format!("{major:>4} {minor:>7} {name} {}\n", fields.join(" "))
    }
}
