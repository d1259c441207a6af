//! The way to the host tool: the program's input and output, the kernel's messages, signals, and
//! the exit status.
//!
//! With `channel=virtio[:PORT]` on the command line all of it goes as frames over that port of a
//! virtio-console (port 0 if none is named). Without, the serial port is terminal and log in one,
//! and the exit status goes the way of [`poweroff`].

mod flow;
pub mod frame;

use core::sync::atomic::{AtomicBool, Ordering};

use flow::Flow;
use frame::{Control, Outgoing, Parser, Stream};
use syscall_shim::Errno;

use arch::{boot, clock, serial};
use drivers::console;
use platform::ioapic;
use platform::poweroff::poweroff;
use sync::IrqSpinLock;

/// How long polled output may wait for the host, in TSC ticks (some seconds): the clock may not run
/// yet, or not any more.
const HOST_TIMEOUT_NS: u64 = 20_000_000_000;
/// How long it may wait for the console's lock: whoever holds it is not coming back.
const LOCK_TIMEOUT_NS: u64 = 1_000_000_000;

/// What the program's side does with input. All run in interrupt context.
#[derive(Clone, Copy)]
pub struct Handlers {
    /// Bytes of a stream; says how many it took. After less than all, [`resume`] offers the rest
    /// again.
    pub input: fn(Stream, &[u8]) -> usize,
    /// All else from the host.
    pub control: fn(Control),
    /// [`write`] may take bytes again, after it had not taken all.
    pub writable: fn(),
}

/// Why the machine goes off; the numbers are the EXIT frame's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitKind {
    /// The program has ended.
    Ended = 0,
    /// The kernel has panicked.
    Panic = 1,
    /// There was no way to start the program.
    NotStarted = 2,
    /// Memory ran out.
    OutOfMemory = 3,
}

/// What is behind a standard descriptor on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// A terminal.
    Tty,
    /// A pipe or socket: a write is done when the bytes are on their way.
    Pipe,
    /// A file: that its disk is full shows late, at the close at the latest.
    File,
    /// Another device: it answers each write.
    Device,
}

static ACTIVE: AtomicBool = AtomicBool::new(false);
static HANDLERS: IrqSpinLock<Option<Handlers>> = IrqSpinLock::new(None);
/// State of the frame from the host that is coming in. Taken by the console's consumer; the
/// handlers' locks come after it.
static PARSER: IrqSpinLock<Parser> = IrqSpinLock::new(Parser::new());
/// A byte from the serial port that the handler did not take.
/// The output streams: standard output, standard error and the terminal.
static FLOWS: [Flow; 3] = [const { Flow::new() }; 3];
/// Whether the host tells what it has passed on (`flow` on the command line).
static FLOW_CONTROL: AtomicBool = AtomicBool::new(false);
static SERIAL_PENDING: IrqSpinLock<Option<u8>> = IrqSpinLock::new(None);

/// The port of the virtio-console that the command line asks for; `None` when it asks for no such
/// channel.
pub fn console_port() -> Option<u16> {
    let (kind, port) = boot::option("channel").map(|value| value.split_once(':').unwrap_or((value, "0")))?;
    let port = port.parse().ok().filter(|_| kind == "virtio");
    if port.is_none() {
        kwarn!("channel={kind}: expected virtio or virtio:PORT");
    }
    port
}

/// Opens the channel that the command line asks for. The drivers are up.
pub fn init() {
    if console_port().is_some() {
        if console::present() {
            FLOW_CONTROL.store(boot::option("flow").is_some(), Ordering::Release);
            ACTIVE.store(true, Ordering::Release);
            crate::log::set_sink(Some(log));
            return;
        }
        kerr!("channel=virtio, but no virtio-console answers; the serial port serves instead");
    }
    if ioapic::connect(serial::GSI, receive_serial) {
        serial::enable_receive_interrupt();
    }
}

/// Says what becomes of input, and offers what has come so far.
pub fn set_handlers(handlers: Handlers) {
    *HANDLERS.lock() = Some(handlers);
    if active() {
        console::set_hooks(console::Hooks { consume, room: handlers.writable });
    } else {
        receive_serial();
    }
}

/// Whether frames go to the host tool.
pub fn active() -> bool {
    ACTIVE.load(Ordering::Acquire)
}

/// What is behind descriptors 0, 1 and 2 on the host: `stdio=XYZ`, of the letters t, p, f and d. A
/// serial port is a terminal.
pub fn stdio() -> [Stdio; 3] {
    let kinds = boot::option("stdio").filter(|_| active()).unwrap_or("ttt").as_bytes();
    [0, 1, 2].map(|fd| match kinds.get(fd) {
        Some(b'p') => Stdio::Pipe,
        Some(b'f') => Stdio::File,
        Some(b'd') => Stdio::Device,
        _ => Stdio::Tty,
    })
}

/// The flow of an output stream, where the host controls it.
fn flow(kind: Outgoing) -> Option<&'static Flow> {
    let index = match kind {
        Outgoing::Stdout => 0,
        Outgoing::Stderr => 1,
        Outgoing::Tty => 2,
        _ => return None,
    };
    FLOWS.get(index).filter(|_| FLOW_CONTROL.load(Ordering::Acquire))
}

