//! `readme`: every command of README.md, run as it stands there, in a folder that has what a user
//! of it would have.

#![forbid(unsafe_code)]

use compat_tests::lab::{is_wanted, told};
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a command does.
enum Does {
    /// It ends by itself with this status, having said this.
    Ends(i32, &'static str),
    /// It says this, and goes on until it is interrupted.
    Serves(&'static str),
    /// It goes on, and says nothing.
    GoesOn,
    /// It is not run here: why.
    Skipped(&'static str),
}
use Does::{Ends, GoesOn, Serves, Skipped};

/// The commands in their order, and a port that they need.
const COMMANDS: &[(&str, Does, u16)] = &[
    ("scripts/run sqlite3", Ends(0, ""), 0),
    ("scripts/test", Skipped("it runs this"), 0),
    ("scripts/run python3 --add job.py -- job.py --fast", Ends(0, "job: --fast"), 0),
    ("scripts/run /usr/bin/env -- A=1", Ends(0, "A=1"), 0),
    ("scripts/run ./a.out --memory 512M --cpus 2", Ends(139, "a.out runs"), 0),
    ("echo 'select 1+1;' | scripts/run sqlite3", Ends(0, "2"), 0),
    ("scripts/run busybox --trace=openat,read -- cat /etc/passwd", Ends(0, "openat("), 0),
    ("scripts/run nginx", Serves("http://"), 0),
    ("scripts/run ./database --disk data.img --size 1G", Ends(0, "1024 MiB, '', 'row 1'"), 0),
    ("scripts/run sqlite3 --volume shop.img:/data --size 1G -- /data/shop.db 'create table sales(sum);'", Ends(0, ""), 0),
    ("target/debug/skiff volume cp shop.img:/shop.db .", Ends(0, ""), 0),
    ("scripts/run sqlite3 --root-disk sql.img --size 256M -- /root/shop.db 'create table sales(sum);'", Ends(0, ""), 0),
    ("target/debug/mkimage redis-server --disk 1G -o redis.img", Ends(0, "wrote redis.disk"), 0),
    ("scripts/run sqlite3 --overlay=changes.img --size 256M -- /root/shop.db 'create table sales(sum);'", Ends(0, ""), 0),
    ("scripts/run ./server --publish 8080:80", Serves("server runs"), 8080),
    ("scripts/run nginx --tap tap0 --ip 10.0.0.2/24", Skipped("it needs a tap of the host, which network/*.sh make"), 0),
    ("scripts/run redis -d", Ends(0, "redis"), 0),
    ("target/debug/skiff core", Ends(0, "core"), 0),
    ("target/debug/skiff top", Serves("PID"), 0),
    ("scripts/run --help", Ends(0, "Usage:"), 0),
    ("target/debug/skiff test", Skipped("it is a step of scripts/test"), 0),
    ("target/debug/mkimage nginx --rootfs ./root -o nginx.img -- -g 'daemon off;'", Ends(0, "wrote nginx.img"), 0),
    ("target/debug/skiff run nginx.img", GoesOn, 0),
    (
        "qemu-system-x86_64 -M microvm -cpu max -m 256 -nodefaults -display none -no-reboot -serial stdio -kernel nginx.img",
        GoesOn,
        0,
    ),
    ("scripts/run ./a.out --core", Ends(139, "core file written"), 0),
    ("scripts/run ./a.out --trace=openat,read", Ends(139, "SIGSEGV"), 0),
    ("scripts/run ./a.out --latency --metrics 9100", Ends(139, "metrics at"), 9100),
    ("target/debug/skiff profile redis-server -o x.svg", Serves("Ready to accept"), 0),
    (
        "target/debug/skiff gdb nginx --ex 'break ngx_http_process_request' --ex continue",
        Skipped("target/debug/debugging does it, with a client"),
        0,
    ),
];
/// What README says of a machine in the background, tried after all others.
const AFTER: [&str; 4] = [
    "target/debug/skiff ps",
    "target/debug/skiff logs redis",
    "target/debug/skiff stop redis",
    "target/debug/skiff rm redis",
];

const PATIENCE: Duration = Duration::from_secs(90);
/// How long a command without words must go on.
const WHILE: Duration = Duration::from_secs(4);

const CRASHES: &str =
    "#include <stdio.h>\nint main(void) { puts(\"a.out runs\"); fflush(stdout); *(volatile int *)8 = 1; }\n";
/// Tells what is on a new disk, and what was written to it.
const DATABASE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    char before[512], after[512], written[512] = "row 1";
    int disk = open("/dev/vda", O_RDWR);
    long size = lseek(disk, 0, SEEK_END);
    if (pread(disk, before, 512, 4096) != 512 || pwrite(disk, written, 512, 4096) != 512 || fsync(disk))
        return 1;
    pread(disk, after, 512, 4096);
    printf("%ld MiB, '%s', '%s'\n", size >> 20, before, after);
    return 0;
}
"#;
const SERVER: &str = "#include <stdio.h>\n#include <arpa/inet.h>\n#include <unistd.h>\nint main(void) {\n\
    struct sockaddr_in at = {AF_INET, htons(80)};\n  int s = socket(AF_INET, SOCK_STREAM, 0);\n\
    if (bind(s, (void *)&at, sizeof at) || listen(s, 8)) return 1;\n  puts(\"server runs\"); fflush(stdout);\n\
    for (;;) close(accept(s, 0, 0));\n}\n";
const NGINX: &str = "events {}\nhttp { access_log off; server { listen 80; } }\n";

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).collect();
    match run(&filters) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("readme: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(filters: &[String]) -> Result<bool, String> {
    let checkout = mkimage::checkout().ok_or("not in a Skiff checkout")?;
    let readme = fs::read_to_string(checkout.join("README.md")).map_err(|e| e.to_string())?;
    let dir = prepare(&checkout).map_err(|e| e.to_string())?;
    let mut good = true;
    for command in commands(&readme) {
        if !COMMANDS.iter().any(|(known, ..)| *known == command) {
            println!("FAIL {command}: README.md has it, and this test does not know it");
            good = false;
        }
    }
    for (command, does, port) in COMMANDS {
        if !commands(&readme).any(|line| line == *command) {
            println!("FAIL {command}: README.md does not have it any more");
            good = false;
        } else if let Skipped(why) = does {
            println!("skip {command}: {why}");
        } else if *port != 0 && TcpListener::bind(("127.0.0.1", *port)).is_err() {
            println!("skip {command}: something else of this machine has port {port}");
        } else if is_wanted(command, filters) {
            good &= told(command, check(&dir, command, does));
        }
    }
    for command in AFTER.iter().filter(|_| filters.is_empty()) {
        good &= told(command, check(&dir, command, &Ends(0, "")));
    }
    if filters.is_empty() {
        for made in ["core", "x.svg"] {
            good &= told(made, if dir.join(made).is_file() { Ok(()) } else { Err("it was not made".into()) });
        }
    }
    Ok(good)
}

/// The indented lines, without the comments behind them.
fn commands(readme: &str) -> impl Iterator<Item = &str> {
    let lines = readme.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| line.split(" #").next().unwrap_or(line).trim())
}

