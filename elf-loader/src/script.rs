//! `#!` lines (`load_script` of Linux; execve(2), "Interpreter scripts").

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

/// How many scripts may follow each other, a script being the interpreter of the next; beyond it is
/// `ELOOP` (`exec_binprm`).
pub const MAX_DEPTH: usize = 5;

/// A script's interpreter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// Path of the interpreter; empty where the file ends before it.
    pub interpreter: Vec<u8>,
    /// The rest of the line as one argument, if there is any.
    pub argument: Option<Vec<u8>>,
}

fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

impl Script {
    /// Parses the window of a file that starts with `#!`, padded with NUL if the file is shorter.
    /// `None` where Linux answers `ENOEXEC`: no interpreter, or one that the window cuts off.
    pub fn parse(window: &[u8]) -> Option<Self> {
        let text = window.strip_prefix(b"#!")?;
        // The text ends where the path should begin, which is an empty path.
        if text.trim_ascii_start_blank().first() == Some(&0) {
            return Some(Self { interpreter: Vec::new(), argument: None });
        }
        let c_string = text.split(|b| *b == 0).next()?;
        let line = match c_string.iter().position(|b| *b == b'\n') {
            Some(end) => c_string.get(..end)?,
            None => {
                // No end of line within the window: the last byte does not count, and the path must
                // have ended.
                let cut = c_string.len() + 2 == window.len();
                let visible = if cut { c_string.get(..c_string.len() - 1)? } else { c_string };
                let path = visible.trim_ascii_start_blank();
                if cut && !path.iter().any(|b| is_blank(*b)) {
                    return None;
                }
                visible
            }
        };
        let line = line.trim_ascii_start_blank();
        let end = line.iter().rposition(|b| !is_blank(*b)).map_or(0, |last| last + 1);
        let line = line.get(..end)?;
        if line.is_empty() {
            return None;
        }
        let split = line.iter().position(|b| is_blank(*b)).unwrap_or(line.len());
        let (interpreter, rest) = line.split_at(split);
        let argument = rest.trim_ascii_start_blank();
        Some(Self { interpreter: interpreter.to_vec(), argument: (!argument.is_empty()).then(|| argument.to_vec()) })
    }

    /// The interpreter's argument list: itself, its argument, the script's path, and the caller's
    /// arguments without the first. Fails where there is no memory for the longer list.
    pub fn argv(&self, script_path: &[u8], mut argv: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, TryReserveError> {
        argv.try_reserve(3)?;
        let replaced = argv.len().min(1);
        let first = [Some(self.interpreter.clone()), self.argument.clone(), Some(script_path.to_vec())];
        argv.splice(..replaced, first.into_iter().flatten());
        Ok(argv)
    }
}

trait TrimBlank {
    fn trim_ascii_start_blank(&self) -> &Self;
}

impl TrimBlank for [u8] {
    fn trim_ascii_start_blank(&self) -> &Self {
        let start = self.iter().position(|b| !is_blank(*b)).unwrap_or(self.len());
        self.get(start..).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn parse(text: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let mut window = [0; crate::HEADER_WINDOW];
        let n = text.len().min(window.len());
        window[..n].copy_from_slice(&text[..n]);
        Script::parse(&window).map(|s| (s.interpreter, s.argument))
    }

    #[test]
    fn usual_lines() {
        assert_eq!(parse(b"#!/bin/sh\n"), Some((b"/bin/sh".to_vec(), None)));
        assert_eq!(parse(b"#! \t/bin/sh -e x \t\necho"), Some((b"/bin/sh".to_vec(), Some(b"-e x".to_vec()))));
        assert_eq!(parse(b"#!/bin/sh"), Some((b"/bin/sh".to_vec(), None)));
        assert_eq!(parse(b"#!/usr/bin/env python3\r\n"), Some((b"/usr/bin/env".to_vec(), Some(b"python3\r".to_vec()))));
    }

    #[test]
    fn lines_without_interpreter() {
        for text in [&b"#!\n"[..], b"#!  \t \n/bin/sh"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        for text in [&b"#!"[..], b"#! \t", b"#!\0/bin/sh\n"] {
            assert_eq!(parse(text), Some((Vec::new(), None)), "{text:?}");
        }
        assert_eq!(parse(&[b"#!", &[b' '; 300][..]].concat()), None);
    }

    #[test]
    fn lines_longer_than_the_window() {
        let long = [b"#!/".as_slice(), &[b'x'; 300]].concat();
        assert_eq!(parse(&long), None);
        let cut = [b"#!/bin/sh ".as_slice(), &[b'y'; 300]].concat();
        assert_eq!(parse(&cut), Some((b"/bin/sh".to_vec(), Some(vec![b'y'; 245]))));
    }

    #[test]
    fn argument_list() {
        let s = Script { interpreter: b"/bin/sh".to_vec(), argument: Some(b"-e".to_vec()) };
        let argv = s.argv(b"./x.sh", vec![b"x".to_vec(), b"1".to_vec()]);
        assert_eq!(argv.unwrap(), [&b"/bin/sh"[..], b"-e", b"./x.sh", b"1"]);
    }
}
