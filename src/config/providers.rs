//! `providers:`: who answers completions; and how they are found when the section is absent.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::value::{SecretText, Text};
use crate::domain::Flavour;

/// The provider that is part of the gateway: it needs no key and no network.
pub const BUILT_IN: &str = "portolan";
/// The model that it has.
pub const ECHO: &str = "portolan/echo";

/// The dialect a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// OpenAI itself.
    Openai,
    /// Anyone who speaks OpenAI's dialect; needs `base_url`.
    OpenaiCompatible,
    /// Anthropic, or anyone who speaks its Messages.
    Anthropic,
}

/// A version of Anthropic's API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// What all its SDKs ask for.
    #[default]
    #[serde(rename = "2023-06-01")]
    June2023,
    /// The one after it.
    #[serde(rename = "2026-10-21")]
    October2026,
}

impl ApiVersion {
    /// The text of the header `anthropic-version`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::June2023 => "2023-06-01",
            Self::October2026 => "2026-10-21",
        }
    }
}

/// One LLM provider.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The dialect it speaks.
    pub kind: Kind,
    /// Its address up to and with `/v1`.
    pub base_url: Option<Text>,
    /// The credential, sent as `Authorization: Bearer`, or as `x-api-key` to Anthropic.
    pub api_key: Option<SecretText>,
    /// The version of Anthropic's API: `2023-06-01` (default) or `2026-10-21`.
    pub api_version: Option<ApiVersion>,
    /// Headers added to every request.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretText>,
    /// Whose rules it has for the schemas of tools: `openai`, `anthropic`, `gemini`, or `any` where it takes all; by kind and address
    /// where it is not said.
    pub tool_schemas: Option<Flavour>,
}

impl Provider {
    pub(super) fn resolve(&mut self, base: &Path, name: &str) -> Result<(), Error> {
        if let Some(key) = &mut self.api_key {
            key.resolve(base, || format!("providers.{name}.api_key"))?;
        }
        for (header, value) in &mut self.headers {
            value.resolve(base, || format!("providers.{name}.headers.{header}"))?;
        }
        Ok(())
    }

    pub(super) fn check(&self, name: &str) -> Result<(), Error> {
        if name == BUILT_IN || name.contains('/') || name.is_empty() {
            return Err(Error::wrong(format!("providers.{name}"), "is a reserved name or holds a `/`; choose another"));
        }
        if self.kind == Kind::OpenaiCompatible && self.base_url.is_none() {
            return Err(Error::wrong(format!("providers.{name}.base_url"), "is needed for kind `openai-compatible`"));
        }
        for header in self.headers.keys() {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if header.is_empty() || !header.bytes().all(token) {
                return Err(Error::wrong(
                    format!("providers.{name}.headers.{header}"),
                    "is not a header's name; take out blanks and signs",
                ));
            }
        }
        if ["/chat/completions", "/messages", "/responses", "/embeddings", "/models"].iter().any(|end| self.base().ends_with(end)) {
            return Err(Error::wrong(
                format!("providers.{name}.base_url"),
                "must end before the endpoint, as in `https://api.example.com/v1`",
            ));
        }
        if self.kind != Kind::Anthropic && self.api_version.is_some() {
            return Err(Error::wrong(format!("providers.{name}.api_version"), "is for kind `anthropic` alone; take it out"));
        }
        match url::Url::parse(self.base()) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
            _ => Err(Error::wrong(format!("providers.{name}.base_url"), "must be an http or https URL")),
        }
    }

    /// The address, without a slash at its end.
    pub fn base(&self) -> &str {
        let own = if self.kind == Kind::Anthropic { "https://api.anthropic.com/v1" } else { "https://api.openai.com/v1" };
        self.base_url.as_deref().unwrap_or(own).trim_end_matches('/')
    }

    /// The version of Anthropic's API that is asked for.
    pub fn version(&self) -> ApiVersion {
        self.api_version.unwrap_or_default()
    }

    /// Which schemas of tools it takes. Who speaks like OpenAI mostly has OpenAI's rules, too; Gemini is known by where it is.
    pub fn flavour(&self) -> Flavour {
        let known = || match self.kind {
            Kind::Anthropic => Flavour::Anthropic,
            Kind::Openai | Kind::OpenaiCompatible => flavour(self.base()),
        };
        self.tool_schemas.unwrap_or_else(known)
    }

    /// The same of a provider that may be found without a file.
    pub(super) fn found_flavour(name: &str) -> Option<Flavour> {
        let address = KNOWN.iter().find(|(known, _, _)| *known == name).map(|(_, _, address)| *address);
        if name == ANTHROPIC { Some(Flavour::Anthropic) } else { address.map(flavour) }
    }
}

/// Which schemas are taken at an address of OpenAI's dialect. Google's are `generativelanguage.googleapis.com`, and of Vertex AI
/// `aiplatform.googleapis.com`, `europe-west4-aiplatform.googleapis.com` and `aiplatform.eu.rep.googleapis.com`.
fn flavour(address: &str) -> Flavour {
    let url = url::Url::parse(address).ok();
    let service = url.as_ref().and_then(url::Url::host_str).and_then(|host| host.strip_suffix(".googleapis.com")).unwrap_or_default();
    let gemini = service == "generativelanguage" || service.ends_with("aiplatform") || service.starts_with("aiplatform.");
    if gemini { Flavour::Gemini } else { Flavour::Openai }
}

