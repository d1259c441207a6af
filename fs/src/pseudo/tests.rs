//! Generated files, and their formats against the /proc of the machine that runs the tests.

use super::format::*;
use super::*;
use crate::mount::MountFlags;
use crate::namespace::{MountLine, Namespace, OpenHow};
use crate::path::Path;
use crate::types::*;
use crate::walk::LookupFlags;
use core::sync::atomic::{AtomicU32, Ordering};
use std::collections::HashMap;
use std::fs::read;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};
use syscall_shim::Errno;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn host(path: &str) -> String {
    text(read(path).unwrap())
}

fn parse_map(line: &str) -> MapEntry {
    let mut f = line.splitn(6, ' ');
    let mut next = || f.next().unwrap_or("");
    let (range, perms, offset, dev, ino, name) = (next(), next(), next(), next(), next(), next());
    let hex = |s: &str| u64::from_str_radix(s, 16).unwrap();
    let (start, end) = range.split_once('-').unwrap();
    let (ma, mi) = dev.split_once(':').unwrap();
    let has = |c| perms.contains(c);
    MapEntry {
        start: hex(start),
        end: hex(end),
        read: has('r'),
        write: has('w'),
        exec: has('x'),
        shared: has('s'),
        offset: hex(offset),
        dev: makedev(hex(ma) as u32, hex(mi) as u32),
        ino: ino.parse().unwrap(),
        name: name.trim_start().as_bytes().to_vec(),
    }
}

#[test]
fn maps_and_smaps_as_linux_prints_them() {
    let real = host("/proc/self/maps");
    let entries: Vec<_> = real.lines().map(parse_map).collect();
    assert_eq!(text(maps(&entries).unwrap()), real);

    let real = host("/proc/self/smaps");
    let mut entries: Vec<SmapsEntry> = Vec::new();
    for line in real.lines() {
        if line.split(' ').next().unwrap().contains('-') {
            entries.push(SmapsEntry { map: parse_map(line), ..Default::default() });
            continue;
        }
        let e = entries.last_mut().unwrap();
        let (key, rest) = line.split_once(':').unwrap();
        let kb = rest.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024;
        match key {
            "Rss" => e.rss = kb,
            "Pss" => e.pss = kb,
            "Pss_Dirty" => e.pss_dirty = kb,
            "Shared_Clean" => e.shared_clean = kb,
            "Shared_Dirty" => e.shared_dirty = kb,
            "Private_Clean" => e.private_clean = kb,
            "Private_Dirty" => e.private_dirty = kb,
            "Referenced" => e.referenced = kb,
            "Anonymous" => e.anonymous = kb,
            "AnonHugePages" => e.anon_huge = kb,
            "THPeligible" => e.thp_eligible = rest.trim() == "1",
            "VmFlags" => e.vm_flags = rest.as_bytes()[1..].to_vec(),
            _ => {}
        }
    }
    let keep = |s: &str| s.lines().filter(|l| !l.starts_with("FilePmdMapped")).map(|l| format!("{l}\n")).collect::<String>();
    assert_eq!(keep(&text(smaps(&entries).unwrap())), keep(&real));
}

#[test]
fn rollup_begins_as_linux_begins_it() {
    let ours = text(smaps_rollup(&[SmapsEntry::default()]));
    let real = host("/proc/self/smaps_rollup");
    let labels = |s: &str| s.lines().skip(1).map(|l| l.split(':').next().unwrap().to_string()).collect::<Vec<_>>();
    assert_eq!(labels(&ours), labels(&real));
    assert_eq!(ours.lines().next().unwrap().find("[rollup]"), real.lines().next().unwrap().find("[rollup]"));
}

