//! What an event becomes on standard error: one line that no word in it can end, and that neither a terminal nor an eye is deceived by.
//!
//! What servers, providers and callers say finds its way into the log. It is written out here, where all of it comes by, so that nobody who
//! logs must think of it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use tracing_subscriber::fmt::MakeWriter;

use crate::config::Format;
use crate::domain::is_hidden;

/// Writes events to standard error.
#[derive(Clone, Copy)]
pub(super) struct Lines(pub(super) Format);

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

impl io::Write for Lines {
    /// Writes one event, which always comes whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(plain(self.0, &String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event without hidden characters. In text, what stands on further lines is set in, so that only an event begins at a line's beginning.
fn plain(format: Format, event: &str) -> Cow<'_, str> {
    // The escapes in a text are its own colours: those of others are taken out where the text is made.
    let kept = |c: char| !is_hidden(c) || (format == Format::Text && c == '\u{1b}');
    let (line, end) = event.strip_suffix('\n').map_or((event, ""), |line| (line, "\n"));
    if line.chars().all(kept) {
        return event.into();
    }
    let mut out = String::with_capacity(event.len() + 64);
    for c in line.chars() {
        match (c, format) {
            (c, _) if kept(c) => out.push(c),
            ('\n', Format::Text) => out.push_str("\n    "),
            (c, Format::Text) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            // Such characters stand only within texts of a JSON line.
            (c, Format::Json) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push_str(end);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_begins_an_event_with_each_line_that_is_not_set_in() {
        let text = |event| plain(Format::Text, event).into_owned();
        assert_eq!(text("one\n"), "one\n");
        assert_eq!(text("one\n2026-11-21 ERROR two\r\u{9b}2J\u{202e}\n"), "one\n    2026-11-21 ERROR two\\u{d}\\u{9b}2J\\u{202e}\n");
    }

    #[test]
    fn a_json_line_means_what_it_meant() {
        let event = "{\"message\":\"a\u{9b}2J\u{202e}\u{e0041}\u{7f}é\"}\n";
        let line = plain(Format::Json, event);
        assert_eq!(line, "{\"message\":\"a\\u009b2J\\u202e\\udb40\\udc41\\u007fé\"}\n");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&line), read(event));
    }
}
