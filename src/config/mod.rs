//! The configuration file: read, checked whole, and watched.
//!
//! One file per section; a setting is one field in one section. Unknown keys are errors. To add a
//! setting, add the field with its meaning and default, then run the tests: they renew the JSON
//! Schema in `schemas/` and fail until it is committed.

mod auth;
mod context;
mod data_dir;
mod error;
mod journal;
mod limits;
mod mcp;
mod models;
mod otlp;
mod providers;
mod registry;
mod server;
mod source;
mod storage;
mod strays;
mod telemetry;
mod template;
mod toolset;
mod value;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

pub use auth::{Auth, Issuer, Resource};
pub use context::Context;
pub use data_dir::data_dir;
pub use error::Error;
pub use journal::Journal;
pub use limits::Limits;
pub use mcp::Mcp;
pub use models::{Model, Price, Strategy, Target, When};
pub use otlp::Otlp;
pub use providers::{BUILT_IN, ECHO, Kind, Provider};
pub use registry::Registry;
pub use server::{Server, listen_address};
pub use source::{Method, OnError, Reads, Refresh, Sharing, Source, Trust, has_dots};
pub use storage::Storage;
pub use strays::{stray_toolsets, strays};
pub use telemetry::{Format, Telemetry};
pub use template::{JsonTemplate, Template, Variable};
pub use watch::watch;

use crate::domain::{Flavour, Isolation, meant};

/// The whole configuration. Every section has defaults; an empty file is a valid one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Portolan configuration")]
pub struct Config {
    /// Where the gateway listens, and for whom.
    pub server: Server,
    /// Where it keeps its state.
    pub storage: Storage,
    /// Who may call.
    pub auth: Auth,
    /// LLM providers by name. Without this section they are found from the usual environment variables.
    pub providers: Option<BTreeMap<String, Provider>>,
    /// Models that callers may name; `provider/model` works beside them.
    #[serde(deserialize_with = "models::in_order")]
    pub models: BTreeMap<String, Model>,
    /// Upstream MCP servers.
    pub mcp: Mcp,
    /// How the registry looks for changes.
    pub registry: Registry,
    /// What can be put into completions.
    pub context: Context,
    /// Bounds.
    pub limits: Limits,
    /// What is on record.
    pub journal: Journal,
    /// Logs and traces.
    pub telemetry: Telemetry,
}

