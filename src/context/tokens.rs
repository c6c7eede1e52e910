//! How many tokens a text has, and where to cut it.
//!
//! Providers count differently; one widely used vocabulary is near enough to plan with, and gives the same text
//! the same cut every time. It is loaded on first use and takes a moment, so counting never runs on a request's own thread.
//! Long texts are counted piece by piece, which keeps the cost of a hostile one in proportion to its length.

use std::sync::Arc;

use tiktoken_rs::o200k_base_singleton;

/// Bytes that are counted at once.
const PIECE: usize = 2 << 10;

/// A text within its bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) text: String,
    pub(super) tokens: usize,
    pub(super) cut: bool,
}

/// Counts a text, and cuts it to at most so many tokens.
pub(super) async fn measure(text: String, most: Option<usize>) -> Measured {
    let text: Arc<str> = text.into();
    let counted = text.clone();
    let (kept, tokens) = match tokio::task::spawn_blocking(move || count(&counted, most.unwrap_or(usize::MAX))).await {
        Ok(found) => found,
        Err(_) => estimate(&text, most.unwrap_or(usize::MAX)),
    };
    let cut = kept < text.len();
    Measured { text: text.get(..kept).unwrap_or_default().to_owned(), tokens, cut }
}

/// How many tokens a text has.
pub async fn tokens(text: String) -> usize {
    measure(text, None).await.tokens
}

/// Loads the vocabulary, if it is not there yet.
pub(super) fn warm() {
    tokio::task::spawn_blocking(o200k_base_singleton);
}

/// The bytes that are kept and their tokens.
fn count(text: &str, most: usize) -> (usize, usize) {
    let vocabulary = o200k_base_singleton();
    let (mut kept, mut tokens) = (0, 0);
    for piece in pieces(text) {
        let found = vocabulary.encode_ordinary(piece);
        let room = most.saturating_sub(tokens);
        if found.len() <= room {
            kept += piece.len();
            tokens += found.len();
            continue;
        }
        let bytes = found.get(..room).and_then(|found| vocabulary.decode_bytes(found).ok()).map_or(0, |bytes| bytes.len());
        // A token may end within a character.
        return (kept + piece.floor_char_boundary(bytes), most);
    }
    (kept, tokens)
}

/// Four bytes a token, should the vocabulary fail on a text.
fn estimate(text: &str, most: usize) -> (usize, usize) {
    let kept = text.floor_char_boundary(most.saturating_mul(4));
    (kept, kept.div_ceil(4))
}

/// A text in pieces that end behind a blank where there is one.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (head, _) = rest.split_at_checked(rest.floor_char_boundary(PIECE))?;
        let end = if head.len() == rest.len() { head.len() } else { head.rfind([' ', '\n']).map_or(head.len(), |at| at + 1) };
        let (piece, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_exact_and_never_within_a_character() {
        let text = "The pilot boat answers on channel 12. ".repeat(400);
        let (all, total) = count(&text, usize::MAX);
        assert_eq!(all, text.len());
        for most in [0, 1, 7, 100, total - 1] {
            let (kept, tokens) = count(&text, most);
            assert_eq!(tokens, most);
            assert!(kept < text.len() && count(&text[..kept], usize::MAX).1 <= most + 1, "{most}");
        }
        let signs = "🜂🜄𝔘";
        for most in 0..10 {
            let (kept, _) = count(signs, most);
            assert!(signs.is_char_boundary(kept));
        }
    }

    #[test]
    fn a_hostile_text_is_counted_like_any_other() {
        const LENGTH: usize = 256 << 10;
        for unit in [" ", "a", "\n", "\t \n", "\u{300}", "a'", "🜂", "\0", "1", "\r\n ", "= "] {
            let text = unit.repeat(LENGTH / unit.len());
            let (kept, tokens) = count(&text, usize::MAX);
            assert!(kept == text.len() && tokens > 0, "{unit:?}");
        }
    }

    #[test]
    fn pieces_are_bounded_and_lose_nothing() {
        for text in ["a".repeat(9_000), "é ".repeat(5_000), String::new(), " ".repeat(10_000), format!("{}🜂", "x".repeat(PIECE - 1))] {
            assert_eq!(pieces(&text).collect::<String>(), text);
            assert!(pieces(&text).all(|piece| !piece.is_empty() && piece.len() <= PIECE));
        }
    }
}
