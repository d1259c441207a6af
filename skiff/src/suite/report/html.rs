//! `index.html`: one page that needs nothing else.

use super::Report;
use super::junit::escape;
use crate::suite::JudgedBy;
use crate::suite::compare::{Case, Verdict};
use std::fmt::Write;

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:76em;padding:0 1em;color:#1c2430;background:#fff}
h1{font-size:1.6em;margin:0 0 .3em}h2{font-size:1.15em;margin:2em 0 .5em;border-bottom:1px solid #d5dae1}
table{border-collapse:collapse}td,th{padding:.15em .7em;text-align:left;border-bottom:1px solid #edf0f3}th{position:sticky;top:0;background:#fff}
td.n{text-align:right;font-variant-numeric:tabular-nums}td.zero{color:#c3c9d1}
.cards{display:flex;flex-wrap:wrap;gap:.8em;margin:1em 0}.card{padding:.5em 1.1em;border-radius:8px;background:#f2f4f7}.card b{display:block;font-size:1.7em}
.same{background:#e2f4e6}.differs{background:#fbdcd9}.known{background:#fdf1cf}.wrong{background:#e6e2f4}.skipped{background:#eceff2}
.matrix{columns:40em;column-gap:2em}.matrix table{width:100%}pre{white-space:pre-wrap;background:#f6f7f9;padding:.5em;margin:.2em 0;max-height:20em;overflow:auto}
.calls{columns:5;font-family:ui-monospace,monospace;font-size:.9em}input{padding:.3em .6em;width:24em}";

/// The page.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><title>Skiff beside Linux</title><style>{STYLE}</style>\n\
         <h1>Skiff beside Linux</h1><p>{} cases over {} system calls in {} programs, each run on Linux first; {:.0} s.</p><div class=cards>",
        report.cases.len(),
        report.calls_with_cases(),
        report.tests.len(),
        report.time.as_secs_f64()
    );
    for verdict in Verdict::ALL {
        let _ = write!(out, "<div class=\"card {0}\"><b>{1}</b>{0}</div>", verdict.word(), report.count(verdict));
    }
    out.push_str("</div>\n");
    differences(&mut out, report, Verdict::Differs, "Differences");
    differences(&mut out, report, Verdict::Known, "Known differences");
    differences(&mut out, report, Verdict::Wrong, "Cases that Linux fails");
    matrix(&mut out, report);
    coverage(&mut out, report);
    times(&mut out, report);
    every_case(&mut out, report);
    out
}

fn differences(out: &mut String, report: &Report, verdict: Verdict, title: &str) {
    let cases: Vec<&Case> = report.cases.iter().filter(|case| case.verdict == verdict).collect();
    if cases.is_empty() && verdict != Verdict::Differs {
        return;
    }
    let _ = write!(out, "<h2>{title} ({})</h2>", cases.len());
    if cases.is_empty() {
        out.push_str("<p>None.</p>\n");
        return;
    }
    out.push_str("<table><tr><th>case<th>Linux<th>Skiff<th>reason</tr>\n");
    for case in cases {
        let fields = [&case.name, &case.linux, &case.skiff, &case.reason].map(|text| escape(text));
        let _ = writeln!(out, "<tr class={}><td>{}", verdict.word(), fields.join("<td>"));
    }
    out.push_str("</table>\n");
}

fn matrix(out: &mut String, report: &Report) {
    out.push_str("<h2>Calls and verdicts</h2><div class=matrix><table><tr><th>call");
    for verdict in Verdict::ALL {
        let _ = write!(out, "<th>{}", verdict.word());
    }
    out.push_str("</tr>\n");
    for (call, counts) in report.matrix() {
        let _ = write!(out, "<tr><td>{}", escape(call));
        for (verdict, count) in Verdict::ALL.iter().zip(counts) {
            let class = if count == 0 { "zero" } else { verdict.word() };
            let _ = write!(out, "<td class=\"n {class}\">{count}");
        }
        out.push('\n');
    }
    out.push_str("</table></div>\n");
}

fn coverage(out: &mut String, report: &Report) {
    let never = report.never_made();
    let made = report.table.len() - never.len();
    let _ = write!(
        out,
        "<h2>Coverage</h2><p>{made} of the {} system calls that Skiff has were made, by the kernel's own count. Calls that were never made:</p>",
        report.table.len()
    );
    let _ = writeln!(out, "<div class=calls>{}</div>", never.join("<br>"));
}

fn times(out: &mut String, report: &Report) {
    out.push_str("<h2>Programs</h2><table><tr><th>program<th>Linux<th>Skiff<th>ended on Skiff<th>calls made</tr>\n");
    for (test, linux, skiff) in &report.tests {
        let _ = writeln!(
            out,
            "<tr><td>{}<td class=n>{:.2} s<td class=n>{:.2} s<td>{}<td class=n>{}",
            escape(&test.id),
            linux.time.as_secs_f64(),
            skiff.time.as_secs_f64(),
            skiff.end,
            skiff.calls.values().sum::<u64>()
        );
        // Our own cases' lines are in the table of all cases.
        let own = test.judged_by == JudgedBy::Lines;
        for (side, ran) in [("Linux", linux), ("Skiff", skiff)].into_iter().filter(|(_, ran)| !own && !ran.output.is_empty())
        {
            let _ = writeln!(
                out,
                "<tr><td colspan=5><details><summary>its output on {side}</summary><pre>{}</pre></details>",
                escape(&ran.text())
            );
        }
        if !skiff.console.is_empty() {
            let _ = writeln!(
                out,
                "<tr><td colspan=5><details><summary>what the machine said</summary><pre>{}</pre></details>",
                escape(&skiff.console)
            );
        }
    }
    out.push_str("</table>\n");
}

fn every_case(out: &mut String, report: &Report) {
    out.push_str(
        "<h2>All cases</h2><p><input id=f placeholder=\"part of a name\" oninput=\"for(const r of document.querySelectorAll('#all tr'))r.hidden=!r.textContent.includes(this.value)\"></p>\
         <table id=all>\n",
    );
    for case in &report.cases {
        let verdict = case.verdict.word();
        let _ = writeln!(out, "<tr><td class={verdict}>{verdict}<td>{}<td>{}", escape(&case.name), escape(&case.linux));
    }
    out.push_str("</table></html>\n");
}
