//! Compiles and links the vDSO, which the kernel embeds and maps into every program.

use std::{env, path::PathBuf, process::Command};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("vdso.so");
    for file in ["vdso/vdso.c", "vdso/note.S", "vdso/vdso.lds", "build.rs"] {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-env-changed=VDSO_CC");
    let native = env::var("HOST").is_ok_and(|host| host.starts_with("x86_64"));
    let cc = env::var("VDSO_CC").unwrap_or_else(|_| if native { "cc" } else { "x86_64-linux-gnu-gcc" }.into());
    let status = Command::new(&cc)
        .args([
            "-O2",
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-m64",
            "-shared",
            "-fpic",
            "-ffreestanding",
            "-nostdlib",
        ])
        .args(["-fno-stack-protector", "-fcf-protection=none", "-mgeneral-regs-only", "-fasynchronous-unwind-tables"])
        .args(["-Wl,-T,vdso/vdso.lds", "-Wl,-soname,linux-vdso.so.1", "-Wl,--hash-style=both", "-Wl,--eh-frame-hdr"])
        .args(["-Wl,-Bsymbolic", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096", "-Wl,-z,norelro", "-Wl,--strip-all"])
        .args(["vdso/vdso.c", "vdso/note.S", "-o"])
        .arg(&out)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{cc} could not make the vDSO ({status})"),
        Err(e) => {
            panic!("the vDSO needs a C compiler for x86-64, and `{cc}` did not start: {e}; install gcc or set VDSO_CC")
        }
    }
}
