//! Lines of bounded length. One that is too long is dropped and the reader goes on behind it.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Longest line that is taken, in bytes.
pub(super) const MAX_LINE: usize = 4 << 20;
/// How much of a dropped line's two ends is kept, to find out whose answer it was.
const KEPT: usize = 256;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end.
    Text(Vec<u8>),
    /// A line that was too long: its beginning and its end.
    TooLong(Vec<u8>, Vec<u8>),
}

/// The next line; none at the end of the stream.
pub(super) async fn next_line(reader: &mut (impl AsyncBufRead + Unpin), max: usize) -> std::io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut dropped = false;
    let mut head = Vec::new();
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok((!line.is_empty() || dropped).then(|| finish(line, head, dropped)));
        }
        let newline = chunk.iter().position(|byte| *byte == b'\n');
        let (taken, used) = match newline {
            Some(at) => (chunk.get(..at).unwrap_or_default(), at + 1),
            None => (chunk, chunk.len()),
        };
        line.extend_from_slice(taken);
        reader.consume(used);
        if line.len() > max || dropped {
            if !dropped {
                head = line.get(..KEPT.min(line.len())).unwrap_or_default().to_vec();
                dropped = true;
            }
            let start = line.len().saturating_sub(KEPT);
            line.drain(..start);
            line.shrink_to(KEPT);
        }
        if newline.is_some() {
            return Ok(Some(finish(line, head, dropped)));
        }
    }
}

fn finish(mut line: Vec<u8>, head: Vec<u8>, dropped: bool) -> Line {
    if dropped {
        return Line::TooLong(head, line);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Line::Text(line)
}

/// The id in a piece of a message that was too long to be read.
pub(super) fn id_in(piece: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(piece);
    let (_, after) = text.split_once("\"id\"")?;
    let digits: String = after.trim_start_matches([':', ' ']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_that_is_too_long_is_dropped_and_the_next_one_is_read() {
        let text = format!("{{\"id\":7,{}\r\nnext\r\nlast", "x".repeat(1000));
        let mut reader = tokio::io::BufReader::with_capacity(16, text.as_bytes());
        let Some(Line::TooLong(head, _)) = next_line(&mut reader, 100).await.unwrap() else { panic!("not dropped") };
        assert_eq!(id_in(&head), Some(7));
        assert_eq!(next_line(&mut reader, 100).await.unwrap(), Some(Line::Text(b"next".to_vec())));
        assert_eq!(next_line(&mut reader, 100).await.unwrap(), Some(Line::Text(b"last".to_vec())));
        assert_eq!(next_line(&mut reader, 100).await.unwrap(), None);
    }
}
