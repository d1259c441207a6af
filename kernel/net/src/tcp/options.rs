//! Options of the level `IPPROTO_TCP` (tcp(7)).

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use fd::capable;
use fd::socket::int;
use inet::tcp::{Algorithm, Limits, SECOND, Settings, State, TIME_WAIT, Tcb};
use linux_raw_sys::general::CAP_NET_ADMIN;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use crate::socket::Common;
use crate::tcp::tuning::Tuning;
use crate::{clock, sysctl};

/// `TCP_CONGESTION`: the names of what the state machine can do, and the room that a name has.
const CONGESTION: [(&[u8], Algorithm); 2] = [(b"reno", Algorithm::Reno), (b"cubic", Algorithm::Cubic)];
const NAME: usize = 16;
const MS: u64 = 1_000_000;
/// The longest time of `TCP_LINGER2`, and between two repetitions, in seconds
/// (`TCP_FIN_TIMEOUT_MAX`, `TCP_RTO_MAX`).
const MOST_LINGER2: i32 = 120;
/// The least `TCP_WINDOW_CLAMP` (half of `SOCK_MIN_RCVBUF`).
const MIN_WINDOW: i32 = 1152;

/// The options.
pub struct TcpOptions {
    no_delay: AtomicBool,
    cork: AtomicBool,
    keep_idle: AtomicU64,
    keep_interval: AtomicU64,
    keep_count: AtomicU32,
    user_timeout: AtomicU64,
    syn_count: AtomicU32,
    /// In seconds; 0 for what is usual, -1 for not at all.
    linger2: AtomicI32,
    /// In repetitions of the `SYN,ACK`.
    defer_accept: AtomicU32,
    max_segment: AtomicU32,
    quick_ack: AtomicBool,
    fast_open: AtomicU32,
    window_clamp: AtomicU32,
    not_sent: AtomicU32,
    cubic: AtomicBool,
    /// `TCP_INQ`: a message tells how many bytes are left.
    pub inq: AtomicBool,
    /// `TCP_THIN_LINEAR_TIMEOUTS`, `TCP_FASTOPEN_CONNECT`, `TCP_FASTOPEN_NO_COOKIE`: hints for what
    /// is not done here: all have their usual effect where there is no cookie, and the stream is
    /// not thin.
    hints: [AtomicBool; HINTS.len()],
    tuning: Tuning,
}

const HINTS: [u32; 3] = [n::TCP_THIN_LINEAR_TIMEOUTS, n::TCP_FASTOPEN_CONNECT, n::TCP_FASTOPEN_NO_COOKIE];

impl Default for TcpOptions {
    fn default() -> Self {
        let setting = |setting: &AtomicI32| u64::from(sysctl::get(setting).unsigned_abs());
        Self {
            no_delay: AtomicBool::new(false),
            cork: AtomicBool::new(false),
            keep_idle: AtomicU64::new(setting(&sysctl::KEEPALIVE_TIME) * SECOND),
            keep_interval: AtomicU64::new(setting(&sysctl::KEEPALIVE_INTERVAL) * SECOND),
            keep_count: AtomicU32::new(setting(&sysctl::KEEPALIVE_PROBES) as u32),
            user_timeout: AtomicU64::new(0),
            syn_count: AtomicU32::new(setting(&sysctl::SYN_RETRIES) as u32),
            linger2: AtomicI32::new(0),
            defer_accept: AtomicU32::new(0),
            max_segment: AtomicU32::new(0),
            quick_ack: AtomicBool::new(true),
            fast_open: AtomicU32::new(0),
            window_clamp: AtomicU32::new(0),
            not_sent: AtomicU32::new(0),
            cubic: AtomicBool::new(false),
            inq: AtomicBool::new(false),
            hints: Default::default(),
            tuning: Tuning::default(),
        }
    }
}

/// What has become of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It neither listens nor is connected.
    Closed,
    /// It listens.
    Listening,
    /// It is connected, or on the way there, or was.
    Connected,
}

impl TcpOptions {
    /// A copy, for an accepted connection.
    pub fn inherit(&self) -> TcpOptions {
        let copy = TcpOptions { tuning: self.tuning.inherit(), ..TcpOptions::default() };
        for (from, to) in [(&self.no_delay, &copy.no_delay), (&self.cubic, &copy.cubic), (&self.inq, &copy.inq)] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for (from, to) in [
            (&self.keep_idle, &copy.keep_idle),
            (&self.keep_interval, &copy.keep_interval),
            (&self.user_timeout, &copy.user_timeout),
        ] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        copy.keep_count.store(self.keep_count.load(Ordering::Relaxed), Ordering::Relaxed);
        copy.linger2.store(self.linger2.load(Ordering::Relaxed), Ordering::Relaxed);
        for (from, to) in [
            (&self.max_segment, &copy.max_segment),
            (&self.window_clamp, &copy.window_clamp),
            (&self.not_sent, &copy.not_sent),
        ] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        copy
    }

