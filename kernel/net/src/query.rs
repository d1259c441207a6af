//! What a way is looked for: all that rules and routes choose by.

use core::net::IpAddr;

/// The index of the loopback interface, through which our own packets come in.
const LOOPBACK: u32 = 1;

/// A question for a way.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Where to.
    pub destination: IpAddr,
    /// From where, if that is settled.
    pub source: Option<IpAddr>,
    /// Type of service.
    pub tos: u8,
    /// `SO_MARK`.
    pub mark: u32,
    /// Through which interface it comes in, and through which it has to go out (0: any).
    pub incoming: u32,
    /// See `incoming`.
    pub outgoing: u32,
    /// Who sends.
    pub user: u32,
    /// The upper protocol, and its source port and destination port.
    pub protocol: u8,
    /// See `protocol`.
    pub ports: [u16; 2],
}

impl Query {
    /// For a packet of the kernel's own.
    pub fn to(destination: &IpAddr) -> Query {
        Query {
            destination: *destination,
            source: None,
            tos: 0,
            mark: 0,
            incoming: LOOPBACK,
            outgoing: 0,
            user: 0,
            protocol: 0,
            ports: [0; 2],
        }
    }
}