impl Config {
    /// Reads and checks a file. Nothing of it is used unless all of it is right.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        // The same file is the same, from wherever it is named.
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let base = whole.parent().unwrap_or(Path::new("."));
        Self::parse(&text, base).map_err(|error| error.within(path))
    }

    /// Reads a configuration text; `file:` references are relative to `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Error> {
        let blank = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        let mut config: Self = if blank { Self::default() } else { serde_saphyr::from_str(text)? };
        config.resolve(base)?;
        config.check()?;
        Ok(config)
    }

    /// Reads what `file:` references point to.
    fn resolve(&mut self, base: &Path) -> Result<(), Error> {
        for (name, key) in &mut self.auth.keys {
            key.key.resolve(base, || format!("auth.keys.{name}.key"))?;
        }
        for (name, provider) in self.providers.iter_mut().flatten() {
            provider.resolve(base, name)?;
        }
        for (name, server) in &mut self.mcp.servers {
            server.resolve(base, name.as_str())?;
        }
        for (name, source) in &mut self.context.sources {
            source.rebase(base, name)?;
        }
        if let Some(otlp) = &mut self.telemetry.otlp {
            otlp.resolve(base)?;
        }
        self.storage.rebase(base);
        self.registry.rebase(base);
        Ok(())
    }

    /// What no single section can see: names that point to nothing.
    fn check(&self) -> Result<(), Error> {
        self.server.check()?;
        self.storage.file(Path::new("."))?;
        self.limits.check()?;
        self.journal.check()?;
        self.telemetry.check()?;
        self.registry.check()?;
        for (name, provider) in self.providers.iter().flatten() {
            provider.check(name)?;
        }
        self.mcp.check()?;
        self.context.check()?;
        for (name, source) in &self.context.sources {
            self.check_source(&format!("context.sources.{name}"), source)?;
        }
        for (name, model) in &self.models {
            let known = |provider: &str| self.knows(provider);
            model.check(name)?;
            for (at, target) in model.targets.iter().enumerate() {
                if !known(&target.provider) {
                    let why = self.no_provider(&target.provider);
                    return Err(Error::wrong(format!("models.{name}.targets[{at}].provider"), why));
                }
                if model.strict_tools && matches!(self.flavour(&target.provider), Some(Flavour::Anthropic | Flavour::Gemini)) {
                    let provider = &target.provider;
                    let why = format!("is for providers with OpenAI's rules, and `{provider}` has others; give it a model of its own");
                    return Err(Error::wrong(format!("models.{name}.strict_tools"), why));
                }
            }
            for (at, source) in model.context.iter().enumerate() {
                if !self.context.sources.contains_key(&**source) {
                    let near = meant(source, self.context.sources.keys().map(String::as_str));
                    let why = format!("there is no context source `{source}`; declare it under `context.sources:`{near}");
                    return Err(Error::wrong(format!("models.{name}.context[{at}]"), why));
                }
            }
        }
        if !self.auth.issuers.is_empty() && self.server.public_url.is_none() && !self.server.listen.ip().is_loopback() {
            let why = "is needed with `auth.issuers` beyond loopback: access tokens are for this address and no other";
            return Err(Error::wrong("server.public_url", why));
        }
        self.auth.check()
    }

    /// Whether there is, or may be found, a provider of that name.
    fn knows(&self, provider: &str) -> bool {
        let found = || self.providers.as_ref().map_or_else(|| Provider::discoverable(provider), |all| all.contains_key(provider));
        provider == BUILT_IN || found()
    }

    /// Which schemas of tools a provider takes, as far as the file tells.
    fn flavour(&self, provider: &str) -> Option<Flavour> {
        match &self.providers {
            Some(all) => all.get(provider).map(Provider::flavour),
            None => Provider::found_flavour(provider),
        }
    }

    fn no_provider(&self, provider: &str) -> String {
        let near = meant(provider, self.providers.iter().flat_map(BTreeMap::keys).map(String::as_str).chain([BUILT_IN]));
        format!("there is no provider `{provider}`; declare it under `providers:`{near}")
    }

    /// What a context source names in other sections.
    fn check_source(&self, at: &str, source: &Source) -> Result<(), Error> {
        let provider = source.embed.as_deref().and_then(|model| model.split_once('/')).map(|(provider, _)| provider);
        if let Some(provider) = provider.filter(|provider| !self.knows(provider)) {
            let why = self.no_provider(provider);
            return Err(Error::wrong(format!("{at}.embed"), why));
        }
        let server = source.server.as_ref().and_then(|name| self.mcp.servers.get(name));
        if self.auth.issuers.len() > 1 && source.variables().iter().any(|variable| matches!(variable, Variable::CallerSubject)) {
            let why = "asks for `caller.subject`, which two issuers may give to two people; ask for `caller.id`";
            return Err(Error::wrong(at, why));
        }
        let apart = server.is_some_and(|server| server.isolation != Isolation::Shared);
        if apart && source.scope == Some(Sharing::Shared) {
            let why = "cannot be `shared`, for its server keeps callers apart (`isolation`); write `caller`, or leave it out";
            return Err(Error::wrong(format!("{at}.scope"), why));
        }
        Ok(())
    }

    /// The JSON Schema of the file, as `schemas/portolan.schema.json` holds it.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(text, Path::new("."))
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_column() {
        let error = parse("server:\n  listen: 127.0.0.1:1\n  lisen: x\n").unwrap_err().to_string();
        assert!(error.contains("line 3 column 3") && error.contains("lisen") && error.contains("listen"), "{error}");
    }

    #[test]
    fn an_unset_variable_without_a_default_is_an_error_that_names_it() {
        let error = parse("mcp:\n  servers:\n    a: { url: \"http://${PORTOLAN_NOT_SET}/mcp\" }\n").unwrap_err();
        assert!(error.to_string().contains("PORTOLAN_NOT_SET"), "{error}");
        let config = parse("mcp:\n  servers:\n    a: { url: \"http://${PORTOLAN_NOT_SET:-127.0.0.1}/$${x}\" }\n").unwrap();
        let server = config.mcp.servers.values().next().unwrap();
        assert_eq!(&**server.url.as_ref().unwrap(), "http://127.0.0.1/${x}");
    }

    #[test]
    fn a_target_whose_provider_is_not_declared_is_refused() {
        let text = "providers: {}\nmodels:\n  a: { targets: [{ provider: gone, model: x }] }\n";
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains("models.a.targets[0].provider") && error.contains("gone"), "{error}");
    }

    #[test]
    fn strict_tools_are_for_those_who_know_them() {
        let model =
            |provider: &str| format!("models: {{ a: {{ targets: [{{ provider: {provider}, model: x }}], strict_tools: true }} }}\n");
        let providers = "providers: { claude: { kind: anthropic }, own: { kind: openai } }\n";
        let wrong = parse(&format!("{providers}{}", model("claude"))).unwrap_err().to_string();
        assert!(wrong.contains("models.a.strict_tools") && wrong.contains("`claude`") && wrong.contains("a model of its own"), "{wrong}");
        assert!(parse(&format!("{providers}{}", model("own"))).is_ok());
        assert!(parse(&model("gemini")).is_err() && parse(&model("openai")).is_ok() && parse(&model("portolan")).is_ok());
    }

    #[test]
    fn a_toolset_that_cannot_be_is_refused_with_its_place_and_a_remedy() {
        let wrong = |toolsets: &str| {
            parse(&format!("mcp:\n  servers: {{ time: {{ command: [x] }} }}\n  toolsets: {{ {toolsets} }}\n")).unwrap_err().to_string()
        };
        for (toolsets, place, remedy) in [
            ("time: { tools: [time] }", "mcp.toolsets.time", "rename one of them"),
            ("a: { tools: [] }", "mcp.toolsets.a.tools", "at least one"),
            ("a: { tools: ['t['] }", "line 3", "is not a pattern"),
            ("portolan: { tools: [time] }", "line 3", "is reserved"),
            ("a__b: { tools: [time] }", "line 3", "lower-case"),
            ("a: { tools: [time], rename: { other__x: y } }", "mcp.toolsets.a.rename.other__x", "select it"),
            ("a: { tools: [time], rename: { time__x: 'a b' } }", "mcp.toolsets.a.rename.time__x", "letters, digits"),
            ("a: { tools: [time], rename: { time__x: a__b } }", "mcp.toolsets.a.rename.time__x", "`__`"),
            ("a: { tools: [time], rename: { time__x: y, time__z: y } }", "mcp.toolsets.a.rename.time__z", "`time__x`"),
            ("a: { tools: [time], names: short }", "line 3", "bare"),
        ] {
            let error = wrong(toolsets);
            assert!(error.contains(place) && error.contains(remedy), "{toolsets}: {error}");
        }
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(parse("# nothing\n").unwrap().server.listen.to_string(), "127.0.0.1:8484");
    }

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn the_published_schema_is_current() {
        let path = root().join("schemas/portolan.schema.json");
        let current = format!("{:#}\n", Config::schema());
        if std::env::var_os("PORTOLAN_RENEW").is_some() {
            std::fs::write(&path, &current).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap();
        assert!(published == current, "run the tests with PORTOLAN_RENEW=1 and commit {}", path.display());
    }

    #[test]
    fn every_example_is_a_good_configuration() {
        let mut seen = 0;
        for file in std::fs::read_dir(root().join("examples")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
                seen += 1;
            }
        }
        assert!(seen > 0);
    }

    #[test]
    fn every_example_fits_the_published_schema() {
        let schema = jsonschema::validator_for(&Config::schema()).unwrap();
        for file in std::fs::read_dir(root().join("examples")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let value: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
                let misfits: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
                assert!(misfits.is_empty(), "{}: {misfits:?}", path.display());
            }
        }
    }
}
