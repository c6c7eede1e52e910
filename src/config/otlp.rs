//! `telemetry.otlp`: where traces go.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::header::{HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use url::Url;

use super::error::Error;
use super::value::{SecretText, Text, expand, short_or_long};

/// A collector of traces: its address, or the address with more.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// Where traces are posted to.
    pub endpoint: Endpoint,
    /// Headers of each request to it. They are never shown.
    pub headers: BTreeMap<String, SecretText>,
    /// Which part of the traces that begin here is kept; a caller's trace is kept as the caller says.
    pub sample: Sample,
}

/// The long form.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Collector {
    /// The base address of an OTLP/HTTP collector; `/v1/traces` is added to it.
    endpoint: Endpoint,
    /// Headers of each request to it. They are never shown.
    #[serde(default)]
    headers: BTreeMap<String, SecretText>,
    /// Which part of the traces that begin here is kept, from 0 to 1. A caller's trace is kept as the caller says.
    #[serde(default)]
    sample: Sample,
}

impl<'de> Deserialize<'de> for Otlp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        short_or_long::<Self, Endpoint, Collector, D>(deserializer, "the address of a collector, or settings with `endpoint`")
    }
}

impl From<Endpoint> for Otlp {
    fn from(endpoint: Endpoint) -> Self {
        Self { endpoint, headers: BTreeMap::new(), sample: Sample::default() }
    }
}

impl From<Collector> for Otlp {
    fn from(Collector { endpoint, headers, sample }: Collector) -> Self {
        Self { endpoint, headers, sample }
    }
}

impl JsonSchema for Otlp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Otlp".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (address, more) = (generator.subschema_for::<Endpoint>(), generator.subschema_for::<Collector>());
        json_schema!({ "description": "A collector of traces: its address, or the address with more.", "anyOf": [address, more] })
    }
}

impl Otlp {
    /// Reads what `file:` references point to.
    pub(super) fn resolve(&mut self, base: &Path) -> Result<(), Error> {
        for (name, value) in &mut self.headers {
            value.resolve(base, || format!("telemetry.otlp.headers.{name}"))?;
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        for (name, value) in &self.headers {
            let at = || format!("telemetry.otlp.headers.{name}");
            if HeaderName::try_from(name.as_str()).is_err() {
                return Err(Error::wrong(at(), format!("`{}` is not a header name", crate::domain::clip(name, 60))));
            }
            if HeaderValue::try_from(value.secret().reveal()).is_err() {
                return Err(Error::wrong(at(), "holds what cannot be sent in a header"));
            }
        }
        Ok(())
    }
}

/// Where traces are posted to, by the base address of an OTLP/HTTP collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The whole address.
    pub fn url(&self) -> &Url {
        &self.0
    }

    fn read(text: &str) -> Result<Self, String> {
        /// What stands behind every base address (OTLP specification, §OTLP/HTTP request).
        const PATH: &str = "/v1/traces";
        let mut url =
            Url::parse(text).map_err(|error| format!("this is no address of a collector ({error}); write `http://127.0.0.1:4318`"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err("a collector's address begins with `http://` or `https://`, as `http://127.0.0.1:4318`".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a collector's address holds no user or password; put credentials into `headers`".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a collector's address has neither `?` nor `#`".to_owned());
        }
        let base = url.path().trim_end_matches('/').to_owned();
        if base.ends_with(PATH) {
            return Err(format!("write the collector's base address; `{PATH}` is added to it"));
        }
        url.set_path(&format!("{base}{PATH}"));
        Ok(Self(url))
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = expand(&String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        Self::read(text.trim()).map_err(D::Error::custom)
    }
}

impl JsonSchema for Endpoint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "The base address of an OTLP/HTTP collector; `/v1/traces` is added to it." })
    }
}

/// A part of all, from none to all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample(f64);

impl Sample {
    /// The part, from 0 to 1.
    pub fn part(self) -> f64 {
        self.0
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self(1.0)
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(Text),
        }
        let part = match Written::deserialize(deserializer)? {
            Written::Number(part) => Some(part),
            Written::Text(text) => text.trim().parse().ok(),
        };
        let fits = part.filter(|part| (0.0..=1.0).contains(part));
        fits.map(Self).ok_or_else(|| D::Error::custom("not a part of all traces; write a number from 0 to 1, such as `0.1`"))
    }
}

impl JsonSchema for Sample {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sample".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"], "minimum": 0, "maximum": 1, "default": 1 })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, std::path::Path::new(".")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_collector_is_an_address_or_an_address_with_more() {
        let of = |text: &str| parse(text).unwrap().telemetry.otlp.unwrap();
        assert_eq!(of("telemetry: { otlp: 'http://127.0.0.1:4318' }").endpoint.url().as_str(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(of("telemetry: { otlp: 'https://a.example/otlp/' }").endpoint.url().as_str(), "https://a.example/otlp/v1/traces");
        let long = of("telemetry: { otlp: { endpoint: 'http://a', headers: { x-key: secret-of-mine }, sample: 0.25 } }");
        assert!((long.sample.part() - 0.25).abs() < f64::EPSILON);
        assert!(!format!("{long:?}").contains("secret-of-mine"));
    }

    #[test]
    fn a_bad_collector_is_refused_with_its_place_and_without_its_secrets() {
        for (text, place, why) in [
            ("telemetry:\n  otlp: 127.0.0.1:4318\n", "line 2 column 9", "http://127.0.0.1:4318"),
            ("telemetry:\n  otlp: ftp://a\n", "line 2 column 9", "http://"),
            ("telemetry:\n  otlp: http://u:SECRET@a\n", "line 2 column 9", "`headers`"),
            ("telemetry:\n  otlp: http://a/v1/traces\n", "line 2 column 9", "base address"),
            ("telemetry:\n  otlp: { endpoint: nonsense }\n", "line 2 column 21", "address of a collector"),
            ("telemetry:\n  otlp: { endpoint: http://a, sample: 2 }\n", "line 2 column", "from 0 to 1"),
            ("telemetry:\n  otlp: { endpoint: http://a, haeders: {} }\n", "line 2 column 31", "did you mean `headers`?"),
            ("telemetry:\n  otlp: { endpoint: http://a, headers: { 'a b': c } }\n", "telemetry.otlp.headers.a b", "not a header name"),
            ("telemetry:\n  otlp: { endpoint: http://a, headers: { a: \"b\\nSECRET\" } }\n", "telemetry.otlp.headers.a", "cannot be sent"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(place) && error.contains(why) && !error.contains("SECRET"), "{text}: {error}");
        }
    }
}
