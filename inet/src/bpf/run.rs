//! What a program makes of a packet.

use super::{ANCILLARY, Instruction, LINK, MEMORY, NETWORK, RET_A, TXA, X, ancillary, class, mode, op, size};

/// The bytes of a packet, which may lie in two places, and where its headers begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// From the first header that is there on.
    pub head: &'a [u8],
    /// What follows.
    pub tail: &'a [u8],
    /// Where the program's offsets count from.
    pub start: usize,
    /// Where the network header is.
    pub network: usize,
    /// Where the link's header is.
    pub link: usize,
}

impl View<'_> {
    /// Bytes from the program's first offset on.
    pub fn len(&self) -> usize {
        (self.head.len() + self.tail.len()).saturating_sub(self.start)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.head.get(at).or_else(|| self.tail.get(at.checked_sub(self.head.len())?)).copied()
    }

    /// A number of `n` bytes, the first one first.
    fn number(&self, at: usize, n: usize) -> Option<u32> {
        let mut value = 0;
        for offset in 0..n {
            value = value << 8 | u32::from(self.byte(at.checked_add(offset)?)?);
        }
        Some(value)
    }

    /// Where the offset of an instruction is.
    fn position(&self, offset: i32) -> Option<usize> {
        let from = |base: usize, zero: i32| base.checked_add(usize::try_from(offset.checked_sub(zero)?).ok()?);
        match offset {
            0.. => from(self.start, 0),
            NETWORK..0 => from(self.network, NETWORK),
            LINK..NETWORK => from(self.link, LINK),
            _ => None,
        }
    }

    fn load(&self, offset: i32, width: u16) -> Option<u32> {
        let n = match width {
            size::B => 1,
            size::H => 2,
            _ => 4,
        };
        self.number(self.position(offset)?, n)
    }
}

/// A packet, and what is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packet<'a> {
    /// Its bytes.
    pub view: View<'a>,
    /// `ETH_P_*`.
    pub protocol: u16,
    /// `PACKET_HOST` and so on.
    pub kind: u8,
    /// The index of the interface; 0 for none.
    pub interface: u32,
    /// `ARPHRD_*` of the interface.
    pub hardware: u16,
    /// `SO_MARK` of who sent it.
    pub mark: u32,
    /// The processor that works at it.
    pub cpu: u32,
    /// A random number.
    pub random: u32,
}

/// Registers.
struct Machine {
    a: u32,
    x: u32,
    memory: [u32; MEMORY],
}

/// Runs a checked program.
pub fn run(program: &[Instruction], packet: &Packet<'_>) -> u32 {
    let mut machine = Machine { a: 0, x: 0, memory: [0; MEMORY] };
    let mut at = 0usize;
    while let Some(instruction) = program.get(at) {
        at += 1;
        if instruction.code & 7 == class::RET {
            return if instruction.code & !7 == RET_A { machine.a } else { instruction.k };
        }
        match machine.step(instruction, packet) {
            Some(skipped) => at += skipped,
            None => return 0,
        }
    }
    0
}

impl Machine {
    /// One instruction that does not return: how many are left out behind it, or `None` if the
    /// packet is to be dropped.
    fn step(&mut self, instruction: &Instruction, packet: &Packet<'_>) -> Option<usize> {
        let (code, k) = (instruction.code, instruction.k);
        let word = self.memory.get_mut(k as usize);
        match code & 7 {
            class::LD => self.a = self.loaded(code, k, packet)?,
            class::LDX => {
                self.x = match code & 0xe0 {
                    mode::IMM => k,
                    mode::MEM => word.copied()?,
                    mode::LEN => packet.view.len() as u32,
                    _ => (packet.view.load(k as i32, size::B)? & 15) * 4,
                }
            }
            class::ST => *word? = self.a,
            class::STX => *word? = self.x,
            class::ALU => self.a = self.computed(code, k)?,
            class::JMP if code & !7 == op::JA => return Some(k as usize),
            class::JMP => {
                let with = if code & X != 0 { self.x } else { k };
                let holds = match code & 0xf0 {
                    op::JEQ => self.a == with,
                    op::JGT => self.a > with,
                    op::JGE => self.a >= with,
                    _ => self.a & with != 0,
                };
                return Some(usize::from(if holds { instruction.jt } else { instruction.jf }));
            }
            _ if code & !7 == TXA => self.a = self.x,
            _ => self.x = self.a,
        }
        Some(0)
    }

