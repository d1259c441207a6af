//! Plans of programs that this machine runs, compared with what their headers say.

use elf_loader::{BaseChoice, Kind, LoadPlan, PAGE_SIZE, Prot, identify};
use std::path::Path;

fn read(path: &str) -> Option<Vec<u8>> {
    if !Path::new(path).exists() {
        eprintln!("skipped: no {path}");
        return None;
    }
    Some(std::fs::read(path).unwrap())
}

fn plan(path: &str) -> Option<LoadPlan> {
    let file = read(path)?;
    assert_eq!(identify(file.as_slice()), Ok(Kind::Elf));
    Some(LoadPlan::parse(file.as_slice()).unwrap())
}

fn check(plan: &LoadPlan) {
    let mut end = 0;
    for m in &plan.mappings {
        assert!(m.vaddr >= end && m.len > 0);
        assert_eq!((m.vaddr | m.len | m.offset.unwrap_or(0)) % PAGE_SIZE, 0);
        end = m.vaddr + m.len;
        if let Some((address, len)) = m.zero {
            assert!(address > m.vaddr && address + len == end && len < PAGE_SIZE && m.prot.contains(Prot::PROT_WRITE));
        }
    }
    assert_eq!((plan.start, plan.end), (plan.mappings[0].vaddr, end));
    let text = plan.mappings.iter().find(|m| (m.vaddr..m.vaddr + m.len).contains(&plan.entry)).unwrap();
    assert!(text.prot.contains(Prot::PROT_EXEC));
    assert!(plan.phnum > 0 && !plan.exec_stack);
}

#[test]
fn a_position_independent_program() {
    let Some(plan) = plan("/bin/ls") else { return };
    check(&plan);
    assert_eq!(plan.base, BaseChoice::Pie { align: PAGE_SIZE });
    assert_eq!(plan.interp.as_deref(), Some(&b"/lib64/ld-linux-x86-64.so.2"[..]));
    assert_eq!((plan.phdr, plan.start), (64, 0));
    assert!(plan.mappings.iter().any(|m| m.offset.is_none()), "ls has a .bss");
}

#[test]
fn the_dynamic_linker() {
    let Some(plan) = plan("/lib64/ld-linux-x86-64.so.2") else { return };
    check(&plan);
    assert!(matches!(plan.base, BaseChoice::Mmap { .. }));
    assert_eq!(plan.interp, None);
    assert_eq!(plan.bias(0x7fff_f7fc_3000), 0x7fff_f7fc_3000);
}

#[test]
fn a_program_at_a_fixed_address() {
    let Some(plan) = plan("/usr/bin/python3") else { return };
    check(&plan);
    if plan.base == BaseChoice::Fixed {
        assert_eq!(plan.start, 0x40_0000);
        assert_eq!(plan.bias(0x1234_5000), 0);
    }
}

#[test]
fn a_static_program() {
    let Some(plan) = plan("/bin/busybox") else { return };
    check(&plan);
    assert_eq!(plan.interp, None);
}

/// Programs that scripts/setup installs: what else a machine has may be anything.
const INSTALLED: [&str; 14] = [
    "bash",
    "dash",
    "git",
    "gcc",
    "gdb",
    "lua5.4",
    "make",
    "node",
    "perl",
    "python3",
    "qemu-system-x86_64",
    "ruby",
    "sqlite3",
    "strace",
];

#[test]
fn programs_of_usr_bin() {
    let mut checked = 0;
    for name in INSTALLED {
        if let Some(plan) = plan(&format!("/usr/bin/{name}")) {
            check(&plan);
            checked += 1;
        }
    }
    assert!(checked > 2, "{checked} programs: scripts/setup installs them");
}

#[test]
fn whatever_else_is_in_usr_bin_has_a_plan_or_an_error() {
    for entry in std::fs::read_dir("/usr/bin").into_iter().flatten().flatten().take(400) {
        let Ok(file) = std::fs::read(entry.path()) else { continue };
        match identify(file.as_slice()) {
            Ok(Kind::Elf) => match LoadPlan::parse(file.as_slice()) {
                Ok(plan) => assert!(!plan.mappings.is_empty() && plan.phnum > 0, "{:?}", entry.path()),
                Err(e) => eprintln!("{:?}: {e}", entry.path()),
            },
            Ok(Kind::Script(script)) => assert!(!script.interpreter.is_empty(), "{:?}", entry.path()),
            Err(e) => eprintln!("{:?}: {e}", entry.path()),
        }
    }
}