/// A folder with what the commands name. `scripts/run` is the checkout's, called by its path, as
/// everything else here.
fn prepare(checkout: &Path) -> std::io::Result<PathBuf> {
    let dir = checkout.join("build/readme");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("scripts"))?;
    std::os::unix::fs::symlink(checkout.join("target"), dir.join("target"))?;
    let script = format!("#!/bin/sh\nexec {}/scripts/run \"$@\"\n", checkout.display());
    fs::write(dir.join("scripts/run"), script)?;
    fs::set_permissions(dir.join("scripts/run"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::write(dir.join("job.py"), "import sys\nprint('job:', *sys.argv[1:])\n")?;
    for (name, source) in [("a.out", CRASHES), ("server", SERVER), ("database", DATABASE)] {
        fs::write(dir.join("source.c"), source)?;
        Command::new("gcc").args(["-w", "-o"]).arg(dir.join(name)).arg(dir.join("source.c")).status()?;
    }
    for made in ["root/etc/nginx", "root/var/log/nginx", "root/var/lib/nginx", "root/run", "state", "runtime"] {
        fs::create_dir_all(dir.join(made))?;
    }
    fs::write(dir.join("root/etc/nginx/nginx.conf"), NGINX)?;
    fs::set_permissions(dir.join("runtime"), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(dir)
}

fn check(dir: &Path, command: &str, does: &Does) -> Result<(), String> {
    let log = dir.join("log");
    let out = File::create(&log).map_err(|e| e.to_string())?;
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", command]).current_dir(dir).stdin(Stdio::null());
    // Machines of others are no business of `skiff core`.
    shell.env("XDG_STATE_HOME", dir.join("state")).env("XDG_RUNTIME_DIR", dir.join("runtime"));
    shell.stdout(out.try_clone().map_err(|e| e.to_string())?).stderr(out).process_group(0);
    let mut child = shell.spawn().map_err(|e| e.to_string())?;
    let said = || String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    let start = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break Some(status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(-1));
        }
        let enough = match does {
            Serves(words) => said().contains(words),
            GoesOn => start.elapsed() > WHILE,
            Ends(..) | Skipped(_) => false,
        };
        if enough || start.elapsed() > PATIENCE {
            break None;
        }
        thread::sleep(Duration::from_millis(50));
    };
    let result = match (does, ended) {
        (Ends(status, words), Some(ended)) if ended == *status && said().contains(words) => Ok(()),
        (Serves(words), None) if said().contains(words) => Ok(()),
        (GoesOn, None) => Ok(()),
        (_, ended) => Err(format!("ended with {ended:?}, and said:\n{}", said())),
    };
    if ended.is_none() {
        interrupt(&mut child);
    }
    result
}

/// Ctrl-C, and again, and then the end.
fn interrupt(child: &mut Child) {
    for signal in ["-INT", "-INT", "-KILL"] {
        let _ = Command::new("kill").args([signal, "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(8) {
            if child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}
