//! One entry of `context.sources:`: what is read, from where, how far it is trusted, and how long it holds.
//!
//! A source is of one of five kinds, and each key belongs to some of them; a key that would do nothing is an error.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::template::{JsonTemplate, Template, Variable};
use super::value::{SecretText, Span, Text};
use crate::domain::ServerName;

/// One source: a `resource`, a `prompt` or a read-only `tool` of a `server`, a `url`, or a `file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The MCP server to ask.
    pub server: Option<ServerName>,
    /// A resource of that server, by its own URI.
    pub resource: Option<Template>,
    /// A prompt of that server.
    pub prompt: Option<Text>,
    /// A tool of that server that only reads.
    pub tool: Option<Text>,
    /// Arguments of the prompt, which are texts, or of the tool.
    #[serde(default)]
    pub arguments: BTreeMap<String, JsonTemplate>,
    /// The operator's word that the tool only reads, where its server does not say so.
    #[serde(default)]
    pub read_only: bool,
    /// An address to ask over HTTP.
    pub url: Option<Template>,
    /// How it is asked; by POST where there is a `body`, else by GET.
    pub method: Option<Method>,
    /// Headers of the request.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretText>,
    /// The JSON that is sent.
    pub body: Option<JsonTemplate>,
    /// The `provider/model` that makes `{{ embedding }}` of the query.
    pub embed: Option<Text>,
    /// The part of a JSON answer that is used, as a JSON Pointer.
    pub select: Option<Text>,
    /// A text file, relative to the configuration.
    pub file: Option<PathBuf>,
    /// How far its text is trusted, as the model is told; by its kind where it is not said.
    pub trust: Option<Trust>,
    /// Who shares a fetched text; by what the source needs to know of the caller where it is not said.
    pub scope: Option<Sharing>,
    /// When it is asked for anew within a conversation.
    #[serde(default)]
    pub refresh: Refresh,
    /// How long a fetched text is used again.
    #[serde(default = "minute")]
    pub ttl: Span,
    /// Most tokens of its text; the rest is cut.
    pub max_tokens: Option<NonZeroU32>,
    /// What happens when it cannot be had: the completion goes on without it, or fails.
    #[serde(default)]
    pub on_error: OnError,
}

/// What a source that cannot be had does to a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The completion goes on without it, and its report says so.
    #[default]
    Skip,
    /// The completion is refused.
    Fail,
}

/// How far a text is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The operator wrote it.
    Operator,
    /// A server wrote it that the operator chose.
    Server,
    /// Anyone may have written it.
    Untrusted,
}

impl Trust {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Server => "server",
            Self::Untrusted => "untrusted",
        }
    }
}

/// Who shares a fetched text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// All callers.
    Shared,
    /// Nobody: each caller has its own.
    Caller,
}

impl Sharing {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Caller => "caller",
        }
    }
}

/// When a source is asked for anew within a conversation; a text within its `ttl` is used in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// Once, at its beginning.
    #[default]
    Conversation,
    /// On every turn.
    Turn,
    /// When the fetched text is older than its `ttl`.
    Ttl,
}

impl Refresh {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Turn => "turn",
            Self::Ttl => "ttl",
        }
    }
}

/// How an address is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
}