#[test]
fn status_has_linux_lines_in_order() {
    let ours = text(status(&Status {
        name: b"fs".to_vec(),
        state: 'R',
        umask: 0o22,
        groups: vec![0, 4],
        vm: Some(VmStatus { rss_anon: 8192, ..Default::default() }),
        cpus_allowed: 0b1011,
        ..Default::default()
    }));
    let real = host("/proc/self/status");
    // What depends on the kernel's configuration.
    let optional = ["x86_Thread_features", "x86_Thread_features_locked"];
    let labels = |s: &str| -> Vec<String> {
        s.lines().map(|l| l.split(':').next().unwrap().to_string()).filter(|l| !optional.contains(&l.as_str())).collect()
    };
    assert_eq!(labels(&ours), labels(&real));
    assert!(ours.contains("State:\tR (running)\n") && ours.contains("Umask:\t0022\n"));
    assert!(ours.contains("Groups:\t0 4 \n") && ours.contains("Cpus_allowed_list:\t0-1,3\n"));
    let column = |s: &str| s.lines().find(|l| l.starts_with("VmRSS")).unwrap().len();
    assert_eq!(column(&ours), column(&real));
}

#[test]
fn stat_has_all_fields() {
    let ours = text(stat(&Stat { pid: 7, comm: b"a b".to_vec(), state: 'S', blocked: 1 << 40 | 2, ..Default::default() }));
    assert_eq!(ours.split(' ').count() - 1, host("/proc/self/stat").split(' ').count() + ours.matches("a b").count() - 1);
    assert!(ours.starts_with("7 (a b) S 0 "));
    assert_eq!(text(statm(&VmStatus { size: 8192, ..Default::default() })), "2 0 0 0 0 0 0\n");
}

#[test]
fn meminfo_and_limits_as_linux_prints_them() {
    let real = host("/proc/meminfo");
    let ours = text(meminfo(&MemInfo::default()));
    let newer = ["Zswap", "Zswapped", "Balloon", "Unaccepted", "CmaTotal", "CmaFree", "HardwareCorrupted"];
    let shape = |s: &str| -> Vec<(String, usize)> {
        s.lines()
            .map(|l| (l.split(':').next().unwrap().to_string(), l.len().max(27)))
            .filter(|(l, _)| !newer.contains(&l.as_str()) && l != "VmallocTotal")
            .collect()
    };
    assert_eq!(shape(&ours), shape(&real));

    let real = host("/proc/self/limits");
    let value = |s: &str| if s == "unlimited" { u64::MAX } else { s.parse().unwrap() };
    let mut all = [Limit { soft: 0, hard: 0 }; 16];
    for (slot, line) in all.iter_mut().zip(real.lines().skip(1)) {
        *slot = Limit { soft: value(line[26..46].trim()), hard: value(line[47..67].trim()) };
    }
    assert_eq!(text(limits(&all)), real);
}

#[test]
fn mounts_as_linux_prints_them() {
    let info = host("/proc/self/mountinfo");
    let mut names: HashMap<String, &'static str> = HashMap::new();
    let unescape = |s: &str| s.replace("\\040", " ").into_bytes();
    let lines: Vec<MountLine> = info
        .lines()
        .filter(|l| l.split(' ').nth(6) == Some("-"))
        .map(|l| {
            let f: Vec<&str> = l.split(' ').collect();
            let (ma, mi) = f[2].split_once(':').unwrap();
            let fs_type = *names.entry(f[7].to_string()).or_insert_with(|| String::leak(f[7].to_string()));
            MountLine {
                id: f[0].parse().unwrap(),
                parent: f[1].parse().unwrap(),
                dev: makedev(ma.parse().unwrap(), mi.parse().unwrap()),
                root: unescape(f[3]),
                target: unescape(f[4]),
                options: f[5].to_string(),
                shared: 0,
                master: 0,
                unbindable: false,
                fs_type,
                source: f[8].to_string(),
                super_options: f[9].to_string(),
            }
        })
        .collect();
    let wanted: String = info.lines().filter(|l| l.split(' ').nth(6) == Some("-")).map(|l| format!("{l}\n")).collect();
    assert_eq!(text(mountinfo(&lines)), wanted);
    let real = host("/proc/self/mounts");
    for line in text(mounts(&lines)).lines().filter(|l| !l.starts_with("/dev/root")) {
        assert!(real.lines().any(|r| r == line), "{line}");
    }
}

