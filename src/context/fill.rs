//! What one request puts into a source's places, escaped for where it goes.
//!
//! A value is a guest in its place: in an address it is percent-encoded down to letters, digits and `-_.~`, so that it
//! ends no segment and begins no query; in JSON it is put into parsed JSON, so that it ends no text. A value that is
//! missing makes the source fail, for an address with a hole in it (`/users/`) may mean something else, and more.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use url::Url;

use crate::config::{JsonTemplate, Reads, Source, Template, Variable, has_dots};
use crate::domain::Principal;
use crate::trace::Trace;

/// Longest query that is used; of a longer one the beginning.
const MAX_QUERY: usize = 8 << 10;
/// Longest value of anything else.
const MAX_VALUE: usize = 1 << 10;
/// All but what RFC 3986 §2.3 leaves unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What a request has to say to sources.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'q> {
    /// The last text of the person.
    pub text: Option<&'q str>,
    /// Tags that the caller put on the request.
    pub tags: Option<&'q BTreeMap<String, String>>,
    /// Where in a trace it is asked.
    pub trace: Option<&'q Trace>,
}

/// A caller's request, as places see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'v> {
    pub(super) principal: &'v Principal,
    pub(super) query: Query<'v>,
}

/// What is asked for, each place filled; the embedding alone comes later, for it costs a call.
#[derive(Clone, Debug)]
pub(super) enum Filled<'s> {
    Resource { server: &'s str, uri: String },
    Prompt { server: &'s str, name: &'s str, arguments: Value },
    Tool { server: &'s str, name: &'s str, arguments: Value },
    Url { url: Url, body: Option<Value>, question: Option<String> },
    File,
}

impl Values<'_> {
    /// The last text of the person.
    pub(super) fn question(&self) -> Result<String, String> {
        let text = self.query.text.unwrap_or_default().trim();
        let text = text.get(..text.floor_char_boundary(MAX_QUERY)).unwrap_or_default();
        if text.is_empty() { Err(missing(&Variable::Query)) } else { Ok(text.to_owned()) }
    }

    fn get(&self, variable: &Variable) -> Result<String, String> {
        let id = self.principal.id();
        let value = match variable {
            Variable::Query => return self.question(),
            Variable::Embedding => None,
            Variable::CallerId => Some(id),
            // Who comes through an open door has not said who it is.
            Variable::CallerSubject => self.principal.subject(),
            Variable::CallerTag(name) => self.principal.tags().get(name).map(String::as_str),
            Variable::RequestTag(name) => self.query.tags.and_then(|tags| tags.get(name)).map(String::as_str),
        };
        match value {
            Some(value) if value.len() > MAX_VALUE => Err(format!("`{variable}` is longer than {MAX_VALUE} bytes")),
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(missing(variable)),
        }
    }

    /// An address with its values encoded.
    fn address(&self, template: &Template) -> Result<String, String> {
        let encoded = |variable: &Variable| self.get(variable).map(|value| utf8_percent_encode(&value, RESERVED).to_string());
        let filled = template.fill(encoded)?;
        // A dot needs no escape and can have none: readers take `%2e` for one. So a step of dots is refused.
        if has_dots(&filled) { Err("a value would change the path of its address".to_owned()) } else { Ok(filled) }
    }

    /// JSON with its values in their texts.
    pub(super) fn json(&self, template: &JsonTemplate, embedding: &Value) -> Result<Value, String> {
        template.fill(embedding, &mut |variable: &Variable| self.get(variable))
    }

    fn arguments(&self, arguments: &BTreeMap<String, JsonTemplate>) -> Result<Value, String> {
        let filled = arguments.iter().map(|(name, value)| Ok((name.clone(), self.json(value, &Value::Null)?)));
        Ok(Value::Object(filled.collect::<Result<Map<_, _>, String>>()?))
    }

    /// What a source asks for in this request.
    pub(super) fn fill<'s>(&self, source: &'s Source) -> Result<Filled<'s>, String> {
        Ok(match source.reads().ok_or("it names nothing to read")? {
            Reads::Resource(server, uri) => Filled::Resource { server: server.as_str(), uri: self.address(uri)? },
            Reads::Prompt(server, name) => Filled::Prompt { server: server.as_str(), name, arguments: self.arguments(&source.arguments)? },
            Reads::Tool(server, name) => Filled::Tool { server: server.as_str(), name, arguments: self.arguments(&source.arguments)? },
            Reads::Url(template) => {
                let url = Url::parse(&self.address(template)?).map_err(|_| "its address cannot be read".to_owned())?;
                let body = source.body.as_ref().map(|body| self.json(body, &Value::Null)).transpose()?;
                let question = source.embed.as_ref().map(|_| self.question()).transpose()?;
                Filled::Url { url, body, question }
            }
            Reads::File(_) => Filled::File,
        })
    }
}

