//! `host`: what `skiff` does with the host's streams, names, folders and options, with real
//! machines.

#![forbid(unsafe_code)]

mod machine;
mod roots;

use crate::machine::{KEEPS, PATIENCE, compile, ends, expect, is_clean, kill, run, spawn, text, volume};
use compat_tests::lab::{self, Check, Lab, output};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::Duration;

const CHECKS: &[Check] = &[
    ("a write error of the host is the program's", write_errors),
    ("a broken pipe ends the program that writes", broken_pipe),
    ("a machine whose output nobody reads ends when it is told to", unread_output),
    ("a machine ends whatever has become of its outputs", broken_outputs),
    ("an interrupt reaches the program past input that it does not read", unread_input),
    ("input and output of megabytes are whole", megabytes),
    ("of three machines of one name one starts", one_name),
    ("options that mean nothing are refused", refused_options),
    ("a damaged image says so on any monitor", damaged_image),
    ("what is on a volume is there for the next machine", volume_kept),
    ("a volume is one machine's, and is clean when it is stopped", volume_in_use),
    ("a volume of a machine that was killed has what was synced", volume_killed),
    ("files are copied into a volume and out of it", volume_copy),
    ("the same files make the same disk, with all that they are", roots::reproducible),
    ("what a program writes to its root on a disk is there when it is started again", roots::kept),
    ("a disk that cannot be the root is refused", roots::wrong_disks),
    ("whichever way a machine ends, its root is unmounted", roots::every_end),
    ("three disks on q35 leave the program its arguments", roots::many_disks),
    ("crash reports are few, and counted", crash_loop),
    ("without a clock the date is the build's", no_clock),
    ("what is typed before the serial port is set up is not lost", early_serial),
    ("a library that was asked for in vain is named", missed_library),
    ("--learn brings what is looked for and listed", learn),
    ("skiff test takes lists, statuses and stored results", suite),
];

/// After this, what was told to end must have.
const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    lab::run("host", CHECKS)
}

fn write_errors(lab: &Lab) -> Result<(), String> {
    let full = || File::options().write(true).open("/dev/full").map_err(|e| e.to_string());
    let out = output(run(lab, "/bin/echo", &[], &["hi"]).stdout(full()?))?;
    let said = text(&out.stderr);
    expect(out.status.code() == Some(1) && said.contains("No space left on device"), (&out.status, &said))?;
    // One that does not look ends well, and its user is told.
    let careless = compile(lab, "careless", "#include <unistd.h>\nint main(void) { write(1, \"x\", 1); _exit(0); }\n")?;
    let out = output(run(lab, &careless, &[], &[]).stdout(full()?))?;
    expect(out.status.code() == Some(0) && out.stderr.is_empty(), (&out.status, text(&out.stderr)))?;
    // To a file with no room behind it (a limit stands for the full disk), an error comes late: at
    // the close. The image is made before.
    output(&mut run(lab, "/bin/cat", &[], &["/dev/null"]))?;
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$@\" > limited";
    let mut shell = Command::new("sh");
    let inner = run(lab, "/bin/cat", &[], &["/dev/zero"]);
    shell.args(["-c", limited, "sh"]).arg(inner.get_program()).args(inner.get_args());
    let out = output(shell.current_dir(&lab.dir).stdin(Stdio::null()).stderr(Stdio::piped()))?;
    let said = text(&out.stderr);
    expect(out.status.code() == Some(1) && said.contains("File too large"), (&out.status, &said))
}

fn broken_pipe(lab: &Lab) -> Result<(), String> {
    let mut child = spawn(&mut run(lab, "/usr/bin/yes", &[], &[]))?;
    let mut line = [0; 2];
    let mut out = child.stdout.take().ok_or("no pipe")?;
    out.read_exact(&mut line).map_err(|e| e.to_string())?;
    drop(out);
    let status = ends(&mut child, PATIENCE)?;
    expect(status == 141, status)
}

