//! `junit.xml`: a suite for each test, a case for each case. What is known to differ is left out,
//! with the reason.

use super::Report;
use crate::suite::JudgedBy;
use crate::suite::compare::Verdict;
use std::fmt::Write;

/// The report as JUnit XML.
pub fn text(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (test, _, skiff) in &report.tests {
        let cases: Vec<_> = report.cases.iter().filter(|case| case.test == test.id).collect();
        let failures = cases.iter().filter(|c| c.verdict == Verdict::Differs).count();
        let skipped = cases.iter().filter(|c| !matches!(c.verdict, Verdict::Differs | Verdict::Same)).count();
        let _ = writeln!(
            out,
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\" time=\"{:.3}\">",
            escape(&test.id),
            cases.len(),
            skiff.time.as_secs_f64()
        );
        for case in cases {
            let _ = write!(out, "<testcase classname=\"{}\" name=\"{}\"", escape(case.call()), escape(&case.name));
            let _ = match case.verdict {
                Verdict::Same => writeln!(out, "/>"),
                Verdict::Differs => writeln!(
                    out,
                    "><failure message=\"not as on Linux\">Linux: {}\nSkiff: {}</failure></testcase>",
                    escape(&case.linux),
                    escape(&case.skiff)
                ),
                Verdict::Known => writeln!(out, "><skipped message=\"{}\"/></testcase>", escape(&case.reason)),
                Verdict::Wrong => writeln!(out, "><skipped message=\"fails on Linux\"/></testcase>"),
                Verdict::Skipped => writeln!(out, "><skipped/></testcase>"),
            };
        }
        if matches!(test.judged_by, JudgedBy::Results { .. }) && !skiff.output.is_empty() {
            let _ = writeln!(out, "<system-out>{}</system-out>", escape(&skiff.text()));
        }
        out.push_str("</testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text for XML and HTML. Characters that XML has no room for become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("a<b> & \"c\"\u{1}"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}");
    }
}
