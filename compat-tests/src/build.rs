//! Builds test programs from their sources, unless they are newer already.

use crate::case::{Case, Subject};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's JDK, beside whatever else is on PATH.
pub const JAVAC: &str = "/usr/lib/jvm/java-17-openjdk-amd64/bin/javac";

/// Builds the program of a case and returns its path; an application's is the host's own.
pub fn build(case: &Case, out: &Path) -> Result<PathBuf, String> {
    let (source, variant) = match &case.subject {
        Subject::Source { path, variant } => (path, variant),
        Subject::App { program, .. } => return Ok(program.into()),
        Subject::Network => return Ok(PathBuf::new()),
    };
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    let extension = source.extension().unwrap_or_default().to_string_lossy();
    let program = match &*extension {
        // A class has inner ones beside it.
        "java" => out.join(format!("{stem}-classes/{stem}.class")),
        _ => out.join(format!("{stem}-{extension}{}{variant}", if variant.is_empty() { "" } else { "-" })),
    };
    if newer(&program, source) {
        return Ok(program);
    }
    let mut command = compiler(&extension, variant, source, &program, case)?;
    let done = command.output().map_err(|e| format!("{:?}: {e}: run scripts/setup", command.get_program()))?;
    if done.status.success() {
        return Ok(program);
    }
    Err(format!("does not build: {}", String::from_utf8_lossy(&done.stderr)))
}

fn compiler(extension: &str, variant: &str, source: &Path, program: &Path, case: &Case) -> Result<Command, String> {
    let unknown = || format!("unknown variant {variant}");
    let command = match extension {
        "c" => {
            let (cc, link): (&str, &[&str]) = match variant {
                "pie" => ("gcc", &["-fPIE", "-pie"]),
                "no-pie" => ("gcc", &["-fno-pie", "-no-pie"]),
                "static" => ("gcc", &["-static"]),
                "static-pie" => ("gcc", &["-fPIE", "-static-pie"]),
                "musl" => ("musl-gcc", &[]),
                "musl-static" => ("musl-gcc", &["-static"]),
                _ => return Err(unknown()),
            };
            let mut c = Command::new(cc);
            c.args(&case.cflags).args(link).arg("-o").arg(program).arg(source).arg("-lm");
            c
        }
        "cpp" => {
            let link: &[&str] = match variant {
                "pie" => &[],
                "static" => &["-static"],
                _ => return Err(unknown()),
            };
            let mut c = Command::new("g++");
            c.arg("-std=c++20").args(&case.cflags).args(link).arg("-o").arg(program).arg(source);
            c
        }
        "rs" => {
            let mut c = Command::new("rustc");
            c.args(["--edition=2024", "-O", "-o"]).arg(program).arg(source);
            match variant {
                "pie" => {}
                "static-pie" => drop(c.args(["-C", "target-feature=+crt-static"])),
                _ => return Err(unknown()),
            }
            c
        }
        "go" => {
            let mut c = Command::new("go");
            c.args(["build", "-o"]).arg(program).arg(source);
            c.env("CGO_ENABLED", "0").env("GO111MODULE", "off").env("GOTOOLCHAIN", "local");
            c
        }
        "java" => {
            let mut c = Command::new(JAVAC);
            c.arg("-d").arg(program.parent().unwrap_or(Path::new("."))).arg(source);
            c
        }
        other => return Err(format!("no compiler for .{other}")),
    };
    Ok(command)
}

fn newer(program: &Path, source: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    matches!((time(program), time(source)), (Some(p), Some(s)) if p > s)
}
