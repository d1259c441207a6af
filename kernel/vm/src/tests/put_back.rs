//! That the tests find faults: each is put back in a process of its own, where they must
//! fail.

use std::env;
use std::process::Command;
use std::string::String;
use std::sync::LazyLock;
use std::{format, println};

use crate::put_back::Fault;

/// Names the fault to put back.
const VARIABLE: &str = "VM_TESTS_PUT_BACK";

static BACK: LazyLock<Option<String>> = LazyLock::new(|| env::var(VARIABLE).ok());

pub fn is_back(fault: Fault) -> bool {
    BACK.as_ref().is_some_and(|name| *name == format!("{fault:?}"))
}

fn is_found(fault: Fault) {
    is_found_by("tests::random::calls_do_what_the_model_does", fault);
}

fn is_found_by(test: &str, fault: Fault) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test])
        .env(VARIABLE, format!("{fault:?}"))
        .env("PROPTEST_MAX_SHRINK_TIME", "10000")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(!output.status.success() && said.contains(test), "{fault:?} was not found");
}

#[test]
fn an_old_length_that_leaves_the_address_space_is_found() {
    is_found(Fault::RemapBeyondEnd);
}

#[test]
fn a_table_freed_while_pages_were_moved_beside_it_is_found() {
    is_found(Fault::TablesBesideMoved);
}

#[test]
fn a_missing_flush_is_found() {
    is_found(Fault::ProtectWithoutFlush);
}

#[test]
fn a_page_that_both_may_write_after_a_fork_is_found() {
    is_found(Fault::ForkWithoutProtection);
}

#[test]
fn a_jump_that_others_see_in_part_is_found() {
    is_found_by("tests::patching::others_execute_the_site_while_it_changes", Fault::JumpInOneStep);
}
