//! Takes a test's output apart: lines of our own cases, TAP, automake's and Busybox's `PASS: name`,
//! Python's `name ... ok`.

use std::collections::BTreeMap;

/// What a case gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// What was observed; `wrong` where that is not what the case expects.
    Line {
        /// The text.
        text: String,
        /// Whether the case's own expectation failed.
        wrong: bool,
    },
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was left out.
    Skipped,
}

/// Cases by name. A name that comes again gets a number.
pub type Cases = BTreeMap<String, Seen>;

/// Lines of the programs in `compat-tests/cases`: `case CALL/NAME: TEXT[ ! EXPECTED]`, and `died
/// CALL: WHY`.
pub fn lines(output: &[u8]) -> Cases {
    let mut cases = Cases::new();
    for line in String::from_utf8_lossy(output).lines() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let Some((name, text)) = rest.split_once(": ") else {
            continue;
        };
        match what {
            "case" => add(&mut cases, name, Seen::Line { text: text.into(), wrong: text.contains(" ! ") }),
            "died" => add(&mut cases, &format!("{name}/(end)"), Seen::Line { text: text.into(), wrong: true }),
            _ => {}
        }
    }
    cases
}

/// Results in one of the common forms.
pub fn results(output: &[u8]) -> Cases {
    let mut cases = Cases::new();
    let mut open: Option<String> = None;
    for line in String::from_utf8_lossy(output).lines() {
        if let Some((name, seen)) = tap(line).or_else(|| word(line)).or_else(|| unittest(line, &mut open)) {
            add(&mut cases, &name, seen);
        }
    }
    cases
}

fn add(cases: &mut Cases, name: &str, seen: Seen) {
    let again = (2..).map(|n| format!("{name} ({n})"));
    if let Some(free) = std::iter::once(name.to_owned()).chain(again).find(|name| !cases.contains_key(name)) {
        cases.insert(free, seen);
    }
}

/// `ok 3 - name # SKIP why`, `not ok 4 name`.
fn tap(line: &str) -> Option<(String, Seen)> {
    let (rest, seen) = match line.strip_prefix("not ok ") {
        Some(rest) => (rest, Seen::Failed),
        None => (line.strip_prefix("ok ")?, Seen::Passed),
    };
    let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
    number.parse::<u32>().ok()?;
    let (name, directive) = name.split_once('#').unwrap_or((name, ""));
    let name = name.trim().trim_start_matches("- ").to_owned();
    let directive = directive.trim().to_ascii_uppercase();
    let seen = if directive.starts_with("SKIP") || directive.starts_with("TODO") { Seen::Skipped } else { seen };
    Some((if name.is_empty() { number.to_owned() } else { name }, seen))
}

/// `PASS: name`.
fn word(line: &str) -> Option<(String, Seen)> {
    let (word, name) = line.split_once(": ")?;
    let seen = match word {
        "PASS" | "XFAIL" => Seen::Passed,
        "FAIL" | "XPASS" | "ERROR" => Seen::Failed,
        "SKIP" | "SKIPPED" | "UNTESTED" => Seen::Skipped,
        _ => return None,
    };
    // Python repeats in this form what failed, with a class behind it.
    let again = name.ends_with(')') && name.contains(" (test");
    (!again).then(|| (name.trim().to_owned(), seen))
}

/// `test_read (test.test_os.FileTests.test_read) ... ok`; the first line of a description, and
/// other output, may stand between.
fn unittest(line: &str, open: &mut Option<String>) -> Option<(String, Seen)> {
    let head = line.split_once(" ... ").map_or(line, |(head, _)| head);
    if let Some((method, class)) = head.split_once(" (").filter(|(m, c)| m.starts_with("test") && c.contains(')')) {
        let class = class.split(')').next().unwrap_or_default();
        *open = (!method.contains(' '))
            .then(|| if class.ends_with(method) { class.into() } else { format!("{class}.{method}") });
    }
    let end = line.rsplit_once("... ").map_or(line, |(_, end)| end).trim();
    let seen = match end {
        "ok" | "expected failure" => Seen::Passed,
        "FAIL" | "ERROR" | "unexpected success" => Seen::Failed,
        _ if end.starts_with("skipped '") || end.starts_with("skipped \"") => Seen::Skipped,
        _ => return None,
    };
    Some((open.take()?, seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_lines() {
        let cases =
            lines(b"group read\ncase read/at the end: 0\ncase read/odd: 3 ! 4\ncase read/odd: 4\ndied read: signal 11\n");
        assert_eq!(cases["read/at the end"], Seen::Line { text: "0".into(), wrong: false });
        assert_eq!(cases["read/odd"], Seen::Line { text: "3 ! 4".into(), wrong: true });
        assert_eq!(cases["read/odd (2)"], Seen::Line { text: "4".into(), wrong: false });
        assert_eq!(cases["read/(end)"], Seen::Line { text: "signal 11".into(), wrong: true });
    }

    #[test]
    fn common_forms() {
        let tap = results(b"1..3\nok 1 - one\nnot ok 2 two\nok 3 # SKIP no time\n");
        assert_eq!(tap["one"], Seen::Passed);
        assert_eq!(tap["two"], Seen::Failed);
        assert_eq!(tap["3"], Seen::Skipped);
        let words = results(b"PASS: awk -F\nFAIL: sed\nSKIPPED: tar\n");
        assert_eq!(words["awk -F"], Seen::Passed);
        assert_eq!(words["sed"], Seen::Failed);
        assert_eq!(words["tar"], Seen::Skipped);
        let python = results(
            b"test_a (test.test_os.A.test_a) ... ok\ntest_b (test.test_os.A)\nDoes b. ... noise\nskipped 'why'\n\
              test_c (m.C.test_c) ... FAIL\nFAIL: test_c (test.m.C.test_c)\nok\n",
        );
        assert_eq!(python["test.test_os.A.test_a"], Seen::Passed);
        assert_eq!(python["test.test_os.A.test_b"], Seen::Skipped);
        assert_eq!(python["m.C.test_c"], Seen::Failed);
        assert_eq!(python.len(), 3);
    }
}
