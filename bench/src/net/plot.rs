//! A bar for each load: how Skiff's rate compares with Linux's, which is the line at 1.

use crate::error::{On, Result};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const LABELS: u32 = 230;
const WIDTH: u32 = 480;
const ROW: u32 = 24;
const TOP: u32 = 40;

/// Writes the bars as SVG; loads without a ratio have none.
pub fn write(path: &Path, title: &str, bars: &[(&str, Option<f64>)]) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).on(dir.display())?;
    }
    fs::write(path, svg(title, bars)).on(path.display())
}

fn svg(title: &str, bars: &[(&str, Option<f64>)]) -> String {
    let most = bars.iter().filter_map(|b| b.1).fold(1.5, f64::max);
    let x = |ratio: f64| f64::from(LABELS) + ratio / most * f64::from(WIDTH);
    let (width, height) = (LABELS + WIDTH + 60, TOP + ROW * bars.len() as u32 + 10);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"22\" font-weight=\"bold\">{title}</text>\n"
    );
    for (i, (name, ratio)) in bars.iter().enumerate() {
        let y = TOP + ROW * i as u32;
        let _ = writeln!(out, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>", LABELS - 8, y + 16);
        if let Some(ratio) = ratio {
            let fill = if *ratio >= 1.0 { "#2b7a4b" } else { "#b5532a" };
            let (end, length) = (x(*ratio), x(*ratio) - f64::from(LABELS));
            let _ = writeln!(
                out,
                "<rect x=\"{LABELS}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"{fill}\"/>",
                y + 3,
                ROW - 6
            );
            let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{}\">{ratio:.2}</text>", end + 5.0, y + 16);
        }
    }
    let one = x(1.0);
    let _ = writeln!(out, "<line x1=\"{one:.1}\" y1=\"{TOP}\" x2=\"{one:.1}\" y2=\"{height}\" stroke=\"black\"/>\n</svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_for_each_ratio() {
        let plot = svg("t", &[("a", Some(2.0)), ("b", None), ("c", Some(0.5))]);
        assert_eq!((plot.matches("<rect x=").count(), plot.matches("<text").count()), (2, 6));
        assert!(plot.contains("width=\"480.0\"") && plot.ends_with("</svg>\n"));
    }
}
