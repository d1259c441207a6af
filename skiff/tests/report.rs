//! The report's page in a browser.

use skiff::suite::compare::{Case, Verdict};
use skiff::suite::report::{Report, html};
use std::fs;
use std::process::Command;

#[test]
fn a_browser_shows_the_page() {
    let case = |name: &str, verdict| Case {
        test: "rw".into(),
        name: name.into(),
        verdict,
        linux: "-1 EBADF".into(),
        skiff: "<b>3</b>".into(),
        reason: String::new(),
    };
    let report = Report {
        cases: vec![case("read/a", Verdict::Same), case("write/b", Verdict::Differs)],
        table: vec!["read", "write", "never_made"],
        ..Report::default()
    };
    let page = html::text(&report);
    for text in ["write/b", "&lt;b&gt;3&lt;/b&gt;", "never_made", "2 cases over 2 system calls"] {
        assert!(page.contains(text), "{text}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("index.html"), page).unwrap();
    let picture = dir.path().join("page.png");
    let browser = Command::new("timeout")
        .args(["60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"])
        .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}/index.html", dir.path().display()))
        .output()
        .expect("timeout(1)");
    let size = fs::metadata(&picture).map_or(0, |m| m.len());
    assert!(size > 10_000, "a picture of {size} bytes: {}", String::from_utf8_lossy(&browser.stderr));
}
