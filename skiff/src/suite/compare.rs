//! Judges each case by what it gave on the two sides.

use super::known::Known;
use super::output::{self, Cases, Seen};
use super::{End, JudgedBy, Ran, Test};

/// What a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As on Linux.
    Same,
    /// Not as on Linux.
    Differs,
    /// Not as on Linux, for a reason that the list of known differences has.
    Known,
    /// Linux itself does not do what the case expects, or fails it: it says nothing about Skiff.
    Wrong,
    /// Left out by the test itself, on Linux.
    Skipped,
}

impl Verdict {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Same, Self::Differs, Self::Known, Self::Wrong, Self::Skipped];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::Known => "known",
            Self::Wrong => "wrong",
            Self::Skipped => "skipped",
        }
    }
}

/// A case, judged.
#[derive(Debug, Clone)]
pub struct Case {
    /// The test that it is of.
    pub test: String,
    /// Its name: for our own cases, the system call and what is tried with it.
    pub name: String,
    /// What it is.
    pub verdict: Verdict,
    /// On Linux.
    pub linux: String,
    /// On Skiff.
    pub skiff: String,
    /// Why it is known to differ.
    pub reason: String,
}

impl Case {
    /// The system call that one of our own cases is about, or the test.
    pub fn call(&self) -> &str {
        self.name.split_once('/').map_or(&self.test, |(call, _)| call)
    }
}

/// What Linux is taken to have given where it is not asked: everything passes that the test does
/// not leave out itself.
pub fn assumed(test: &Test, skiff: &Ran) -> Ran {
    let skip = match test.judged_by {
        JudgedBy::Results { skip } => skip,
        JudgedBy::Lines => 0,
    };
    let end = if skiff.end == End::Status(skip) { skiff.end } else { End::Status(0) };
    let result = |(name, seen): (&String, &Seen)| match seen {
        Seen::Skipped => format!("SKIP: {name}\n"),
        _ => format!("PASS: {name}\n"),
    };
    let output: String = output::results(&skiff.output).iter().map(result).collect();
    Ran { end, output: output.into(), ..Ran::not_run() }
}

/// The cases of a test.
pub fn judge(test: &Test, linux: &Ran, skiff: &Ran, known: &Known) -> Vec<Case> {
    let of = |ran: &Ran| match test.judged_by {
        JudgedBy::Lines => output::lines(&ran.output),
        JudgedBy::Results { .. } => output::results(&ran.output),
    };
    let (here, there) = (of(linux), of(skiff));
    let mut cases: Vec<Case> = here.iter().map(|(name, seen)| one(test, name, Some(seen), there.get(name), skiff)).collect();
    cases.extend(
        there
            .iter()
            .filter(|(name, _)| !here.contains_key(*name))
            .map(|(name, seen)| one(test, name, None, Some(seen), skiff)),
    );
    // A test without cases is one, and one that does not end by itself has one more.
    let bad = |end: End| matches!(end, End::TimeOut | End::Machine | End::NotRun);
    if (matches!(test.judged_by, JudgedBy::Results { .. }) && here.is_empty()) || bad(linux.end) || bad(skiff.end) {
        cases.push(whole(test, linux, skiff));
    }
    for case in cases.iter_mut().filter(|case| case.verdict == Verdict::Differs) {
        if let Some(reason) = known.reason(&case.test, &case.name) {
            case.verdict = Verdict::Known;
            case.reason = reason.into();
        }
    }
    cases
}

fn one(test: &Test, name: &str, linux: Option<&Seen>, skiff: Option<&Seen>, ran: &Ran) -> Case {
    let verdict = match (linux, skiff) {
        (Some(Seen::Line { wrong: true, .. } | Seen::Failed), _) => Verdict::Wrong,
        (Some(Seen::Skipped), _) => Verdict::Skipped,
        (Some(a), Some(b)) if a == b => Verdict::Same,
        // More than Linux has to say, and nothing bad.
        (None, Some(Seen::Passed | Seen::Skipped)) => Verdict::Skipped,
        _ => Verdict::Differs,
    };
    let text = |seen: Option<&Seen>| match seen {
        Some(Seen::Line { text, .. }) => text.clone(),
        Some(Seen::Passed) => "passed".into(),
        Some(Seen::Failed) => "failed".into(),
        Some(Seen::Skipped) => "left out".into(),
        None => format!("nothing ({})", ran.end),
    };
    let linux = if linux.is_none() { "nothing".into() } else { text(linux) };
    Case { test: test.id.clone(), name: name.into(), verdict, linux, skiff: text(skiff), reason: String::new() }
}

