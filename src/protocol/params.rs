//! A request's params, opened once: its members as they were written, and those of its `_meta`.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::era::Era;
use super::level::Level;
use crate::domain::{RawObject, push_member, raw};
use crate::trace::{Carrier, Told};

pub(super) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The request to listen that a notification belongs to (2026-07-28 §basic/patterns/subscriptions).
pub const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const PROGRESS_TOKEN: &str = "progressToken";

/// The params of a request or a notification. Members keep their own bytes; `_meta` is apart.
#[derive(Clone, Debug, Default)]
pub struct Params {
    members: RawObject<'static>,
    meta: RawObject<'static>,
}

impl Params {
    /// Reads params; anything but an object, or a key that stands twice, is an error.
    pub fn read(text: &RawValue) -> serde_json::Result<Self> {
        let mut members = RawObject::parse(text.get())?;
        // Some clients write `"_meta": null` when they have nothing to say.
        let meta = members.remove("_meta").filter(|meta| meta.get().starts_with('{'));
        let meta = meta.as_ref().map(|meta| RawObject::parse(meta.get()).map(RawObject::into_owned)).transpose()?;
        Ok(Self { members: members.into_owned(), meta: meta.unwrap_or_default() })
    }

    /// The same params with one more member.
    #[must_use]
    pub fn with<T: Serialize + ?Sized>(mut self, key: &'static str, value: &T) -> Self {
        self.members.set(key, raw(value));
        self
    }

    /// The same params with one more member of `_meta`.
    #[must_use]
    pub fn with_meta<T: Serialize + ?Sized>(mut self, key: &'static str, value: &T) -> Self {
        self.meta.set(key, raw(value));
        self
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.meta.is_empty()
    }

    /// Puts a member in place of the one of that name, or at the end.
    pub fn set(&mut self, key: &'static str, value: Box<RawValue>) {
        self.members.set(key, value);
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Box<RawValue>> {
        self.members.remove(key)
    }

    /// The same params without the progress token of whoever sent them.
    #[must_use]
    pub(super) fn without_progress(mut self) -> Self {
        self.meta.remove(PROGRESS_TOKEN);
        self
    }

    /// The text of a member's value.
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.members.get(key)
    }

    /// A member that is a string.
    pub fn string(&self, key: &str) -> Option<String> {
        self.members.string(key)
    }

    /// A member read as `T`; none when absent or of another shape.
    pub fn read_member<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.members.read(key)
    }

    /// The revision a stateless request says it is of.
    pub fn stamped_version(&self) -> Option<String> {
        self.meta.string(PROTOCOL_VERSION)
    }

    /// Whether a stateless request declares what its client can do.
    pub(super) fn declares_capabilities(&self) -> bool {
        self.meta.get(CLIENT_CAPABILITIES).is_some_and(|raw| raw.get().starts_with('{'))
    }

    /// What the client of a stateless request says that it can do, as it wrote it.
    pub(super) fn declared(&self) -> Option<&RawValue> {
        self.meta.get(CLIENT_CAPABILITIES)
    }

    /// From which level on a stateless client wants to hear what the server logs.
    pub fn log_level(&self) -> Option<Level> {
        self.meta.string(LOG_LEVEL)?.parse().ok()
    }

    /// The same params for a stateless server, which is to log from a level on.
    #[must_use]
    pub fn logged(self, level: Level) -> Self {
        self.with_meta(LOG_LEVEL, level.as_str())
    }

    /// The request to listen that a notification belongs to, where we gave it its number.
    pub fn subscription(&self) -> Option<u64> {
        self.meta.read(SUBSCRIPTION)
    }

    /// What the caller says of the trace that the request is part of.
    pub fn told(&self) -> Told<'static> {
        let text = |key: &str| self.meta.string(key).map(Into::into);
        Told { traceparent: text("traceparent"), tracestate: text("tracestate"), baggage: text("baggage") }
    }

    /// The progress token a caller gave, as it was written.
    pub fn progress_token(&self) -> Option<&RawValue> {
        self.meta.get(PROGRESS_TOKEN)
    }

    /// As a server of an era is to get them: with our own stamp or without one, and with our own
    /// progress token, and place in a trace that is ours, instead of the caller's.
    pub fn dressed(&self, era: Era, dress: &Dress<'_>) -> String {
        let Dress { token, carrier, capabilities } = *dress;
        let mut text = String::with_capacity(512);
        for (key, value) in self.members.iter() {
            push_member(&mut text, key, value.get());
        }
        let mut meta = String::new();
        for (key, value) in self.kept(era).filter(|(key, _)| carrier.is_none() || !Carrier::writes(key)) {
            push_member(&mut meta, key, value.get());
        }
        for (key, value) in carrier.into_iter().flat_map(Carrier::members) {
            push_member(&mut meta, key, raw(value).get());
        }
        if era == Era::Modern {
            meta.push(if meta.is_empty() { '{' } else { ',' });
            meta.push_str(STAMP);
            push_member(&mut meta, CLIENT_CAPABILITIES, capabilities.unwrap_or("{}"));
        }
        if let Some(token) = token {
            push_member(&mut meta, PROGRESS_TOKEN, &token.to_string());
        }
        if !meta.is_empty() {
            meta.push('}');
            push_member(&mut text, "_meta", &meta);
        }
        if text.is_empty() {
            text.push('{');
        }
        text.push('}');
        text
    }

    /// The text of the members but for these, and without `_meta`.
    pub fn text_without(&self, left_out: &[&str]) -> String {
        let mut text = String::new();
        for (key, value) in self.members.iter().filter(|(key, _)| !left_out.contains(key)) {
            push_member(&mut text, key, value.get());
        }
        if text.is_empty() {
            text.push('{');
        }
        text.push('}');
        text
    }

    /// What of the caller's own `_meta` travels on.
    fn kept(&self, era: Era) -> impl Iterator<Item = (&str, &RawValue)> {
        self.meta.iter().filter(move |(key, _)| match *key {
            PROGRESS_TOKEN | PROTOCOL_VERSION | CLIENT_CAPABILITIES | CLIENT_INFO => false,
            // Only a stateless server understands it.
            LOG_LEVEL => era == Era::Modern,
            _ => true,
        })
    }
}

