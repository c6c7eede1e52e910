//! What a definition hides: characters that a model reads and a person does not see.

use serde_json::Value;
use serde_json::value::RawValue;

use super::texts::walk;
use crate::domain::{printable, raw, unseen};

/// Most characters that are named of one place.
const CHARACTERS: usize = 8;

/// What a text hides, in words.
pub(super) fn told(text: &str) -> Option<String> {
    let found = named(text);
    (!found.is_empty()).then(|| format!("hides {}", found.join(", ")))
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
pub(in crate::registry) fn shown(info: &RawValue) -> Box<RawValue> {
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
            assert_eq!(told(text), None, "{text:?}");
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
            assert!(told(text).is_some(), "{text:?}");
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
        let text: String = ('\u{e0020}'..'\u{e0060}').collect();
        assert_eq!(told(&text).unwrap().matches("U+").count(), CHARACTERS);
    }
}
