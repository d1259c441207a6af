//! The standard descriptors of the first process: what they are on the host.

use alloc::sync::Arc;

use fs::OpenFlags;
use fs::namespace::OpenHow;
use syscall_shim::types::Siginfo;
use syscall_shim::{Signal, SysResult};

use super::{console, host_stream};
use fd::{OpenFile, with_fs};
use observe::host_link::frame::{Control, Outgoing, Stream};
use observe::host_link::{self, Handlers, Stdio};
use task::namespace;
use task::signal::send;
use task::{core_dump, current, dump, table};

/// Id of the first process, which gets the host's signals.
const FIRST_PROCESS: i32 = 1;

fn input(stream: Stream, bytes: &[u8]) -> usize {
    match stream {
        Stream::Stdin => host_stream::receive(bytes),
        Stream::Tty => console::receive(bytes),
    }
}

fn control(control: Control) {
    match control {
        Control::StdinEof => host_stream::end_input(),
        Control::Winsize { rows, columns } => {
            if let Some(console) = tty::console() {
                console.set_size(rows, columns);
            }
        }
        Control::Signal(number) => {
            if let (Some(signal), Some(process)) = (Signal::new(number), table::process(FIRST_PROCESS)) {
                // It may have ended by now.
                let _ = send::send_to_process(&process, Siginfo::kernel(signal));
            }
        }
        Control::Dump => dump::all_tasks(),
        Control::Stats => crate::metrics::send(),
        Control::PassedOn { stream, bytes, errno } => {
            host_link::passed_on(stream, bytes, errno);
            writable();
        }
        Control::Core(pid) => {
            if !core_dump::request(pid) {
                core_dump::refuse(pid);
            }
        }
    }
}

fn writable() {
    host_stream::writable();
    if let Some(console) = tty::console() {
        console.writable();
    }
}

fn open_console() -> SysResult<Arc<OpenFile>> {
    let how = OpenHow { flags: OpenFlags::RDWR, ..OpenHow::default() };
    let opened = with_fs(|ctx| namespace().open(ctx, None, b"/dev/console", &how))?;
    super::open::open(opened, OpenFlags::RDWR)
}

/// Opens descriptors 0, 1 and 2 of the first process, and lets input come in.
pub fn open_standard_files() -> SysResult<()> {
    let files = current().files()?;
    let kinds = host_link::stdio();
    // One description for all that are the terminal, as a login gives it.
    let console = if kinds.contains(&Stdio::Tty) { Some(open_console()?) } else { None };
    for (fd, kind) in kinds.into_iter().enumerate() {
        let file = match (kind, &console, fd) {
            (Stdio::Tty, Some(console), _) => console.clone(),
            (_, _, 0) => host_stream::standard_input(),
            (kind, _, 1) => host_stream::standard_output(Outgoing::Stdout, kind),
            (kind, ..) => host_stream::standard_output(Outgoing::Stderr, kind),
        };
        files.insert(file, false)?;
    }
    if let (Some(_), Some(console)) = (console, tty::console()) {
        console.become_controlling();
    }
    host_stream::init();
    host_link::set_handlers(Handlers { input, control, writable });
    Ok(())
}
