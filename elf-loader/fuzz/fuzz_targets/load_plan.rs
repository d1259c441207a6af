//! `cargo +nightly fuzz run load_plan` in `elf-loader/`: any bytes as a program file.
#![no_main]

use elf_loader::{Kind, LoadPlan, USER_TOP, identify};

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    if identify(file) == Ok(Kind::Elf)
        && let Ok(plan) = LoadPlan::parse(file)
    {
        assert!(plan.end <= USER_TOP && plan.start < plan.end);
        assert!(plan.mappings.windows(2).all(|w| w[0].vaddr + w[0].len <= w[1].vaddr));
    }
});
