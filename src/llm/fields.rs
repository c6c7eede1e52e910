//! The fields of a request, read one by one: what does not fit is an error that names the field.

use serde_json::value::RawValue;

use super::conversation::Wrong;
use crate::domain::RawObject;

/// Most of anything that is counted in tokens.
const MOST: u64 = 1 << 31;

/// Some members of an object, and where it stands.
pub(super) struct Fields<'f, 'a> {
    object: &'f RawObject<'a>,
    path: &'f str,
}

impl<'f, 'a> Fields<'f, 'a> {
    pub(super) fn of(object: &'f RawObject<'a>) -> Self {
        Self { object, path: "" }
    }

    pub(super) fn at(object: &'f RawObject<'a>, path: &'f str) -> Self {
        Self { object, path }
    }

    /// A member that is not what it must be.
    pub(super) fn wrong(&self, key: &str, must: &str) -> Wrong {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Wrong::at(path.clone(), format!("`{path}` must be {must}"))
    }

    /// A member that is there and not null.
    pub(super) fn some(&self, key: &str) -> Option<&'f RawValue> {
        self.object.get(key).filter(|value| value.get() != "null")
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Wrong> {
        self.some(key).map(|value| serde_json::from_str(value.get()).map_err(|_| self.wrong(key, "a text"))).transpose()
    }

    /// A text that must be there.
    pub(super) fn need(&self, key: &str) -> Result<String, Wrong> {
        self.text(key)?.ok_or_else(|| self.wrong(key, "there, as a text"))
    }

    /// True or false.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Wrong> {
        match self.some(key).map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// A whole number from 1 on.
    pub(super) fn count(&self, key: &str) -> Result<Option<u64>, Wrong> {
        let Some(value) = self.some(key) else { return Ok(None) };
        match value.get().parse::<u64>() {
            Ok(count @ 1..=MOST) => Ok(Some(count)),
            _ => Err(self.wrong(key, &format!("a whole number from 1 to {MOST}"))),
        }
    }

    /// A number within bounds, as it was written.
    pub(super) fn number(&self, key: &str, least: f64, most: f64) -> Result<Option<&'f RawValue>, Wrong> {
        let Some(value) = self.some(key) else { return Ok(None) };
        match serde_json::from_str::<f64>(value.get()) {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(value)),
            _ => Err(self.wrong(key, &format!("a number from {least} to {most}"))),
        }
    }

    /// A list.
    pub(super) fn list(&self, key: &str) -> Result<Option<Vec<&'f RawValue>>, Wrong> {
        self.some(key).map(|value| serde_json::from_str(value.get()).map_err(|_| self.wrong(key, "a list"))).transpose()
    }

    /// A list that must be there and hold something.
    pub(super) fn filled(&self, key: &str) -> Result<Vec<&'f RawValue>, Wrong> {
        match self.list(key)? {
            Some(list) if !list.is_empty() => Ok(list),
            _ => Err(self.wrong(key, "a list with at least one item")),
        }
    }

    /// A list of texts, or one text.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, Wrong> {
        let Some(value) = self.some(key) else { return Ok(Vec::new()) };
        if value.get().starts_with('"') {
            return Ok(self.text(key)?.into_iter().collect());
        }
        serde_json::from_str(value.get()).map_err(|_| self.wrong(key, "a text or a list of texts"))
    }

    /// An object.
    pub(super) fn object(&self, key: &str) -> Result<Option<RawObject<'f>>, Wrong> {
        let Some(value) = self.some(key) else { return Ok(None) };
        RawObject::parse(value.get()).map(Some).map_err(|error| {
            let wrong = self.wrong(key, "an object");
            Wrong { why: unread(wrong.param.as_deref().unwrap_or(key), value, &error), ..wrong }
        })
    }
}

/// An item of a list as an object.
pub(super) fn object<'a>(item: &'a RawValue, path: &str) -> Result<RawObject<'a>, Wrong> {
    RawObject::parse(item.get()).map_err(|error| Wrong::at(path, unread(path, item, &error)))
}

/// Why a value is no object that can be read; it has been seen to be JSON.
fn unread(path: &str, value: &RawValue, error: &serde_json::Error) -> String {
    if !value.get().starts_with('{') {
        return format!("`{path}` must be an object");
    }
    // Where in the value it stands would be taken for a place in the body.
    let why = error.to_string();
    format!("`{path}` cannot be read: {}", why.split(" at line ").next().unwrap_or_default())
}

/// Refuses two functions of one name: nobody could tell whose call it is.
pub(super) fn no_twins<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), Wrong> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Wrong::at("tools", format!("two tools have the name `{}`; give each its own", crate::domain::clip(name, 80))));
        }
    }
    Ok(())
}
