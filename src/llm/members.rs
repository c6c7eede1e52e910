//! The members of a request's body, over the body's own bytes: what is not touched is copied once, into what is sent.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::domain::RawObject;

/// An object as an ordered list of keys with their values' own text.
#[derive(Clone)]
pub(super) struct Members {
    body: Bytes,
    list: Vec<(String, Slot)>,
}

/// Where a value is.
#[derive(Clone)]
enum Slot {
    /// In the body.
    Here(Range<usize>),
    /// Put in its place.
    Own(Box<str>),
}

impl Members {
    /// The members of an object that was read from this body.
    pub(super) fn of(body: &Bytes, object: &RawObject<'_>) -> Self {
        let start = body.as_ptr().addr();
        let slot = |value: &RawValue| {
            let text = value.get();
            let at = text.as_ptr().addr().wrapping_sub(start);
            let here = at..at.saturating_add(text.len());
            if body.get(here.clone()) == Some(text.as_bytes()) { Slot::Here(here) } else { Slot::Own(text.into()) }
        };
        let list = object.iter().map(|(key, value)| (key.to_owned(), slot(value))).collect();
        Self { body: body.clone(), list }
    }

    fn text<'m>(&'m self, slot: &'m Slot) -> &'m str {
        match slot {
            Slot::Here(range) => self.body.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("null"),
            Slot::Own(text) => text,
        }
    }

    /// A value's own text.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.list.iter().find(|(name, _)| name == key).map(|(_, slot)| self.text(slot))
    }

    /// Puts a value in place of the one of that name, or at the end.
    pub(super) fn set(&mut self, key: &str, value: &RawValue) {
        self.set_list(key, value.get().to_owned());
    }

    /// Puts a text that is JSON in place, as when a list was put together of items that are.
    pub(super) fn set_list(&mut self, key: &str, text: String) {
        let slot = Slot::Own(text.into_boxed_str());
        match self.list.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = slot,
            None => self.list.push((key.to_owned(), slot)),
        }
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, key: &str) -> Option<Box<RawValue>> {
        let at = self.list.iter().position(|(name, _)| name == key)?;
        let (_, slot) = self.list.remove(at);
        crate::domain::raw_string(self.text(&slot).to_owned()).ok()
    }

    /// All of them, to be read.
    pub(super) fn object(&self) -> RawObject<'_> {
        let mut object = RawObject::default();
        for (key, slot) in &self.list {
            if let Ok(value) = serde_json::from_str::<&RawValue>(self.text(slot)) {
                object.lend(key, value);
            }
        }
        object
    }

    /// The whole object as text, with another value in one place.
    pub(super) fn with(&self, key: &str, value: &str) -> Bytes {
        let length = |(key, slot): &(String, Slot)| key.len() + self.text(slot).len() + 4;
        let mut out = Vec::with_capacity(self.list.iter().map(length).sum::<usize>() + key.len() + value.len() + 8);
        let mut put = |name: &str, text: &str| {
            out.push(if out.is_empty() { b'{' } else { b',' });
            // Keys are plain but for those that somebody made strange.
            if name.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
                out.push(b'"');
                out.extend_from_slice(name.as_bytes());
                out.push(b'"');
            } else {
                out.extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
            }
            out.push(b':');
            out.extend_from_slice(text.as_bytes());
        };
        let mut found = false;
        for (name, slot) in &self.list {
            let here = name == key;
            found |= here;
            put(name, if here { value } else { self.text(slot) });
        }
        if !found {
            put(key, value);
        }
        out.push(b'}');
        Bytes::from(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::raw;

    #[test]
    fn what_is_not_touched_keeps_its_bytes() {
        let body = Bytes::from_static(br#"{ "z":1.50, "model":"a", "n":18446744073709551616, "k\"":[ 1 ], "x":null }"#);
        let mut members = Members::of(&body, &RawObject::parse(std::str::from_utf8(&body).unwrap()).unwrap());
        members.remove("x");
        members.set("new", &raw(&true));
        assert_eq!(members.get("n"), Some("18446744073709551616"));
        assert_eq!(&members.with("model", "\"b\"")[..], br#"{"z":1.50,"model":"b","n":18446744073709551616,"k\"":[ 1 ],"new":true}"#);
        assert_eq!(members.object().string("model").as_deref(), Some("a"));
    }
}
