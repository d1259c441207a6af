//! What a run is told by: JSON and JUnit XML for machines, a page for people, a few lines on the
//! terminal.

pub mod html;
pub mod json;
pub mod junit;

use super::compare::{Case, Verdict};
use super::{Ran, Test};
use crate::error::{On, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

/// Everything that is known at the end of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// All cases.
    pub cases: Vec<Case>,
    /// The tests, with what they gave on Linux and on Skiff.
    pub tests: Vec<(Test, Ran, Ran)>,
    /// All system calls that Skiff has a handler for.
    pub table: Vec<&'static str>,
    /// How long all of it took.
    pub time: Duration,
}

impl Report {
    /// How many cases have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|case| case.verdict == verdict).count()
    }

    /// For each call (or test): how many cases of each verdict, in the order of [`Verdict::ALL`].
    pub fn matrix(&self) -> BTreeMap<&str, [usize; 5]> {
        let mut rows: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
        for case in &self.cases {
            let row = rows.entry(case.call()).or_default();
            row[case.verdict as usize] += 1;
        }
        rows
    }

    /// How often each system call was made on Skiff, by the kernel's own count.
    pub fn made(&self) -> HashMap<&str, u64> {
        let mut made: HashMap<&str, u64> = HashMap::new();
        for (name, count) in self.tests.iter().flat_map(|(_, _, skiff)| &skiff.calls) {
            *made.entry(name).or_default() += count;
        }
        made
    }

    /// Calls of the table that no test made.
    pub fn never_made(&self) -> Vec<&'static str> {
        let made = self.made();
        self.table.iter().copied().filter(|name| !made.contains_key(name)).collect()
    }

    /// Calls of the table that cases are named after.
    pub fn calls_with_cases(&self) -> usize {
        let named: BTreeSet<&str> = self.cases.iter().map(Case::call).collect();
        named.iter().filter(|name| self.table.contains(name)).count()
    }

    /// Writes `report.json`, `junit.xml` and `index.html`.
    pub fn write(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).on(dir.display().to_string())?;
        for (name, text) in
            [("report.json", json::text(self)), ("junit.xml", junit::text(self)), ("index.html", html::text(self))]
        {
            let path = dir.join(name);
            std::fs::write(&path, text).on(path.display().to_string())?;
        }
        Ok(())
    }

    /// The last lines on the terminal.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for case in self.cases.iter().filter(|c| matches!(c.verdict, Verdict::Differs | Verdict::Wrong)) {
            let word = if case.verdict == Verdict::Wrong { "wrong on Linux" } else { "DIFFERS" };
            text += &format!("{word}  {}\n    Linux: {}\n    Skiff: {}\n", case.name, case.linux, case.skiff);
        }
        let counts = Verdict::ALL.map(|verdict| format!("{} {}", self.count(verdict), verdict.word()));
        text += &format!("{} cases over {} system calls", self.cases.len(), self.calls_with_cases());
        text += &format!(", {} tests: {}\n", self.tests.len(), counts.join(", "));
        let (linux, skiff) =
            (self.cases.len() - self.count(Verdict::Wrong) - self.count(Verdict::Skipped), self.count(Verdict::Same));
        text + &format!(
            "passed on Linux {linux}, and of these on Skiff {skiff} ({:.1} %)\n",
            skiff as f64 * 100.0 / linux.max(1) as f64
        )
    }
}
