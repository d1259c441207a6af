//! `report.json`.

use super::Report;
use crate::suite::Ran;
use crate::suite::compare::Verdict;
use serde_json::{Map, Value, json};

fn side(ran: &Ran) -> Value {
    json!({ "end": ran.end.to_string(), "seconds": ran.time.as_secs_f64(), "output": ran.text() })
}

/// The report as JSON.
pub fn text(report: &Report) -> String {
    let cases: Vec<Value> = report
        .cases
        .iter()
        .map(|c| {
            let verdict = c.verdict.word();
            let mut case = json!({ "test": c.test, "name": c.name, "verdict": verdict, "linux": c.linux, "skiff": c.skiff });
            if let (false, Some(fields)) = (c.reason.is_empty(), case.as_object_mut()) {
                fields.insert("reason".into(), json!(c.reason));
            }
            case
        })
        .collect();
    let tests: Vec<Value> = report
        .tests
        .iter()
        .map(|(test, linux, skiff)| {
            json!({
                "name": test.id,
                "linux": side(linux),
                "skiff": side(skiff),
                "calls": skiff.calls,
                "console": skiff.console,
            })
        })
        .collect();
    let totals: Map<String, Value> = Verdict::ALL.iter().map(|v| (v.word().to_owned(), json!(report.count(*v)))).collect();
    let all = json!({
        "totals": totals,
        "seconds": report.time.as_secs_f64(),
        "calls_with_cases": report.calls_with_cases(),
        "calls_never_made": report.never_made(),
        "cases": cases,
        "tests": tests,
    });
    format!("{all:#}\n")
}
