//! Measured rounds, as the programs print them, and their medians.

use std::collections::BTreeMap;

/// One round of one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Nanoseconds of the guest's clock for one operation.
    pub ns: f64,
    /// Ticks of the time-stamp counter for one operation.
    pub ticks: f64,
}

/// Rounds by operation, in the order of their first line.
#[derive(Debug, Default)]
pub struct Samples {
    order: Vec<String>,
    rounds: BTreeMap<String, Vec<Round>>,
}

impl Samples {
    /// Takes up the lines of one run; others than `bench NAME OPERATIONS NANOSECONDS TICKS` are
    /// passed over.
    pub fn add(&mut self, lines: &[String]) {
        for line in lines {
            if let Some((name, round)) = parse(line) {
                let rounds = self.rounds.entry(name.clone()).or_default();
                if rounds.is_empty() {
                    self.order.push(name);
                }
                rounds.push(round);
            }
        }
    }

    /// The operations.
    pub fn names(&self) -> &[String] {
        &self.order
    }

    /// Median nanoseconds of an operation.
    pub fn ns(&self, name: &str) -> Option<f64> {
        median(self.rounds.get(name)?.iter().map(|r| r.ns).collect())
    }

    /// Median ticks of an operation.
    pub fn ticks(&self, name: &str) -> Option<f64> {
        median(self.rounds.get(name)?.iter().map(|r| r.ticks).collect())
    }
}

fn parse(line: &str) -> Option<(String, Round)> {
    let mut words = line.strip_prefix("bench ")?.split(' ');
    let name = words.next()?.to_owned();
    let mut number = || words.next()?.parse::<f64>().ok();
    let (operations, ns, ticks) = (number()?, number()?, number()?);
    (operations > 0.0).then(|| (name, Round { ns: ns / operations, ticks: ticks / operations }))
}

/// The middle value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_runs_make_one_median() {
        let mut s = Samples::default();
        s.add(&["bench b 10 100 1000".into(), "[ 1.0] noise".into(), "bench a 1 5 5".into(), "bench b 10 300 3000".into()]);
        s.add(&["bench b 10 200 2000".into(), "bench c 0 1 1".into(), "bench d x 1 1".into()]);
        assert_eq!(s.names(), ["b", "a"]);
        assert_eq!((s.ns("b"), s.ticks("b"), s.ns("a"), s.ns("c")), (Some(20.0), Some(200.0), Some(5.0), None));
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }
}
