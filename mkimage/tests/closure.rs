//! Closures of programs that are built here, with gcc and musl-gcc as the linkers' own rules make
//! them.

use mkimage::{Gathered, Options, gather};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn cc(compiler: &str, dir: &Path, args: &[&str]) {
    let done = Command::new(compiler).current_dir(dir).args(args).output().expect("scripts/setup installs the compilers");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// `app` needs libone.so, which needs libtwo.so.
fn project(link: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    fs::create_dir_all(d.join("lib")).unwrap();
    fs::write(d.join("two.c"), "int two(void) { return 2; }").unwrap();
    fs::write(d.join("one.c"), "int two(void); int one(void) { return two() - 1; }").unwrap();
    fs::write(d.join("app.c"), "int one(void); int main(void) { return one() - 1; }").unwrap();
    cc("gcc", d, &["-shared", "-fPIC", "-o", "lib/libtwo.so", "two.c"]);
    cc("gcc", d, &["-shared", "-fPIC", "-o", "lib/libone.so", "one.c", "-Llib", "-ltwo"]);
    let mut args = vec!["-o", "app", "app.c", "-Llib", "-lone", "-Wl,-rpath-link,lib"];
    args.extend(link);
    cc("gcc", d, &args);
    let app = fs::canonicalize(d.join("app")).unwrap();
    (dir, app)
}

fn run(program: &Path, env: &[&str]) -> mkimage::Result<Gathered> {
    gather(&Options {
        program: program.display().to_string(),
        env: env.iter().map(|e| e.to_string()).collect(),
        ..Options::default()
    })
}

fn has(gathered: &Gathered, name: &str) -> bool {
    gathered.tree.iter().any(|(p, _)| p.ends_with(name))
}

#[test]
fn rpath_is_inherited_and_runpath_is_not() {
    let (_dir, app) = project(&["-Wl,--disable-new-dtags,-rpath,$ORIGIN/lib"]);
    let gathered = run(&app, &[]).unwrap();
    assert!(has(&gathered, "libone.so") && has(&gathered, "libtwo.so") && has(&gathered, "ld-linux-x86-64.so.2"));

    let (_dir, app) = project(&["-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib"]);
    assert!(!Command::new(&app).status().unwrap().success(), "Linux does not find libtwo.so either");
    let e = run(&app, &[]).unwrap_err().to_string();
    assert!(e.contains("libtwo.so: shared library not found") && e.contains("libone.so") && e.contains("--add"), "{e}");
}

#[test]
fn ld_library_path_counts_and_add_brings_what_is_missing() {
    let (dir, app) = project(&[]);
    let e = run(&app, &[]).unwrap_err().to_string();
    assert!(e.contains("libone.so") && e.contains("--add HOSTFILE:/usr/lib/libone.so"), "{e}");
    let lib = dir.path().join("lib");
    let gathered = run(&app, &[&format!("LD_LIBRARY_PATH={}", lib.display())]).unwrap();
    assert!(has(&gathered, "libtwo.so"));
    let add = ["libone.so", "libtwo.so"].map(|n| format!("{}:/usr/lib/{n}", lib.join(n).display())).to_vec();
    let options = Options { program: app.display().to_string(), add, ..Options::default() };
    assert!(gather(&options).unwrap().tree.find(Path::new("/usr/lib/libone.so")).unwrap().is_some());
}

#[test]
fn a_library_that_linux_finds_is_found() {
    for program in ["/bin/sh", "/usr/bin/python3", "/usr/bin/sqlite3", "/usr/bin/env"] {
        if !Path::new(program).exists() {
            continue;
        }
        let gathered = run(Path::new(program), &[]).unwrap();
        let ldd = Command::new("ldd").arg(program).output().unwrap();
        for line in String::from_utf8_lossy(&ldd.stdout).lines() {
            if let Some(path) = line.split_whitespace().find(|w| w.starts_with('/')) {
                let real = fs::canonicalize(path).unwrap();
                assert!(gathered.tree.iter().any(|(p, _)| p == real), "{program}: {path}");
            }
        }
    }
}

#[test]
fn musl_programs_bring_musls_loader() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.c"), "int main(void) { return 0; }").unwrap();
    cc("musl-gcc", dir.path(), &["-o", "dynamic", "x.c"]);
    cc("musl-gcc", dir.path(), &["-static", "-o", "static", "x.c"]);
    let gathered = run(&dir.path().join("dynamic"), &[]).unwrap();
    assert!(has(&gathered, "ld-musl-x86_64.so.1") && !has(&gathered, "libc.so.6"));
    let gathered = run(&dir.path().join("static"), &[]).unwrap();
    assert!(!gathered.tree.iter().any(|(p, _)| p.to_string_lossy().contains(".so")));
}

#[test]
fn a_missing_interpreter_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.c"), "int main(void) { return 0; }").unwrap();
    cc("gcc", dir.path(), &["-o", "x", "x.c", "-Wl,--dynamic-linker,/lib/ld-none.so.9"]);
    let e = run(&dir.path().join("x"), &[]).unwrap_err().to_string();
    assert!(e.contains("/lib/ld-none.so.9: interpreter not found"), "{e}");
    fs::write(dir.path().join("s"), "#!/usr/bin/env no-such-shell\n").unwrap();
    let e = run(&dir.path().join("s"), &[]).unwrap_err().to_string();
    assert!(e.contains("no-such-shell: interpreter not found"), "{e}");
}

#[test]
fn scripts_bring_their_interpreter() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("s"), "#!/usr/bin/env -S sh -e\nexit 3\n").unwrap();
    let gathered = run(&dir.path().join("s"), &[]).unwrap();
    assert!(has(&gathered, "env") && has(&gathered, "dash") && has(&gathered, "libc.so.6"));
}

#[test]
fn learning_takes_what_the_run_opens() {
    // What lies in /tmp is not learned, and the checkout may lie there.
    let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    let (read, written) = (dir.path().join("read"), dir.path().join("written"));
    fs::write(&read, "x").unwrap();
    let script = format!("cat {} > {}", read.display(), written.display());
    let options = Options { program: "/bin/sh".into(), args: vec!["-c".into(), script], learn: true, ..Options::default() };
    let gathered = gather(&options).unwrap();
    assert!(has(&gathered, "read") && has(&gathered, "cat") && !has(&gathered, "written"));
}
