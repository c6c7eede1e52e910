//! Upstream servers: add, list, show, refresh, enable, disable, remove.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::logins::SCOPE;
use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Server, Tool};
use crate::curated::Curated;
use crate::domain::{Isolation, OAuth, Pin, Principal, Secret, ServerName, ServerSpec, Transport, printable};
use crate::registry::{self, Entry, Kind, Look};
use crate::upstream::{self, State};

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<Add, _, _>(
            "servers_add",
            Class::Add,
            "Registers an MCP server by URL, by a command to start, or by a curated manifest (both owner only). Its definitions are read and pinned as release 1.0.0.",
            add,
        ),
        Tool::new::<Nothing, _, _>("servers_list", Class::Read, "Lists the MCP servers with their state, era and release.", list),
        Tool::new::<Server, _, _>(
            "servers_show",
            Class::Read,
            "Shows one MCP server: how it is reached, what it offers, what was left out and why, and what its process last wrote to standard error.",
            show,
        ),
        Tool::new::<Server, _, _>("servers_refresh", Class::Read, "Looks at a server now and says whether it changed.", refresh),
        Tool::new::<Server, _, _>(
            "servers_upgrade",
            Class::Weaken,
            "Looks at what the newest version of a server's package offers (`npx`, `uvx`), and runs it once that is accepted.",
            upgrade,
        ),
        Tool::new::<Server, _, _>("servers_enable", Class::Weaken, "Enables a server that was disabled.", |parts, _, server| {
            enable(parts, server, true)
        }),
        Tool::new::<Server, _, _>(
            "servers_disable",
            Class::Weaken,
            "Disables a server: callers no longer see it, and its process ends.",
            |parts, _, server| enable(parts, server, false),
        ),
        Tool::new::<Server, _, _>("servers_remove", Class::Weaken, "Removes a server with its releases.", remove),
    ]
}

/// A server to register: a `url`, a `command`, or a `curated` one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// Its name: lower-case letters, digits and `-`.
    name: String,
    /// The address of its streamable HTTP endpoint.
    url: Option<String>,
    /// The program and its arguments; for the owner alone.
    command: Option<Vec<String>>,
    /// A curated server, by its name; for the owner alone.
    curated: Option<String>,
    /// The arguments of a curated server.
    #[serde(default)]
    arguments: Vec<String>,
    /// Variables for the program.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Headers for every request to the URL.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What is known of the gateway as an OAuth client of it; nothing need be.
    #[serde(default)]
    oauth: Registered,
    /// Whether the URL may lead to a private address; for the owner alone.
    #[serde(default)]
    allow_private: bool,
    /// Who shares one process or session.
    #[serde(default)]
    isolation: Isolation,
    /// The protocol revision to speak.
    #[serde(default)]
    protocol: Pin,
}

/// The gateway as an OAuth client.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Registered {
    /// The id that the authorization server gave out; one is registered where there is none.
    client_id: Option<String>,
    /// The secret that goes with it.
    client_secret: Option<String>,
    /// The scopes to ask for; those that the server names where none are given.
    #[schemars(inner(regex(pattern = SCOPE)))]
    scopes: Vec<String>,
}

impl From<Registered> for OAuth {
    fn from(Registered { client_id, client_secret, scopes }: Registered) -> Self {
        Self { client_id, client_secret: client_secret.map(Secret::new), scopes }
    }
}