    /// What the state machine needs to know.
    pub fn settings(&self, common: &Common) -> Settings {
        let mut settings = Settings {
            no_delay: self.no_delay.load(Ordering::Relaxed),
            cork: self.cork.load(Ordering::Relaxed),
            keep_alive: common.keep_alive.load(Ordering::Relaxed),
            keep_idle: self.keep_idle.load(Ordering::Relaxed),
            keep_interval: self.keep_interval.load(Ordering::Relaxed),
            keep_count: self.keep_count.load(Ordering::Relaxed),
            user_timeout: self.user_timeout.load(Ordering::Relaxed),
            syn_retries: self.syn_count.load(Ordering::Relaxed),
            linger2: match self.linger2.load(Ordering::Relaxed) {
                0 => sysctl::get(&sysctl::FIN_TIMEOUT) as u64 * SECOND,
                seconds => seconds.max(0) as u64 * SECOND,
            },
            not_sent_low_water: match self.not_sent.load(Ordering::Relaxed) {
                0 => u32::MAX,
                bytes => bytes,
            },
            congestion: CONGESTION[usize::from(self.cubic.load(Ordering::Relaxed))].1,
            ..Settings::default()
        };
        self.tuning.fill(&mut settings);
        settings
    }

    /// `TCP_SAVE_SYN`, see [`Tuning::saves_syn`].
    pub fn saves_syn(&self) -> Option<bool> {
        self.tuning.saves_syn()
    }

    /// `TCP_DEFER_ACCEPT`: how many repetitions of the `SYN,ACK` wait for data.
    pub fn deferred_tries(&self) -> u32 {
        self.defer_accept.load(Ordering::Relaxed)
    }

    /// `TCP_CORK` is on.
    pub fn is_corked(&self) -> bool {
        self.cork.load(Ordering::Relaxed)
    }

    /// Buffers within `TCP_WINDOW_CLAMP`.
    pub fn clamp_window(&self, limits: Limits) -> Limits {
        match self.window_clamp.load(Ordering::Relaxed) as usize {
            0 => limits,
            most => Limits { receive: limits.receive.min(most), receive_max: limits.receive_max.min(most), ..limits },
        }
    }

    /// A segment size within `TCP_MAXSEG`.
    pub fn clamp_segment(&self, size: u16) -> u16 {
        match self.max_segment.load(Ordering::Relaxed) {
            0 => size,
            most => size.min(most as u16),
        }
    }

