//! What people and scripts see.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Error;
use crate::domain::printable;

/// Writes to standard output. A reader that closed it (`| head`) is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Prints the outcome of `portolan check`: of each thing its kind, its name, its state and a detail; failing when something
/// does not work. `named` says whether there is a file at all.
pub fn show_check(rows: &[[String; 4]], named: bool, json: bool) -> ExitCode {
    let any = |wanted: &str| rows.iter().any(|[_, _, state, _]| state == wanted);
    let good = !any("failed");
    if json {
        // What was not tried is neither good nor bad.
        let ok = |state: &str| if state == "skipped" { Value::Null } else { Value::Bool(state != "failed") };
        let row = |[kind, name, state, detail]: &[String; 4]| json!({ "kind": kind, "name": name, "state": state, "ok": ok(state), "detail": detail });
        let checked: Vec<Value> = rows.iter().map(row).collect();
        print(&format!("{:#}\n", json!({ "ok": good, "checked": checked })));
    } else {
        let shown = |[kind, name, state, detail]: &[String; 4]| {
            let state = if state == "failed" { "FAILED" } else { state };
            vec![kind.clone(), name.clone(), state.to_owned(), detail.clone()]
        };
        if !rows.is_empty() {
            table(&["WHAT", "NAME", "STATE", "DETAIL"], rows.iter().map(shown));
        }
        print(match (good, named) {
            (true, _) if any("warning") => "The configuration is good, but look at the warnings above.\n",
            (true, true) => "The configuration is good.\n",
            (true, false) => "There is no configuration file; the built-in defaults are in use, and they are good.\n",
            (false, _) => "Something does not work; see above.\n",
        });
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints, for scripts, why `portolan check` could not even read the configuration.
pub fn show_unreadable(why: &str) -> ExitCode {
    print(&format!("{:#}\n", json!({ "ok": false, "checked": [], "error": { "code": "invalid_configuration", "message": why } })));
    ExitCode::FAILURE
}

/// Prints an error where errors go.
pub(super) fn complain(error: &Error, json: bool) {
    if json {
        print(&format!("{:#}\n", json!({ "error": { "code": error.code(), "message": error.to_string() } })));
    } else {
        eprintln!("portolan: {}", printable(&error.to_string()));
    }
}

/// Prints a value as JSON.
pub(super) fn as_json(value: &Value) {
    print(&format!("{value:#}\n"));
}

/// Prints rows in columns as wide as they need to be.
pub(super) fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let clean = |cell: String| printable(&cell).replace('\n', " ");
    let rows: Vec<Vec<String>> = rows.map(|row| row.into_iter().map(clean).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|cell| cell.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let last = cells.len().saturating_sub(1);
        let cells = cells.iter().zip(&widths).enumerate();
        let text: String =
            cells.map(|(at, (cell, width))| if at == last { (*cell).to_owned() } else { format!("{cell:<width$}  ") }).collect();
        format!("{}\n", text.trim_end())
    };
    let mut out = line(head.to_vec());
    for row in &rows {
        out.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    print(&out);
}

/// A member as text; a dash when it is absent.
pub(super) fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Whether a member is `true`.
pub(super) fn is(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}

/// A member as a list.
pub(super) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Milliseconds since the epoch as a date in UTC.
pub(super) fn date(value: &Value, key: &str) -> String {
    let millis = value.get(key).and_then(Value::as_i64).and_then(chrono::DateTime::from_timestamp_millis);
    millis.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}
