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
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// All lines of a stream that comes in these pieces.
    fn lines(pieces: &[&[u8]]) -> Vec<Line> {
        let nothing: Box<dyn AsyncBufRead + Unpin + '_> = Box::new(tokio::io::empty());
        let mut reader = pieces.iter().fold(nothing, |reader, piece| Box::new(reader.chain(*piece)));
        futures::executor::block_on(async {
            let mut lines = Vec::new();
            while let Some(line) = next_line(&mut reader, 300).await.unwrap() {
                lines.push(line);
            }
            lines
        })
    }

    proptest! {
        #[test]
        fn cutting_the_bytes_anywhere_never_changes_the_lines(
            parts in proptest::collection::vec(prop_oneof![
                4 => "[a-zé{}\":\r\0 ]{0,20}".prop_map(String::into_bytes),
                1 => (290_usize..310).prop_map(|length| vec![b'x'; length]),
                1 => (300_usize..2000).prop_map(|length| (0..length).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect()),
                1 => proptest::collection::vec(any::<u8>(), 0..20),
            ], 0..8),
            ends in proptest::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n"), Just("")], 8),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let bytes: Vec<u8> = parts.iter().zip(&ends).flat_map(|(part, end)| [part.as_slice(), end.as_bytes()].concat()).collect();
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
            prop_assert_eq!(lines(&pieces), lines(&[&bytes]));
        }
    }

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
