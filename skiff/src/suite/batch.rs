//! Batches: one process, natively or as a machine, runs many tests, and marks where each begins and
//! ends. What runs them is `compat-tests/suite/batch.c`; this is the other end of its protocol.

use super::{End, Ran, Test};
use std::collections::BTreeMap;
use std::time::Duration;

/// Marks stand in lines of their own that begin with this.
const MARK: u8 = 1;

/// The list that the batch program reads.
pub fn list(tests: &[Test]) -> String {
    let line = |test: &Test| {
        let dir = test.dir.as_deref().unwrap_or("-");
        format!("{}\t{}\t{dir}\t{}\n", test.id, test.limit.as_secs().max(1), test.command.join("\t"))
    };
    tests.iter().map(line).collect()
}

/// What a batch has told so far.
#[derive(Debug, Default)]
pub struct Transcript {
    /// Tests that ended, in order.
    pub done: Vec<(String, Ran)>,
    /// The test that runs.
    pub open: Option<(String, Ran)>,
    rest: Vec<u8>,
}

impl Transcript {
    /// Takes a piece of output. Returns whether a test began or ended.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        self.rest.extend_from_slice(bytes);
        let mut moved = false;
        let mut start = 0;
        while let Some(len) = self.rest[start..].iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.rest[start..start + len + 1].to_vec();
            start += len + 1;
            match line.strip_prefix(&[MARK]) {
                Some(mark) => moved |= self.mark(&String::from_utf8_lossy(mark)),
                None => self.open.iter_mut().for_each(|(_, ran)| ran.output.extend_from_slice(&line)),
            }
        }
        self.rest.drain(..start);
        moved
    }

    /// The output has ended.
    pub fn finish(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.open.iter_mut().for_each(|(_, ran)| ran.output.extend_from_slice(&rest));
    }

    fn mark(&mut self, mark: &str) -> bool {
        let words: Vec<&str> = mark.split_whitespace().collect();
        match (words.as_slice(), &mut self.open) {
            (["begin", id], _) => {
                self.open = Some(((*id).into(), Ran::not_run()));
                true
            }
            (["calls", _, calls @ ..], Some((_, ran))) => {
                let pairs = calls.iter().filter_map(|pair| pair.split_once('='));
                ran.calls =
                    pairs.filter_map(|(name, n)| Some((name.to_owned(), n.parse().ok()?))).collect::<BTreeMap<_, _>>();
                false
            }
            (["end", id, status, ms], Some((open, _))) if open == id => {
                let Some((id, mut ran)) = self.open.take() else {
                    return false;
                };
                ran.end = status.parse().map_or(End::TimeOut, End::Status);
                ran.time = Duration::from_millis(ms.parse().unwrap_or(0));
                // The line's end that the batch program puts before its mark.
                ran.output.truncate(ran.output.len().saturating_sub(1));
                self.done.push((id, ran));
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_taken_apart() {
        let mut t = Transcript::default();
        assert!(!t.take(b"noise\n\x01beg"));
        assert!(t.take(b"in a\nhello\n\n\x01calls a read=2\n\x01end a 139 7\n\x01begin b\nhalf"));
        t.finish();
        let (id, ran) = &t.done[0];
        assert_eq!((id.as_str(), ran.end, ran.output.as_slice()), ("a", End::Status(139), &b"hello\n"[..]));
        assert_eq!((ran.calls["read"], ran.time), (2, Duration::from_millis(7)));
        assert_eq!(t.open.as_ref().unwrap().1.output, b"half");
    }
}