/// What a server is told beside what the caller said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dress<'a> {
    /// Our own progress token, where progress is wanted.
    pub token: Option<u64>,
    /// The place in a trace that is ours.
    pub carrier: Option<&'a Carrier>,
    /// What can be asked meanwhile, as a stateless server is told it; nothing where it is not said.
    pub capabilities: Option<&'a str>,
}

/// What we say of ourselves to stateless servers.
const STAMP: &str = concat!(
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"portolan","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#,
);

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.members.iter() {
            map.serialize_entry(key, value)?;
        }
        if !self.meta.is_empty() {
            map.serialize_entry("_meta", &self.meta)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::Revision;

    fn dressed(params: &Value, era: Era, token: Option<u64>) -> String {
        Params::read(&raw(params)).unwrap().dressed(era, &Dress { token, ..Dress::default() })
    }

    #[test]
    fn what_only_a_stateless_server_understands_does_not_reach_an_older_one() {
        let params = json!({ "name": "a", "_meta": { PROTOCOL_VERSION: "x", CLIENT_CAPABILITIES: {}, LOG_LEVEL: "debug", "progressToken": "t", "trace": 1 } });
        let legacy = Era::Legacy(Revision::LATEST);
        assert_eq!(dressed(&params, legacy, None), r#"{"name":"a","_meta":{"trace":1}}"#);
        assert_eq!(dressed(&params, legacy, Some(7)), r#"{"name":"a","_meta":{"trace":1,"progressToken":7}}"#);
        assert_eq!(dressed(&json!({ "_meta": { LOG_LEVEL: "debug" } }), legacy, None), "{}");
    }

    #[test]
    fn a_stateless_server_gets_our_own_stamp_in_place_of_the_callers() {
        let theirs = json!({ "_meta": { PROTOCOL_VERSION: "1999-01-01", CLIENT_INFO: { "name": "them" }, LOG_LEVEL: "debug" } });
        let text = dressed(&theirs, Era::Modern, None);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["_meta"][PROTOCOL_VERSION], Era::MODERN);
        assert_eq!(value["_meta"][CLIENT_INFO]["name"], "portolan");
        assert_eq!(value["_meta"][LOG_LEVEL], "debug");
    }

    #[test]
    fn members_keep_their_bytes_and_a_key_that_stands_twice_is_refused() {
        let text = RawValue::from_string(r#"{"n":1.50,"_meta":{"a":[ 1 ]}}"#.to_owned()).unwrap();
        assert_eq!(raw(&Params::read(&text).unwrap()).get(), text.get());
        for twice in [r#"{"n":1,"n":2}"#, r#"{"_meta":{"a":1,"a":2}}"#] {
            assert!(Params::read(&RawValue::from_string(twice.to_owned()).unwrap()).is_err(), "{twice}");
        }
    }
}
