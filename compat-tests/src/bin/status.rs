//! `status REPORT README`: writes the results of the last test run and the state of the system-call table into the README,
//! between its markers.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use syscall_shim::table::{ROWS, Status};

const BEGIN: &str = "<!-- status: written by scripts/status -->";
const END: &str = "<!-- end of status -->";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, report, readme] = &args[..] else {
        eprintln!("usage: status REPORT README");
        return ExitCode::FAILURE;
    };
    match update(report, readme) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("status: {e}");
            ExitCode::FAILURE
        }
    }
}

fn update(report: &str, readme: &str) -> Result<(), String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}: run scripts/test first"));
    let text = read(readme)?;
    let (head, rest) = text.split_once(BEGIN).ok_or_else(|| format!("{readme}: no line {BEGIN}"))?;
    let (_, tail) = rest.split_once(END).ok_or_else(|| format!("{readme}: no line {END}"))?;
    let section = programs(&read(report)?) + &calls();
    std::fs::write(readme, format!("{head}{BEGIN}\n{section}{END}{tail}")).map_err(|e| format!("{readme}: {e}"))
}

/// One row for each program, with its variants or tests behind it.
fn programs(report: &str) -> String {
    let mut rows: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for line in report.lines() {
        let Some((result, name)) = line.split_once('\t') else {
            continue;
        };
        let (program, test) = name.split_once(": ").or_else(|| name.split_once(" (")).unwrap_or((name, ""));
        rows.entry(program).or_default().push((result, test.trim_end_matches(')')));
    }
    let mut out = String::from("| program | as on Linux | differs | skipped |\n|--|--|--|--|\n");
    for (program, tests) in rows {
        let of = |wanted: &str| {
            let hits: Vec<&str> = tests.iter().filter(|(r, _)| *r == wanted).map(|(_, t)| *t).collect();
            match hits.as_slice() {
                [""] => "yes".to_owned(),
                names => names.join(", "),
            }
        };
        let _ = writeln!(out, "| {program} | {} | {} | {} |", of("passed"), of("failed"), of("skipped"));
    }
    out
}

fn calls() -> String {
    let names = |wanted: fn(&Status) -> bool| ROWS.iter().filter(move |r| wanted(&r.status)).map(|r| r.name);
    let done = names(|s| *s == Status::Done).count();
    let absent: Vec<&str> = names(|s| *s == Status::Absent).collect();
    let partial: Vec<String> = ROWS
        .iter()
        .filter_map(|r| match r.status {
            Status::Partial(why) => Some(format!("| {} | {why} |", r.name)),
            _ => None,
        })
        .collect();
    let mut out = format!(
        "\n{done} system calls are done, {} partial, {} absent (they answer `ENOSYS`).\n",
        partial.len(),
        absent.len()
    );
    if !partial.is_empty() {
        let _ = write!(out, "\n| partial | what is missing |\n|--|--|\n{}\n", partial.join("\n"));
    }
    let _ = write!(out, "\nAbsent: {}.\n", absent.join(", "));
    out
}