    fn loaded(&self, code: u16, k: u32, packet: &Packet<'_>) -> Option<u32> {
        match code & 0xe0 {
            mode::IMM => Some(k),
            mode::MEM => self.memory.get(k as usize).copied(),
            mode::LEN => Some(packet.view.len() as u32),
            mode::ABS if (ANCILLARY..0).contains(&(k as i32)) => self.known(k.wrapping_sub(ANCILLARY as u32), packet),
            mode::ABS => packet.view.load(k as i32, code & 0x18),
            _ => packet.view.load(self.x.wrapping_add(k) as i32, code & 0x18),
        }
    }

    fn computed(&self, code: u16, k: u32) -> Option<u32> {
        let (a, with) = (self.a, if code & X != 0 { self.x } else { k });
        Some(match code & 0xf0 {
            op::ADD => a.wrapping_add(with),
            op::SUB => a.wrapping_sub(with),
            op::MUL => a.wrapping_mul(with),
            op::DIV => a.checked_div(with)?,
            op::MOD => a.checked_rem(with)?,
            op::OR => a | with,
            op::AND => a & with,
            op::XOR => a ^ with,
            op::LSH => a.wrapping_shl(with),
            op::RSH => a.wrapping_shr(with),
            _ => a.wrapping_neg(),
        })
    }

    /// What the kernel knows of a packet beyond its bytes.
    fn known(&self, what: u32, packet: &Packet<'_>) -> Option<u32> {
        Some(match what {
            ancillary::PROTOCOL => packet.protocol.into(),
            ancillary::PKTTYPE => packet.kind.into(),
            ancillary::IFINDEX if packet.interface == 0 => return None,
            ancillary::IFINDEX => packet.interface,
            ancillary::HATYPE if packet.interface == 0 => return None,
            ancillary::HATYPE => packet.hardware.into(),
            ancillary::NLATTR => find_attribute(&packet.view, self.a as usize, usize::MAX, self.x),
            ancillary::NLATTR_NEST => find_nested(&packet.view, self.a as usize, self.x),
            ancillary::MARK => packet.mark,
            ancillary::CPU => packet.cpu,
            ancillary::ALU_XOR_X => self.a ^ self.x,
            ancillary::PAY_OFFSET => payload_offset(packet).unwrap_or(0),
            ancillary::RANDOM => packet.random,
            // There is one queue, nothing is hashed, and tags stay in the frame.
            ancillary::QUEUE | ancillary::RXHASH => 0,
            ancillary::VLAN_TAG | ancillary::VLAN_TAG_PRESENT | ancillary::VLAN_TPID => 0,
            _ => return None,
        })
    }
}

/// Length and type of a netlink attribute, in the host's order.
fn attribute(view: &View<'_>, at: usize) -> Option<(usize, u32)> {
    let half = |at: usize| view.number(view.start.checked_add(at)?, 2).map(|n| u32::from((n as u16).to_be()));
    Some((half(at)? as usize, half(at.checked_add(2)?)?))
}

/// The offset of the attribute of a type, among those from `at` on; 0 if there is none.
fn find_attribute(view: &View<'_>, at: usize, len: usize, kind: u32) -> u32 {
    let end = at.saturating_add(len).min(view.len());
    let mut at = at;
    while let Some((len, this)) = attribute(view, at).filter(|(len, _)| *len >= 4 && *len <= end.saturating_sub(at)) {
        // Two bits of the type are flags.
        if this & 0x3fff == kind {
            return at as u32;
        }
        at += len.next_multiple_of(4);
    }
    0
}

/// The same, among the attributes within the one at `at`.
fn find_nested(view: &View<'_>, at: usize, kind: u32) -> u32 {
    match attribute(view, at) {
        Some((len, _)) if len >= 4 && len <= view.len().saturating_sub(at) => find_attribute(view, at + 4, len - 4, kind),
        _ => 0,
    }
}

/// Where the payload begins behind the headers of TCP, UDP, ICMP or what else there is, from the
/// network header on.
fn payload_offset(packet: &Packet<'_>) -> Option<u32> {
    let (view, at) = (&packet.view, packet.view.network);
    let (protocol, transport) = match packet.protocol {
        0x0800 => (view.byte(at + 9)?, (usize::from(view.byte(at)?) & 15) * 4),
        0x86dd => (view.byte(at + 6)?, 40),
        _ => return None,
    };
    let header = match protocol {
        6 => usize::from(view.byte(at + transport + 12)? >> 4) * 4,
        17 | 136 | 1 | 58 => 8,
        _ => 0,
    };
    Some((transport + header) as u32)
}
