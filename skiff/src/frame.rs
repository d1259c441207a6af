//! Frames of the control channel between the kernel and `skiff run`.
//!
//! `u8 type, u8 flags = 0, u16 0, u32 length (little endian), payload` over one virtio console.

use std::io::{self, Read};

const HEADER: usize = 8;
/// More than the kernel ever sends at once; a larger length means that the stream is out of step.
const MAX_PAYLOAD: usize = 1 << 24;

/// What the guest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromGuest {
    /// Bytes for the host's standard output.
    Stdout(Vec<u8>),
    /// Bytes for the host's standard error.
    Stderr(Vec<u8>),
    /// Output of the terminal.
    Tty(Vec<u8>),
    /// A line of the kernel's log.
    Log(Vec<u8>),
    /// Lines of the system-call trace.
    Trace(Vec<u8>),
    /// Bytes of a core file.
    Core(Vec<u8>),
    /// What goes with them.
    CoreMark(CoreMark),
    /// An address space, or code in it.
    Mapped(Vec<u8>),
    /// A sample of the profiler.
    Sample(Vec<u8>),
    /// More of that CPU's last sample.
    SampleStack(Vec<u8>),
    /// A part of what was counted.
    Stats(Vec<u8>),
    /// The program has read so much of standard input: there is room for as much more.
    Room(usize),
    /// The end.
    Exit(Exit),
    /// A frame of a later version.
    Unknown(u8),
}

/// Between the bytes of a core file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreMark {
    /// One begins.
    Begin {
        /// The process.
        pid: u32,
        /// The thread that the signal hit.
        tid: u32,
        /// The signal; 0 for a process that lives on.
        signal: u32,
        /// The thread's name.
        name: String,
    },
    /// That many zero bytes.
    Hole(u64),
    /// The end; whether it is whole.
    End(bool),
    /// There is no such process.
    NoProcess(u32),
}

/// How the guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The program's exit status.
    pub status: i32,
    /// Why.
    pub kind: ExitKind,
    /// A bit for each output stream of which the program knows that something was lost, as
    /// [`crate::outlet::Stream`] has them.
    pub told: u8,
}

/// Why the guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    /// The program ended.
    Program,
    /// The kernel panicked.
    Panic,
    /// The program could not be started.
    NotStarted,
    /// Memory ran out.
    OutOfMemory,
}

/// What the host says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToGuest<'a> {
    /// Bytes of standard input.
    Stdin(&'a [u8]),
    /// Standard input has ended.
    StdinEof,
    /// Bytes typed at the terminal.
    Tty(&'a [u8]),
    /// The terminal's size.
    Winsize {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        cols: u16,
    },
    /// A signal to the first process.
    Signal(u32),
    /// Write a core file of this process.
    Core(u32),
    /// Tell what was counted.
    Stats,
    /// Bytes of an output stream are written, or cannot be.
    PassedOn {
        /// The type of its frames.
        stream: u8,
        /// How many bytes.
        bytes: u32,
        /// An error number of Linux, or 0.
        errno: u32,
    },
}

impl ToGuest<'_> {
    /// The frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, payload): (u8, Vec<u8>) = match self {
            Self::Stdin(bytes) => (0x81, bytes.to_vec()),
            Self::StdinEof => (0x82, Vec::new()),
            Self::Tty(bytes) => (0x83, bytes.to_vec()),
            Self::Winsize { rows, cols } => (0x84, [rows.to_le_bytes(), cols.to_le_bytes()].concat()),
            Self::Signal(number) => (0x85, number.to_le_bytes().to_vec()),
            Self::Stats => (0x88, Vec::new()),
            Self::PassedOn { stream, bytes, errno } => {
                (0x89, [&[*stream][..], &bytes.to_le_bytes(), &errno.to_le_bytes()].concat())
            }
            Self::Core(pid) => (0x87, pid.to_le_bytes().to_vec()),
        };
        let mut frame = vec![kind, 0, 0, 0];
        frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        frame.extend(payload);
        frame
    }
}