    /// setsockopt(2) on a socket that is as far as `stage`.
    pub fn set(&self, option: u32, value: &[u8], stage: Stage) -> SysResult<()> {
        let closed = stage == Stage::Closed;
        if option == n::TCP_CONGESTION {
            let name = value.split(|byte| *byte == 0).next().filter(|_| !value.is_empty()).ok_or(Errno::EINVAL)?;
            let name = name.get(..NAME - 1).unwrap_or(name);
            let at = CONGESTION.iter().position(|(known, _)| *known == name).ok_or(Errno::ENOENT)?;
            self.cubic.store(at == 1, Ordering::Relaxed);
            return Ok(());
        }
        if option == n::TCP_ULP {
            // There is no upper layer to be had.
            return Err(if value.is_empty() { Errno::EINVAL } else { Errno::ENOENT });
        }
        if let Some(result) = self.tuning.set(option, value) {
            return result;
        }
        let number = int(value)?;
        if let Some(errno) = without_repair(option, number, stage) {
            return errno;
        }
        let within =
            |low: i32, high: i32| if (low..=high).contains(&number) { Ok(number as u64) } else { Err(Errno::EINVAL) };
        match option {
            n::TCP_NODELAY => self.no_delay.store(number != 0, Ordering::Relaxed),
            n::TCP_CORK => self.cork.store(number != 0, Ordering::Relaxed),
            n::TCP_KEEPIDLE => self.keep_idle.store(within(1, 32767)? * SECOND, Ordering::Relaxed),
            n::TCP_KEEPINTVL => self.keep_interval.store(within(1, 32767)? * SECOND, Ordering::Relaxed),
            n::TCP_KEEPCNT => self.keep_count.store(within(1, 127)? as u32, Ordering::Relaxed),
            n::TCP_SYNCNT => self.syn_count.store(within(1, 127)? as u32, Ordering::Relaxed),
            n::TCP_USER_TIMEOUT => self.user_timeout.store(within(0, i32::MAX)? * MS, Ordering::Relaxed),
            n::TCP_LINGER2 => {
                self.linger2.store(number.clamp(-1, MOST_LINGER2), Ordering::Relaxed);
            }
            n::TCP_DEFER_ACCEPT => self.defer_accept.store(repetitions(number), Ordering::Relaxed),
            n::TCP_MAXSEG => {
                if number != 0 && !(88..=32767).contains(&number) {
                    return Err(Errno::EINVAL);
                }
                self.max_segment.store(number as u32, Ordering::Relaxed);
            }
            n::TCP_QUICKACK => self.quick_ack.store(number != 0, Ordering::Relaxed),
            n::TCP_FASTOPEN if stage == Stage::Connected => return Err(Errno::EINVAL),
            n::TCP_FASTOPEN => {
                let most = sysctl::get(&sysctl::SOMAXCONN).unsigned_abs();
                self.fast_open.store((within(0, i32::MAX)? as u32).min(most), Ordering::Relaxed);
            }
            n::TCP_FASTOPEN_CONNECT if !closed => return Err(Errno::EINVAL),
            n::TCP_THIN_DUPACK => {
                within(0, 1)?;
            }
            n::TCP_INQ => self.inq.store(within(0, 1)? != 0, Ordering::Relaxed),
            option if let Some(at) = HINTS.iter().position(|hint| *hint == option) => {
                let on = within(0, 1)? != 0;
                if option == n::TCP_FASTOPEN_NO_COOKIE && !closed {
                    return Err(Errno::EINVAL);
                }
                self.hints[at].store(on, Ordering::Relaxed);
            }
            n::TCP_WINDOW_CLAMP if number == 0 && !closed => return Err(Errno::EINVAL),
            n::TCP_WINDOW_CLAMP => {
                let clamp = if number == 0 { 0 } else { number.max(MIN_WINDOW) };
                self.window_clamp.store(clamp as u32, Ordering::Relaxed);
            }
            n::TCP_NOTSENT_LOWAT => self.not_sent.store(number as u32, Ordering::Relaxed),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// getsockopt(2), except `TCP_INFO` and the segment size of a connection.
    pub fn get(&self, option: u32) -> SysResult<Vec<u8>> {
        if let Some(value) = self.tuning.get(option) {
            return Ok(value);
        }
        let seconds = |slot: &AtomicU64| (slot.load(Ordering::Relaxed) / SECOND) as i32;
        let count = |slot: &AtomicU32| slot.load(Ordering::Relaxed) as i32;
        let number = match option {
            n::TCP_NODELAY => i32::from(self.no_delay.load(Ordering::Relaxed)),
            n::TCP_CORK => i32::from(self.cork.load(Ordering::Relaxed)),
            n::TCP_KEEPIDLE => seconds(&self.keep_idle),
            n::TCP_KEEPINTVL => seconds(&self.keep_interval),
            n::TCP_KEEPCNT => count(&self.keep_count),
            n::TCP_SYNCNT => count(&self.syn_count),
            n::TCP_USER_TIMEOUT => (self.user_timeout.load(Ordering::Relaxed) / MS) as i32,
            n::TCP_LINGER2 => match self.linger2.load(Ordering::Relaxed) {
                0 => (TIME_WAIT / SECOND) as i32,
                seconds => seconds,
            },
            n::TCP_DEFER_ACCEPT => waited(self.defer_accept.load(Ordering::Relaxed)),
            n::TCP_NOTSENT_LOWAT => count(&self.not_sent),
            n::TCP_MAXSEG => match count(&self.max_segment) {
                0 => 536,
                most => most,
            },
            n::TCP_QUICKACK => i32::from(self.quick_ack.load(Ordering::Relaxed)),
            n::TCP_FASTOPEN => count(&self.fast_open),
            n::TCP_THIN_DUPACK | n::TCP_IS_MPTCP | n::TCP_REPAIR => 0,
            n::TCP_REPAIR_QUEUE | n::TCP_QUEUE_SEQ | n::TCP_REPAIR_WINDOW => return Err(Errno::EINVAL),
            n::TCP_INQ => i32::from(self.inq.load(Ordering::Relaxed)),
            n::TCP_ULP | n::TCP_CC_INFO => return Ok(Vec::new()),
            option if let Some(at) = HINTS.iter().position(|hint| *hint == option) => {
                i32::from(self.hints[at].load(Ordering::Relaxed))
            }
            n::TCP_WINDOW_CLAMP => count(&self.window_clamp),
            n::TCP_CONGESTION => {
                let mut name = CONGESTION[usize::from(self.cubic.load(Ordering::Relaxed))].0.to_vec();
                name.resize(NAME, 0);
                return Ok(name);
            }
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}

/// What options of a connection's repair answer to a socket that is not being repaired, as none can
/// be here; `None` for all others.
fn without_repair(option: u32, number: i32, stage: Stage) -> Option<SysResult<()>> {
    Some(match option {
        n::TCP_REPAIR if stage == Stage::Listening || !capable(CAP_NET_ADMIN) => Err(Errno::EPERM),
        n::TCP_REPAIR if matches!(number, -1 | 0) => Ok(()),
        n::TCP_REPAIR_QUEUE | n::TCP_TIMESTAMP | n::TCP_REPAIR_WINDOW => Err(Errno::EPERM),
        n::TCP_QUEUE_SEQ if stage != Stage::Closed => Err(Errno::EPERM),
        n::TCP_QUEUE_SEQ | n::TCP_REPAIR_OPTIONS => Err(Errno::EINVAL),
        _ => return None,
    })
}

/// The time after so many repetitions, in seconds: the first comes after one, each further one
/// after twice as long.
fn waited(repetitions: u32) -> i32 {
    (0..repetitions).map(|n| (1 << n.min(30)).min(MOST_LINGER2)).sum()
}

/// How many repetitions there are in so many seconds, at least.
fn repetitions(seconds: i32) -> u32 {
    (0..255).find(|n| waited(*n) >= seconds).unwrap_or(255)
}

/// The number of a state (`TCP_ESTABLISHED` and so on).
pub fn state_number(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Closing => 11,
    }
}

/// `struct tcp_info` (linux/tcp.h), up to `tcpi_rcv_wnd`: what later kernels append is left out, as
/// for a shorter buffer, and what is not counted is 0.
pub fn tcp_info(tcb: &Tcb) -> Vec<u8> {
    /// `TCPI_OPT_SACK`, `TCPI_OPT_WSCALE`.
    const OPTIONS: u8 = 2 | 4;
    let [rtt, variation, window, threshold, mss, retransmits, unacked] = tcb.info();
    let [acknowledged, received, not_sent, send_window, receive_window] = tcb.totals();
    let counts = tcb.counts();
    let (send, receive) = tcb.window_shifts();
    let us = |ns: u64| (ns / 1000) as u32;
    let heard = (clock::monotonic_ns().saturating_sub(tcb.heard_at()) / MS) as u32;
    let threshold = (threshold as u32).min(i32::MAX as u32);
    let mut out = alloc::vec![state_number(tcb.state()), 0, 0, 0, 0, OPTIONS, send | receive << 4, 0];
    let mut words = |list: &[u32]| out.extend(list.iter().flat_map(|word| word.to_ne_bytes()));
    let timeout = us(rtt) + us(variation) * 4;
    // rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets.
    words(&[timeout.max(200_000), 40_000, mss as u32, mss as u32, unacked as u32, 0, 0, 0, 0]);
    // last_data_sent, last_ack_sent, last_data_recv, last_ack_recv, pmtu, rcv_ssthresh, rtt,
    // rttvar.
    words(&[heard, 0, heard, heard, tcb.segment_size() + 40, receive_window as u32, us(rtt), us(variation)]);
    // snd_ssthresh, snd_cwnd, advmss, reordering, rcv_rtt, rcv_space, total_retrans.
    words(&[threshold, window as u32, mss as u32, 3, 0, receive_window as u32, retransmits as u32]);
    let longs = |list: &[u64]| list.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    // pacing_rate, max_pacing_rate, bytes_acked, bytes_received.
    let totals = longs(&[u64::MAX, u64::MAX, acknowledged, received]);
    out.extend_from_slice(&totals);
    let mut words = |list: &[u32]| out.extend(list.iter().flat_map(|word| word.to_ne_bytes()));
    // segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out; delivery_rate,
    // busy_time, rwnd_limited, sndbuf_limited; delivered, delivered_ce; bytes_sent, bytes_retrans;
    // dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd.
    words(&[counts.sent, counts.received, not_sent as u32, us(rtt), counts.data_received, counts.data_sent]);
    words(&[0; 8]);
    words(&[tcb.delivered(), 0]);
    out.extend_from_slice(&longs(&[counts.bytes_sent, counts.bytes_again]));
    let mut words = |list: &[u32]| out.extend(list.iter().flat_map(|word| word.to_ne_bytes()));
    words(&[0, 0, counts.ahead, send_window as u32, receive_window as u32]);
    out
}
