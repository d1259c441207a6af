//! Frames of the control channel: `u8 type, u8 flags, u16 zero, u32 length` (little-endian), then
//! the payload.

/// Bytes before the payload.
pub const HEADER_SIZE: usize = 8;
/// Longest payload of a frame that is taken as a whole; it is cut there.
const CONTROL_SIZE: usize = 16;

/// Frames from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outgoing {
    /// Standard output, when it is a pipe.
    Stdout = 1,
    /// Standard error, when it is a pipe.
    Stderr = 2,
    /// Output of the terminal.
    Tty = 3,
    /// A message of the kernel.
    Log = 4,
    /// The end: `i32` status, `u8` kind.
    Exit = 5,
    /// A line of system call trace.
    Trace = 6,
    /// Bytes of a core file.
    Core = 7,
    /// Begin, hole or end of a core file.
    CoreMark = 8,
    /// An address space, or code in it.
    Mapped = 9,
    /// What a CPU does.
    Sample = 10,
    /// More of the application's stack in that CPU's last sample.
    SampleStack = 11,
    /// An answer to [`Control::Stats`].
    Stats = 12,
    /// The program has read `u32` bytes of standard input: the host may send as many more.
    Room = 13,
}

/// Types of frames from the host.
mod incoming {
    pub const STDIN: u8 = 0x81;
    pub const STDIN_EOF: u8 = 0x82;
    pub const TTY_INPUT: u8 = 0x83;
    pub const WINSIZE: u8 = 0x84;
    pub const SIGNAL: u8 = 0x85;
    pub const DUMP: u8 = 0x86;
    pub const CORE: u8 = 0x87;
    pub const STATS: u8 = 0x88;
    pub const PASSED_ON: u8 = 0x89;
}

/// The two byte streams from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard input, when it is a pipe.
    Stdin,
    /// What is typed.
    Tty,
}

/// A frame from the host that is taken as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Standard input has ended.
    StdinEof,
    /// The terminal has this size now.
    Winsize {
        /// Rows of characters.
        rows: u16,
        /// Characters in a row.
        columns: u16,
    },
    /// A signal for the first process.
    Signal(u32),
    /// Show the state of every task.
    Dump,
    /// Write a core file of this process.
    Core(i32),
    /// Tell what was counted.
    Stats,
    /// The host is done with bytes of an output stream, which is named by the type of its frames.
    PassedOn {
        /// Its frames' type.
        stream: u8,
        /// How many bytes.
        bytes: u32,
        /// Why some of them could not be passed on: an error number of Linux, or 0.
        errno: u32,
    },
}

/// Header of an outgoing frame.
pub fn header(kind: Outgoing, len: usize) -> [u8; HEADER_SIZE] {
    let mut header = [0; HEADER_SIZE];
    header[0] = kind as u8;
    header[4..].copy_from_slice(&(len as u32).to_le_bytes());
    header
}

/// Takes the host's bytes apart, as they come.
#[derive(Debug)]
pub struct Parser {
    header: [u8; HEADER_SIZE],
    header_len: usize,
    /// Bytes of the payload still to come; meaningful when the header is whole.
    rest: usize,
    control: [u8; CONTROL_SIZE],
    control_len: usize,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// At the start of a frame.
    pub const fn new() -> Self {
        Self { header: [0; HEADER_SIZE], header_len: 0, rest: 0, control: [0; CONTROL_SIZE], control_len: 0 }
    }

