//! Foreign text made safe to show.

use std::fmt::Write as _;

/// At most `max` bytes of `text`, cut at a character and marked.
pub fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// `text` with control, bidirectional, zero-width and tag characters written as escapes,
/// so that neither a terminal nor an eye is deceived.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && c != '\n' {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character is seen by what it does and not by what it is: control, bidirectional, zero-width, blank and tag characters,
/// and the variation selectors beyond those of emoji.
pub fn is_hidden(c: char) -> bool {
    let deceives = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || deceives
}

/// Up to three names that are most like a wanted one, the nearest first.
///
/// What is compared is bounded, for comparing costs the product of two lengths, many times over.
pub fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    const LENGTH: usize = 64;
    const MANY: usize = 2_000;
    let wanted = clip(wanted, LENGTH).to_lowercase();
    let last = wanted.rsplit(['/', '_']).next().unwrap_or_default();
    let likeness = |name: &str| {
        let name = clip(name, LENGTH).to_lowercase();
        let inside = last.len() > 2 && name.contains(last);
        let ratio = similar::TextDiff::from_chars(wanted.as_str(), name.as_str()).ratio();
        (ratio > 0.5 || inside).then_some(ratio)
    };
    let mut near: Vec<(f32, &str)> = names.take(MANY).filter_map(|name| Some((likeness(name)?, name))).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// What is added to a complaint about a name that is not there: the one that is most like it.
pub fn meant<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> String {
    nearest(wanted, names).first().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// JSON on one line. A raw line break stands only between its tokens, never within a text, so a blank does as well.
pub fn one_line(json: String) -> String {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ") } else { json }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_become_visible() {
        assert_eq!(printable("a\u{200b}b\u{1b}[2J\u{e0041}"), "a\\u{200b}b\\u{1b}[2J\\u{e0041}");
    }

    #[test]
    fn the_nearest_name_is_first_and_strangers_are_left_out() {
        let names = ["demo__echo", "demo__time", "wiki__search"];
        assert_eq!(nearest("demo__ecko", names.into_iter()).first().map(String::as_str), Some("demo__echo"));
        assert!(nearest("zzz", names.into_iter()).is_empty());
    }

    #[test]
    fn a_clip_never_cuts_a_character() {
        assert_eq!(clip("aéé", 2), "a…");
    }
}
