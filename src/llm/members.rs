//! The members of a request's body, over the body's own bytes: what is not touched is copied once, into what is sent.

use bytes::Bytes;
use bytestring::ByteString;
use serde_json::value::RawValue;

use crate::domain::{RawObject, push_member};

/// An object as an ordered list of keys with their values' own text, each of them a part of the body where it came in one.
#[derive(Clone)]
pub(super) struct Members(Vec<(ByteString, ByteString)>);

impl Members {
    /// The members of an object that was read from this body.
    pub(super) fn of(body: &ByteString, object: &RawObject<'_>) -> Self {
        let (start, length) = (body.as_ptr().addr(), body.len());
        let part = |text: &str| {
            let inside = text.as_ptr().addr().checked_sub(start).is_some_and(|at| at + text.len() <= length);
            if inside && !text.is_empty() { body.slice_ref(text) } else { ByteString::from(text) }
        };
        Self(object.iter().map(|(key, value)| (part(key), part(value.get()))).collect())
    }

    /// The same of parts of this body.
    pub(super) fn parts(body: &ByteString, parts: &[(&str, &str)]) -> Self {
        Self(parts.iter().map(|(key, text)| (body.slice_ref(key), body.slice_ref(text))).collect())
    }

    /// A value's own text.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, text)| &**text)
    }

    /// Puts a text that is JSON in place of the one of that name, or at the end.
    pub(super) fn set(&mut self, key: &'static str, text: String) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = text.into(),
            None => self.0.push((ByteString::from_static(key), text.into())),
        }
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, key: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        crate::domain::raw_string(self.0.remove(at).1.into()).ok()
    }

    /// All of them, to be read.
    pub(super) fn object(&self) -> RawObject<'_> {
        self.those(|_| true)
    }

    /// All but one.
    pub(super) fn without(&self, left_out: &str) -> RawObject<'_> {
        self.those(|key| key != left_out)
    }

    fn those(&self, wanted: impl Fn(&str) -> bool) -> RawObject<'_> {
        let mut object = RawObject::default();
        for (key, text) in self.0.iter().filter(|(key, _)| wanted(key)) {
            if let Ok(value) = serde_json::from_str::<&RawValue>(text) {
                object.lend(key, value);
            }
        }
        object
    }

    /// The whole object as text, with another value in one place.
    pub(super) fn with(&self, key: &str, value: &str) -> Bytes {
        let length = |(key, text): &(ByteString, ByteString)| key.len() + text.len() + 4;
        let mut out = String::with_capacity(self.0.iter().map(length).sum::<usize>() + key.len() + value.len() + 8);
        let mut found = false;
        for (name, text) in &self.0 {
            let here = name == key;
            found |= here;
            push_member(&mut out, name, if here { value } else { text });
        }
        if !found {
            push_member(&mut out, key, value);
        }
        out.push('}');
        Bytes::from(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_touched_keeps_its_bytes() {
        let body = ByteString::from_static(r#"{ "z":1.50, "model":"a", "n":18446744073709551616, "k\"":[ 1 ], "x":null }"#);
        let mut members = Members::of(&body, &RawObject::parse(&body).unwrap());
        members.remove("x");
        members.set("new", "true".to_owned());
        assert_eq!(members.get("n"), Some("18446744073709551616"));
        assert_eq!(&members.with("model", "\"b\"")[..], br#"{"z":1.50,"model":"b","n":18446744073709551616,"k\"":[ 1 ],"new":true}"#);
        assert_eq!(members.object().string("model").as_deref(), Some("a"));
        let nameless = ByteString::from_static(r#"{"":1,"a":2}"#);
        let members = Members::of(&nameless, &RawObject::parse(&nameless).unwrap());
        assert_eq!((members.object().to_text().as_str(), members.without("a").to_text().as_str()), (r#"{"":1,"a":2}"#, r#"{"":1}"#));
    }
}
