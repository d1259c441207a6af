//! Machines whose root is on a disk, or under an overlay.

use crate::machine::{KEEPS, PATIENCE, ends, expect, is_clean, kill, run, spawn, text};
use compat_tests::lab::{Lab, output};
use std::fs;
use std::io::Read;
use std::process::Command;
use std::thread;
use std::time::Duration;

fn shell(lab: &Lab, script: &str) -> Result<String, String> {
    let mut shell = Command::new("sh");
    let out = output(shell.args(["-ec", script]).current_dir(&lab.dir))?;
    expect(out.status.success(), (script, text(&out.stdout), text(&out.stderr)))?;
    Ok(text(&out.stdout))
}

fn mkimage(lab: &Lab, arguments: &[&str]) -> Result<std::process::Output, String> {
    output(Command::new(lab.skiff.with_file_name("mkimage")).args(arguments).current_dir(&lab.dir))
}

fn made(lab: &Lab, arguments: &[&str]) -> Result<(), String> {
    let out = mkimage(lab, arguments)?;
    expect(out.status.success(), (arguments, text(&out.stderr)))
}

/// A tree with what a file system can have, as far as whoever runs this may make it.
const TREE: &str = "rm -rf root one two; mkdir -p root/bin root/var/lib/keeps root/empty; cp keeps root/bin/keeps; \
    seq 100000 > root/large; ln root/large root/again; ln -s large root/link; mkfifo -m 640 root/fifo; \
    truncate -s 8M root/hole; printf x >> root/hole; printf '#!/bin/sh\\n' > root/set; chmod 6711 root/set; \
    touch -d '2021-02-03 04:05:06.123456789 UTC' root/large; touch -d 2022-01-01 root/empty; \
    if [ $(id -u) = 0 ]; then chown 12:34 root/set; chmod 6711 root/set; mknod root/null c 1 3; fi";

pub fn reproducible(lab: &Lab) -> Result<(), String> {
    lab.compile("keeps", KEEPS, &["-O1", "-static"])?;
    shell(lab, TREE)?;
    shell(lab, "setfattr -n user.note -v yes root/large 2>/dev/null || true; mkdir one two")?;
    let arguments = ["/bin/keeps", "--rootfs", "root", "--disk", "32M", "-o"];
    made(lab, &[&arguments[..], &["one/k.img"]].concat())?;
    // At another time, in another place, by another name on the way.
    thread::sleep(Duration::from_millis(1100));
    shell(lab, "mv root moved; mkdir other; mv moved other/root")?;
    let elsewhere = ["/bin/keeps", "--rootfs", "other/root", "--disk", "32M", "-o", "two/k.img"];
    made(lab, &elsewhere)?;
    shell(lab, "cmp one/k.disk two/k.disk; cmp one/k.img two/k.img; mv other/root root; rmdir other")?;
    is_clean(lab, "one/k.disk")?;
    let stat = |path: &str| {
        let mut debugfs = Command::new("debugfs");
        let said = output(debugfs.args(["-R", &format!("stat {path}"), "one/k.disk"]).current_dir(&lab.dir))?;
        Ok::<_, String>(text(&said.stdout))
    };
    let large = stat("/large")?;
    expect(large.contains("Links: 2") && large.contains("mtime: 0x601a20f2:1d6f3454"), &large)?;
    expect(stat("/set")?.contains("Mode:  06711"), stat("/set")?)?;
    expect(stat("/fifo")?.contains("Type: FIFO") && stat("/link")?.contains("Fast link dest: \"large\""), stat("/link")?)?;
    // Only its last block is there.
    expect(stat("/hole")?.contains("Blockcount: 8"), stat("/hole")?)?;
    if shell(lab, "id -u")? == "0\n" {
        expect(stat("/set")?.contains("User:    12   Group:    34"), stat("/set")?)?;
        expect(stat("/null")?.contains("Type: character special"), stat("/null")?)?;
    }
    if shell(lab, "getfattr -n user.note root/large 2>/dev/null || true")?.contains("yes") {
        expect(large.contains("user.note (3) = \"yes\""), &large)?;
    }
    let out = mkimage(lab, &[&arguments[..], &["one/k.img"]].concat())?;
    expect(text(&out.stderr).contains("is there already"), text(&out.stderr))
}