/// A machine that has filled the pipe of its standard output.
fn stuck(lab: &Lab, options: &[&str]) -> Result<(Child, std::process::ChildStdout), String> {
    let mut child = spawn(run(lab, "/usr/bin/yes", options, &[]).stderr(Stdio::null()))?;
    let mut out = child.stdout.take().ok_or("no pipe")?;
    out.read_exact(&mut [0; 2]).map_err(|e| e.to_string())?;
    thread::sleep(Duration::from_secs(1));
    Ok((child, out))
}

fn unread_output(lab: &Lab) -> Result<(), String> {
    for (signal, status) in [("-TERM", 143), ("-INT", 130)] {
        let (mut child, _out) = stuck(lab, &[])?;
        kill(&child, signal)?;
        let ended = ends(&mut child, SOON)?;
        expect(ended == status, (signal, ended))?;
    }
    let (mut child, _out) = stuck(lab, &["--timeout", "4"])?;
    let ended = ends(&mut child, SOON)?;
    expect(ended == 124, ended)?;
    // All is there for a reader that comes late.
    let mut child = spawn(&mut run(lab, "/usr/bin/seq", &[], &["30000"]))?;
    thread::sleep(Duration::from_secs(4));
    let mut all = String::new();
    child.stdout.take().ok_or("no pipe")?.read_to_string(&mut all).map_err(|e| e.to_string())?;
    expect(all.lines().count() == 30000 && all.ends_with("30000\n"), all.len())?;
    expect(ends(&mut child, SOON)? == 0, "status")
}

