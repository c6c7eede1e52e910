//! Which calls on record a change would break, and whose they are.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::definition::Kind;
use super::drift::Difference;
use crate::domain::RawObject;
use crate::schema::{self, Change, Fitting};
use crate::store::ShapeRow;

/// Calls of one shape by one caller that a change would break, or may break.
#[derive(Clone, Debug, Serialize)]
pub struct Impact {
    /// The tool, by its own name.
    pub tool: String,
    /// Who called it.
    pub principal: String,
    /// The names and kinds of the arguments.
    pub shape: Box<RawValue>,
    /// When such a call was put on record last, in milliseconds since the epoch.
    pub seen_ms: i64,
    /// Whether they would fail for sure.
    pub fails: bool,
    /// The place of the new definition that does not take them, and in words.
    pub because: Change,
}

/// What of the calls on record the differences would break.
pub(super) fn impact(server: &str, differences: &[Difference], shapes: Vec<ShapeRow>) -> Vec<Impact> {
    let tools: BTreeMap<String, &Difference> = differences
        .iter()
        .filter(|one| one.kind == Kind::Tool && one.approved.is_some())
        .map(|one| (format!("{server}/{}", one.name), one))
        .collect();
    let impact = |row: ShapeRow| {
        let difference = tools.get(&row.tool)?;
        let (fails, because) = becomes(difference, &row.shape)?;
        let shape = crate::domain::raw_string(row.shape).ok()?;
        Some(Impact { tool: difference.name.clone(), principal: row.principal, shape, seen_ms: row.seen_ms, fails, because })
    };
    shapes.into_iter().filter_map(impact).collect()
}

/// Whether calls of a shape fail for sure, and why; none where they do not.
fn becomes(difference: &Difference, shape: &str) -> Option<(bool, Change)> {
    let (Some(approved), Some(live)) = (&difference.approved, &difference.live) else {
        return Some((true, difference.changes.first()?.clone()));
    };
    let (old, new) = (RawObject::parse(approved.get()).ok()?, RawObject::parse(live.get()).ok()?);
    let shape = schema::schema_of(shape)?;
    let place = |change: Change| Change { at: format!("/inputSchema{}", change.at), ..change };
    match schema::fitting(old.get("inputSchema")?, &shape, new.get("inputSchema")?) {
        Fitting::Fits => None,
        Fitting::MayFail(change) => Some((false, place(change))),
        Fitting::Fails(change) => Some((true, place(change))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::raw;

    fn told(old: Value, new: Option<Value>, shapes: &[&str]) -> Vec<(bool, String)> {
        let tool = |schema: Value| raw(&json!({ "name": "act", "inputSchema": schema })).into();
        let change = Change { at: String::new(), class: crate::domain::Class::Breaking, why: "is no longer offered".to_owned() };
        let difference = Difference {
            kind: Kind::Tool,
            name: "act".to_owned(),
            class: change.class,
            breaking: true,
            suspect: false,
            risky: false,
            changes: vec![change],
            approved: Some(tool(old)),
            live: new.map(tool),
        };
        let row =
            |shape: &&str| ShapeRow { tool: "x/act".to_owned(), principal: "key:a".to_owned(), shape: (*shape).to_owned(), seen_ms: 1 };
        let all = impact("x", &[difference], shapes.iter().map(row).collect());
        all.into_iter().map(|one| (one.fails, format!("{} {} {}", one.shape, one.because.at, one.because.why))).collect()
    }

    fn of(properties: &Value, required: &[&str]) -> Value {
        json!({ "type": "object", "properties": properties, "required": required })
    }

    #[test]
    fn calls_that_a_change_does_not_touch_are_not_told_of() {
        let old = of(&json!({ "q": { "type": ["string", "null"] }, "n": { "type": "number" } }), &[]);
        let new = of(&json!({ "q": { "type": "string" }, "n": { "type": "integer", "maximum": 10 }, "r": {} }), &[]);
        let shapes = [r#"{"q":"string"}"#, r#"{"q":"null"}"#, r#"{"n":"integer"}"#, r#"{"n":"number"}"#, "{}"];
        let found = told(old, Some(new), &shapes);
        let brief: Vec<(bool, &str)> = found.iter().map(|(fails, text)| (*fails, text.split(' ').next().unwrap())).collect();
        assert_eq!(brief, [(true, r#"{"q":"null"}"#), (false, r#"{"n":"integer"}"#), (false, r#"{"n":"number"}"#)], "{found:?}");
    }

    #[test]
    fn a_new_required_argument_breaks_the_calls_that_lack_it_and_a_removed_tool_breaks_all() {
        let old = of(&json!({ "q": { "$ref": "#/$defs/q" }, "r": {} }), &["q"]);
        let with = |mut schema: Value| {
            schema["$defs"] = json!({ "q": { "type": "string" } });
            schema
        };
        let new = with(of(&json!({ "q": { "$ref": "#/$defs/q" }, "r": {} }), &["q", "r"]));
        let shapes = [r#"{"q":"string"}"#, r#"{"q":"string","r":"integer"}"#];
        let found = told(with(old.clone()), Some(new), &shapes);
        assert_eq!(found, [(true, r#"{"q":"string"} /inputSchema/required needs `"r"` now"#.to_owned())]);
        assert_eq!(told(with(old), None, &shapes).len(), 2);
    }
}
