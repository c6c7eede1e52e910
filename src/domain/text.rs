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

/// `text` with what nobody sees written as escapes, so that neither a terminal nor an eye is deceived.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, c) in unseen(text) {
        out.push_str(text.get(from..at).unwrap_or_default());
        let _ = write!(out, "\\u{{{:x}}}", c as u32);
        from = at + c.len_utf8();
    }
    out + text.get(from..).unwrap_or_default()
}

/// The characters of a text that nobody sees, with their places in bytes. Line breaks are layout; what joins two signs to one, or
/// chooses how the one before it looks, is part of a sign.
pub fn unseen(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut before = ' ';
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        loop {
            let (at, c) = rest.next()?;
            let seen = |c: char| !c.is_ascii() && !c.is_whitespace() && !is_hidden(c);
            let allowed = match c {
                '\n' => true,
                // Emoji, which may end in a selector, and scripts that need them.
                '\u{200c}' | '\u{200d}' => (seen(before) || before == EMOJI) && rest.peek().is_some_and(|(_, after)| seen(*after)),
                // The keys of a telephone are signs, too.
                TEXT | EMOJI => seen(before) || before.is_ascii_digit() || matches!(before, '#' | '*'),
                _ => !is_hidden(c),
            };
            before = c;
            if !allowed {
                return Some((at, c));
            }
        }
    })
}

/// The sign before it looks like text.
const TEXT: char = '\u{fe0e}';
/// The sign before it looks like an emoji.
const EMOJI: char = '\u{fe0f}';

/// Whether a character is seen by what it does and not by what it is: control, bidirectional, zero-width, blank and tag characters,
/// and variation selectors.
pub fn is_hidden(c: char) -> bool {
    let deceives = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
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
    fn what_is_part_of_a_sign_is_seen_and_what_stands_in_rows_is_not() {
        for text in ["a\nb", "👩\u{200d}💻 ❤\u{fe0f}\u{200d}🔥", "می\u{200c}خواهم", "1\u{fe0f}\u{20e3}", "naïve – “quoted”…", "日本語"]
        {
            assert_eq!(printable(text), text);
        }
        for text in
            ["a\u{200d}b", "💻\u{200d}", "é\u{200d}\u{200c}é", "❤\u{fe0f}\u{fe0e}", "a\u{fe01}", "\u{a0}\u{200d}\u{a0}", "\u{a0}\u{fe0f}"]
        {
            assert!(unseen(text).count() > 0, "{text:?}");
        }
        assert_eq!(printable("é\u{200d}\u{200c}é"), "é\\u{200d}\\u{200c}é");
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
