//! Tables: for the eye with ratios, and tab-separated for other programs.

use crate::error::{On, Result};
use std::fmt::Write;
use std::path::Path;

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A name.
    Text(String),
    /// A measured value, or none.
    Number(Option<f64>),
    /// How many times the second is of the first.
    Ratio(Option<f64>),
}

/// A table with a heading.
#[derive(Debug)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty one.
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self { title: title.into(), columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// For the eye.
    pub fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(Cell::text).collect()).collect();
        let width = |i: usize| {
            let cells = rows.iter().filter_map(|r| r.get(i)).chain(self.columns.get(i));
            cells.map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let mut out = format!("\n{}\n", self.title);
        for row in std::iter::once(&self.columns).chain(&rows) {
            for (i, cell) in row.iter().enumerate() {
                let _ = if i == 0 {
                    write!(out, "  {cell:<w$}", w = width(i))
                } else {
                    write!(out, "  {cell:>w$}", w = width(i))
                };
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        out
    }

    /// For programs: the title is the first column.
    pub fn tsv(&self) -> String {
        let mut out = format!("table\t{}\n", self.columns.join("\t"));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(Cell::plain).collect();
            let _ = writeln!(out, "{}\t{}", self.title, cells.join("\t"));
        }
        out
    }
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(Some(n)) if *n >= 100.0 => format!("{n:.0}"),
            Self::Number(Some(n)) => format!("{n:.1}"),
            Self::Ratio(Some(r)) if *r >= 10.0 => format!("{r:.1}x"),
            Self::Ratio(Some(r)) => format!("{r:.2}x"),
            Self::Number(None) | Self::Ratio(None) => "-".into(),
        }
    }

    fn plain(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(n) | Self::Ratio(n) => n.map(|n| format!("{n:.4}")).unwrap_or_default(),
        }
    }
}

/// `of` in relation to `to`.
pub fn ratio(of: Option<f64>, to: Option<f64>) -> Cell {
    Cell::Ratio(of.zip(to).filter(|(_, to)| *to > 0.0).map(|(of, to)| of / to))
}

/// Prints the tables, and writes them where that is wanted.
pub fn publish(tables: &[Table], tsv: Option<&Path>) -> Result<()> {
    for table in tables {
        print!("{}", table.text());
    }
    if let Some(path) = tsv {
        std::fs::write(path, tables.iter().map(Table::tsv).collect::<String>()).on(path.display())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_in_both_forms() {
        let mut t = Table::new("calls", &["call", "Linux", "Skiff", "ratio"]);
        t.row(vec![
            Cell::Text("null".into()),
            Cell::Number(Some(412.25)),
            Cell::Number(Some(41.2)),
            ratio(Some(41.2), Some(412.25)),
        ]);
        t.row(vec![Cell::Text("x".into()), Cell::Number(None), Cell::Number(Some(1.0)), ratio(Some(1.0), None)]);
        assert_eq!(
            t.text(),
            "\ncalls\n  call  Linux  Skiff  ratio\n  null    412   41.2  0.10x\n  x         -    1.0      -\n"
        );
        assert_eq!(t.tsv().lines().nth(1), Some("calls\tnull\t412.2500\t41.2000\t0.0999"));
        assert_eq!(t.tsv().lines().nth(2), Some("calls\tx\t\t1.0000\t"));
    }
}
