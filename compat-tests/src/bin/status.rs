//! `status REPORT PAGE README`: writes the results of the last test run and the state of the
//! system-call table to a page, and their sum into the README, between its markers.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::ExitCode;
use syscall_shim::table::{ROWS, Status};

const BEGIN: &str = "<!-- status: written by scripts/status -->";
const END: &str = "<!-- end of status -->";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, report, page, readme] = &args[..] else {
        eprintln!("usage: status REPORT PAGE README");
        return ExitCode::FAILURE;
    };
    match update(report, page, readme) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("status: {e}");
            ExitCode::FAILURE
        }
    }
}

fn update(report: &str, page: &str, readme: &str) -> Result<(), String> {
    let results = fs::read_to_string(report).map_err(|e| format!("{report}: {e}: run scripts/test first"))?;
    let text = fs::read_to_string(readme).map_err(|e| format!("{readme}: {e}"))?;
    let (head, rest) = text.split_once(BEGIN).ok_or_else(|| format!("{readme}: no line {BEGIN}"))?;
    let (_, tail) = rest.split_once(END).ok_or_else(|| format!("{readme}: no line {END}"))?;
    let write = |path: &str, text: String| fs::write(path, text).map_err(|e| format!("{path}: {e}"));
    write(page, format!("# Status\n\nWritten by `scripts/status`.\n\n{}{}", programs(&results), calls()))?;
    write(readme, format!("{head}{BEGIN}\n{}\n{END}{tail}", sum(&results)))
}

/// Everything in one sentence.
fn sum(report: &str) -> String {
    let count = |wanted: &str| report.lines().filter(|line| line.split('\t').next() == Some(wanted)).count();
    let calls = |wanted: fn(&Status) -> bool| ROWS.iter().filter(|row| wanted(&row.status)).count();
    format!(
        "{} of {} programs and tests of applications do on Skiff what they do on Linux ({} differ, {} were skipped); of the\n\
         system calls {} are done, {} in part, {} not. [docs/status.md](docs/status.md) has them all.",
        count("passed"),
        report.lines().count(),
        count("failed"),
        count("skipped"),
        calls(|status| *status == Status::Done),
        calls(|status| matches!(status, Status::Partial(_))),
        calls(|status| *status == Status::Absent),
    )
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
