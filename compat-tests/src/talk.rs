//! Runs a program at a terminal: waits for what it shows, and types. The terminal is one of
//! script(1)'s.

use crate::run::Output;
use skiff::app::Talk;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The type of terminal that programs are told of.
const TERM: &str = "xterm";

/// `command` under script(1), which gives it a terminal. Where the command sets variables, they are
/// its whole environment.
fn at_terminal(command: &Command) -> Command {
    let mut words: Vec<String> = Vec::new();
    if command.get_envs().len() > 0 {
        words.extend(["env".into(), "-i".into(), format!("TERM={TERM}")]);
        let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        words.extend(set.map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy())));
    }
    words.push(command.get_program().to_string_lossy().into_owned());
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    let quoted: Vec<String> = words.iter().map(|w| format!("'{}'", w.replace('\'', "'\\''"))).collect();
    // A shell that stayed would die of the program's Ctrl-C.
    let line = format!("exec {}", quoted.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--flush", "--echo", "always", "--command", &line, "/dev/null"]);
    if let Some(dir) = command.get_current_dir() {
        script.current_dir(dir);
    }
    script.env("TERM", TERM).env("SHELL", "/bin/sh");
    script
}

/// What a program shows, as it comes.
struct Screen {
    shown: Vec<u8>,
    more: Receiver<Vec<u8>>,
    end: Instant,
}

impl Screen {
    /// Takes what comes next; false at the end.
    fn wait(&mut self) -> Result<bool, String> {
        match self.more.recv_timeout(self.end.saturating_duration_since(Instant::now())) {
            Ok(bytes) => {
                self.shown.extend(bytes);
                Ok(true)
            }
            Err(RecvTimeoutError::Disconnected) => Ok(false),
            Err(RecvTimeoutError::Timeout) => Err("time is up".into()),
        }
    }

    /// Waits until `text` stands behind `from`; says where it starts.
    fn wait_for(&mut self, text: &str, from: usize) -> Result<usize, String> {
        loop {
            let found = self.shown[from..].windows(text.len().max(1)).position(|w| w == text.as_bytes());
            if let Some(at) = found {
                return Ok(from + at);
            }
            if !self.wait()? {
                return Err("the program ended".into());
            }
        }
    }
}

/// Runs `command` and types the `send` of each step once its `expect` is shown. The output starts
/// with the first `expect`: before it stand messages of the tools.
pub fn talk(command: &Command, steps: &[Talk], limit: Duration) -> Result<Output, String> {
    let mut script = at_terminal(command);
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = script.spawn().map_err(|e| format!("script: {e}"))?;
    let (sender, more) = mpsc::channel();
    let mut stdout = child.stdout.take().ok_or("no output")?;
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = stdout.read(&mut piece) {
            if sender.send(piece[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    // Held to the end: script(1) types an end of file when it is closed.
    let mut keyboard = child.stdin.take().ok_or("no input")?;
    let mut screen = Screen { shown: Vec::new(), more, end: Instant::now() + limit };
    let mut start = None;
    let mut converse = || -> Result<(), String> {
        let mut from = 0;
        for step in steps {
            let at = screen.wait_for(&step.expect, from).map_err(|why| format!("{why}; waited for {:?}", step.expect))?;
            start.get_or_insert(at);
            from = at + step.expect.len();
            thread::sleep(Duration::from_millis(step.pause));
            keyboard.write_all(step.send.as_bytes()).map_err(|e| format!("typing {:?}: {e}", step.send))?;
        }
        while screen.wait()? {}
        Ok(())
    };
    if let Err(why) = converse() {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("{why}; shown: {:?}", String::from_utf8_lossy(&screen.shown)));
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    let shown = screen.shown.split_off(start.unwrap_or(0));
    Ok(Output {
        stdout: shown,
        stderr: Vec::new(),
        status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
    })
}
