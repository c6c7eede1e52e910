//! Texts with places in them, `{{ query }}`, that each request fills.
//!
//! They are read when the file is: a place that nothing could ever fill is an error with its line, and not
//! a surprise in some later request. How a value is escaped depends on where the text goes, so whoever fills says it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::value::Text;

/// What can stand in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The last text of the person in the conversation.
    Query,
    /// The embedding of that text.
    Embedding,
    /// The caller's stable id.
    CallerId,
    /// Who the caller is at the one who named it.
    CallerSubject,
    /// A tag that the operator put on the caller.
    CallerTag(String),
    /// A tag that the caller put on the request.
    RequestTag(String),
}

const KNOWN: &str = "`query`, `embedding`, `caller.id`, `caller.subject`, `caller.tags.NAME` (or `caller.NAME`) and `tags.NAME`";

impl Variable {
    fn read(name: &str) -> Result<Self, String> {
        let tag = |name: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
            (!name.is_empty() && name.len() <= 128 && name.chars().all(fits)).then(|| name.to_owned())
        };
        let found = match name {
            "query" => Some(Self::Query),
            "embedding" => Some(Self::Embedding),
            "caller.id" => Some(Self::CallerId),
            "caller.subject" => Some(Self::CallerSubject),
            _ => match (name.strip_prefix("caller.tags.").or_else(|| name.strip_prefix("caller.")), name.strip_prefix("tags.")) {
                (Some(name), _) => tag(name).filter(|name| name != "tags").map(Self::CallerTag),
                (_, Some(name)) => tag(name).map(Self::RequestTag),
                _ => None,
            },
        };
        found.ok_or_else(|| format!("`{{{{ {name} }}}}` is not known here; there are {KNOWN}"))
    }

    /// Whether its value tells callers apart.
    pub fn is_of_caller(&self) -> bool {
        matches!(self, Self::CallerId | Self::CallerSubject | Self::CallerTag(_))
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query => f.write_str("query"),
            Self::Embedding => f.write_str("embedding"),
            Self::CallerId => f.write_str("caller.id"),
            Self::CallerSubject => f.write_str("caller.subject"),
            Self::CallerTag(name) => write!(f, "caller.tags.{name}"),
            Self::RequestTag(name) => write!(f, "tags.{name}"),
        }
    }
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Variable),
}

/// A text with places. `${NAME}` in it comes from the environment, once, when the file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

impl Template {
    /// Reads a template.
    fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or("`{{` without its `}}`")?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Place(Variable::read(name.trim())?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The text with each place filled; the first place that cannot be filled is the error.
    pub fn fill<E>(&self, mut value: impl FnMut(&Variable) -> Result<String, E>) -> Result<String, E> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Place(variable) => out.push_str(&value(variable)?),
            }
        }
        Ok(out)
    }

    /// What stands before the first place.
    pub fn start(&self) -> &str {
        match self.0.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// What it needs to be filled.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Place(variable) => Some(variable),
            Piece::Text(_) => None,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Place(variable) => write!(f, "{{{{ {variable} }}}}"),
        })
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let template = Self::parse(&Text::deserialize(deserializer)?).map_err(D::Error::custom)?;
        if template.variables().any(|variable| *variable == Variable::Embedding) {
            return Err(D::Error::custom("`{{ embedding }}` is a list of numbers; it can only stand in a `body`, as a whole text"));
        }
        Ok(template)
    }
}

/// Any JSON, with places inside its texts. What fills a place stays inside its text, whatever it says.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTemplate {
    /// A number, a truth value, or null.
    Fixed(Value),
    /// A text.
    Text(Template),
    /// The embedding, in place of a whole text.
    Embedding,
    /// A list.
    List(Vec<JsonTemplate>),
    /// An object; its keys are as they are written.
    Object(Vec<(String, JsonTemplate)>),
}

