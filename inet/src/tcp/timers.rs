//! What time does to a connection.

use super::settings::{Error, State};
use super::tcb::Tcb;
use super::{Instant, SECOND};

/// Tries before an established connection is given up (`net.ipv4.tcp_retries2`), and an orphan
/// (`tcp_orphan_retries`).
const RETRIES: u32 = 15;
const ORPHAN_RETRIES: u32 = 8;
/// The longest time between two probes of a closed window.
const MAX_PROBE_INTERVAL: u64 = 120 * SECOND;

impl Tcb {
    /// When [`Tcb::on_timer`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let t = &self.timers;
        let or_never = |at: Option<Instant>| at.unwrap_or(Instant::MAX);
        let first = or_never(t.resend).min(or_never(t.delayed_ack)).min(or_never(t.cork));
        let first = first.min(or_never(t.keep_alive)).min(or_never(t.end));
        (first != Instant::MAX).then_some(first)
    }

    /// Does what is due. [`Tcb::poll_transmit`] follows.
    pub fn on_timer(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.timers.end) {
            return self.finish(None);
        }
        if due(self.timers.delayed_ack) {
            self.timers.delayed_ack = None;
            self.ack_now = true;
        }
        if due(self.timers.keep_alive) {
            self.on_keep_alive(now);
        }
        if due(self.timers.resend) {
            self.on_resend(now);
        }
        // A cork's moment stays as it is: that it has passed is what lets the segment go.
        if due(self.timers.cork) && self.send.len() <= self.flight() as usize {
            self.timers.cork = None;
        }
    }

    fn on_resend(&mut self, now: Instant) {
        self.timers.resend = None;
        let since = *self.silent_since.get_or_insert(now);
        let limit = match self.state {
            State::SynSent | State::SynReceived => self.settings.syn_retries,
            _ if self.orphan => ORPHAN_RETRIES,
            _ => RETRIES,
        };
        let patience = self.settings.user_timeout;
        if self.tries >= limit || patience > 0 && now.saturating_sub(since) >= patience {
            return self.finish(Some(Error::TimedOut));
        }
        self.tries += 1;
        self.rtt.back_off();
        if self.max == self.una {
            // Nothing on its way: the window is closed.
            self.probe = true;
            self.probe_backoff += 1;
            let interval = self.rtt.timeout(&self.settings) << self.probe_backoff.min(10);
            self.timers.resend = Some(now + interval.min(MAX_PROBE_INTERVAL));
            return;
        }
        if !self.is_connecting() {
            self.congestion.timed_out(self.max - self.una);
        }
        self.duplicates = 0;
        self.resend_first = false;
        self.nxt = self.una;
        if self.window == 0 && !self.is_connecting() {
            self.resend_first = true;
            self.nxt = self.max;
            self.timers.resend = Some(now + self.rtt.timeout(&self.settings));
        }
    }

    pub(super) fn arm_keep_alive(&mut self, now: Instant) {
        self.timers.keep_alive = self.settings.keep_alive.then(|| now + self.settings.keep_idle);
    }

    fn on_keep_alive(&mut self, now: Instant) {
        let settings = self.settings;
        let quiet = now.saturating_sub(self.heard_at);
        if self.max != self.una || quiet < settings.keep_idle {
            // Retransmission watches over data; else the other side was heard meanwhile.
            self.timers.keep_alive = Some(self.heard_at.saturating_add(settings.keep_idle).max(now + SECOND));
            return;
        }
        if self.probes >= settings.keep_count
            || settings.user_timeout > 0 && quiet >= settings.user_timeout && self.probes > 0
        {
            return self.finish(Some(Error::TimedOut));
        }
        self.probes += 1;
        self.probe = true;
        self.timers.keep_alive = Some(now + settings.keep_interval);
    }

    /// [`Tcb::settings`] was changed.
    pub fn settings_changed(&mut self, now: Instant) {
        let open = !self.is_connecting() && !matches!(self.state, State::TimeWait | State::Closed);
        if !self.settings.keep_alive {
            self.timers.keep_alive = None;
        } else if open {
            self.timers.keep_alive = Some(self.heard_at.saturating_add(self.settings.keep_idle).max(now));
        }
        if !self.settings.cork {
            self.timers.cork = None;
        }
        self.congestion.choose(self.settings.congestion);
    }
}