fn broken_outputs(lab: &Lab) -> Result<(), String> {
    // Full, without a reader, closed; and a reader that leaves amid the state that is shown.
    let shapes = [
        "exec \"$@\" >/dev/full 2>/dev/full",
        "{ \"$@\"; echo $? >status; } 2>&1 | true",
        "exec \"$@\" >&- 2>&-",
        "{ \"$@\" 2>&1; echo $? >status; } | grep -q 'dump of all tasks'",
    ];
    let tries: [(&str, &[&str], &[&str], i32); 3] = [
        // Its port is told of.
        ("/bin/sleep", &["--publish", "0:80", "--timeout", "1"], &["1000"], 124),
        ("/bin/false", &["--publish", "0:80"], &[], 1),
        // So is this, by the kernel.
        ("/bin/true", &["--trace"], &[], 0),
    ];
    for shape in shapes {
        for (program, options, arguments, wanted) in tries {
            let inner = run(lab, program, options, arguments);
            let _ = fs::remove_file(lab.dir.join("status"));
            let mut shell = Command::new("sh");
            shell.args(["-c", shape, "sh"]).arg(inner.get_program()).args(inner.get_args());
            let mut child =
                spawn(shell.current_dir(&lab.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
            let ended = ends(&mut child, PATIENCE).map_err(|e| format!("{shape} {program}: {e}"))?;
            let told = fs::read_to_string(lab.dir.join("status")).ok().and_then(|text| text.trim().parse().ok());
            let status = told.unwrap_or(ended);
            expect(status == wanted, (shape, program, status))?;
        }
    }
    // Nobody reads what is asked for.
    let mut shell = Command::new("sh");
    shell.env("XDG_STATE_HOME", lab.dir.join("state"));
    shell.args(["-c", "{ \"$1\" ps; echo $? >status; } | true", "sh"]).arg(&lab.skiff).current_dir(&lab.dir);
    output(&mut shell)?;
    let status = fs::read_to_string(lab.dir.join("status")).map_err(|e| e.to_string())?;
    expect(["0", "141"].contains(&status.trim()), status)
}

fn unread_input(lab: &Lab) -> Result<(), String> {
    let source = "#include <signal.h>\n#include <unistd.h>\nstatic void caught(int s) { _exit(40 + s); }\n\
                  int main(void) { signal(SIGINT, caught); write(1, \"r\", 1); for (;;) pause(); }\n";
    let program = compile(lab, "deaf", source)?;
    let mut child = spawn(run(lab, &program, &[], &[]).stdin(Stdio::piped()))?;
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    let writer = thread::spawn(move || {
        // Ends with the error that nobody reads it.
        while stdin.write_all(&[b'x'; 65536]).is_ok() {}
    });
    child.stdout.as_mut().ok_or("no pipe")?.read_exact(&mut [0]).map_err(|e| e.to_string())?;
    thread::sleep(Duration::from_secs(1));
    kill(&child, "-INT")?;
    let status = ends(&mut child, SOON)?;
    let _ = writer.join();
    expect(status == 42, status)
}

fn megabytes(lab: &Lab) -> Result<(), String> {
    let data: Vec<u8> = (0..3_000_000u32).flat_map(|n| [(n >> 3) as u8]).collect();
    let mut child = spawn(run(lab, "/bin/cat", &[], &[]).stdin(Stdio::piped()))?;
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    let sent = data.clone();
    let writer = thread::spawn(move || stdin.write_all(&sent).is_ok());
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    expect(writer.join().unwrap_or(false) && out.stdout == data && out.status.success(), (out.stdout.len(), out.status))
}

fn one_name(lab: &Lab) -> Result<(), String> {
    let state = lab.dir.join("state");
    let _ = fs::remove_dir_all(&state);
    // What is no machine must not hide those that are.
    fs::create_dir_all(state.join("skiff/machines/a b")).map_err(|e| e.to_string())?;
    let skiff = |arguments: &[&str]| {
        let mut command = Command::new(&lab.skiff);
        command.args(arguments).env("XDG_STATE_HOME", &state).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let start = ["run", "/bin/sleep", "--accel", "tcg", "-d", "--name", "one", "--", "60"];
    let children: Result<Vec<Child>, String> = (0..3).map(|_| spawn(&mut skiff(&start))).collect();
    let outs: Vec<Output> = children?.into_iter().filter_map(|child| child.wait_with_output().ok()).collect();
    let list = text(&output(&mut skiff(&["ps"]))?.stdout);
    let stopped = output(&mut skiff(&["stop", "one"]))?;
    let started = outs.iter().filter(|out| out.status.success()).count();
    expect(started == 1 && stopped.status.success(), (started, text(&stopped.stderr)))?;
    expect(list.lines().count() == 2 && list.contains("running"), list)
}

fn refused_options(lab: &Lab) -> Result<(), String> {
    let tries: [(&[&str], &str); 7] = [
        (&["--volume", "nosuch.img:/x"], "add --size SIZE"),
        (&["--size", "1G"], "--size is for"),
        (&["--ip", "x"], "--ip x"),
        (&["--trace=nosuchcall"], "nosuchcall"),
        (&["--tap", "nosuchtap", "--gateway", "x"], "--gateway x"),
        // The kernel's own answers.
        (&["--append", "ip=10.0.0.1/99"], "ip=10.0.0.1/99"),
        (&["--append", "aslr=perhaps"], "expected on or off"),
    ];
    for (options, says) in tries {
        let out = output(&mut run(lab, "/bin/true", options, &[]))?;
        let said = text(&out.stderr);
        expect(out.status.code() == Some(125) && said.contains(says), (options, out.status, said))?;
    }
    Ok(())
}

fn volume_kept(lab: &Lab) -> Result<(), String> {
    let program = compile(lab, "keeps", KEEPS)?;
    let _ = fs::remove_file(lab.dir.join("kept.img"));
    for (options, says) in [
        (&["--volume=kept.img:/var/lib/keeps", "--size=16M"][..], "1 lines\n"),
        (&["--volume=kept.img:/var/lib/keeps"], "2 lines\n"),
        // Beside a disk, whose name comes first.
        (&["--volume=./kept.img:/var/lib/keeps/", "--disk=kept-disk.img", "--size=1M"], "3 lines\n"),
    ] {
        let out = output(&mut run(lab, &program, options, &[]))?;
        expect(text(&out.stdout) == says, (options, &out.status, text(&out.stderr)))?;
        is_clean(lab, "kept.img")?;
    }
    let mut debugfs = Command::new("debugfs");
    let said = output(debugfs.args(["-R", "cat /log", "kept.img"]).current_dir(&lab.dir))?;
    expect(text(&said.stdout) == "line\n".repeat(3), text(&said.stdout))?;
    // Not written to where that is not wanted.
    let before = fs::read(lab.dir.join("kept.img")).map_err(|e| e.to_string())?;
    let out = output(&mut run(lab, &program, &["--volume=kept.img:/var/lib/keeps:ro"], &[]))?;
    expect(out.status.code() == Some(1), (&out.status, text(&out.stderr)))?;
    expect(fs::read(lab.dir.join("kept.img")).is_ok_and(|after| after == before), "the image has changed")
}

fn volume_in_use(lab: &Lab) -> Result<(), String> {
    let _ = fs::remove_file(lab.dir.join("used.img"));
    let options = ["--volume=used.img:/data", "--size=16M"];
    let shell = "echo kept > /data/file; echo ready; sleep 100 & trap 'exit 3' TERM; wait";
    let mut child = spawn(&mut run(lab, "/bin/busybox", &options, &["sh", "-c", shell]))?;
    let mut ready = [0; 6];
    child.stdout.as_mut().ok_or("no pipe")?.read_exact(&mut ready).map_err(|e| e.to_string())?;
    for arguments in
        [&["rm", "used.img"][..], &["fsck", "used.img"], &["inspect", "used.img"], &["cp", "used.img:/file", "used"]]
    {
        let out = volume(lab, arguments)?;
        let said = text(&out.stderr);
        let named = said.contains("is in use by the machine busybox") && said.contains(&child.id().to_string());
        expect(out.status.code() == Some(125) && named, (arguments, said))?;
    }
    let out = output(&mut run(lab, "/bin/true", &["--volume=used.img:/data"], &[]))?;
    expect(text(&out.stderr).contains("is in use by the machine busybox"), text(&out.stderr))?;
    let told = Command::new("kill").arg(child.id().to_string()).status();
    expect(told.is_ok_and(|status| status.success()), "kill")?;
    let status = ends(&mut child, PATIENCE)?;
    expect(status == 3, status)?;
    is_clean(lab, "used.img")?;
    let out = output(&mut run(lab, "/bin/cat", &["--volume=used.img:/data:ro"], &["/data/file"]))?;
    expect(out.stdout == b"kept\n", text(&out.stderr))
}

fn volume_killed(lab: &Lab) -> Result<(), String> {
    let _ = fs::remove_file(lab.dir.join("killed.img"));
    let volume = "--volume=killed.img:/data";
    let shell = "echo kept > /data/file; sync; echo ready; sleep 100";
    let mut child = spawn(&mut run(lab, "/bin/busybox", &[volume, "--size=16M"], &["sh", "-c", shell]))?;
    let mut ready = [0; 6];
    child.stdout.as_mut().ok_or("no pipe")?.read_exact(&mut ready).map_err(|e| e.to_string())?;
    child.kill().and_then(|()| child.wait()).map_err(|e| e.to_string())?;
    let mut dump = Command::new("dumpe2fs");
    let head = text(&output(dump.args(["-h", "killed.img"]).current_dir(&lab.dir))?.stdout);
    expect(head.contains("needs_recovery"), &head)?;
    let out = output(&mut run(lab, "/bin/cat", &[volume], &["/data/file"]))?;
    expect(out.stdout == b"kept\n", text(&out.stderr))?;
    is_clean(lab, "killed.img")
}

fn volume_copy(lab: &Lab) -> Result<(), String> {
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        let out = output(shell.args(["-ec", script]).current_dir(&lab.dir))?;
        expect(out.status.success(), (script, text(&out.stdout), text(&out.stderr)))
    };
    shell(
        "rm -rf data tree back; mkdir -p tree/inner; seq 300000 > tree/inner/large; ln -s inner/large tree/link; \
         touch -d 2040-01-02 tree/old; chmod 4710 tree/old; truncate -s 8M tree/hole; printf x >> tree/hole",
    )?;
    let done = |arguments: &[&str]| {
        let out = volume(lab, arguments)?;
        expect(out.status.success(), (arguments, text(&out.stderr)))?;
        Ok::<_, String>(text(&out.stdout))
    };
    done(&["create", "copies", "--size", "32M"])?;
    done(&["cp", "tree", "copies:/"])?;
    done(&["cp", "tree/old", "copies:/tree/inner/renamed"])?;
    is_clean(lab, "data/skiff/volumes/copies.img")?;
    expect(done(&["ls"])?.starts_with("copies "), "ls")?;
    expect(done(&["inspect", "copies"])?.contains("files       18 of"), done(&["inspect", "copies"])?)?;
    let mut machine = run(
        lab,
        "/bin/busybox",
        &["--volume=copies:/srv"],
        &["sh", "-c", "cd /srv/tree; md5sum link; stat -c %a.%u.%Y old"],
    );
    let out = output(machine.env("XDG_DATA_HOME", lab.dir.join("data")))?;
    let said = text(&out.stdout);
    expect(said.contains("  link\n4710.0.2209"), (&said, text(&out.stderr)))?;
    done(&["cp", "copies:/tree", "back"])?;
    shell(
        "cmp tree/old back/inner/renamed; rm back/inner/renamed; diff -r --no-dereference tree back; test back/old -nt back/inner; test $(stat -c %Y tree) = $(stat -c %Y back)",
    )?;
    let out = volume(lab, &["cp", "copies:/none", "back"])?;
    expect(text(&out.stderr).contains("/none: there is no such file"), text(&out.stderr))?;
    let out = volume(lab, &["create", "copies"])?;
    expect(text(&out.stderr).contains("is there already"), text(&out.stderr))?;
    done(&["rm", "copies"])?;
    expect(done(&["ls"])?.is_empty(), "ls")
}

/// QEMU with an image, without skiff: its serial output, and its status.
fn qemu(image: &str, machine: &str, command_line: &str) -> Result<(String, Option<i32>), String> {
    let mut command = Command::new("timeout");
    command.args(["60", "qemu-system-x86_64", "-M", machine, "-cpu", "max", "-m", "256", "-nodefaults", "-no-reboot"]);
    command.args(["-display", "none", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]);
    command.args(["-kernel", image, "-append", command_line]).stdin(Stdio::null());
    let out = output(&mut command)?;
    Ok((text(&out.stdout), out.status.code()))
}

fn image(lab: &Lab, program: &str, arguments: &[&str]) -> Result<String, String> {
    let image = lab.dir.join("host.img").display().to_string();
    let mut command = Command::new(lab.skiff.with_file_name("mkimage"));
    let out = output(command.args([program, "-o", &image, "--"]).args(arguments))?;
    expect(out.status.success(), text(&out.stderr)).map(|()| image)
}

fn damaged_image(lab: &Lab) -> Result<(), String> {
    let whole = image(lab, "/bin/echo", &["whole"])?;
    let (said, _) = qemu(&whole, "microvm", "")?;
    expect(said.contains("whole"), said)?;
    let bytes = fs::read(&whole).map_err(|e| e.to_string())?;
    let damaged = lab.dir.join("damaged.img");
    let name = damaged.display().to_string();
    // The kernel's code, its constants, and the files at two places.
    for (place, what) in [(0x5000, "kernel"), (bytes.len() / 2, "files"), (bytes.len() - 40, "files")] {
        let mut copy = bytes.clone();
        copy[place] ^= 4;
        fs::write(&damaged, copy).map_err(|e| e.to_string())?;
        let (said, status) = qemu(&name, "microvm", "")?;
        let good = said.contains(what) && said.contains("build it again") && status == Some(125 << 1 | 1);
        expect(good, (place, said, status))?;
        let out = output(Command::new(&lab.skiff).args(["run", &name, "--accel", "tcg"]))?;
        let said = text(&out.stderr);
        expect(out.status.code() == Some(125) && said.contains("checksum"), (place, said))?;
    }
    Ok(())
}

fn crash_loop(lab: &Lab) -> Result<(), String> {
    let source = "#include <sys/wait.h>\n#include <unistd.h>\nint main(void) {\n\
                  for (int i = 0; i < 100; i++) { if (!fork()) *(volatile int *)16 = 1; wait(0); }\nreturn 0; }\n";
    let out = output(&mut run(lab, &compile(lab, "crashes", source)?, &[], &[]))?;
    let said = text(&out.stderr);
    let reports = said.lines().filter(|line| line.contains("is killed by SIGSEGV")).count();
    let good = out.status.success() && (1..=20).contains(&reports) && said.contains("more programs were killed");
    expect(good, (reports, said.lines().count()))
}

fn no_clock(lab: &Lab) -> Result<(), String> {
    let (said, _) = qemu(&image(lab, "/bin/date", &["+%Y"])?, "microvm,rtc=off,pit=off,pic=off", "")?;
    let year = said.lines().filter_map(|line| line.trim().parse::<u32>().ok()).next_back();
    expect(said.contains("build") && year.is_some_and(|year| year > 2023), said)
}

fn early_serial(lab: &Lab) -> Result<(), String> {
    let mut child = spawn(run(lab, "/usr/bin/head", &["--serial", "--timeout", "30"], &["-n1"]).stdin(Stdio::piped()))?;
    // Before the machine is there; and the end of input must not come before the program's.
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    stdin.write_all(b"first\n").map_err(|e| e.to_string())?;
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    drop(stdin);
    let lines = text(&out.stdout);
    // Once by the terminal's echo, once by the program.
    expect(lines.matches("first").count() == 2, lines)
}

fn missed_library(lab: &Lab) -> Result<(), String> {
    let source = "#include <dlfcn.h>\nint main(void) { return dlopen(\"libnosuch.so.7\", RTLD_NOW) ? 0 : 9; }\n";
    let out = output(&mut run(lab, &compile(lab, "loads", source)?, &[], &[]))?;
    let said = text(&out.stderr);
    expect(out.status.code() == Some(9) && said.contains("libnosuch.so.7") && said.contains("--add"), said)
}

fn learn(lab: &Lab) -> Result<(), String> {
    let data = lab.dir.join("learned");
    fs::create_dir_all(data.join("empty")).and_then(|()| fs::write(data.join("named"), "x")).map_err(|e| e.to_string())?;
    let script = "ls; test -d empty && test -s named && echo both";
    let command = format!("cd {} && {script}", data.display());
    // What exists before the run is brought; a file that is as new as the run counts as made by it.
    thread::sleep(Duration::from_millis(50));
    let out = output(&mut run(lab, "/bin/sh", &["--learn"], &["-c", &command]))?;
    let said = text(&out.stdout);
    expect(said.matches("empty\nnamed\nboth\n").count() == 2, (said, text(&out.stderr)))
}

fn suite(lab: &Lab) -> Result<(), String> {
    let dir = lab.dir.join("tests");
    fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    let scripts =
        [("says", "#!/bin/sh\necho \"says $*\"\n"), ("leaves", "#!/bin/sh\nexit 32\n"), ("fails", "#!/bin/sh\nexit 1\n")];
    for (name, script) in scripts {
        let path = dir.join(name);
        let done = fs::write(&path, script)
            .and_then(|()| fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)));
        done.map_err(|e| e.to_string())?;
    }
    let list = lab.dir.join("tests.list");
    fs::write(&list, "one says -a 'b c'\ntwo leaves\n").map_err(|e| e.to_string())?;
    let (report, stored) = (lab.dir.join("report"), lab.dir.join("native.json"));
    let test = |options: &[&str]| {
        let mut command = Command::new(&lab.skiff);
        command.args(["test", "--accel", "tcg", "--batch", "8", "--skip-status", "32", "--package", "dash", "--dir"]);
        command.arg(&dir).arg("--list").arg(&list).arg("--out").arg(&report).args(options).stdin(Stdio::null());
        output(&mut command)
    };
    let out = test(&["--save-native", &stored.display().to_string()])?;
    let json = fs::read_to_string(report.join("report.json")).map_err(|e| e.to_string())?;
    let good = out.status.success() && text(&out.stdout).contains("1 same, 0 differs, 0 known, 0 wrong, 1 skipped");
    expect(good && json.matches("says -a b c").count() == 2, text(&out.stdout))?;
    let out = test(&["--native-results", &stored.display().to_string()])?;
    expect(out.status.success(), text(&out.stdout))?;
    fs::write(&list, "three fails\n").map_err(|e| e.to_string())?;
    let out = test(&["--no-native"])?;
    expect(out.status.code() == Some(1) && text(&out.stdout).contains("1 differs"), text(&out.stdout))
}