    /// Parses `bytes`. `stream` is offered the bytes of a stream and says how many it takes;
    /// parsing stops where it takes less. `control` gets each other frame. Returns how many bytes
    /// were used up; the rest is to be fed again.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut stream: impl FnMut(Stream, &[u8]) -> usize,
        mut control: impl FnMut(Control),
    ) -> usize {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.header_len < HEADER_SIZE {
                self.header[self.header_len] = byte;
                self.header_len += 1;
                rest = after;
                if self.header_len == HEADER_SIZE {
                    let [_, _, _, _, len @ ..] = self.header;
                    self.rest = u32::from_le_bytes(len) as usize;
                    self.control_len = 0;
                    self.finish(&mut control);
                }
                continue;
            }
            let (payload, _) = rest.split_at(self.rest.min(rest.len()));
            let taken = match self.header[0] {
                incoming::STDIN => stream(Stream::Stdin, payload).min(payload.len()),
                incoming::TTY_INPUT => stream(Stream::Tty, payload).min(payload.len()),
                _ => self.collect(payload),
            };
            self.rest -= taken;
            rest = &rest[taken..];
            if taken < payload.len() {
                break;
            }
            self.finish(&mut control);
        }
        bytes.len() - rest.len()
    }

    /// Keeps the start of a control frame's payload, and uses up all of it.
    fn collect(&mut self, payload: &[u8]) -> usize {
        let room = &mut self.control[self.control_len..];
        let kept = payload.len().min(room.len());
        room[..kept].copy_from_slice(&payload[..kept]);
        self.control_len += kept;
        payload.len()
    }

    /// Ends the frame if its payload is whole. Frames of unknown type, or too short for theirs, are
    /// passed over.
    fn finish(&mut self, control: &mut impl FnMut(Control)) {
        if self.rest != 0 {
            return;
        }
        self.header_len = 0;
        let payload = &self.control[..self.control_len];
        let frame = match (self.header[0], payload) {
            (incoming::STDIN_EOF, _) => Control::StdinEof,
            (incoming::WINSIZE, &[r0, r1, c0, c1, ..]) => {
                Control::Winsize { rows: u16::from_le_bytes([r0, r1]), columns: u16::from_le_bytes([c0, c1]) }
            }
            (incoming::SIGNAL, &[a, b, c, d, ..]) => Control::Signal(u32::from_le_bytes([a, b, c, d])),
            (incoming::DUMP, _) => Control::Dump,
            (incoming::STATS, _) => Control::Stats,
            (incoming::CORE, &[a, b, c, d, ..]) => Control::Core(i32::from_le_bytes([a, b, c, d])),
            (incoming::PASSED_ON, &[stream, a, b, c, d, e, f, g, h, ..]) => Control::PassedOn {
                stream,
                bytes: u32::from_le_bytes([a, b, c, d]),
                errno: u32::from_le_bytes([e, f, g, h]),
            },
            _ => return,
        };
        control(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    /// Feeds `bytes` in pieces of `piece`, each piece until it is used up, with a stream that takes
    /// `bite` at a time.
    fn run(bytes: &[u8], piece: usize, bite: usize) -> (Vec<u8>, Vec<u8>, Vec<Control>) {
        let (mut stdin, mut tty, mut controls) = (Vec::new(), Vec::new(), Vec::new());
        let mut parser = Parser::new();
        for mut part in bytes.chunks(piece) {
            while !part.is_empty() {
                let used = parser.feed(
                    part,
                    |stream, bytes| {
                        let taken = bytes.len().min(bite);
                        let target = if stream == Stream::Stdin { &mut stdin } else { &mut tty };
                        target.extend(&bytes[..taken]);
                        taken
                    },
                    |control| controls.push(control),
                );
                assert_ne!(used, 0);
                part = &part[used..];
            }
        }
        (stdin, tty, controls)
    }

    #[test]
    fn frames_come_apart_however_they_are_cut() {
        let bytes = [
            frame(incoming::WINSIZE, &[24, 0, 80, 0]),
            frame(incoming::STDIN, b"hello, "),
            frame(0xee, &[0; 40]),
            frame(incoming::STDIN, b""),
            frame(incoming::TTY_INPUT, b"typed"),
            frame(incoming::STDIN, b"world"),
            frame(incoming::SIGNAL, &15u32.to_le_bytes()),
            frame(incoming::STDIN_EOF, b""),
            frame(incoming::DUMP, b""),
            frame(incoming::PASSED_ON, &[1, 2, 1, 0, 0, 28, 0, 0, 0]),
        ]
        .concat();
        for piece in 1..=bytes.len() {
            for bite in 1..8 {
                let (stdin, tty, controls) = run(&bytes, piece, bite);
                assert_eq!(stdin, b"hello, world");
                assert_eq!(tty, b"typed");
                let expected = [
                    Control::Winsize { rows: 24, columns: 80 },
                    Control::Signal(15),
                    Control::StdinEof,
                    Control::Dump,
                    Control::PassedOn { stream: 1, bytes: 258, errno: 28 },
                ];
                assert_eq!(controls, expected);
            }
        }
    }

    #[test]
    fn short_control_frames_are_passed_over() {
        let bytes = [frame(incoming::WINSIZE, &[1]), frame(incoming::SIGNAL, &[]), frame(incoming::DUMP, &[9; 99])].concat();
        assert_eq!(run(&bytes, 5, 1).2, [Control::Dump]);
    }

    #[test]
    fn a_header_is_little_endian() {
        assert_eq!(header(Outgoing::Exit, 0x0102), [5, 0, 0, 0, 2, 1, 0, 0]);
    }
}