impl JsonTemplate {
    /// The JSON with each place filled.
    pub fn fill<E>(&self, embedding: &Value, value: &mut impl FnMut(&Variable) -> Result<String, E>) -> Result<Value, E> {
        Ok(match self {
            Self::Fixed(fixed) => fixed.clone(),
            Self::Text(template) => Value::String(template.fill(&mut *value)?),
            Self::Embedding => embedding.clone(),
            Self::List(items) => Value::Array(items.iter().map(|item| item.fill(embedding, value)).collect::<Result<_, E>>()?),
            Self::Object(members) => {
                let filled = members.iter().map(|(key, member)| Ok((key.clone(), member.fill(embedding, value)?)));
                Value::Object(filled.collect::<Result<Map<_, _>, E>>()?)
            }
        })
    }

    /// What it needs to be filled.
    pub fn variables(&self) -> Vec<&Variable> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Text(template) => template.variables().collect(),
            Self::Embedding => vec![&Variable::Embedding],
            Self::List(items) => items.iter().flat_map(Self::variables).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, member)| member.variables()).collect(),
        }
    }

    fn text(text: &str) -> Result<Self, String> {
        let template = Template::parse(&super::value::expand(text)?)?;
        if template.0 == [Piece::Place(Variable::Embedding)] {
            return Ok(Self::Embedding);
        }
        if template.variables().any(|variable| *variable == Variable::Embedding) {
            return Err("`{{ embedding }}` is a list of numbers and must be the whole text it stands in".to_owned());
        }
        Ok(Self::Text(template))
    }
}

impl<'de> Deserialize<'de> for JsonTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = JsonTemplate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true, false, null, a list or an object")
            }

            fn visit_bool<E>(self, value: bool) -> Result<JsonTemplate, E> {
                Ok(JsonTemplate::Fixed(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<JsonTemplate, E> {
                Ok(JsonTemplate::Fixed(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<JsonTemplate, E> {
                Ok(JsonTemplate::Fixed(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<JsonTemplate, E> {
                Ok(JsonTemplate::Fixed(value.into()))
            }

            fn visit_unit<E>(self) -> Result<JsonTemplate, E> {
                Ok(JsonTemplate::Fixed(Value::Null))
            }

            fn visit_none<E>(self) -> Result<JsonTemplate, E> {
                Ok(JsonTemplate::Fixed(Value::Null))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<JsonTemplate, E> {
                JsonTemplate::text(text).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<JsonTemplate, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(JsonTemplate::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonTemplate, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(JsonTemplate::Object(members))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words = format!("Text in which each request fills the places {KNOWN}; `${{NAME}}` comes from the environment.");
        json_schema!({ "type": "string", "description": words })
    }
}

impl JsonSchema for JsonTemplate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JsonTemplate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Any JSON; each request fills the places inside its texts." })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_is_parted_into_text_and_places() {
        let template = Template::parse("a/{{ caller.team }}/{{query}}").unwrap();
        assert_eq!(template.start(), "a/");
        assert_eq!(template.to_string(), "a/{{ caller.tags.team }}/{{ query }}");
        let filled = template.fill(|variable| Ok::<_, ()>(format!("<{variable}>")));
        assert_eq!(filled.unwrap(), "a/<caller.tags.team>/<query>");
    }

    #[test]
    fn what_nothing_fills_is_refused_by_name() {
        for wrong in ["{{ who }}", "{{ caller. }}", "{{ tags. }}", "{{ caller.tags. }}", "{{ query | upper }}", "{{ }}"] {
            let error = Template::parse(wrong).unwrap_err();
            assert!(error.contains("caller.subject"), "{wrong}: {error}");
        }
        assert!(Template::parse("{{ query").unwrap_err().contains("}}"));
    }

    #[test]
    fn a_value_never_leaves_its_text() {
        let body: JsonTemplate = serde_json::from_value(json!({ "q": "{{ query }}", "v": "{{ embedding }}", "limit": 5 })).unwrap();
        let hostile = r#""},"limit":9999,"x":{"#;
        let filled = body.fill(&json!([0.5, 1]), &mut |_| Ok::<_, ()>(hostile.to_owned())).unwrap();
        assert_eq!(filled, json!({ "q": hostile, "v": [0.5, 1], "limit": 5 }));
    }

    #[test]
    fn an_embedding_stands_alone() {
        assert!(serde_json::from_value::<JsonTemplate>(json!({ "v": "x {{ embedding }}" })).is_err());
        assert!(serde_json::from_value::<Template>(json!("https://a/{{ embedding }}")).is_err());
    }
}
