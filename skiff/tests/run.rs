//! `skiff run` as a user sees it, with a stand-in for QEMU that speaks the control channel, and a
//! kernel of a few bytes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const KERNEL: &str = r#"
    .section .skiff.payload, "aw"
    .ascii "SKIFFPAYLOAD\0\0\0\2"
    .quad 0, 0, 0, 0, 0
    .section .note.Xen, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long 0x200000
"#;

struct Lab {
    dir: tempfile::TempDir,
    image: PathBuf,
}

impl Lab {
    /// `machine` is a shell script; `$channel` is the control channel's descriptor.
    fn new(machine: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("k.s"), KERNEL).unwrap();
        let link = ["-nostdlib", "-static", "-Wl,-Ttext-segment=0xffffffff80200000", "-Wl,-e0"];
        let gcc = Command::new("gcc").args(link).arg("-o").arg(at("kernel")).arg(at("k.s")).status();
        assert!(gcc.unwrap().success());
        let kernel = mkimage::Kernel::open(&at("kernel")).unwrap();
        let options = mkimage::Options { program: "/bin/true".into(), ..Default::default() };
        mkimage::build(&kernel, &mkimage::gather(&options).unwrap(), &at("x.img")).unwrap();
        let script = format!(
            "#!/bin/bash\nfor a; do case $a in socket,id=channel,fd=*) channel=${{a##*=}};; esac; done\n\
             frame() {{ printf \"\\\\x$1\\\\0\\\\0\\\\0\\\\x$(printf %02x ${{#2}})\\\\0\\\\0\\\\0%s\" \"$2\" >&$channel; }}\n\
             leave() {{ printf \"\\\\5\\\\0\\\\0\\\\0\\\\5\\\\0\\\\0\\\\0\\\\x$1\\\\0\\\\0\\\\0\\\\x$2\" >&$channel; }}\n{machine}\n"
        );
        fs::write(at("qemu-system-x86_64"), script).unwrap();
        fs::set_permissions(at("qemu-system-x86_64"), fs::Permissions::from_mode(0o755)).unwrap();
        let image = at("x.img");
        Self { dir, image }
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skiff"));
        let path = format!("{}:{}", self.dir.path().display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("TMPDIR", self.dir.path()).env("SKIFF_KERNEL", self.dir.path().join("kernel"));
        command.args(["run", "--accel", "tcg"]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, options: &[&str]) -> Output {
        self.command(options).arg(&self.image).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn streams_and_status_are_the_programs() {
    let out = Lab::new("frame 01 out; frame 02 err; frame 06 'read(0)'; leave 07 0; echo serial").run(&[]);
    assert_eq!(out.status.code(), Some(7));
    assert_eq!(text(&out.stdout), "out");
    let err = text(&out.stderr);
    assert!(err.contains("err") && err.contains("read(0)") && err.contains("serial"), "{err}");
}

#[test]
fn standard_input_goes_in_with_its_end() {
    // 4 bytes of data and the two headers, then the end.
    let lab = Lab::new("frame 01 \"$(head -c 20 <&$channel | od -An -c | tr -d ' \\n')\"; leave 00 0");
    let mut child = lab.command(&[]).arg(&lab.image).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"abcd").unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(text(&out.stdout), "201\\0\\0\\0004\\0\\0\\0abcd202\\0\\0\\0\\0\\0\\0\\0");
}

#[test]
fn a_panic_and_a_vanished_machine_have_their_own_status() {
    assert_eq!(Lab::new("leave 00 1").run(&[]).status.code(), Some(120));
    let out = Lab::new("true").run(&[]);
    assert_eq!(out.status.code(), Some(121));
    assert!(text(&out.stderr).contains("without an exit status"));
    assert_eq!(Lab::new("leave 7e 2").run(&[]).status.code(), Some(126));
}

#[test]
fn the_watchdog_ends_a_machine_that_hangs() {
    let start = Instant::now();
    let out = Lab::new("exec sleep 60").run(&["--timeout", "0.3"]);
    assert_eq!(out.status.code(), Some(124));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(text(&out.stderr).contains("still running after 0.3 s"));
}

#[test]
fn the_first_interrupt_goes_to_the_program_and_the_second_ends_the_machine() {
    // The end of standard input is 8 bytes, what became of the output 17, and SIGINT 12; after it
    // the program goes on.
    let lab = Lab::new("frame 01 ready; head -c 37 <&$channel >/dev/null; frame 01 asked; exec sleep 60");
    let mut child = lab.command(&[]).arg(&lab.image).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take());
    let id = child.id().to_string();
    let interrupt = || Command::new("kill").args(["-INT", &id]).status().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut expect = |word: &str| {
        let mut bytes = vec![0; word.len()];
        std::io::Read::read_exact(&mut stdout, &mut bytes).unwrap();
        assert_eq!(text(&bytes), word);
    };
    expect("ready");
    interrupt();
    expect("asked");
    interrupt();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn nothing_is_left_behind() {
    let lab = Lab::new("leave 00 0");
    let before = fs::read_dir(lab.dir.path()).unwrap().count();
    let out = lab.command(&["--env", "A=1"]).arg(&lab.image).args(["--", "x"]).output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(fs::read_dir(lab.dir.path()).unwrap().count(), before);
}

#[test]
fn what_is_known_on_the_host_is_said_there() {
    let lab = Lab::new("frame 01 booted; leave 00 0");
    let refused = |options: &[&str], target: &Path, says: &str| {
        let out = lab.command(options).arg(target).output().unwrap();
        let err = text(&out.stderr);
        assert_eq!(out.status.code(), Some(125), "{err}");
        assert!(err.contains(says) && out.stdout.is_empty(), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    };
    refused(&["--memory", "2M"], &lab.image, "raise --memory");
    refused(&[], Path::new("no-such-program"), "no-such-program: no such program");
    refused(&[], Path::new("/etc/debian_version"), "neither an ELF program nor a #! script");
    refused(&["--package", "no-such-package"], Path::new("/bin/true"), "apt-get install no-such-package");
    refused(&["--add", "x"], &lab.image, "an image is complete");
    let whole = fs::read(&lab.image).unwrap();
    let cut = lab.dir.path().join("cut.img");
    fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    refused(&[], &cut, "truncated image");
}

#[test]
fn qemus_own_refusal_is_passed_on() {
    let out = Lab::new("echo 'qemu-system-x86_64: cannot set up guest memory' >&2; exit 1").run(&[]);
    assert_eq!(out.status.code(), Some(125));
    assert!(text(&out.stderr).contains("cannot set up guest memory"));
}

#[test]
fn a_terminal_is_raw_for_the_guest_and_restored_after_it() {
    // The machine says what it was started with, then waits for its window size (12 bytes) and a
    // key (9 bytes).
    let lab = Lab::new(
        "size=$(head -c 12 <&$channel | od -An -tx1 | tr -d ' \\n'); key=$(head -c 9 <&$channel | od -An -tx1 | tr -d ' \\n')\n\
         frame 03 \"${*: -1}\"; frame 03 \" $size \"; frame 03 \" $key\"; leave 00 0",
    );
    let command = lab.command(&[]);
    let skiff = format!("{} run --accel tcg {}", command.get_program().display(), lab.image.display());
    let inner = format!("stty rows 24 cols 80; stty -g; {skiff}; stty -g");
    let mut script = Command::new("script");
    script.args(["-qec", &inner, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    for (name, value) in command.get_envs() {
        script.env(name, value.unwrap());
    }
    let mut child = script.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    // Ctrl-C is a key like others.
    let typed = stdin.write_all(b"\x03");
    let out = text(&child.wait_with_output().unwrap().stdout);
    drop(stdin);
    assert!(typed.is_ok(), "{out:?}");
    assert!(out.contains("stdio=ttt") && out.contains("8400000004000000"), "{out:?}");
    assert!(out.contains("18005000"), "{out:?}");
    assert!(out.contains("830000000100000003"), "{out:?}");
    let modes: Vec<&str> = out.lines().filter(|l| l.matches(':').count() > 10).map(|l| l.trim()).collect();
    let mode = |line: &str| line[line.find(|c: char| c.is_ascii_hexdigit()).unwrap_or(0)..].to_owned();
    assert_eq!(modes.len(), 2, "{out:?}");
    assert!(modes[1].ends_with(&mode(modes[0])), "{out:?}");
}
