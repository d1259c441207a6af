//! Servers on Skiff and their clients on the host: the script says what is right, by its exit
//! status.

use crate::case::{Case, Client};
use crate::run::drain;
use skiff::fresh;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the machine may take to end once it is asked to.
const GRACE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(20);
/// How much of what was printed a report shows.
const EXCERPT: usize = 2000;

/// A port of the host that nobody has.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

/// Starts the machine, runs the script with `PORT` (and `PORT2` and so on) in its environment, and
/// ends the machine.
pub fn run(case: &Case, client: &Client, mut machine: Command) -> Result<(), String> {
    let published: Vec<String> = machine
        .get_args()
        .filter_map(|arg| Some(arg.to_str()?.strip_prefix("--publish=")?.split_once(':')?.0.to_owned()))
        .collect();
    machine.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = machine.spawn().map_err(|e| format!("{:?}: {e}", machine.get_program()))?;
    let said = [server.stdout.take().map(drain), server.stderr.take().map(drain)];

    let mut script = fresh::command("bash");
    script.arg("-eu").arg(&client.script);
    for (n, port) in published.iter().enumerate() {
        script.env(if n == 0 { "PORT".into() } else { format!("PORT{}", n + 1) }, port);
    }
    let result = run_script(case, client, script);

    let _ = Command::new("kill").arg(server.id().to_string()).status();
    let ended = wait(&mut server, GRACE);
    let text = gather(said);
    let result = match ended {
        // 120 and 121: the kernel panicked, or the machine vanished.
        Some(status @ (120 | 121)) => Err(format!("the machine's exit status is {status}")),
        None => Err("the machine does not end".into()),
        Some(_) => result,
    };
    result.map_err(|e| format!("{e}\n  the machine said: {}", tail(&text)))
}

/// Runs a script that starts the machines by itself, with `SKIFF` in its environment, in a network
/// of its own.
pub fn run_alone(case: &Case, client: &Client, skiff: &Path) -> Result<(), String> {
    let mut script = fresh::command("unshare");
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        script.args(["--user", "--map-root-user"]);
    }
    script.args(["--net", "--", "bash", "-eu"]).arg(&client.script).env("SKIFF", skiff);
    run_script(case, client, script)
}

fn run_script(case: &Case, client: &Client, mut script: Command) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    script.current_dir(dir.path()).env("HERE", client.script.parent().unwrap_or(&client.script));
    script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = script.spawn().map_err(|e| format!("{:?}: {e}", script.get_program()))?;
    let output = [child.stdout.take().map(drain), child.stderr.take().map(drain)];
    let ended = wait(&mut child, Duration::from_secs(case.timeout));
    let text = gather(output);
    match ended {
        Some(0) => Ok(()),
        Some(status) => Err(format!("the script's exit status is {status}: {}", tail(&text))),
        None => Err(format!("the script has not ended after {} s: {}", case.timeout, tail(&text))),
    }
}

/// The exit status, 128 + N after signal N; `None` and a dead child if it takes longer than that.
fn wait(child: &mut Child, limit: Duration) -> Option<i32> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                use std::os::unix::process::ExitStatusExt;
                return Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
            }
            Ok(None) if start.elapsed() < limit => thread::sleep(STEP),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

fn gather(streams: [Option<thread::JoinHandle<Vec<u8>>>; 2]) -> Vec<u8> {
    streams.into_iter().flatten().filter_map(|stream| stream.join().ok()).flatten().collect()
}

fn tail(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[text.len().saturating_sub(EXCERPT)..]).trim().to_owned()
}