#[test]
fn small_files() {
    assert_eq!(text(uptime(256727, 426512)), "2567.27 4265.12\n");
    assert_eq!(text(loadavg([176, 98, 5], 4, 111, 29290)), "1.76 0.98 0.05 4/111 29290\n");
    assert_eq!(text(filesystems(&[("sysfs", false), ("ext4", true)])), "nodev\tsysfs\n\text4\n");
    let lock = LockLine { class: "FLOCK", write: true, pid: 29260, dev: makedev(254, 0), ino: 5390545, start: 0, end: None };
    assert_eq!(text(locks(&[lock])), "1: FLOCK  ADVISORY  WRITE 29260 fe:00:5390545 0 EOF\n");
    assert_eq!(text(swaps()), host("/proc/swaps").lines().next().unwrap().to_string() + "\n");
    assert_eq!(
        text(partitions(&[(254, 0, 268435456, "vda")])),
        "major minor  #blocks  name\n\n 254        0  268435456 vda\n"
    );
    assert_eq!(
        text(fdinfo(&FdInfo { pos: 0, flags: 0o100000, mnt_id: 24, ino: 3 })),
        "pos:\t0\nflags:\t0100000\nmnt_id:\t24\nino:\t3\n"
    );
    assert_eq!(nul_list(&["a", "b"]), b"a\0b\0");
    assert_eq!(auxv(&[(6, 4096)]).len(), 32);
    let labels = |s: &str| s.lines().map(|l| l.split(':').next().unwrap().to_string()).collect::<Vec<_>>();
    assert_eq!(labels(&text(io(&Io::default()))), labels(&host("/proc/self/io")));
    let irq = IrqLine { name: "24".into(), counts: vec![1, 0], description: "IO-APIC   5-edge      ACPI:Ged".into() };
    assert_eq!(
        text(interrupts(2, &[irq])),
        "           CPU0       CPU1       \n 24:          1          0  IO-APIC   5-edge      ACPI:Ged\n"
    );
    let stat = text(system_stat(&SystemStat { cpus: vec![Default::default(); 2], ..Default::default() }));
    assert!(stat.starts_with("cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 "), "{stat}");
    let cpu = text(cpuinfo(&[CpuInfo { khz: 2596130, ..Default::default() }]));
    assert!(cpu.contains("cpu MHz\t\t: 2596.130\n") && cpu.contains("bogomips\t: 5192.26\n") && cpu.ends_with("\n\n"));
}

struct Numbers;

impl DirSource for Numbers {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        match name {
            b"1" | b"7" => Ok(PseudoNode::dir(NodeSpec::new(0, 0o555).ino(u64::from(name[0])))),
            _ => Err(Errno::ENOENT),
        }
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let entry = |key: u32| PseudoEntry {
            key,
            name: key.to_string().into_bytes(),
            ino: 48 + u64::from(key),
            file_type: FileType::Dir,
        };
        Ok([1, 7].into_iter().filter(|k| *k >= from).map(entry).collect())
    }
}

fn proc_like() -> (Arc<Namespace>, Arc<AtomicU32>) {
    crate::testing::install();
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    let fs = PseudoFs::new("proc", PROC_MAGIC, |dev| {
        let root = PseudoNode::dynamic(NodeSpec::new(dev, 0o555), Numbers);
        let generated = counter.clone();
        let read = move || Ok(format!("generation {}\n", generated.fetch_add(1, Ordering::Relaxed)).into_bytes());
        root.insert("gen", PseudoNode::text(NodeSpec::new(dev, 0o444), read));
        root.insert("self", PseudoNode::link(NodeSpec::new(dev, 0o777), || Ok(b"7".to_vec())));
        let sys = root.clone().insert("sys", PseudoNode::dir(NodeSpec::new(dev, 0o555)));
        let stored = counter.clone();
        let write = move |b: &[u8]| {
            let n = core::str::from_utf8(b).ok().and_then(|s| s.trim().parse().ok()).ok_or(Errno::EINVAL)?;
            stored.store(n, Ordering::Relaxed);
            Ok(())
        };
        sys.insert("knob", PseudoNode::control(NodeSpec::new(dev, 0o644), || Ok(b"0\n".to_vec()), write));
        root
    });
    (Namespace::new(fs, "proc", MountFlags::empty()), count)
}

