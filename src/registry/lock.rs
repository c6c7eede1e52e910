//! `portolan.lock`: what is approved, as a file that people review and keep beside their configuration.
//!
//! One object for each server: its version, the digest of the set, and every definition in canonical order, a line for each member, so that a
//! review shows what changed and nothing else.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::definition::{Definition, Manifest};
use super::drift::{Difference, differences};
use super::version::{FIRST, next};
use crate::domain::{ServerName, raw, raw_string, unseen};
use crate::schema::canonical;

/// The layout of the file.
const LAYOUT: u32 = 1;
/// Largest file, in bytes.
const MAX: u64 = 256 << 20;

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read.
    #[error("{path} cannot be read: {why}; `portolan registry lock --live` writes it")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// It is none.
    #[error("{path} is no lock file: {why}; restore it, or delete it and write it anew by `portolan registry lock --live`")]
    Wrong {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// What it says of a server is not what its digest says.
    #[error(
        "{path}: what it says of `{server}` does not fit its digest; it was changed by hand, so restore it, or delete it and write it anew by `portolan registry lock --live`"
    )]
    Changed {
        /// The file.
        path: String,
        /// The server.
        server: ServerName,
    },
}

/// What is approved of every server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    /// By server.
    pub servers: BTreeMap<ServerName, Locked>,
}

/// What is approved of one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Its version.
    pub release: Version,
    /// The address of the set.
    digest: String,
    /// How the server presented itself.
    info: Box<RawValue>,
    capabilities: Box<RawValue>,
    definitions: Vec<Definition>,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    lock: u32,
    servers: BTreeMap<ServerName, Locked>,
}

impl PartialEq for Locked {
    fn eq(&self, other: &Self) -> bool {
        (&self.release, &self.digest) == (&other.release, &other.digest)
    }
}

