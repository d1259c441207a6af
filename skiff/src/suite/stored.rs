//! Native results in a file: written on one machine or once, compared with on others or often.

use super::{End, Ran};
use crate::error::{Error, On, Result};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Writes what tests gave natively, by their names.
pub fn write(path: &Path, results: &HashMap<String, Ran>) -> Result<()> {
    let entry = |(id, ran): (&String, &Ran)| {
        let end = match ran.end {
            End::Status(status) => json!(status),
            End::TimeOut => json!("timeout"),
            End::Machine | End::NotRun => Value::Null,
        };
        let output = String::from_utf8_lossy(&ran.output);
        (id.clone(), json!({ "status": end, "seconds": ran.time.as_secs_f64(), "output": output }))
    };
    let all: Map<String, Value> = results.iter().map(entry).collect();
    std::fs::write(path, format!("{:#}\n", Value::Object(all))).on(path.display().to_string())
}

/// Reads them again.
pub fn read(path: &Path) -> Result<HashMap<String, Ran>> {
    let text = std::fs::read_to_string(path).on(path.display().to_string())?;
    let wrong = |what: &str| Error::Usage(format!("{}: {what}: --save-native writes such a file", path.display()));
    let all: Map<String, Value> = serde_json::from_str(&text).map_err(|e| wrong(&e.to_string()))?;
    let ran = |entry: &Value| {
        let end = match entry.get("status")? {
            Value::Null => End::NotRun,
            Value::String(_) => End::TimeOut,
            status => End::Status(i32::try_from(status.as_i64()?).ok()?),
        };
        let seconds = entry.get("seconds").and_then(Value::as_f64).unwrap_or(0.0);
        let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Some(Ran { end, output: entry.get("output")?.as_str()?.into(), time, ..Ran::not_run() })
    };
    all.iter().map(|(id, entry)| Ok((id.clone(), ran(entry).ok_or_else(|| wrong(id))?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("native.json");
        let ran = |end| Ran { end, output: b"a\n\xff".to_vec(), time: Duration::from_millis(1500), ..Ran::not_run() };
        let results = HashMap::from([("one".into(), ran(End::Status(32))), ("two".into(), ran(End::TimeOut))]);
        write(&path, &results).unwrap();
        let read_back = read(&path).unwrap();
        assert_eq!((read_back["one"].end, read_back["two"].end), (End::Status(32), End::TimeOut));
        assert_eq!(read_back["one"].time, Duration::from_millis(1500));
        std::fs::write(&path, "{\"x\": {}}").unwrap();
        assert!(read(&path).is_err());
    }
}
