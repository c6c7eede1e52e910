//! What a change of a schema means to those who send values, or to those who get them.
//!
//! Every value that was good for an old input must be good for the new one; every value that a new output may be must have been
//! possible before. Where that is proven, the change is compatible; where it is not, it counts as breaking. Open objects are read as
//! they are used: a member that a schema does not name is not sent, unless an input says itself that it takes such. The keywords are
//! those of JSON Schema 2020-12; older drafts are read in its words.

mod change;
mod disjoint;
mod fit;
mod kinds;
mod objects;
mod place;
mod plain;
#[cfg(test)]
mod proof;
mod remarks;
mod values;

use serde_json::Value;
use serde_json::value::RawValue;

use super::lift::lifted;
use crate::domain::Class;
pub use change::{Change, Side};
use fit::Fit;
use place::{Facts, Place, Whole};

/// What changed from one schema to the next; nothing where they mean and say the same.
pub fn compare(old: &RawValue, new: &RawValue, side: Side) -> Vec<Change> {
    let (old, new) = (read(old), read(new));
    if old.schema == new.schema && old.lone_references == new.lone_references {
        return Vec::new();
    }
    let (narrow, wide) = match side {
        Side::Input => (&old, &new),
        Side::Output => (&new, &old),
    };
    let gaps = Fit::new(side).gaps(Facts::of([Place::whole(narrow)]), &Place::whole(wide));
    let breaking = gaps.into_iter().map(|gap| Change { at: gap.at, class: Class::Breaking, why: gap.why });
    let mut changes: Vec<Change> = breaking.collect();
    changes.dedup();
    remarks::add(&old.schema, &new.schema, &mut changes);
    changes
}

/// What becomes of calls that were good so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fitting {
    /// They are good still.
    Fits,
    /// They may fail, for this reason.
    MayFail(Change),
    /// They fail, for this reason.
    Fails(Change),
}

/// What becomes of the values of a shape that fit the old input, once the new one counts. The shape is a schema that refers to nothing.
pub fn fitting(old: &RawValue, shape: &Value, new: &RawValue) -> Fitting {
    let (mut old, new) = (read(old), read(new));
    if let Value::Object(members) = &mut old.schema {
        let mut all = members.get("allOf").and_then(Value::as_array).cloned().unwrap_or_default();
        all.push(shape.clone());
        members.insert("allOf".to_owned(), all.into());
    } else {
        old.schema = shape.clone();
    }
    let narrow = || Facts::of([Place::whole(&old)]);
    let Some(gap) = Fit::new(Side::Input).gaps(narrow(), &Place::whole(&new)).into_iter().next() else { return Fitting::Fits };
    let why = Change { at: gap.at, class: Class::Breaking, why: gap.why };
    let fails = narrow().is_some_and(|narrow| disjoint::are_disjoint(&narrow, &Place::whole(&new)));
    if fails { Fitting::Fails(why) } else { Fitting::MayFail(why) }
}

fn read(schema: &RawValue) -> Whole {
    const OLD: [&str; 4] = ["draft-03", "draft-04", "draft-06", "draft-07"];
    let plain: Value = serde_json::from_str(schema.get()).unwrap_or_default();
    let dialect = plain.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let lone_references = OLD.iter().any(|draft| dialect.contains(draft));
    let mut schema = lifted(schema).unwrap_or(plain);
    let open = plain::plain(&mut schema);
    Whole { schema, lone_references, open }
}