#[test]
fn a_text_stays_the_same_while_it_is_read() {
    let (ns, _) = proc_like();
    let ctx = ns.kernel_context();
    let opened = ns.open(&ctx, None, b"/gen", &OpenHow::default()).unwrap();
    let handle = opened.inode.open(OpenFlags::empty()).unwrap().unwrap();
    let mut buf = [0; 10];
    assert_eq!(handle.read_at(0, &mut buf), Ok(10));
    let mut rest = [0; 10];
    assert_eq!(handle.read_at(10, &mut rest), Ok(3));
    assert_eq!(&rest[..3], b" 0\n");
    assert_eq!(handle.read_at(13, &mut rest), Ok(0));
    let mut again = [0; 20];
    assert_eq!(handle.read_at(0, &mut again), Ok(13));
    assert_eq!(&again[..13], b"generation 1\n", "reading from the start again is reading anew");
}

#[test]
fn control_files_take_writes() {
    let (ns, count) = proc_like();
    let ctx = ns.kernel_context();
    let how = OpenHow { flags: OpenFlags::WRONLY | OpenFlags::TRUNC, ..Default::default() };
    let opened = ns.open(&ctx, None, b"/knob", &how).unwrap();
    assert_eq!(opened.inode.write_at(0, b"42\n"), Ok(3));
    assert_eq!(count.load(Ordering::Relaxed), 42);
    assert_eq!(opened.inode.write_at(0, b"x"), Err(Errno::EINVAL));
}

#[test]
fn dynamic_directories_list_in_pieces() {
    let (ns, _) = proc_like();
    let root = ns.root();
    let mut names = Vec::new();
    let mut cookie = 0;
    loop {
        let mut one = None;
        let next = root
            .readdir(&root, cookie, &mut |e| {
                let first = one.is_none();
                if first {
                    one = Some((text(e.name.to_vec()), e.next));
                }
                first
            })
            .unwrap();
        let Some((name, resume)) = one else { break };
        names.push(name);
        assert!(next >= resume || next == cookie + 1 || next >= 1 << 32);
        cookie = resume;
    }
    assert_eq!(names, [".", "..", "gen", "self", "sys", "knob", "1", "7"]);
    let found = ns.resolve(&ns.kernel_context(), None, b"/self/../7", LookupFlags::FOLLOW).unwrap();
    assert_eq!(found.inode().unwrap().metadata().ino, u64::from(b'7'));
    assert_eq!(ns.mkdir(&ns.kernel_context(), None, b"/new", 0o755).err(), Some(Errno::ENOENT));
    assert_eq!(ns.statfs(&root).unwrap().magic, PROC_MAGIC);
}

#[test]
fn magic_links_lead_where_no_name_does() {
    let (ns, _) = proc_like();
    let target = ns.root();
    let file = PseudoNode::fixed(NodeSpec::new(1, 0o444), "x");
    let anonymous = Path::anonymous(&target.mount, file, b"pipe:[5]", false);
    let shown = anonymous.display(&target);
    let link = PseudoNode::magic(NodeSpec::new(1, 0o777), move || Ok(shown.clone()), move || Ok(anonymous.clone()));
    let inode: &dyn core::any::Any = &**target.inode().unwrap();
    let Some(root) = inode.downcast_ref::<PseudoNode>() else { panic!() };
    root.insert("fd", link);
    let ctx = ns.kernel_context();
    let found = ns.resolve(&ctx, None, b"/fd", LookupFlags::FOLLOW).unwrap();
    assert_eq!(found.inode().unwrap().file_type(), FileType::Regular);
    assert_eq!(ns.readlink(&ctx, None, b"/fd"), Ok(b"pipe:[5]".to_vec()));
    let resolve = |flags| ns.resolve(&ctx, None, b"/fd", LookupFlags::FOLLOW | flags).err();
    assert_eq!(resolve(LookupFlags::NO_MAGICLINKS), Some(Errno::ELOOP));
    assert_eq!(resolve(LookupFlags::BENEATH), Some(Errno::EXDEV));
    assert_eq!(ns.resolve(&ctx, None, b"/fd/", LookupFlags::default()).err(), Some(Errno::ENOTDIR));
    let how = OpenHow { flags: OpenFlags::CREAT, ..Default::default() };
    assert!(!ns.open(&ctx, None, b"/fd", &how).unwrap().created);
}
