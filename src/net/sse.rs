//! Bytes to server-sent events (WHATWG HTML §9.2.6), however the bytes are cut.
//!
//! Each event keeps its own bytes, so that a relay can forward what it has looked at unchanged.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use bytes::{Bytes, BytesMut};

/// Largest event that is taken.
const MAX_EVENT: usize = 4 << 20;

/// One event, or a run of comments that ended in a blank line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The bytes as they came, the blank line included.
    pub raw: Bytes,
    /// The `event:` field.
    pub name: Option<Field>,
    /// The `data:` lines joined by line feeds; none when there was no such line.
    pub data: Option<Field>,
    /// The `id:` field.
    pub id: Option<Field>,
    /// The `retry:` field: how many milliseconds to wait before coming back.
    pub retry: Option<u64>,
}

/// A field's text; where it stands in one line, the event's own bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Field(Bytes);

impl Deref for Field {
    type Target = str;

    fn deref(&self) -> &str {
        // Nothing else is ever put in; looking again is cheaper than a copy.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// An event grew past what is taken.
#[derive(Debug, thiserror::Error)]
#[error("an event is larger than {MAX_EVENT} bytes")]
pub struct TooLarge;

/// Cuts a stream of bytes into events.
#[derive(Default)]
pub struct Splitter {
    buffer: BytesMut,
    scanned: usize,
    line: usize,
    after_cr: bool,
    started: bool,
}

impl Splitter {
    /// Takes more bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        // Whoever pushes has taken all whole events before, so what is left is one without an end.
        if self.buffer.len() > MAX_EVENT {
            return Err(TooLarge);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole event, if its end has come.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            // Only an end of a line, or what follows one, can matter.
            let rest = self.buffer.get(self.scanned..)?;
            self.scanned += if self.after_cr { 0 } else { memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len()) };
            let byte = self.buffer.get(self.scanned).copied()?;
            let swallowed = byte == b'\n' && self.after_cr && self.scanned == self.line;
            self.after_cr = byte == b'\r';
            self.scanned += 1;
            if swallowed {
                self.line = self.scanned;
            } else if matches!(byte, b'\n' | b'\r') {
                let blank = self.scanned - 1 == self.line;
                self.line = self.scanned;
                if blank {
                    // Take the line feed of a CRLF along when it is already here.
                    if byte == b'\r' && self.buffer.get(self.scanned) == Some(&b'\n') {
                        self.scanned += 1;
                        self.after_cr = false;
                    }
                    return Some(self.take(self.scanned));
                }
            }
        }
    }

    /// What is left when the stream has ended: an event whose blank line never came.
    pub fn finish(&mut self) -> Option<Event> {
        let event = self.take(self.buffer.len());
        event.data.is_some().then_some(event)
    }

    fn take(&mut self, end: usize) -> Event {
        let mut raw = self.buffer.split_to(end).freeze();
        (self.scanned, self.line) = (0, 0);
        // A byte order mark belongs to the stream and not to its first event.
        if !std::mem::replace(&mut self.started, true) && raw.starts_with(b"\xef\xbb\xbf") {
            raw = raw.slice(3..);
        }
        let mut event = Event { raw: raw.clone(), ..Event::default() };
        let lossy = std::str::from_utf8(&raw).map_or_else(|_| String::from_utf8_lossy(&raw), Cow::Borrowed);
        let field = |value: &str| match &lossy {
            Cow::Borrowed(_) => Field(raw.slice_ref(value.as_bytes())),
            Cow::Owned(_) => Field::from(value.to_owned()),
        };
        let mut rest: &str = &lossy;
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest.as_bytes()).unwrap_or(rest.len());
            let (line, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            rest = after.get(1..).unwrap_or_default();
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" => match &mut event.data {
                    None => event.data = Some(field(value)),
                    Some(data) => *data = Field::from(format!("{}\n{value}", &**data)),
                },
                "event" => event.name = Some(field(value)),
                "id" if !value.contains('\0') => event.id = Some(field(value)),
                "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => event.retry = value.parse().ok(),
                _ => {}
            }
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use eventsource_stream::Eventsource;
    use futures::StreamExt;
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<Event> {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for piece in pieces {
            splitter.push(piece).unwrap();
            events.extend(std::iter::from_fn(|| splitter.next_event()));
        }
        events.extend(splitter.finish());
        events
    }

    fn fields(events: &[Event]) -> Vec<(Option<String>, String)> {
        let text = |field: &Field| field.to_string();
        events.iter().filter_map(|event| Some((event.name.as_ref().map(text), event.data.as_ref().map(text)?))).collect()
    }

    #[test]
    fn all_line_endings_comments_and_a_missing_blank_line_are_understood() {
        let text = "\u{feff}: hi\r\ndata: a\r\ndata:b\r\n\r\nevent:x\rdata\r\rdata: c\n\ndata: [DONE]";
        let events = split(&[text.as_bytes()]);
        let expected = [(None, "a\nb"), (Some("x"), ""), (None, "c"), (None, "[DONE]")];
        let expected: Vec<_> = expected.iter().map(|(name, data)| (name.map(str::to_owned), (*data).to_owned())).collect();
        assert_eq!(fields(&events), expected);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut splitter = Splitter::default();
        let piece = vec![b'x'; 1 << 20];
        assert!((0..6).any(|_| splitter.push(&piece).is_err()));
        let mut splitter = Splitter::default();
        let lines = b"data: x\n".repeat(100_000);
        let refused = (0..12).any(|_| {
            let refused = splitter.push(&lines).is_err();
            assert_eq!(splitter.next_event(), None);
            refused
        });
        assert!(refused, "also when it comes in lines");
    }

    proptest! {
        #[test]
        fn cutting_the_bytes_anywhere_never_changes_the_events(
            lines in proptest::collection::vec("(data|event|id|:|retry|)(:| |)[a-zé ]{0,5}", 0..12),
            ends in proptest::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r"), Just("\n\n"), Just("\r\n\r\n"), Just("\r\r")], 12),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let text: String = lines.iter().zip(&ends).map(|(line, end)| format!("{line}{end}")).collect();
            let bytes = text.as_bytes();
            let whole = split(&[bytes]);
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in at {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(fields(&split(&pieces)), fields(&whole));
        }

        #[test]
        fn events_are_those_of_an_independent_parser(
            lines in proptest::collection::vec("(data|event): ?[a-z ]{0,5}", 1..8),
            ends in proptest::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n"), Just("\r\n\r\n")], 8),
        ) {
            let text: String = lines.iter().zip(&ends).map(|(line, end)| format!("{line}{end}")).collect::<String>() + "\n\n";
            let theirs: Vec<_> = futures::executor::block_on(
                futures::stream::iter([Ok::<_, std::io::Error>(text.clone())]).eventsource().map(|event| event.unwrap().data).collect(),
            );
            let ours: Vec<_> = fields(&split(&[text.as_bytes()])).into_iter().map(|(_, data)| data).filter(|data| !data.is_empty()).collect();
            let theirs: Vec<String> = theirs.into_iter().filter(|data: &String| !data.is_empty()).collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}
