//! Inputs of the fuzzer (`scripts/test-fuzz`) without its search: chance alone, and those that
//! found something once.

#[path = "../fuzz/src/harness/mod.rs"]
mod harness;

#[test]
fn chance() {
    harness::init();
    let mut state = 0x5eed_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for round in 0..400_u32 {
        // Few changes: of many, one ends the mount at once.
        let input: Vec<u8> = [round as u8, (round / 12 % 3) as u8].into_iter().chain((0..300).map(|_| byte())).collect();
        assert!(harness::run(&input));
    }
    assert!(!harness::run(&[]));
}
