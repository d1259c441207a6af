//! Tells the kernel when it was built, and hands the linker script to the linker when the kernel
//! itself, and not a host test of it, is built.

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    println!("cargo:rerun-if-changed=build.rs");
    // What the clock of a machine without one begins at: with each change a new one, unless the
    // build is to be reproducible.
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let built = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.trim().parse::<u64>().ok());
    println!("cargo:rustc-env=SKIFF_BUILT={}", built.unwrap_or(now));
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let dir = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
        println!("cargo:rustc-link-arg-bins=-T{dir}/link.ld");
        println!("cargo:rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
        // Code that is the same for several types is kept once; a backtrace names any one of them.
        println!("cargo:rustc-link-arg-bins=--icf=all");
    }
}
