//! Patterns that every engine takes, and takes alike: that of this gateway, Python's `re`, and that of JavaScript with its flag `u`.
//!
//! A provider refuses a whole request for one pattern that its engine does not know, and none says which engine it has. So only what is
//! common passes: characters of ASCII, `.`, classes, `^` and `$`, groups without a name, alternatives, and repetitions.

/// Longest pattern that is told, in bytes; how deep groups stand in each other; and how often something is repeated by a number.
const LONGEST: usize = 300;
const DEEPEST: usize = 16;
const MOST_TIMES: u32 = 1_000;

/// Whether every engine takes a pattern, and takes it alike.
pub(super) fn plain_pattern(pattern: &str) -> bool {
    let plain = pattern.len() <= LONGEST && pattern.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let mut reader = Reader { left: pattern.as_bytes() };
    plain && reader.alternatives(0).is_some() && reader.left.is_empty()
}

/// What is left of a pattern. Each step is none where something is not as all know it.
struct Reader<'p> {
    left: &'p [u8],
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.left.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, left) = self.left.split_first()?;
        self.left = left;
        Some(*first)
    }

    /// Takes what is expected, where it is there.
    fn takes(&mut self, expected: &[u8]) -> bool {
        let Some(left) = self.left.strip_prefix(expected) else { return false };
        self.left = left;
        true
    }

    /// Up to the end, or to the end of a group.
    fn alternatives(&mut self, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        while let Some(byte) = self.peek().filter(|byte| *byte != b')') {
            self.next();
            let repeats = match byte {
                b'|' | b'^' | b'$' => false,
                b'(' => {
                    if !self.takes(b"?:") && self.peek() == Some(b'?') {
                        return None;
                    }
                    self.alternatives(depth + 1)?;
                    self.takes(b")").then_some(true)?
                }
                b'[' => self.class().map(|()| true)?,
                b'\\' => match self.next()? {
                    // Its opposite is not the same to all in an empty text.
                    b'b' => false,
                    escaped => is_escaped(escaped).then_some(true)?,
                },
                b'*' | b'+' | b'?' | b'{' | b'}' | b']' => return None,
                _ => true,
            };
            if repeats {
                self.times()?;
            }
        }
        Some(())
    }

    /// How often something may stand there, if that is said; a second word on it is not known to all.
    fn times(&mut self) -> Option<()> {
        match self.peek() {
            Some(b'*' | b'+' | b'?') => {
                self.next();
            }
            Some(b'{') => {
                self.next();
                let least = self.number()?;
                let most = if self.takes(b",") { if self.peek() == Some(b'}') { least } else { self.number()? } } else { least };
                if !self.takes(b"}") || least > most || most > MOST_TIMES {
                    return None;
                }
            }
            _ => return Some(()),
        }
        self.takes(b"?");
        Some(())
    }

    fn number(&mut self) -> Option<u32> {
        let digits = self.left.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, left) = self.left.split_at_checked(digits)?;
        self.left = left;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// A class, behind its bracket. It has at least one member, no other class in it, and nothing that stands for an operation.
    fn class(&mut self) -> Option<()> {
        self.takes(b"^");
        if self.peek() == Some(b']') {
            return None;
        }
        let mut is_first = true;
        while !self.takes(b"]") {
            let first = self.member(is_first)?;
            is_first = false;
            if self.peek() == Some(b'-') && self.left.get(1) != Some(&b']') {
                self.next();
                if self.peek() == Some(b'-') {
                    return None;
                }
                let ((from, true), (to, true)) = (first, self.member(false)?) else { return None };
                if from > to {
                    return None;
                }
            }
        }
        Some(())
    }

    /// One member of a class, and whether it stands for itself.
    fn member(&mut self, is_first: bool) -> Option<(u8, bool)> {
        let byte = self.next()?;
        match byte {
            b'\\' => {
                let escaped = self.next()?;
                (escaped == b'-' || is_escaped(escaped)).then_some((escaped, !escaped.is_ascii_alphabetic()))
            }
            b'[' => None,
            b'-' if !is_first && self.peek() != Some(b']') => None,
            // Two of them are an operation on classes to some.
            b'&' | b'~' | b'|' | b'-' if self.peek() == Some(byte) => None,
            _ => Some((byte, true)),
        }
    }
}

/// Whether something may stand behind a backslash: a class or a control character that all know, or what would mean something else.
fn is_escaped(byte: u8) -> bool {
    b"dDwWsSnrt".contains(&byte) || br"^$\.*+?()[]{}|/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::schema::validate::build;

    const PARTS: [&str; 32] = [
        "a", "z", "0", "-", " ", ".", "^", "$", "|", "*", "+", "?", "{2}", "{1,}", "{,2}", "{", "}", "(", "(?:", "(?", ")", "[", "[^", "]",
        "&", "~", "\\d", "\\b", "\\-", "\\]", "\\<", "\\",
    ];

    proptest! {
        #[test]
        fn what_is_plain_is_a_pattern(parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..8)) {
            let pattern = parts.concat();
            if plain_pattern(&pattern) {
                prop_assert!(build(&json!({ "pattern": pattern })).is_ok() && regex::Regex::new(&pattern).is_ok(), "{}", pattern);
            }
        }
    }

    #[test]
    fn what_all_engines_know_is_plain_and_nothing_else() {
        for pattern in [
            "",
            "^[a-z]+\\d$",
            "^[A-Za-z0-9_.-]{1,64}$",
            "^https?:\\/\\/[^\\s/$.?#].[^\\s]*$",
            "^(?:a|b|)(c{2,}?|\\w{0,3})+?$",
            "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$",
            "\\bend\\b|[\\w\\-+]|[-a]|[^-]|[a^]|[\\]]",
        ] {
            assert!(plain_pattern(pattern), "{pattern}");
            assert!(regex::Regex::new(pattern).is_ok(), "{pattern}");
        }
        for pattern in [
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<name>a)",
            "(?P<name>a)",
            "(?i)a",
            "(a)\\1",
            "\\p{L}",
            "\\u00e9",
            "\\x41",
            "\\Aa",
            "a\\z",
            "\\<a",
            "\\-",
            "\\_",
            "\\",
            "é",
            "a\n",
            "[[:alpha:]]",
            "[a&&b]",
            "[a--b]",
            "[]a]",
            "[^]",
            "[z-a]",
            "[\\w-z]",
            "[a-\\d]",
            "[a-c-e]",
            "[+--]",
            "[--a]",
            "[a",
            "(a",
            "a)",
            "*",
            "a**",
            "a++",
            "a{,3}",
            "a{3,1}",
            "a{",
            "a{1001}",
            "a}",
            "]",
            "^*",
            "\\b+",
            "\\B",
        ] {
            assert!(!plain_pattern(pattern), "{pattern}");
        }
        let deep = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert!(plain_pattern(&deep(DEEPEST)) && !plain_pattern(&deep(DEEPEST + 1)));
        assert!(plain_pattern(&"a".repeat(LONGEST)) && !plain_pattern(&"a".repeat(LONGEST + 1)));
    }
}
