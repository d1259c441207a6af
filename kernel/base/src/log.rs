//! Messages of the kernel: any layer makes them, and whoever has set the [`Output`] keeps and shows
//! them.

use core::fmt::{self, Write as _};

use spin::Once;

/// How grave a message is; the numbers are those of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    Error = 3,
    /// Something is not as it should be, and we go on.
    Warning = 4,
    /// Worth knowing.
    Info = 6,
}

/// Where messages go.
#[derive(Clone, Copy)]
pub struct Output {
    /// Takes a message.
    pub message: fn(Level, fmt::Arguments<'_>),
    /// Writes text at once, past all locks and levels.
    pub emergency: fn(&str),
}

static OUTPUT: Once<Output> = Once::new();

/// Sends all messages to `output`; the first one that is set stays. What came before is lost.
pub fn set_output(output: Output) {
    OUTPUT.call_once(|| output);
}

/// Writes one message. Use the macros.
pub fn write(level: Level, args: fmt::Arguments<'_>) {
    if let Some(output) = OUTPUT.get() {
        (output.message)(level, args);
    }
}

/// The output past all locks and levels as a text sink: for panics and dumps.
pub struct Emergency;

impl fmt::Write for Emergency {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(output) = OUTPUT.get() {
            (output.emergency)(text);
        }
        Ok(())
    }
}

/// Writes a line to [`Emergency`]. Use the macro.
pub fn write_emergency(args: fmt::Arguments<'_>) {
    let _ = Emergency.write_fmt(args);
    let _ = Emergency.write_str("\n");
}

/// Something failed.
#[macro_export]
macro_rules! kerr {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Error, format_args!($($arg)*)) };
}

/// Something is not as it should be.
#[macro_export]
macro_rules! kwarn {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Warning, format_args!($($arg)*)) };
}

/// Worth knowing.
#[macro_export]
macro_rules! kinfo {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Info, format_args!($($arg)*)) };
}

/// Writes to the serial port past locks and levels: for panics and dumps only.
#[macro_export]
macro_rules! emergency {
    ($($arg:tt)*) => { $crate::log::write_emergency(format_args!($($arg)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::sync::Mutex;

    static SEEN: Mutex<String> = Mutex::new(String::new());

    #[test]
    fn messages_go_to_the_first_output() {
        crate::kwarn!("nobody hears this");
        set_output(Output {
            message: |level, args| SEEN.lock().unwrap().push_str(&std::format!("{level:?} {args};")),
            emergency: |text| SEEN.lock().unwrap().push_str(text),
        });
        set_output(Output { message: |_, _| unreachable!(), emergency: |_| unreachable!() });
        crate::kerr!("a {}", 1);
        crate::kinfo!("b");
        crate::emergency!("c{}", 2);
        assert_eq!(SEEN.lock().unwrap().to_string(), "Error a 1;Info b;c2\n");
    }
}
