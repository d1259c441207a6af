//! Signal numbers, sets and default actions (signal(7)).

use core::fmt;

/// A signal's number, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// What happens where a program has no handler (signal(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultAction {
    /// The process ends.
    Term,
    /// The process ends with a core dump.
    Core,
    /// Nothing.
    Ign,
    /// The process stops.
    Stop,
    /// The process goes on, if stopped.
    Cont,
}

macro_rules! signals {
    ($($name:ident $number:literal $action:ident)*) => {
        #[allow(missing_docs)]
        impl Signal { $(pub const $name: Signal = Signal($number);)* }
        impl Signal {
            /// The symbolic name of a standard signal.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some(stringify!($name)),)* _ => None }
            }

            /// What happens without a handler.
            pub const fn default_action(self) -> DefaultAction {
                match self.0 { $($number => DefaultAction::$action,)* _ => DefaultAction::Term }
            }
        }
    };
}

signals! {
    SIGHUP 1 Term  SIGINT 2 Term  SIGQUIT 3 Core  SIGILL 4 Core  SIGTRAP 5 Core  SIGABRT 6 Core  SIGBUS 7 Core  SIGFPE 8 Core
    SIGKILL 9 Term  SIGUSR1 10 Term  SIGSEGV 11 Core  SIGUSR2 12 Term  SIGPIPE 13 Term  SIGALRM 14 Term  SIGTERM 15 Term
    SIGSTKFLT 16 Term  SIGCHLD 17 Ign  SIGCONT 18 Cont  SIGSTOP 19 Stop  SIGTSTP 20 Stop  SIGTTIN 21 Stop  SIGTTOU 22 Stop
    SIGURG 23 Ign  SIGXCPU 24 Core  SIGXFSZ 25 Core  SIGVTALRM 26 Term  SIGPROF 27 Term  SIGWINCH 28 Ign  SIGIO 29 Term
    SIGPWR 30 Term  SIGSYS 31 Core
}

impl Signal {
    /// The first real-time signal.
    pub const SIGRTMIN: Signal = Signal(32);
    /// The highest signal.
    pub const MAX: u8 = 64;

    /// From a number; `None` outside 1 to 64.
    pub const fn new(number: u32) -> Option<Self> {
        if number >= 1 && number <= 64 { Some(Self(number as u8)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Place in an array of 64: the number less one.
    pub const fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// Whether it queues (32 to 64).
    pub const fn is_realtime(self) -> bool {
        self.0 >= 32
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            // As strace names them: counted from the kernel's SIGRTMIN, 32.
            None if self.0 == 32 => f.write_str("SIGRTMIN"),
            None => write!(f, "SIGRT_{}", self.0 - 32),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kernel's `sigset_t`: bit n-1 stands for signal n.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: SigSet = SigSet(0);
    /// The two that cannot be blocked, caught or ignored.
    pub const UNBLOCKABLE: SigSet = SigSet::of(&[Signal::SIGKILL, Signal::SIGSTOP]);
    /// The signals that a fault raises on the thread that caused it: taken before all others.
    pub const SYNCHRONOUS: SigSet =
        SigSet::of(&[Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGTRAP, Signal::SIGFPE, Signal::SIGSYS]);

    /// The set of these.
    pub const fn of(signals: &[Signal]) -> Self {
        let (mut set, mut i) = (0, 0);
        while i < signals.len() {
            set |= 1 << signals[i].index();
            i += 1;
        }
        SigSet(set)
    }

    /// Whether it holds `signal`.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & 1 << signal.index() != 0
    }

    /// Adds a signal.
    pub const fn insert(&mut self, signal: Signal) {
        self.0 |= 1 << signal.index();
    }

    /// Takes a signal out.
    pub const fn remove(&mut self, signal: Signal) {
        self.0 &= !(1 << signal.index());
    }

    /// Whether it holds none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        SigSet(self.0 | other.0)
    }

    /// Those of `self` that `other` does not hold.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        SigSet(self.0 & !other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        SigSet(self.0 & other.0)
    }

    /// The one that Linux delivers first: synchronous ones before others, then the lowest number.
    pub fn next(self) -> Option<Signal> {
        let synchronous = self.0 & Self::SYNCHRONOUS.0;
        let from = if synchronous != 0 { synchronous } else { self.0 };
        Signal::new(from.trailing_zeros() + 1).filter(|_| from != 0)
    }

    /// From the lowest number up.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        (1..=64).filter_map(Signal::new).filter(move |s| self.contains(*s))
    }
}

impl fmt::Debug for SigSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let mut set = SigSet::of(&[Signal::SIGHUP, Signal::SIGSEGV]);
        assert_eq!(set.next(), Some(Signal::SIGSEGV));
        set.remove(Signal::SIGSEGV);
        assert_eq!(set.next(), Some(Signal::SIGHUP));
        set.remove(Signal::SIGHUP);
        assert_eq!(set.next(), None);
        set.insert(Signal::new(64).unwrap());
        assert_eq!(set.0, 1 << 63);
        assert_eq!(SigSet::UNBLOCKABLE.0, 0x40100);
    }

    #[test]
    fn numbers() {
        assert_eq!(Signal::new(0), None);
        assert_eq!(Signal::new(65), None);
        assert_eq!(Signal::SIGSEGV.default_action(), DefaultAction::Core);
        assert_eq!(Signal::new(40).unwrap().default_action(), DefaultAction::Term);
    }
}