/// What a source reads.
#[derive(Clone, Copy, Debug)]
pub enum Reads<'s> {
    /// A resource of a server.
    Resource(&'s ServerName, &'s Template),
    /// A prompt of a server.
    Prompt(&'s ServerName, &'s str),
    /// A tool of a server.
    Tool(&'s ServerName, &'s str),
    /// An address.
    Url(&'s Template),
    /// A file.
    File(&'s Path),
}

fn minute() -> Span {
    Span(Duration::from_secs(60))
}

/// The longest a text is kept.
const LONGEST: Duration = Duration::from_hours(24 * 30);

impl Source {
    pub(super) fn rebase(&mut self, base: &Path, name: &str) -> Result<(), Error> {
        if let Some(file) = &mut self.file {
            *file = base.join(&*file);
        }
        for (header, value) in &mut self.headers {
            value.resolve(base, || format!("context.sources.{name}.headers.{header}"))?;
        }
        Ok(())
    }

    /// What it reads; one of these, once it was checked.
    pub fn reads(&self) -> Option<Reads<'_>> {
        Some(match (&self.server, &self.resource, &self.prompt, &self.tool, &self.url, &self.file) {
            (Some(server), Some(uri), None, None, None, None) => Reads::Resource(server, uri),
            (Some(server), None, Some(prompt), None, None, None) => Reads::Prompt(server, prompt),
            (Some(server), None, None, Some(tool), None, None) => Reads::Tool(server, tool),
            (None, None, None, None, Some(url), None) => Reads::Url(url),
            (None, None, None, None, None, Some(file)) => Reads::File(file),
            _ => return None,
        })
    }

    /// What it needs to know of a request.
    pub fn variables(&self) -> Vec<&Variable> {
        let texts = self.resource.iter().chain(&self.url).flat_map(Template::variables);
        texts.chain(self.arguments.values().chain(&self.body).flat_map(JsonTemplate::variables)).collect()
    }

    /// How far its text is trusted.
    pub fn trust(&self) -> Trust {
        let by_kind = if self.file.is_some() {
            Trust::Operator
        } else if self.server.is_some() {
            Trust::Server
        } else {
            Trust::Untrusted
        };
        self.trust.unwrap_or(by_kind)
    }

    /// Who shares its text, as far as the file can tell.
    pub fn sharing(&self) -> Sharing {
        let of_caller = self.variables().iter().any(|variable| variable.is_of_caller());
        if of_caller { Sharing::Caller } else { self.scope.unwrap_or(Sharing::Shared) }
    }

    pub(super) fn check(&self, at: &str) -> Result<(), Error> {
        let wrong = |key: &str, why: &str| Err(Error::wrong(format!("{at}.{key}"), why));
        let (resource, prompt, tool) = (self.resource.is_some(), self.prompt.is_some(), self.tool.is_some());
        let kinds = [resource, prompt, tool, self.url.is_some(), self.file.is_some()];
        if kinds.iter().filter(|on| **on).count() != 1 {
            return Err(Error::wrong(at, "needs exactly one of `resource`, `prompt`, `tool`, `url` and `file`"));
        }
        let of_server = resource || prompt || tool;
        if of_server != self.server.is_some() {
            return wrong("server", "is needed with `resource`, `prompt` and `tool`, and with nothing else");
        }
        let url = self.url.is_some();
        let strays = [
            ("arguments", !self.arguments.is_empty() && !prompt && !tool, "is for `prompt` and `tool`; remove it"),
            ("read_only", self.read_only && !tool, "is for `tool`; remove it"),
            ("method", self.method.is_some() && !url, "is for `url`; remove it"),
            ("headers", !self.headers.is_empty() && !url, "is for `url`; remove it"),
            ("body", self.body.is_some() && !url, "is for `url`; remove it"),
            ("embed", self.embed.is_some() && !url, "is for `url`; remove it"),
            ("select", self.select.is_some() && !url && !tool, "is for `url` and `tool`; remove it"),
        ];
        if let Some((key, _, why)) = strays.iter().find(|(_, stray, _)| *stray) {
            return wrong(key, why);
        }
        for (name, argument) in &self.arguments {
            if prompt && !matches!(argument, JsonTemplate::Text(_)) {
                return wrong(&format!("arguments.{name}"), "must be a text: a prompt's arguments are texts; put it in quotes");
            }
            if argument.variables().contains(&&Variable::Embedding) {
                return wrong(&format!("arguments.{name}"), "cannot hold `{{ embedding }}`; it can only stand in a `body`");
            }
        }
        let of_caller = self.variables().into_iter().find(|variable| variable.is_of_caller());
        if let (Some(Sharing::Shared), Some(variable)) = (self.scope, of_caller) {
            let why = format!("cannot be `shared`, for `{{{{ {variable} }}}}` tells callers apart; write `caller`, or leave it out");
            return wrong("scope", &why);
        }
        if self.select.as_deref().is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            return wrong("select", "must be a JSON Pointer, which begins with `/`, as in `/result/points`");
        }
        if self.select.as_deref().is_some_and(|pointer| pointer.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']))) {
            return wrong("select", "must be a JSON Pointer, in which `~` is written `~0`, and `/` within a name `~1`");
        }
        if self.ttl.0 > LONGEST {
            return wrong("ttl", "must be at most `30d`");
        }
        self.check_http(at)
    }

    fn check_http(&self, at: &str) -> Result<(), Error> {
        let wrong = |key: &str, why: &str| Err(Error::wrong(format!("{at}.{key}"), why));
        if let Some(uri) = self.resource.as_ref().filter(|uri| !has_scheme(uri)) {
            let why = if uri.start().is_empty() { "is empty, or begins with a place" } else { "has no scheme of its own" };
            return wrong("resource", &format!("{why}; write its URI, as in `wiki://{{{{ query }}}}`"));
        }
        if let Some(url) = &self.url {
            let filled = url.fill(|_| Ok::<_, ()>("x".to_owned())).unwrap_or_default();
            match url::Url::parse(&filled) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
                _ => return wrong("url", "must be an http or https URL"),
            }
            if url.variables().next().is_some() && !host_is_fixed(url.start()) {
                return wrong("url", "may have places only behind its host, as in `https://example.com/{{ query }}`");
            }
            if url.start().contains('\\') || has_dots(&filled) {
                return wrong("url", "may not hold `\\` nor the steps `.` and `..`; write the whole path");
            }
        }
        for (name, value) in &self.headers {
            if HeaderName::try_from(name.as_str()).is_err() {
                return wrong(&format!("headers.{name}"), "is not a header's name");
            }
            if HeaderValue::try_from(value.secret().reveal()).is_err() {
                return wrong(&format!("headers.{name}"), "has a value that cannot stand in a header");
            }
        }
        let embeds = self.body.as_ref().is_some_and(|body| body.variables().contains(&&Variable::Embedding));
        match (&self.embed, embeds) {
            (None, true) => wrong("embed", "is needed for `{{ embedding }}`: the `provider/model` that makes it"),
            (Some(_), false) => wrong("embed", "does nothing: there is no `{{ embedding }}` in the `body`"),
            (Some(model), true) if model.split_once('/').is_none_or(|(provider, model)| provider.is_empty() || model.is_empty()) => {
                wrong("embed", "must be `provider/model`, as in `openai/text-embedding-3-small`")
            }
            _ => Ok(()),
        }
    }
}

fn has_scheme(uri: &Template) -> bool {
    let name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    uri.start().split_once(':').is_some_and(|(scheme, _)| scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && name(scheme))
}

/// Whether scheme and host are complete in what stands before the first place.
fn host_is_fixed(start: &str) -> bool {
    start.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#']))
}

/// Whether a path has steps that a reader would take away.
pub fn has_dots(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let step = |part: &str| matches!(part.replace("%2e", ".").replace("%2E", ".").as_str(), "." | "..");
    path.split('/').any(step)
}