/// Reads the next frame; `None` at the end of the stream.
pub fn read(stream: &mut impl Read) -> io::Result<Option<FromGuest>> {
    let mut header = [0; HEADER];
    let mut have = 0;
    while have < HEADER {
        match stream.read(&mut header[have..]) {
            Ok(0) => return Ok(None),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
    if header[1..4] != [0; 3] || len > MAX_PAYLOAD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "control channel out of step"));
    }
    let mut payload = vec![0; len];
    stream.read_exact(&mut payload)?;
    Ok(Some(match header[0] {
        1 => FromGuest::Stdout(payload),
        2 => FromGuest::Stderr(payload),
        3 => FromGuest::Tty(payload),
        4 => FromGuest::Log(payload),
        5 => FromGuest::Exit(exit(&payload)?),
        6 => FromGuest::Trace(payload),
        7 => FromGuest::Core(payload),
        8 => FromGuest::CoreMark(core_mark(&payload)?),
        9 => FromGuest::Mapped(payload),
        10 => FromGuest::Sample(payload),
        11 => FromGuest::SampleStack(payload),
        12 => FromGuest::Stats(payload),
        13 => FromGuest::Room(payload.iter().take(4).rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))),
        other => FromGuest::Unknown(other),
    }))
}

fn core_mark(payload: &[u8]) -> io::Result<CoreMark> {
    let word = |at: usize| payload.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let mark = match payload.first() {
        Some(0) => word(1).zip(word(5)).zip(word(9)).map(|((pid, tid), signal)| CoreMark::Begin {
            pid,
            tid,
            signal,
            name: String::from_utf8_lossy(&payload[13..]).into_owned(),
        }),
        Some(1) => word(1).zip(word(5)).map(|(low, high)| CoreMark::Hole(u64::from(low) | u64::from(high) << 32)),
        Some(2) => payload.get(1).map(|whole| CoreMark::End(*whole != 0)),
        Some(3) => word(1).map(CoreMark::NoProcess),
        _ => None,
    };
    mark.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "core frame cut off"))
}

fn exit(payload: &[u8]) -> io::Result<Exit> {
    let &[a, b, c, d, kind, ref rest @ ..] = payload else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "exit frame cut off"));
    };
    let kind = match kind {
        0 => ExitKind::Program,
        2 => ExitKind::NotStarted,
        3 => ExitKind::OutOfMemory,
        _ => ExitKind::Panic,
    };
    Ok(Exit { status: i32::from_le_bytes([a, b, c, d]), kind, told: rest.first().copied().unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_frames_in_order() {
        let mut stream: &[u8] = b"\x01\0\0\0\x02\0\0\0hi\x05\0\0\0\x05\0\0\0\x07\0\0\0\x02";
        assert_eq!(read(&mut stream).unwrap(), Some(FromGuest::Stdout(b"hi".to_vec())));
        let end = Exit { status: 7, kind: ExitKind::NotStarted, told: 0 };
        assert_eq!(read(&mut stream).unwrap(), Some(FromGuest::Exit(end)));
        assert_eq!(read(&mut stream).unwrap(), None);
    }

    #[test]
    fn a_stream_out_of_step_is_an_error() {
        assert!(read(&mut &b"Booting.........."[..]).is_err());
        assert!(read(&mut &b"\x01\0\0\0\xff\xff\xff\xff"[..]).is_err());
        assert!(read(&mut &b"\x05\0\0\0\x01\0\0\0\x00"[..]).is_err());
    }

    #[test]
    fn host_frames() {
        assert_eq!(ToGuest::Winsize { rows: 24, cols: 80 }.encode(), b"\x84\0\0\0\x04\0\0\0\x18\0\x50\0");
        let passed = ToGuest::PassedOn { stream: 1, bytes: 258, errno: 28 };
        assert_eq!(passed.encode(), b"\x89\0\0\0\x09\0\0\0\x01\x02\x01\0\0\x1c\0\0\0");
        assert_eq!(read(&mut &b"\x0d\0\0\0\x04\0\0\0\0\x40\0\0"[..]).unwrap(), Some(FromGuest::Room(0x4000)));
        assert_eq!(ToGuest::StdinEof.encode(), b"\x82\0\0\0\0\0\0\0");
    }
}