/// Providers found without a file, with the variable each was found by.
pub type Discovered = BTreeMap<String, (Provider, &'static str)>;

/// Name, variable of the key, address: providers that speak OpenAI's dialect, and Anthropic.
const KNOWN: [(&str, &str, &str); 10] = [
    ("openai", "OPENAI_API_KEY", "https://api.openai.com/v1"),
    (ANTHROPIC, "ANTHROPIC_API_KEY", "https://api.anthropic.com/v1"),
    ("gemini", "GEMINI_API_KEY", "https://generativelanguage.googleapis.com/v1beta/openai"),
    ("mistral", "MISTRAL_API_KEY", "https://api.mistral.ai/v1"),
    ("groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
    ("cohere", "COHERE_API_KEY", "https://api.cohere.ai/compatibility/v1"),
    ("deepseek", "DEEPSEEK_API_KEY", "https://api.deepseek.com/v1"),
    ("together", "TOGETHER_API_KEY", "https://api.together.xyz/v1"),
    ("openrouter", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"),
    ("xai", "XAI_API_KEY", "https://api.x.ai/v1"),
];

const ANTHROPIC: &str = "anthropic";
const OLLAMA: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OLLAMA_PORT: u16 = 11434;
const OLLAMA_NAME: &str = "ollama";

impl Provider {
    /// Whether a provider of that name may be found without a file.
    pub(super) fn discoverable(name: &str) -> bool {
        name == OLLAMA_NAME || KNOWN.iter().any(|(known, _, _)| *known == name)
    }

    /// What lets a provider of that name be found without a file, said as what is to be done.
    pub fn found_by(name: &str) -> Option<String> {
        let variable = KNOWN.iter().find(|(known, _, _)| *known == name).map(|(_, variable, _)| format!("set {variable}"));
        variable.or_else(|| (name == OLLAMA_NAME).then(|| format!("let Ollama listen on {OLLAMA}:{OLLAMA_PORT}")))
    }

    /// Looks for providers in the environment, and for an Ollama on this machine.
    pub fn discover() -> Discovered {
        let mut found = Discovered::new();
        for (name, variable, address) in KNOWN {
            let Some(key) = std::env::var(variable).ok().filter(|key| !key.trim().is_empty()) else { continue };
            let base = if name == "openai" { std::env::var("OPENAI_BASE_URL").ok() } else { None };
            let base = base.filter(|url| url::Url::parse(url).is_ok());
            let kind = match name {
                ANTHROPIC => Kind::Anthropic,
                "openai" if base.is_none() => Kind::Openai,
                _ => Kind::OpenaiCompatible,
            };
            let base = base.unwrap_or_else(|| address.to_owned());
            let provider = Self {
                kind,
                base_url: Some(base.as_str().into()),
                api_key: Some(SecretText::new(key.trim())),
                api_version: None,
                headers: BTreeMap::new(),
                tool_schemas: None,
            };
            found.insert(name.to_owned(), (provider, variable));
        }
        let address = SocketAddr::from((OLLAMA, OLLAMA_PORT));
        if TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok() {
            let base = format!("http://{OLLAMA}:{OLLAMA_PORT}/v1");
            let (kind, base_url) = (Kind::OpenaiCompatible, Some(base.as_str().into()));
            let provider = Self { kind, base_url, api_key: None, api_version: None, headers: BTreeMap::new(), tool_schemas: None };
            found.insert(OLLAMA_NAME.to_owned(), (provider, "a local Ollama"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gemini_is_known_by_where_it_is_and_others_by_what_they_speak() {
        use Flavour::{Anthropic, Any, Gemini, Openai};
        for (kind, address, said, flavour) in [
            (Kind::Openai, None, None, Openai),
            (Kind::Anthropic, None, None, Anthropic),
            (Kind::OpenaiCompatible, Some("http://127.0.0.1:11434/v1"), None, Openai),
            (Kind::OpenaiCompatible, Some("https://generativelanguage.googleapis.com/v1beta/openai"), None, Gemini),
            (Kind::OpenaiCompatible, Some("https://us-central1-aiplatform.googleapis.com/v1/projects/p/endpoints/openapi"), None, Gemini),
            (Kind::OpenaiCompatible, Some("https://aiplatform.eu.rep.googleapis.com/v1/projects/p/endpoints/openapi"), None, Gemini),
            (Kind::OpenaiCompatible, Some("https://generativelanguage.googleapis.com.example.com/v1"), None, Openai),
            (Kind::Anthropic, Some("https://aiplatform.googleapis.com/v1"), None, Anthropic),
            (Kind::OpenaiCompatible, Some("http://127.0.0.1:4000/v1"), Some(Gemini), Gemini),
            (Kind::OpenaiCompatible, Some("http://127.0.0.1:8000/v1"), Some(Any), Any),
        ] {
            let base_url = address.map(Text::from);
            let provider = Provider { kind, base_url, api_key: None, api_version: None, headers: BTreeMap::new(), tool_schemas: said };
            assert_eq!(provider.flavour(), flavour, "{address:?}");
        }
        assert_eq!(Provider::found_flavour("gemini"), Some(Gemini));
    }
}
