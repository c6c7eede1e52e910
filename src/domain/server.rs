//! How an upstream MCP server is reached.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name::ServerName;
use super::review::Review;
use super::secret::Secret;
use super::text::clip;

/// An upstream server as the operator described it.
#[allow(clippy::struct_excessive_bools)] // Each is the answer to a question of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSpec {
    /// Its name in the gateway.
    pub name: ServerName,
    /// How to reach it.
    pub transport: Transport,
    /// Who shares one connection or child process.
    #[serde(default)]
    pub isolation: Isolation,
    /// Which protocol revision to speak; found out by asking when `auto`.
    #[serde(default)]
    pub protocol: Pin,
    /// Whether private addresses may be dialled.
    #[serde(default)]
    pub allow_private: bool,
    /// Whether the operator's file declares it: then its address is trusted, and nothing of it changes at run time.
    #[serde(skip)]
    pub declared: bool,
    /// Whether the first release needs approval before anything of it is served.
    #[serde(default)]
    pub starts_held: bool,
    /// Whether results that the server calls public are kept once for all callers.
    #[serde(default)]
    pub share_public: bool,
    /// Which model answers what the server asks of one, where the client has none to offer; nobody where it is not said.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// The curated manifest that it was added by: its whole name and version.
    #[serde(default)]
    pub curated: Option<String>,
    /// What becomes of changes of what it offers, where that differs from what is said for all.
    #[serde(default)]
    pub review: Review,
}

impl ServerSpec {
    /// A server of which nothing is said but how it is reached, and that nobody's file declares.
    pub fn new(name: ServerName, transport: Transport) -> Self {
        Self {
            name,
            transport,
            isolation: Isolation::default(),
            protocol: Pin::default(),
            allow_private: false,
            declared: false,
            starts_held: false,
            share_public: false,
            sampling: None,
            curated: None,
            review: Review::default(),
        }
    }
}

/// How bytes reach a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// A child process that speaks JSON-RPC lines over its standard streams.
    Stdio {
        /// The program and its arguments; no shell is involved.
        command: Vec<String>,
        /// Variables added to the child's small environment.
        env: BTreeMap<String, String>,
    },
    /// Streamable HTTP.
    Http {
        /// The endpoint.
        url: String,
        /// Headers added to every request.
        headers: BTreeMap<String, String>,
        /// What is known beforehand of the gateway as an OAuth client of it.
        #[serde(default)]
        oauth: OAuth,
    },
}

/// The gateway as an OAuth client of an upstream server. What is not said here is agreed on with the authorization server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OAuth {
    /// The id that the authorization server gave out beforehand.
    pub client_id: Option<String>,
    /// The secret that goes with it.
    #[serde(serialize_with = "revealed", deserialize_with = "kept")]
    pub client_secret: Option<Secret>,
    /// What to ask for; what the server asks for where it is empty.
    pub scopes: Vec<String>,
}

impl OAuth {
    /// What is wrong with it: the member, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.client_id.as_ref().is_some_and(String::is_empty) {
            return Err(("client_id", "is empty; leave it out to be registered".to_owned()));
        }
        if self.client_id.is_none() && self.client_secret.is_some() {
            return Err(("client_secret", "goes with a `client_id`".to_owned()));
        }
        let wrong = self.scopes.iter().find(|scope| !is_scope(scope));
        wrong.map_or(Ok(()), |wrong| Err(("scopes", format!("`{}` is no scope; write each as an item of its own", clip(wrong, 40)))))
    }
}

/// Whether a text is one scope (RFC 6749 §3.3).
pub fn is_scope(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    (1..=256).contains(&text.len()) && text.bytes().all(fits)
}

/// A secret in a text that is sealed as a whole.
#[allow(clippy::ref_option)] // This is how serde calls it.
fn revealed<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::reveal).serialize(serializer)
}

fn kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

/// How the gateway answers what a server asks of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// The model that answers.
    pub model: String,
    /// Most tokens of one answer.
    pub max_tokens: u32,
    /// Most tokens of all questions and answers in a day.
    pub tokens_per_day: u64,
}

/// Who shares one upstream connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// All callers.
    #[default]
    Shared,
    /// One per caller.
    Caller,
    /// One per client session; a stateless request counts as its caller's.
    Session,
}

/// The protocol revision an operator wants spoken upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Pin {
    /// Ask the server.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// A session of that revision.
    #[serde(rename = "2024-11-05")]
    V2024_11_05,
    /// A session of that revision.
    #[serde(rename = "2025-03-26")]
    V2025_03_26,
    /// A session of that revision.
    #[serde(rename = "2025-06-18")]
    V2025_06_18,
    /// A session of that revision.
    #[serde(rename = "2025-11-25")]
    V2025_11_25,
    /// Stateless.
    #[serde(rename = "2026-07-28")]
    V2026_07_28,
}

impl ServerSpec {
    /// One line for people: the command or the address, never its environment or headers.
    pub fn target(&self) -> String {
        match &self.transport {
            Transport::Stdio { command, .. } => command.join(" "),
            Transport::Http { url, .. } => match url::Url::parse(url) {
                Ok(mut url) => {
                    let _ = url.set_password(None);
                    let _ = url.set_username("");
                    url.set_query(None);
                    url.to_string()
                }
                Err(_) => "(not a URL)".to_owned(),
            },
        }
    }
}