async fn add(parts: Arc<Parts>, principal: Principal, add: Add) -> Result<Value, Error> {
    let name: ServerName = add.name.parse().map_err(|error: crate::domain::NameError| Error::Arguments(error.to_string()))?;
    let oauth = OAuth::from(add.oauth);
    oauth.check().map_err(|(member, why)| Error::Arguments(format!("`oauth.{member}` {why}")))?;
    if oauth != OAuth::default() && add.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
        return Err(Error::Arguments("`oauth` goes without a header `Authorization`: it puts one there itself".into()));
    }
    let of_url = !add.headers.is_empty() || add.allow_private || oauth != OAuth::default();
    if !add.arguments.is_empty() && add.curated.is_none() {
        return Err(Error::Arguments("`arguments` goes with `curated`; those of a `command` stand in it".into()));
    }
    let curated = add.curated.as_deref().map(Curated::find).transpose().map_err(|why| Error::Arguments(why.to_string()))?;
    let transport = match (add.url, add.command, curated) {
        (Some(url), None, None) if add.env.is_empty() => Transport::Http { url, headers: add.headers, oauth },
        (None, Some(command), None) if !of_url => Transport::Stdio { command, env: add.env },
        (None, None, Some(curated)) if !of_url => {
            let (command, env) = curated.start(&add.arguments, &add.env).map_err(|why| {
                let how = curated.how(name.as_str());
                Error::Arguments(format!("{why}; `arguments` and `env` take it, on the command line: {how}"))
            })?;
            Transport::Stdio { command, env }
        }
        (Some(_), None, None) => return Err(Error::Arguments("`env` goes with `command` and `curated`, not with `url`".into())),
        (None, Some(_), None) | (None, None, Some(_)) => {
            return Err(Error::Arguments("`headers`, `oauth` and `allow_private` go with `url` alone".into()));
        }
        _ => return Err(Error::Arguments("give one of `url`, `command` and `curated`".into())),
    };
    let weakens = matches!(transport, Transport::Stdio { .. }) || add.allow_private;
    if weakens && !principal.is_owner() {
        return Err(Error::OwnerOnly("servers_add with a command, a curated server or a private address"));
    }
    let spec = ServerSpec {
        isolation: add.isolation,
        protocol: add.protocol,
        allow_private: add.allow_private,
        starts_held: !principal.is_owner(),
        curated: curated.map(Curated::id),
        ..ServerSpec::new(name.clone(), transport)
    };
    match parts.registry.add(spec, principal.id()).await {
        Ok(look) => {
            let catalog = parts.registry.catalog();
            let mut value = details(&parts, catalog.server(name.as_str())?);
            merge(&mut value, "look", found(&look));
            Ok(value)
        }
        Err(registry::Error::Upstream(error)) => match &*error {
            upstream::Error::Net(crate::net::Error::NotAllowed(why)) => Err(Error::Address(why.clone())),
            error => Err(Error::NotAdded { name: name.to_string(), why: error.to_string() }),
        },
        Err(error) => Err(error.into()),
    }
}

async fn list(parts: Arc<Parts>, _: Principal, _: Nothing) -> Result<Value, Error> {
    let catalog = parts.registry.catalog();
    let servers: Vec<Value> = catalog.servers.values().map(|entry| summary(&parts, entry)).collect();
    Ok(json!({ "servers": servers }))
}

async fn show(parts: Arc<Parts>, _: Principal, Server { server }: Server) -> Result<Value, Error> {
    let catalog = parts.registry.catalog();
    let entry = catalog.server(&server)?;
    let mut value = details(&parts, entry);
    merge(&mut value, "login", parts.credentials.describe(&entry.spec).await?);
    Ok(value)
}

async fn refresh(parts: Arc<Parts>, principal: Principal, Server { server }: Server) -> Result<Value, Error> {
    let look = parts.registry.refresh(&server, Some(principal.id())).await?;
    Ok(json!({ "server": server, "look": found(&look) }))
}

async fn upgrade(parts: Arc<Parts>, principal: Principal, Server { server }: Server) -> Result<Value, Error> {
    let look = parts.registry.upgrade(&server, principal.id()).await?;
    let catalog = parts.registry.catalog();
    Ok(json!({ "server": server, "look": found(&look), "code": code_of(catalog.server(&server)?) }))
}

async fn enable(parts: Arc<Parts>, Server { server }: Server, enabled: bool) -> Result<Value, Error> {
    parts.registry.enable(&server, enabled).await?;
    Ok(json!({ "server": server, "enabled": enabled }))
}

async fn remove(parts: Arc<Parts>, _: Principal, Server { server }: Server) -> Result<Value, Error> {
    parts.registry.remove(&server).await?;
    Ok(json!({ "server": server, "removed": true }))
}

fn found(look: &Look) -> Value {
    match look {
        Look::Same => json!({ "found": "same" }),
        Look::Accepted(version) => json!({ "found": "accepted", "release": version.to_string() }),
        Look::Held => json!({ "found": "held" }),
        Look::Rejected => json!({ "found": "rejected" }),
        Look::LoginNeeded => json!({ "found": "login_needed" }),
    }
}

