//! `cargo +nightly fuzz run packets` in `inet/`: any bytes as packets to every protocol of the
//! crate. With a stable compiler, in `inet/fuzz`:
//!
//!     RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cdebug-assertions --cfg fuzzing \
//!       -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table" \
//!     cargo run --release --target x86_64-unknown-linux-gnu -- -max_total_time=240 -max_len=4096 corpus
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inet::hostile::feed(bytes));
