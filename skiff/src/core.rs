//! Core files that the guest sends.

use crate::frame::CoreMark;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The first process, whose core file has the plain name.
const FIRST_PROCESS: u32 = 1;

/// Puts what comes into files.
#[derive(Debug)]
pub struct Cores {
    /// Where the first process's goes; another's has `.PID` behind it.
    path: PathBuf,
    current: Option<(File, PathBuf)>,
    /// Where the next one of a living process goes.
    asked: Option<PathBuf>,
}

/// What came of a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing to tell.
    Going,
    /// A file is complete.
    Done(PathBuf),
    /// The guest could not write all of it.
    Cut(PathBuf),
    /// There is no such process.
    NoProcess(u32),
}

impl Cores {
    /// Files that are named after `path`.
    pub fn new(path: &Path) -> Self {
        Self { path: path.into(), current: None, asked: None }
    }

    /// The next file of a process that lives on goes to `path`.
    pub fn ask(&mut self, path: &Path) {
        self.asked = Some(path.into());
    }

    /// Bytes.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.current {
            Some((file, _)) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    /// What goes between them.
    pub fn mark(&mut self, mark: &CoreMark) -> io::Result<Progress> {
        match mark {
            CoreMark::Begin { pid, signal, .. } => {
                let asked = if *signal == 0 { self.asked.take() } else { None };
                let path = asked.unwrap_or_else(|| match *pid {
                    FIRST_PROCESS => self.path.clone(),
                    pid => with_pid(&self.path, pid),
                });
                let mut options = File::options();
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let file = options.write(true).create(true).truncate(true).open(&path);
                let file = file.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
                self.current = Some((file, path));
            }
            CoreMark::Hole(bytes) => {
                if let Some((file, _)) = &mut self.current {
                    file.seek(SeekFrom::Current(i64::try_from(*bytes).unwrap_or(i64::MAX)))?;
                }
            }
            CoreMark::NoProcess(pid) => {
                self.asked = None;
                return Ok(Progress::NoProcess(*pid));
            }
            CoreMark::End(whole) => {
                if let Some((mut file, path)) = self.current.take() {
                    // A hole at the end.
                    let end = file.stream_position()?;
                    file.set_len(end)?;
                    return Ok(if *whole { Progress::Done(path) } else { Progress::Cut(path) });
                }
            }
        }
        Ok(Progress::Going)
    }
}

fn with_pid(path: &Path, pid: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{pid}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(pid: u32, signal: u32) -> CoreMark {
        CoreMark::Begin { pid, tid: pid, signal, name: "x".into() }
    }

    #[test]
    fn files_have_holes_and_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core");
        let mut cores = Cores::new(&path);
        assert_eq!(cores.mark(&begin(1, 11)).unwrap(), Progress::Going);
        cores.data(b"head").unwrap();
        cores.mark(&CoreMark::Hole(4)).unwrap();
        cores.data(b"tail").unwrap();
        cores.mark(&CoreMark::Hole(2)).unwrap();
        assert_eq!(cores.mark(&CoreMark::End(true)).unwrap(), Progress::Done(path.clone()));
        assert_eq!(std::fs::read(&path).unwrap(), b"head\0\0\0\0tail\0\0");
        cores.mark(&begin(9, 6)).unwrap();
        assert_eq!(cores.mark(&CoreMark::End(false)).unwrap(), Progress::Cut(dir.path().join("core.9")));
        cores.ask(&dir.path().join("live"));
        cores.mark(&begin(9, 0)).unwrap();
        assert_eq!(cores.mark(&CoreMark::End(true)).unwrap(), Progress::Done(dir.path().join("live")));
    }
}
