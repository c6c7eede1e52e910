//! One text for every spelling of the same JSON (RFC 8785), so that it can be digested.
//!
//! Keys are sorted by their UTF-16 code units as RFC 8785 §3.2.3 wants. Numbers stay as they were
//! written: a definition that changed the spelling of a number did change.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

use crate::domain::RawObject;
use crate::domain::pointer::step;

/// Deepest nesting that is walked: each level costs stack.
const MAX_DEPTH: usize = 128;

/// The canonical text of `json`, leaving out the members that `skip` names by their JSON Pointer.
/// Fails on text that is not JSON and on a key that stands twice.
pub fn canonical(json: &str, skip: &dyn Fn(&str) -> bool) -> serde_json::Result<String> {
    let mut out = String::with_capacity(json.len());
    write(json, MAX_DEPTH, &mut String::new(), skip, &mut out)?;
    Ok(out)
}

fn write(json: &str, depth: usize, path: &mut String, skip: &dyn Fn(&str) -> bool, out: &mut String) -> serde_json::Result<()> {
    let json = json.trim();
    let Some(below) = depth.checked_sub(1) else { return Err(serde_json::Error::custom("it is nested too deeply")) };
    match json.as_bytes().first() {
        Some(b'{') => {
            let object = RawObject::parse(json)?;
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            let start = out.len();
            for (key, value) in members {
                let length = path.len();
                step(path, key);
                if !skip(path) {
                    if out.len() > start {
                        out.push(',');
                    }
                    out.push_str(&serde_json::to_string(key)?);
                    out.push(':');
                    write(value.get(), below, path, skip, out)?;
                }
                path.truncate(length);
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json)?;
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item.get(), below, path, skip, out)?;
            }
            out.push(']');
        }
        Some(b'"') => out.push_str(&serde_json::to_string(&String::deserialize(&mut serde_json::Deserializer::from_str(json))?)?),
        _ => out.push_str(serde_json::from_str::<&RawValue>(json)?.get()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(json: &str) -> String {
        canonical(json, &|_| false).unwrap()
    }

    #[test]
    fn order_space_and_escapes_do_not_matter_but_values_do() {
        assert_eq!(all(r#"{ "b" : [1, {"z":0,"a":"\u0041"}], "a":1.0 }"#), r#"{"a":1.0,"b":[1,{"a":"A","z":0}]}"#);
        assert_ne!(all(r#"{"a":1.0}"#), all(r#"{"a":1}"#));
    }

    #[test]
    fn a_volatile_member_is_left_out_by_its_pointer() {
        let text = canonical(r#"{"_meta":{"seen":1,"keep":2},"seen":3}"#, &|path| path == "/_meta/seen").unwrap();
        assert_eq!(text, r#"{"_meta":{"keep":2},"seen":3}"#);
    }

    proptest! {
        #[test]
        fn canonical_text_means_the_same_and_is_its_own_canonical_text(keys in proptest::collection::btree_map(".{0,6}", any::<i32>(), 0..8)) {
            let json = serde_json::to_string(&keys).unwrap();
            let once = all(&json);
            prop_assert_eq!(&all(&once), &once);
            let back: std::collections::BTreeMap<String, i32> = serde_json::from_str(&once).unwrap();
            prop_assert_eq!(back, keys);
        }
    }
}
