//! Texts that are looked for again and again: a key in a body that is not worth reading for it.

use std::sync::OnceLock;

use memchr::memmem::Finder;

/// A text that is looked for in many others. What it takes to find it fast is made once.
pub struct Needle {
    text: &'static str,
    finder: OnceLock<Finder<'static>>,
}

impl Needle {
    /// A text to look for.
    pub const fn new(text: &'static str) -> Self {
        Self { text, finder: OnceLock::new() }
    }

    /// Whether it stands in a text.
    pub fn is_in(&self, text: &str) -> bool {
        self.finder().find(text.as_bytes()).is_some()
    }

    /// What stands behind each place where it is found.
    pub fn behind<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        self.finder().find_iter(text.as_bytes()).map(|at| text.get(at + self.text.len()..).unwrap_or_default())
    }

    fn finder(&self) -> &Finder<'static> {
        self.finder.get_or_init(|| Finder::new(self.text))
    }
}

/// Whether a key of a JSON text may be written in escapes, so that it is not found as it reads (RFC 8259 §7).
pub fn hides_keys(text: &str) -> bool {
    static ESCAPE: Needle = Needle::new("\\u");
    ESCAPE.is_in(text)
}
