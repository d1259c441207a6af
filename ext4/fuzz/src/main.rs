//! libFuzzer's target for the file system; what an input stands for is told in [`harness`].
#![no_main]
#![forbid(unsafe_code)]

mod harness;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: harness::init(), |input: &[u8]| -> Corpus {
    if harness::run(input) { Corpus::Keep } else { Corpus::Reject }
});
