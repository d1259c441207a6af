//! `cargo +nightly fuzz run packets` in `inet/`: any bytes as packets to every protocol of the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inet::hostile::feed(bytes));