/// The host is done with `bytes` of the output stream whose frames are of type `stream`.
pub fn passed_on(stream: u8, bytes: u32, errno: u32) {
    let kind = [Outgoing::Stdout, Outgoing::Stderr, Outgoing::Tty].into_iter().find(|kind| *kind as u8 == stream);
    let Some(flow) = kind.and_then(flow) else { return };
    if errno != 0 {
        flow.failed(errno);
    }
    flow.passed_on(bytes as usize);
}

/// What the next call on an output stream has to answer: the host could not pass bytes on.
pub fn take_error(kind: Outgoing) -> Option<Errno> {
    let errno = flow(kind)?.take_error()?;
    // Numbers above are the kernel's own.
    Some(u16::try_from(errno).ok().filter(|errno| *errno < 512).map_or(Errno::EIO, Errno))
}

/// Whether nobody reads an output stream any more.
pub fn is_broken(kind: Outgoing) -> bool {
    flow(kind).is_some_and(Flow::is_broken)
}

/// Tells, whenever it is called, whether the host is done with all of an output stream that was
/// sent by now.
pub fn passed_on_by_now(kind: Outgoing) -> impl Fn() -> bool {
    let mark = flow(kind).map(|flow| (flow, flow.sent()));
    move || mark.is_none_or(|(flow, sent)| flow.has_passed(sent))
}

/// Sends bytes, as many as there is room for; says how many. After less than all, the `writable`
/// handler is called when there is room again.
pub fn write(kind: Outgoing, bytes: &[u8]) -> usize {
    if !active() {
        serial::write(bytes);
        return bytes.len();
    }
    let flow = flow(kind);
    let room = flow.map_or(bytes.len(), |flow| flow.reserve(bytes.len()));
    let allowed = bytes.get(..room).unwrap_or(bytes);
    let mut sent = 0;
    console::transmit(&mut |buffer| fill(kind, allowed, &mut sent, buffer));
    if let Some(flow) = flow.filter(|_| sent < room) {
        flow.return_credit(room - sent);
    }
    sent
}

/// Puts a frame with the next bytes after `sent` into `buffer`; says how long it is.
fn fill(kind: Outgoing, bytes: &[u8], sent: &mut usize, buffer: &mut [u8]) -> usize {
    let rest = bytes.get(*sent..).unwrap_or(&[]);
    let Some((header, room)) = buffer.split_at_mut_checked(frame::HEADER_SIZE) else { return 0 };
    let len = rest.len().min(room.len());
    if len == 0 {
        return 0;
    }
    header.copy_from_slice(&frame::header(kind, len));
    room[..len].copy_from_slice(&rest[..len]);
    *sent += len;
    frame::HEADER_SIZE + len
}

/// Sends all of `bytes`, polling for room, or gives up when the host takes nothing for too long.
/// For what must go out from anywhere, with no task to put to sleep. False when not all went out.
pub fn write_all(kind: Outgoing, bytes: &[u8]) -> bool {
    let mut sent = 0;
    poll(|| {
        let free = console::try_transmit(&mut |buffer| fill(kind, bytes, &mut sent, buffer));
        free.map(|_| sent == bytes.len())
    })
}

/// Polls until `done` says true; false when it takes too long. `None` means that a lock was taken.
fn poll(mut done: impl FnMut() -> Option<bool>) -> bool {
    let start = clock::tsc();
    let mut answered = start;
    loop {
        let now = clock::tsc();
        match done() {
            Some(true) => return true,
            Some(false) => answered = now,
            None if now.saturating_sub(answered) > LOCK_TIMEOUT_NS => return false,
            None => {}
        }
        if now.saturating_sub(start) > HOST_TIMEOUT_NS {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// The log's way out.
fn log(message: &[u8]) {
    if !write_all(Outgoing::Log, message) {
        serial::write(message);
    }
}

/// Offers input again that a handler had not taken. The caller holds no lock that the handlers
/// take.
pub fn resume() {
    if active() { console::resume() } else { receive_serial() }
}

/// Takes bytes of frames from the console.
fn consume(bytes: &[u8]) -> usize {
    let Some(handlers) = *HANDLERS.lock() else { return 0 };
    PARSER.lock().feed(bytes, handlers.input, handlers.control)
}

/// Takes what is typed at the serial port.
fn receive_serial() {
    let Some(handlers) = *HANDLERS.lock() else { return };
    let mut pending = SERIAL_PENDING.lock();
    while let Some(byte) = pending.take().or_else(serial::read_byte) {
        if (handlers.input)(Stream::Tty, &[byte]) == 0 {
            *pending = Some(byte);
            return;
        }
    }
}

/// Tells the host how it ended, and powers the machine off.
pub fn exit(status: i32, kind: ExitKind) -> ! {
    if active() {
        let mut payload = [0; 6];
        payload[..4].copy_from_slice(&status.to_le_bytes());
        payload[4] = kind as u8;
        // Of which streams the program knows that something was not passed on; of the others, the
        // host tells its user.
        payload[5] = (0..).zip(&FLOWS).map(|(n, flow)| u8::from(flow.error_reported()) << n).sum();
        if write_all(Outgoing::Exit, &payload) {
            poll(console::try_drained);
        }
    }
    poweroff(status as u8)
}