impl Lock {
    /// Reads a file, and holds each server up to its digest.
    pub fn load(path: &Path) -> Result<Self, LockError> {
        let shown = path.display().to_string();
        let unreadable = |why: String| LockError::Unreadable { path: shown.clone(), why };
        let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
        if size > MAX {
            return Err(unreadable(format!("it has more than {MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        Self::parse(&text, &shown)
    }

    /// Reads a text; `path` says where it came from.
    pub fn parse(text: &str, path: &str) -> Result<Self, LockError> {
        let wrong = |why: String| LockError::Wrong { path: path.to_owned(), why };
        let written: Written = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if written.lock != LAYOUT {
            return Err(wrong(format!("its layout is {}, and this version reads {LAYOUT}", written.lock)));
        }
        for (server, locked) in &written.servers {
            if !locked.is_whole() {
                return Err(LockError::Changed { path: path.to_owned(), server: server.clone() });
            }
        }
        Ok(Self { servers: written.servers })
    }

    /// As it is written: a line for each member, so that a review shows what changed.
    pub fn to_text(&self) -> String {
        let written = Written { lock: LAYOUT, servers: self.servers.clone() };
        format!("{}\n", indented(raw(&written).get()))
    }

    /// What a server offers now, as the next release of what is locked of it.
    pub fn takes_up(&self, name: &ServerName, manifest: &Manifest) -> Locked {
        let release = match self.servers.get(name) {
            None => FIRST,
            Some(before) => match differences(&before.manifest(), manifest) {
                none if none.is_empty() => before.release.clone(),
                some => next(&before.release, &some, &[]),
            },
        };
        Locked::new(release, manifest)
    }
}

impl Locked {
    /// What is approved of a server.
    pub fn new(release: Version, manifest: &Manifest) -> Self {
        let same = |value: &RawValue| {
            let text = canonical(value.get(), &|_| false).ok().and_then(|text| raw_string(text).ok());
            text.unwrap_or_else(|| value.to_owned())
        };
        let canonical = |one: &Definition| Definition::new(one.kind, one.name.clone(), same(&one.body)).unwrap_or_else(|_| one.clone());
        let mut definitions: Vec<Definition> = manifest.definitions.iter().map(canonical).collect();
        definitions.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        let (info, capabilities) = (same(&manifest.info), same(&manifest.capabilities));
        Self { release, digest: manifest.digest().to_string(), info, capabilities, definitions }
    }

    /// Whether the definitions are those of its digest.
    pub fn is_whole(&self) -> bool {
        self.manifest().digest().to_string() == self.digest
    }

    /// The definitions, and how the server presented itself.
    pub fn manifest(&self) -> Manifest {
        let (info, capabilities) = (self.info.clone(), self.capabilities.clone());
        Manifest { definitions: self.definitions.clone(), dropped: Vec::new(), info, capabilities }
    }

    /// How what a server offers now differs from it. Both are told in canonical order: a server's own order means nothing.
    pub fn differences(&self, live: &Manifest) -> Vec<Difference> {
        let told = Manifest { dropped: live.dropped.clone(), ..Self::new(self.release.clone(), live).manifest() };
        differences(&self.manifest(), &told)
    }

    /// What of it a person should see before anybody else, as of a server that nobody has seen before.
    pub fn suspects(&self) -> Vec<Difference> {
        let whole = self.manifest();
        let nothing = Manifest { definitions: Vec::new(), ..whole.clone() };
        differences(&nothing, &whole).into_iter().filter(|one| one.suspect).collect()
    }
}

/// A JSON text with a line for each member and item; all values stay as they are written, but for characters that nobody sees: these are
/// written as escapes, so that whoever reviews the text sees them.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    let mut last = ' ';
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let hidden: HashSet<usize> = unseen(json).map(|(at, _)| at).collect();
    for (at, c) in json.char_indices() {
        if text {
            if hidden.contains(&at) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            } else {
                out.push(c);
            }
            (text, escaped) = (escaped || c != '"', c == '\\' && !escaped);
            last = c;
            continue;
        }
        match c {
            ' ' | '\n' | '\r' | '\t' => continue,
            '"' => text = true,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !matches!(last, '{' | '[') {
                    line(&mut out, depth);
                }
                out.push(c);
                last = c;
                continue;
            }
            _ => {}
        }
        if matches!(last, '{' | '[' | ',') && !out.is_empty() {
            line(&mut out, depth);
        }
        out.push(c);
        match c {
            '{' | '[' => depth += 1,
            ':' => out.push(' '),
            _ => {}
        }
        last = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::registry::Kind;

    fn manifest(description: &str) -> Manifest {
        let body = json!({ "name": "a", "description": description, "inputSchema": { "type": "object", "maximum": 1.50 } });
        let definition = |name: &str| Definition::new(Kind::Tool, name.to_owned(), raw(&body)).unwrap();
        let definitions = vec![definition("b"), definition("a")];
        Manifest { definitions, dropped: Vec::new(), info: raw(&json!({ "name": "x" })), capabilities: raw(&json!({ "tools": {} })) }
    }

    #[test]
    fn what_is_written_is_read_again_and_what_was_changed_by_hand_is_refused() {
        let name: ServerName = "wiki".parse().unwrap();
        let mut lock = Lock::default();
        lock.servers.insert(name.clone(), lock.takes_up(&name, &manifest("Says \"no\": {x}, [y].")));
        let text = lock.to_text();
        assert_eq!(Lock::parse(&text, "x").unwrap(), lock);
        assert!(text.contains("  \"description\": \"Says \\\"no\\\": {x}, [y].\",\n"), "{text}");
        let refused = Lock::parse(&text.replace("Says", "Said"), "x").unwrap_err().to_string();
        assert!(refused.contains("`wiki` does not fit its digest"), "{refused}");
        assert!(Lock::parse("{}", "x").unwrap_err().to_string().contains("no lock file"));
        assert!(Lock::parse(&text.replacen(": 1,", ": 2,", 1), "x").unwrap_err().to_string().contains("layout is 2"));
    }

    #[test]
    fn what_is_taken_up_is_the_next_release_and_the_same_one_stays() {
        let name: ServerName = "wiki".parse().unwrap();
        let mut lock = Lock::default();
        let mut take = |manifest: &Manifest| {
            lock.servers.insert(name.clone(), lock.takes_up(&name, manifest));
            lock.servers[&name].release.to_string()
        };
        assert_eq!((take(&manifest("A.")), take(&manifest("A.")), take(&manifest("B."))), ("1.0.0".into(), "1.0.0".into(), "1.0.1".into()));
    }

    #[test]
    fn what_nobody_sees_is_written_out_and_says_the_same() {
        let name: ServerName = "wiki".parse().unwrap();
        let hidden = manifest("Adds two\u{200b} numbers.\u{e0041}");
        let mut lock = Lock::default();
        lock.servers.insert(name.clone(), lock.takes_up(&name, &hidden));
        let text = lock.to_text();
        assert!(text.contains("two\\u200b numbers.\\udb40\\udc41"), "{text}");
        let read = Lock::parse(&text, "portolan.lock").unwrap();
        assert!(read == lock && read.servers[&name].differences(&hidden).is_empty());
        assert_eq!(read.servers[&name].suspects().len(), 2, "both tools hide something");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(null)), any::<i32>().prop_map(Value::from), ".{0,6}".prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a\"\\\\{},:]{0,3}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_text_with_lines_says_what_it_said(value in values()) {
            let lines = indented(&value.to_string());
            prop_assert_eq!(&serde_json::from_str::<Value>(&lines).unwrap(), &value);
            prop_assert_eq!(unseen(&lines).count(), 0, "{}", lines);
            if unseen(&value.to_string()).next().is_none() {
                prop_assert_eq!(lines, format!("{value:#}"));
            }
        }
    }
}