pub fn kept(lab: &Lab) -> Result<(), String> {
    lab.compile("keeps", KEEPS, &["-O1", "-static"])?;
    shell(lab, TREE)?;
    shell(lab, "mkdir one")?;
    for (format, disk) in [("raw", "one/k.disk"), ("qcow2", "one/k.qcow2")] {
        let _ = fs::remove_file(lab.dir.join("one/k.img"));
        made(lab, &["/bin/keeps", "--rootfs", "root", "--disk", "32M", "--format", format, "-o", "one/k.img"])?;
        for says in ["1 lines\n", "2 lines\n"] {
            let out = output(&mut run(lab, "one/k.img", &["--memory=32M"], &[]))?;
            expect(text(&out.stdout) == says, (format, &out.status, text(&out.stderr)))?;
            if format == "raw" {
                is_clean(lab, disk)?;
            }
        }
        // Above it, what changes is gone with the machine, or on a volume.
        for (options, says) in [
            (&["--overlay"][..], "3 lines\n"),
            (&["--overlay"], "3 lines\n"),
            (&["--overlay=layer.img", "--size=16M"], "3 lines\n"),
            (&["--overlay=layer.img"], "4 lines\n"),
        ] {
            let before = fs::read(lab.dir.join(disk)).map_err(|e| e.to_string())?;
            let out = output(&mut run(lab, "one/k.img", options, &[]))?;
            expect(text(&out.stdout) == says, (options, &out.status, text(&out.stderr)))?;
            expect(fs::read(lab.dir.join(disk)).is_ok_and(|after| after == before), "the disk below has changed")?;
        }
        is_clean(lab, "layer.img")?;
        shell(lab, &format!("rm layer.img; mv {disk} away"))?;
        let out = output(&mut run(lab, "one/k.img", &[], &[]))?;
        expect(text(&out.stderr).contains("is missing: put it beside the image"), text(&out.stderr))?;
    }
    Ok(())
}

pub fn wrong_disks(lab: &Lab) -> Result<(), String> {
    shell(lab, "rm -f r.img zeros.img; truncate -s 32M zeros.img")?;
    let tries: [(&[&str], &str); 6] = [
        (&["--root-disk=./r.img"], "add --size SIZE"),
        (&["--root-disk=./r.img", "--size=1M"], "is too small for its files"),
        (&["--root-disk=./r.img", "--size=100K"], "a disk has whole MiB"),
        (&["--root-disk=./zeros.img"], "/dev/vda cannot be the root: it holds no ext4"),
        (&["--append=root=/dev/vdc", "--disk=zeros.img"], "and the machine has vda"),
        (&["--append=root=nothing"], "expected /dev/NAME or UUID="),
    ];
    for (options, says) in tries {
        let out = output(&mut run(lab, "/bin/busybox", options, &["true"]))?;
        let said = text(&out.stderr);
        expect(out.status.code().is_some_and(|code| code != 0) && said.contains(says), (options, out.status, said))?;
    }
    Ok(())
}

/// Whichever way a machine ends, its disk is unmounted.
pub fn every_end(lab: &Lab) -> Result<(), String> {
    let _ = fs::remove_file(lab.dir.join("end.img"));
    let deaf = "trap '' TERM INT; echo more >> /log; echo ready; while :; do :; done";
    let crash = "echo more >> /log; kill -SEGV $$";
    let options = ["--root-disk=end.img", "--size=16M"];
    let start = |more: &[&str], script: &str| {
        let mut child = spawn(&mut run(lab, "/bin/busybox", &[&options[..], more].concat(), &["sh", "-c", script]))?;
        let mut ready = [0; 6];
        // The one that crashes does not get so far.
        let _ = child.stdout.as_mut().ok_or("no pipe")?.read_exact(&mut ready);
        Ok::<_, String>(child)
    };
    for (signals, more, script, status) in [
        (&["-TERM"][..], &[][..], deaf, 143),
        (&["-INT", "-INT"], &[], deaf, 130),
        (&[], &["--timeout=4"], deaf, 124),
        (&[], &[], crash, 139),
    ] {
        let mut child = start(more, script)?;
        for signal in signals {
            kill(&child, signal)?;
            thread::sleep(Duration::from_millis(100));
        }
        let ended = ends(&mut child, PATIENCE)?;
        expect(ended == status, (signals, more, ended))?;
        is_clean(lab, "end.img")?;
    }
    let mut debugfs = Command::new("debugfs");
    let said = output(debugfs.args(["-R", "cat /log", "end.img"]).current_dir(&lab.dir))?;
    expect(text(&said.stdout) == "more\n".repeat(4), text(&said.stdout))
}

/// The archive with the arguments lies where SeaBIOS has reserved memory for three disks.
pub fn many_disks(lab: &Lab) -> Result<(), String> {
    let options = ["--machine=q35", "--memory=128M", "--size=1M", "--disk=d1", "--disk=d2", "--disk=d3"];
    let out = output(&mut run(lab, "/bin/echo", &options, &["all", "arguments"]))?;
    expect(out.stdout == b"all arguments\n", (text(&out.stdout), text(&out.stderr)))
}