fn whole(test: &Test, linux: &Ran, skiff: &Ran) -> Case {
    let skips = |status| matches!(test.judged_by, JudgedBy::Results { skip } if skip == status);
    let verdict = match (linux.end, skiff.end) {
        (End::Status(status), _) if skips(status) => Verdict::Skipped,
        (End::Status(0), End::Status(0)) => Verdict::Same,
        (End::Status(0), _) => Verdict::Differs,
        _ => Verdict::Wrong,
    };
    let (linux, skiff) = (linux.end.to_string(), skiff.end.to_string());
    Case { test: test.id.clone(), name: format!("{}/(end)", test.id), verdict, linux, skiff, reason: String::new() }
}

/// Names of the cases of one side, for `--list`.
pub fn names(cases: &Cases) -> impl Iterator<Item = &str> {
    cases.keys().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ran(output: &str, end: End) -> Ran {
        Ran { output: output.into(), end, ..Ran::not_run() }
    }

    fn test(judged_by: JudgedBy) -> Test {
        Test { id: "t".into(), limit: Duration::from_secs(1), dir: None, command: Vec::new(), judged_by }
    }

    #[test]
    fn each_verdict() {
        let known = Known::parse("read/d\tfor a reason\n").unwrap();
        let linux =
            ran("case read/a: 1\ncase read/b: 1 ! 2\ncase read/c: 1\ncase read/d: 1\ncase read/e: 1\n", End::Status(0));
        let skiff = ran("case read/a: 1\ncase read/b: 1 ! 2\ncase read/c: 2\ncase read/d: 2\n", End::Status(0));
        let cases = judge(&test(JudgedBy::Lines), &linux, &skiff, &known);
        let verdicts: Vec<Verdict> = cases.iter().map(|c| c.verdict).collect();
        assert_eq!(verdicts, [Verdict::Same, Verdict::Wrong, Verdict::Differs, Verdict::Known, Verdict::Differs]);
        assert_eq!((cases[3].reason.as_str(), cases[0].call()), ("for a reason", "read"));
    }

    #[test]
    fn a_program_without_cases_is_one() {
        let known = Known::default();
        let verdict = |a, b| judge(&test(JudgedBy::Results { skip: 77 }), &ran("", a), &ran("", b), &known)[0].verdict;
        assert_eq!(verdict(End::Status(0), End::Status(0)), Verdict::Same);
        assert_eq!(verdict(End::Status(0), End::Status(139)), Verdict::Differs);
        assert_eq!(verdict(End::Status(0), End::TimeOut), Verdict::Differs);
        assert_eq!(verdict(End::Status(1), End::Status(0)), Verdict::Wrong);
        assert_eq!(verdict(End::Status(77), End::Status(1)), Verdict::Skipped);
        assert_eq!(verdict(End::Status(32), End::Status(32)), Verdict::Wrong);
    }

    #[test]
    fn without_linux_what_fails_differs() {
        let test = test(JudgedBy::Results { skip: 32 });
        let verdicts = |output: &str, status: i32| -> Vec<Verdict> {
            let skiff = ran(output, End::Status(status));
            judge(&test, &assumed(&test, &skiff), &skiff, &Known::default()).iter().map(|case| case.verdict).collect()
        };
        assert_eq!(verdicts("", 0), [Verdict::Same]);
        assert_eq!(verdicts("", 1), [Verdict::Differs]);
        assert_eq!(verdicts("", 32), [Verdict::Skipped]);
        assert_eq!(verdicts("PASS: a\nFAIL: b\nSKIP: c\n", 1), [Verdict::Same, Verdict::Differs, Verdict::Skipped]);
    }
}