impl Filled<'_> {
    /// The same for the same question, and different for any other.
    pub(super) fn key(&self) -> Value {
        match self {
            Self::Resource { uri, .. } => json!(uri),
            Self::Prompt { arguments, .. } | Self::Tool { arguments, .. } => arguments.clone(),
            Self::Url { url, body, question } => json!([url.as_str(), body, question]),
            Self::File => Value::Null,
        }
    }
}

fn missing(variable: &Variable) -> String {
    format!("there is no value for `{variable}` in this request")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn source(text: &str) -> Source {
        let text = format!("context: {{ sources: {{ s: {text} }} }}");
        let config = Config::parse(&text, std::path::Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
        config.context.sources["s"].clone()
    }

    fn url(source: &Source, text: &str) -> Result<String, String> {
        let principal = Principal::key("k1", crate::domain::Grants::local(), BTreeMap::new());
        let values = Values { principal: &principal, query: Query { text: Some(text), ..Query::default() } };
        match values.fill(source)? {
            Filled::Url { url, .. } => Ok(url.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_value_changes_neither_host_nor_path_nor_query() {
        let source = source("{ url: 'https://a.example/u/{{ query }}/x?q={{ query }}&n=1' }");
        let hostile =
            ["../../admin?x=", "a/b", "a?b#c", "@evil.example", "\\\\evil", "a\r\nX: 1", "%2e%2e", "a b", "é", "//evil.example", "&n=9"];
        for value in hostile {
            let filled = Url::parse(&url(&source, value).unwrap()).unwrap();
            assert_eq!(filled.host_str(), Some("a.example"), "{value}");
            assert_eq!(filled.path_segments().unwrap().count(), 3, "{value}: {filled}");
            let pairs: Vec<(String, String)> = filled.query_pairs().map(|(key, value)| (key.into(), value.into())).collect();
            assert_eq!(pairs, [("q".to_owned(), value.to_owned()), ("n".to_owned(), "1".to_owned())], "{value}");
        }
        for steps in [".", ".."] {
            assert!(url(&source, steps).unwrap_err().contains("path"), "{steps}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_value_at_all_leaves_its_place(value in ".{0,60}") {
            let source = source("{ url: 'https://a.example/u/{{ query }}/x?q={{ query }}&n=1' }");
            // Nothing, or a step of dots, is refused; whatever is not, stays where it is.
            if let Ok(filled) = url(&source, &value) {
                let filled = Url::parse(&filled).unwrap();
                assert_eq!((filled.host_str(), filled.port(), filled.fragment()), (Some("a.example"), None, None));
                assert_eq!(filled.path_segments().unwrap().count(), 3);
                let pairs: Vec<(String, String)> = filled.query_pairs().map(|(key, value)| (key.into(), value.into())).collect();
                assert_eq!(pairs, [("q".to_owned(), value.trim().to_owned()), ("n".to_owned(), "1".to_owned())]);
            }
        }
    }

    #[test]
    fn a_value_that_is_missing_or_empty_is_an_error_that_names_it() {
        let source = source("{ url: 'https://a.example/u/{{ caller.team }}' }");
        assert!(url(&source, "x").unwrap_err().contains("caller.tags.team"));
    }

    #[test]
    fn a_long_query_is_cut_at_a_character() {
        let principal = Principal::local();
        let long = format!("x{}", "é".repeat(MAX_QUERY));
        let values = Values { principal: &principal, query: Query { text: Some(&long), ..Query::default() } };
        assert_eq!(values.question().unwrap().len(), MAX_QUERY - 1);
    }
}
