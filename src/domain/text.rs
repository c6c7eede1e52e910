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
        let hidden = matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
        if (c.is_control() && c != '\n') || hidden {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_become_visible() {
        assert_eq!(printable("a\u{200b}b\u{1b}[2J\u{e0041}"), "a\\u{200b}b\\u{1b}[2J\\u{e0041}");
    }

    #[test]
    fn a_clip_never_cuts_a_character() {
        assert_eq!(clip("aéé", 2), "a…");
    }
}
