//! Walks over JSON text: where each member and each item stands, with all of it checked on the way and nothing built.
//!
//! It takes the plain case alone. What it does not take may be wrong or only unusual; [`RawObject`](super::RawObject)
//! knows which, and says why.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};
use serde::de::IgnoredAny;

use super::raw::MAX_DEPTH;

/// The members of an object, keys without their quotation marks and values as they stand in the text.
///
/// None when the text is no JSON object (RFC 8259), when it is nested deeper than anything honest is, and when a key
/// stands twice or holds an escape.
pub fn members(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut members: Vec<(&str, &str)> = Vec::with_capacity(12);
    let mut walk = Walk { text, at: 0 };
    walk.blank();
    walk.object(1, &mut |key, value, escaped| {
        let fits = !escaped && members.len() < FEW && members.iter().all(|(known, _)| *known != key);
        members.push((key, value));
        fits
    })?;
    walk.end()?;
    Some(members)
}

/// The value of a member that was found.
pub fn find<'a>(members: &[(&str, &'a str)], key: &str) -> Option<&'a str> {
    members.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}

/// The places of a list's items in the text; none when it is no JSON list, or nested too deeply.
pub fn items(text: &str) -> Option<Vec<Range<usize>>> {
    let mut items = Vec::new();
    let mut walk = Walk { text, at: 0 };
    walk.blank();
    walk.list(1, &mut |place| items.push(place))?;
    walk.end()?;
    Some(items)
}

/// The text that a JSON string says; none of any other JSON.
pub fn text(value: &str) -> Option<Cow<'_, str>> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inside.as_bytes()).is_some() { serde_json::from_str(value).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
}

/// Each key is compared with all before it.
const FEW: usize = 64;

struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn end(&mut self) -> Option<()> {
        self.blank();
        self.rest().is_empty().then_some(())
    }

    /// What stands between two places.
    fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at)
    }

    /// A value, and its text.
    fn value(&mut self, depth: usize) -> Option<&'a str> {
        let start = self.at;
        match self.peek()? {
            b'"' => drop(self.string()?),
            b'{' => self.object(depth + 1, &mut |_, _, _| true)?,
            b'[' => self.list(depth + 1, &mut |_| {})?,
            _ => self.scalar()?,
        }
        self.since(start)
    }

    /// An object; `each` is told key, value and whether the key holds an escape, and says whether to go on.
    fn object(&mut self, depth: usize, each: &mut dyn FnMut(&'a str, &'a str, bool) -> bool) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.take(b'{')?;
        self.blank();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let start = self.at + 1;
            let escaped = self.string()?;
            let key = self.text.get(start..self.at - 1)?;
            self.blank();
            self.take(b':')?;
            self.blank();
            let value = self.value(depth)?;
            if !each(key, value, escaped) {
                return None;
            }
            self.blank();
            if self.take(b'}').is_some() {
                return Some(());
            }
            self.take(b',')?;
            self.blank();
        }
    }

    fn list(&mut self, depth: usize, each: &mut dyn FnMut(Range<usize>)) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.take(b'[')?;
        self.blank();
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            let start = self.at;
            self.value(depth)?;
            each(start..self.at);
            self.blank();
            if self.take(b']').is_some() {
                return Some(());
            }
            self.take(b',')?;
            self.blank();
        }
    }

    /// A string, and whether it holds an escape.
    fn string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        let mut escaped = false;
        loop {
            let rest = self.rest();
            let end = memchr2(b'"', b'\\', rest)?;
            // Without a way out in between, many bytes are looked at in one step.
            if rest.get(..end)?.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ' {
                return None;
            }
            self.at += end + 1;
            if rest.get(end) == Some(&b'"') {
                return Some(escaped);
            }
            escaped = true;
            match self.peek()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                b'u' if rest.get(end + 2..end + 6)?.iter().all(u8::is_ascii_hexdigit) => self.at += 5,
                _ => return None,
            }
        }
    }

    /// A number or a word.
    fn scalar(&mut self) -> Option<()> {
        let start = self.at;
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\t' | b'\r');
        self.at += self.rest().iter().position(ends).unwrap_or(self.rest().len());
        let text = self.since(start)?;
        matches!(text, "true" | "false" | "null").then_some(()).or_else(|| serde_json::from_str::<IgnoredAny>(text).ok().map(drop))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::RawObject;

    /// JSON and what is nearly JSON: pieces that are right by themselves, in any order.
    fn nearly() -> impl Strategy<Value = String> {
        let pieces = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            " ",
            "\n",
            "\"a\"",
            "\"b\\n\"",
            "\"\\u00e9\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "\"é\"",
            "\"",
            "1",
            "-0.5e3",
            "01",
            "1.",
            "true",
            "nul",
            "null",
            "\"a\":1",
            "\"c\":",
            "\\",
            "{}",
            "[]",
            "1e999",
        ];
        proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..14).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_taken_is_json_and_stands_where_it_is_said(text in nearly()) {
            for text in [text.clone(), format!("{{{text}}}"), format!("{{\"k\":{text}}}")] {
                if let Some(members) = members(&text) {
                    let read = RawObject::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                    let read: Vec<(&str, &str)> = read.iter().map(|(key, value)| (key, value.get())).collect();
                    prop_assert_eq!(members, read);
                }
            }
            for text in [text.clone(), format!("[{text}]")] {
                if let Some(items) = items(&text) {
                    let read: Vec<&RawValue> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                    prop_assert_eq!(items.iter().map(|place| &text[place.clone()]).collect::<Vec<_>>(), read.iter().map(|item| item.get()).collect::<Vec<_>>());
                }
            }
        }

        #[test]
        fn what_is_plain_json_is_taken(value in "[a-z\"\\\\\n é]{0,40}", number in any::<f64>(), pretty in any::<bool>()) {
            let object = serde_json::json!({ "a": value, "b": [number, null, { "c": [[], {}, value] }], "d": true });
            let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
            prop_assert_eq!(members(&text).map(|members| members.len()), Some(3), "{}", text);
        }
    }

    #[test]
    fn a_text_is_told_with_its_escapes_undone() {
        assert_eq!(text(r#""a b""#).as_deref(), Some("a b"));
        assert_eq!(text(r#""a\n\u00e9""#).as_deref(), Some("a\né"));
        assert_eq!((text("1"), text("null"), text(r#""\ud800""#)), (None, None, None));
    }

    #[test]
    fn what_is_deep_or_twice_or_not_whole_is_left_to_others() {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(members(&nested(MAX_DEPTH - 1)).is_some());
        assert!(members(&nested(MAX_DEPTH)).is_none());
        for text in ["{\"a\":1,\"a\":2}", "{\"\\u0061\":1}", "{\"a\":1", "{\"a\":1}}", "{\"a\":1,}", "[]", "", "{\"a\"}"] {
            assert!(members(text).is_none(), "{text}");
        }
    }
}
