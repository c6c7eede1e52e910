//! JSON objects whose values stay as they were written.
//!
//! Unknown fields, the spelling of numbers and the order of keys survive a change of one member,
//! because only that member is parsed. Duplicate keys are refused: two readers could see two meanings.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// An object as an ordered list of keys with their values' own text.
#[derive(Clone, Debug, Default)]
pub struct RawObject<'a> {
    members: Vec<(Cow<'a, str>, Cow<'a, RawValue>)>,
}

impl<'a> RawObject<'a> {
    /// Reads an object; anything else, or a key that stands twice, is an error.
    pub fn parse(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// Reads an object of somebody who is not told of mistakes: of a key that stands twice, the last one counts, as for most readers.
    pub fn forgiving(text: &'a str) -> serde_json::Result<Self> {
        Self::parse(text).or_else(|_| {
            let members: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(text)?;
            Ok(Self { members: members.into_iter().map(|(key, value)| (Cow::Owned(key), Cow::Owned(value))).collect() })
        })
    }

    /// The text of a member's value.
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    /// A member that is a string.
    pub fn string(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }

    /// A member read as `T`; none when absent or of another shape.
    pub fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }

    /// A member that is a list, item by item; none when absent or of another shape.
    pub fn read_raw(&self, key: &str) -> Option<Vec<&RawValue>> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }

    /// Puts a member in place of the one of that name, or at the end.
    pub fn set(&mut self, key: &'a str, value: Box<RawValue>) {
        match self.members.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = Cow::Owned(value),
            None => self.members.push((Cow::Borrowed(key), Cow::Owned(value))),
        }
    }

    /// The same for a key that is only known at run time.
    pub fn put(&mut self, key: &str, value: Box<RawValue>) {
        match self.members.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = Cow::Owned(value),
            None => self.members.push((Cow::Owned(key.to_owned()), Cow::Owned(value))),
        }
    }

    /// Adds a member whose value is somebody else's.
    pub fn lend(&mut self, key: &'a str, value: &'a RawValue) {
        self.members.push((Cow::Borrowed(key), Cow::Borrowed(value)));
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Box<RawValue>> {
        let at = self.members.iter().position(|(name, _)| name == key)?;
        Some(self.members.remove(at).1.into_owned())
    }

    /// Whether a member of that name stands here.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// The same, holding its own bytes.
    pub fn into_owned(self) -> RawObject<'static> {
        let own = |(key, value): (Cow<'a, str>, Cow<'a, RawValue>)| (Cow::Owned(key.into_owned()), Cow::Owned(value.into_owned()));
        RawObject { members: self.members.into_iter().map(own).collect() }
    }

    /// The whole object as text.
    pub fn to_text(&self) -> String {
        let length: usize = self.members.iter().map(|(key, value)| key.len() + value.get().len() + 4).sum();
        let mut out = String::with_capacity(length + 2);
        for (key, value) in &self.members {
            push_member(&mut out, key, value.get());
        }
        if out.is_empty() {
            out.push('{');
        }
        out.push('}');
        out
    }

    /// The whole object as one raw value.
    pub fn to_raw(&self) -> Box<RawValue> {
        raw(self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
            type Value = RawObject<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject<'a>, A::Error> {
                let mut object = RawObject::default();
                // A few keys are compared one by one; many would cost their square.
                let mut seen = std::collections::HashSet::new();
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    if object.members.len() == FEW {
                        seen.extend(object.members.iter().map(|(key, _)| key.to_string()));
                    }
                    let twice = if object.members.len() < FEW { object.has(&key) } else { !seen.insert(key.to_string()) };
                    if twice {
                        return Err(A::Error::custom(format_args!("the key `{}` stands twice", super::clip(&key, 80))));
                    }
                    object.members.push((key, Cow::Borrowed(map.next_value::<&'de RawValue>()?)));
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

/// How many keys are few.
const FEW: usize = 32;

/// A key, borrowed where it holds no escape.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Text<'a> {
            type Value = Key<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text(std::marker::PhantomData))
    }
}

impl Serialize for RawObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (key, value) in &self.members {
            map.serialize_entry(key, value.as_ref())?;
        }
        map.end()
    }
}

impl fmt::Display for RawObject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// Writes a member behind those that are there, and opens the object with the first.
pub fn push_member(out: &mut String, key: &str, value: &str) {
    out.push(if out.is_empty() { '{' } else { ',' });
    // Keys are plain but for those that somebody made strange.
    if key.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(key);
        out.push('"');
    } else {
        out.push_str(raw(key).get());
    }
    out.push(':');
    out.push_str(value);
}

/// Any serialisable value as raw JSON. Values that JSON cannot hold become `null`.
pub fn raw<T: Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A JSON text that is already written, as raw JSON; an error when it is not JSON.
pub fn raw_string(text: String) -> serde_json::Result<Box<RawValue>> {
    RawValue::from_string(text)
}

/// Deepest nesting taken from a caller. What is only passed on is never parsed here, but others will parse it.
pub(super) const MAX_DEPTH: usize = 128;

/// Whether a JSON text is nested deeper than anything honest is, found without building anything.
pub fn is_deep(bytes: &[u8]) -> bool {
    let mut now = 0_usize;
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']')) {
        let (byte, after) = (rest.get(at).copied(), rest.get(at + 1..).unwrap_or_default());
        rest = after;
        match byte {
            Some(b'"') => rest = after_text(after),
            Some(b'{' | b'[') if now == MAX_DEPTH => return true,
            Some(b'{' | b'[') => now += 1,
            _ => now = now.saturating_sub(1),
        }
    }
    false
}

/// What stands behind a text, whose first quotation mark is already read.
fn after_text(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let escaped = rest.get(at) == Some(&b'\\');
        rest = rest.get(at + 1 + usize::from(escaped)..).unwrap_or_default();
        if !escaped {
            return rest;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_member_leaves_the_others_as_they_were_written() {
        let mut object = RawObject::parse(r#"{"z":1.50,"model":"a","n":18446744073709551616, "k\u0041":[ 1 ]}"#).unwrap();
        object.set("model", raw("b"));
        assert_eq!(object.to_raw().get(), r#"{"z":1.50,"model":"b","n":18446744073709551616,"kA":[ 1 ]}"#);
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_counts_where_nobody_can_be_told() {
        assert!(RawObject::parse(r#"{"a":1,"\u0061":2}"#).is_err());
        assert_eq!(RawObject::forgiving(r#"{"a":1,"b":[ 1.0 ],"\u0061":2}"#).unwrap().to_text(), r#"{"a":2,"b":[ 1.0 ]}"#);
        assert!(RawObject::forgiving("[1]").is_err());
    }

    #[test]
    fn depth_is_counted_outside_of_texts_alone() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_deep(nested(MAX_DEPTH).as_bytes()));
        assert!(is_deep(nested(MAX_DEPTH + 1).as_bytes()));
        assert!(!is_deep(format!("{{\"a\":\"\\\\\\\"{}\"}}", "[".repeat(500)).as_bytes()));
        assert!(is_deep(format!("{{\"a\\\"\":{}", "[".repeat(500)).as_bytes()));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_also_when_it_is_escaped() {
        assert!(RawObject::parse(r#"{"a":1,"\u0061":2}"#).is_err());
        let many: Vec<String> = (0..100).map(|n| format!("\"k{n}\":{n}")).collect();
        assert!(RawObject::parse(&format!("{{{}}}", many.join(","))).is_ok());
        assert!(RawObject::parse(&format!("{{{},\"k7\":0}}", many.join(","))).is_err());
    }
}