fn summary(parts: &Parts, entry: &Entry) -> Value {
    let state = parts.upstreams.state(&entry.spec.name);
    let is_refused = entry.release.is_none() && entry.live.is_some() && entry.problem.is_none();
    let word = match &state {
        _ if !entry.enabled => "disabled",
        _ if parts.blocks.list().of_server(entry.spec.name.as_str()).is_some() => "blocked",
        _ if entry.release.is_none() && entry.held.is_some() => "held",
        State::Ready(_) | State::Idle if is_refused => "rejected",
        // Connected, but its definitions are not read yet.
        State::Ready(_) if entry.release.is_none() => "connecting",
        State::Ready(_) => "ready",
        State::Connecting => "connecting",
        State::Failed(why) if wants_login(why) => "login_needed",
        State::Failed(_) => "failed",
        State::Idle if entry.problem.is_some() => "failed",
        State::Idle => "idle",
    };
    let error = match &state {
        State::Failed(error) => Some(error.to_string()),
        _ => entry.problem.as_ref().filter(|_| word == "failed").map(ToString::to_string),
    };
    let count = |kind| entry.release.as_ref().map_or(0, |release| release.manifest.of(kind).count());
    json!({
        "name": entry.spec.name,
        "state": word,
        "error": error.map(|error| printable(&error)),
        "era": entry.era.map(crate::protocol::Era::as_str),
        "release": entry.release.as_ref().map(|release| release.version.to_string()),
        "digest": entry.release.as_ref().map(|release| release.digest.to_string()),
        "tools": count(Kind::Tool),
        "prompts": count(Kind::Prompt),
        "left_out": entry.release.as_ref().map_or(0, |release| release.manifest.dropped.len()),
        "code": code_of(entry),
        "curated": entry.spec.curated,
        "held": entry.held_count().is_some(),
        // Another thing is served than what the server offers, and nobody is asked about that.
        "differs": entry.release.is_some() && entry.held.is_none() && entry.live.is_some(),
        "held_changes": entry.held_count().unwrap_or(0),
        "declared": entry.spec.declared,
        "target": entry.spec.target(),
    })
}

/// The version of a program's package; `unpinned` where that is not known, and nothing for a server at an address.
fn code_of(entry: &Entry) -> Value {
    let code = entry.release.as_ref().and_then(|release| release.manifest.code());
    match (code, &entry.spec.transport) {
        (Some(code), _) => json!(code),
        (None, Transport::Stdio { .. }) => json!("unpinned"),
        (None, Transport::Http { .. }) => Value::Null,
    }
}

fn details(parts: &Parts, entry: &Entry) -> Value {
    let mut value = summary(parts, entry);
    let named = |kind: Kind| -> Vec<Value> {
        let release = entry.release.as_ref();
        let definitions = release.into_iter().flat_map(|release| release.manifest.of(kind));
        definitions
            .map(|definition| {
                let description = definition.text("description").unwrap_or_default();
                json!({
                    "name": definition.name, "description": printable(&description), "digest": definition.digest().to_string(),
                    "definition": serde_json::from_str::<Value>(definition.body.get()).unwrap_or_default(),
                })
            })
            .collect()
    };
    merge(&mut value, "offers", json!({ "tools": named(Kind::Tool), "prompts": named(Kind::Prompt), "templates": named(Kind::Template) }));
    let manifest = entry.release.as_ref().map(|release| &release.manifest);
    merge(&mut value, "left_out", json!(manifest.map(|manifest| &manifest.dropped)));
    merge(&mut value, "version", json!(manifest.and_then(|manifest| manifest.info("version"))));
    merge(&mut value, "unpinned_because", json!(entry.unpinned));
    merge(&mut value, "isolation", json!(entry.spec.isolation));
    merge(&mut value, "stderr", json!(parts.upstreams.stderr(&entry.spec.name).map(|text| printable(&text))));
    value
}

fn wants_login(error: &upstream::Error) -> bool {
    matches!(error, upstream::Error::LoginNeeded | upstream::Error::MoreScope(_))
}

fn merge(value: &mut Value, key: &str, more: Value) {
    if let Value::Object(members) = value {
        members.insert(key.to_owned(), more);
    }
}
