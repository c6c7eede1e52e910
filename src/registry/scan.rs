//! What a definition hides: characters that a model reads and a person does not see.

use std::fmt::Write as _;

use serde_json::Value;
use serde_json::value::RawValue;

use super::definition::{Definition, Manifest};
use crate::domain::{clip, printable, raw, unseen};

/// Most places of a definition that are named.
const PLACES: usize = 8;
/// Most characters that are named of one place.
const CHARACTERS: usize = 8;

/// Whether any definition hides something.
pub(super) fn hides(manifest: &Manifest) -> bool {
    manifest.definitions.iter().any(|definition| !hidden(definition).is_empty())
}

/// A text that hides something, and where in its definition it stands (RFC 6901).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hiding {
    pointer: String,
    text: String,
}

/// The texts of a definition that hide something.
pub(super) fn hidden(definition: &Definition) -> Vec<Hiding> {
    let mut found = Vec::new();
    let body = serde_json::from_str::<Value>(definition.body.get()).unwrap_or_default();
    walk(&body, &mut String::new(), &mut |pointer, text| {
        if !named(text).is_empty() {
            found.push(Hiding { pointer: pointer.to_owned(), text: text.to_owned() });
        }
    });
    found
}

/// The first of them in words.
pub(super) fn told(found: &[Hiding]) -> impl Iterator<Item = String> {
    let place = |pointer: &str| if pointer.is_empty() { "its text".to_owned() } else { format!("`{}`", clip(pointer, 120)) };
    found.iter().take(PLACES).map(move |Hiding { pointer, text }| format!("{} hides {}", place(pointer), named(text).join(", ")))
}

/// Each text of a value, with its place (RFC 6901); a member's name is a text at the place of the member.
fn walk(value: &Value, pointer: &mut String, see: &mut impl FnMut(&str, &str)) {
    let end = pointer.len();
    match value {
        Value::String(text) => see(pointer, text),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let _ = write!(pointer, "/{at}");
                walk(item, pointer, see);
                pointer.truncate(end);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                pointer.push('/');
                pointer.push_str(&printable(name).replace('~', "~0").replace('/', "~1"));
                see(pointer, name);
                walk(member, pointer, see);
                pointer.truncate(end);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What nobody sees of a text, each character once, as `U+200B`.
fn named(text: &str) -> Vec<String> {
    let mut found: Vec<char> = Vec::new();
    for (_, c) in unseen(text) {
        // Both are layout.
        if !matches!(c, '\r' | '\t') && !found.contains(&c) && found.len() < CHARACTERS {
            found.push(c);
        }
    }
    found.into_iter().map(|c| format!("U+{:04X}", u32::from(c))).collect()
}

/// How a server calls itself, with what it hides written out: that is shown before anything of it is approved.
pub(super) fn shown(info: &RawValue) -> Box<RawValue> {
    fn write_out(value: &mut Value) {
        match value {
            Value::String(text) => *text = printable(text),
            Value::Array(items) => items.iter_mut().for_each(write_out),
            Value::Object(members) => {
                let written = std::mem::take(members).into_iter().map(|(name, mut member)| {
                    write_out(&mut member);
                    (printable(&name), member)
                });
                *members = written.collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    // What cannot be read names nothing.
    let Ok(mut value) = serde_json::from_str::<Value>(info.get()) else { return raw(&serde_json::Map::new()) };
    let mut hides = false;
    walk(&value, &mut String::new(), &mut |_, text| hides |= !named(text).is_empty());
    if !hides {
        return info.to_owned();
    }
    write_out(&mut value);
    raw(&value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::Kind;

    fn found(tool: &Value) -> Vec<String> {
        told(&hidden(&Definition::new(Kind::Tool, "a".to_owned(), raw(tool)).unwrap())).collect()
    }

    #[test]
    fn what_nobody_sees_is_found_wherever_it_stands() {
        let tool = json!({
            "name": "a", "description": "Adds.\u{200b}\u{e0041}\u{200b}",
            "inputSchema": { "properties": { "n\u{202e}": { "enum": ["x", "\u{1b}[2J"] } } },
        });
        assert_eq!(
            found(&tool),
            [
                "`/description` hides U+200B, U+E0041",
                "`/inputSchema/properties/n\\u{202e}` hides U+202E",
                "`/inputSchema/properties/n\\u{202e}/enum/1` hides U+001B"
            ]
        );
        let instructions = Definition::new(Kind::Instructions, "instructions".to_owned(), raw("Be kind.\u{feff}")).unwrap();
        assert_eq!(told(&hidden(&instructions)).collect::<Vec<_>>(), ["its text hides U+FEFF"]);
    }

    #[test]
    fn layout_emoji_and_scripts_that_need_joiners_hide_nothing() {
        for text in [
            "a\n\tb\r\n",
            "👩\u{200d}💻 ❤\u{fe0f}",
            "می\u{200c}خواهم",
            "naïve – “quoted”…",
            "日本語",
            "1\u{fe0f}\u{20e3} ❤\u{fe0f}\u{200d}🔥",
        ] {
            assert!(found(&json!({ "name": "a", "description": text })).is_empty(), "{text:?}");
        }
        for text in [
            "a\u{200d}b",
            "💻\u{200d}",
            "\u{200c}💻",
            "co\u{ad}operate",
            "é\u{200d}\u{200c}\u{200d}é",
            "❤\u{fe0f}\u{fe0e}",
            "a\u{fe01}",
            "\u{2800}",
        ] {
            assert!(!found(&json!({ "name": "a", "description": text })).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn how_a_server_calls_itself_is_kept_as_it_wrote_it_unless_it_hides_something() {
        let info = |title: &str| raw(&json!({ "version": "1", "title": title, "name": "a" }));
        assert_eq!(shown(&info("Café ❤\u{fe0f}")).get(), info("Café ❤\u{fe0f}").get());
        assert!(shown(&info("Tides\u{e0041}")).get().contains(r"Tides\\u{e0041}"));
    }

    #[test]
    fn only_so_much_is_told_however_much_is_hidden() {
        let texts: Vec<String> = (0..40).map(|_| ('\u{e0020}'..'\u{e0060}').collect()).collect();
        let told = found(&json!({ "name": "a", "examples": texts }));
        assert_eq!(told.len(), PLACES);
        assert!(told.iter().all(|place| place.matches("U+").count() == CHARACTERS));
    }
}
