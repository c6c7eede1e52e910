//! API keys: create, list, revoke.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Tool, whole};
use crate::domain::{Globs, Grants, Principal, clip};

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<Create, _, _>(
            "keys_create",
            Class::Weaken,
            "Makes an API key. The key is in the answer and cannot be shown again.",
            create,
        ),
        Tool::new::<Nothing, _, _>("keys_list", Class::Read, "Lists the API keys made at run time, without their secrets.", list),
        Tool::new::<Id, _, _>("keys_revoke", Class::Weaken, "Revokes an API key at once.", revoke),
    ]
}

/// Most requests and tokens in a minute that a key may be given; more is no limit.
const MOST_REQUESTS: i64 = 1_000_000_000;
const MOST_TOKENS: i64 = 1_000_000_000_000;

/// A key to make.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// What people call it.
    #[serde(default)]
    name: String,
    /// Any of `mcp`, `models`, `registry`, `admin`.
    #[schemars(with = "Vec<Grant>", length(min = 1))]
    grants: Vec<String>,
    /// Servers it may see, as globs; all when empty.
    #[serde(default)]
    servers: Vec<String>,
    /// Tools it may use, as globs over public names; all when empty.
    #[serde(default)]
    tools: Vec<String>,
    /// Models it may call, as globs; all when empty.
    #[serde(default)]
    models: Vec<String>,
    /// Completions, embeddings and calls of tools in a minute.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 1, max = MOST_REQUESTS))]
    requests_per_minute: Option<i64>,
    /// Tokens of completions and embeddings in a minute.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 1, max = MOST_TOKENS))]
    tokens_per_minute: Option<i64>,
}

/// A grant, for the schema; the error for another word says more than its reader would.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Grant {
    Mcp,
    Models,
    Registry,
    Admin,
}

/// A key's public part.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Id {
    /// As `keys_list` shows it.
    id: String,
}

async fn create(parts: Arc<Parts>, _: Principal, create: Create) -> Result<Value, Error> {
    let globs = |patterns| Globs::new(patterns).map_err(Error::Arguments);
    let rate = |rate: Option<i64>, most: i64| match rate {
        None => Ok(None),
        Some(rate) if (1..=most).contains(&rate) => Ok(Some(rate.unsigned_abs())),
        Some(_) => Err(Error::Arguments(format!("a rate must be from 1 to {most} a minute"))),
    };
    let mut grants = Grants {
        servers: globs(create.servers)?,
        tools: globs(create.tools)?,
        model_names: globs(create.models)?,
        requests_per_minute: rate(create.requests_per_minute, MOST_REQUESTS)?,
        tokens_per_minute: rate(create.tokens_per_minute, MOST_TOKENS)?,
        ..Grants::default()
    };
    if create.grants.is_empty() {
        return Err(Error::Arguments(format!("give at least one of the grants {}", Grants::NAMES.join(", "))));
    }
    for name in &create.grants {
        if !grants.allow(name) {
            return Err(Error::Arguments(format!("`{}` is not a grant; use any of {}", clip(name, 40), Grants::NAMES.join(", "))));
        }
    }
    let key = parts.auth.create(&clip(&create.name, 100), &grants).await?;
    Ok(json!({ "id": key.id(), "key": key.reveal(), "name": create.name, "grants": grants.names() }))
}

async fn list(parts: Arc<Parts>, _: Principal, _: Nothing) -> Result<Value, Error> {
    let keys: Vec<Value> = parts
        .auth
        .list()
        .await?
        .iter()
        .map(|row| {
            let grants: Grants = serde_json::from_str(&row.grants).unwrap_or_default();
            json!({
                "id": row.id, "name": row.name, "grants": grants.names(), "servers": grants.servers, "tools": grants.tools,
                "models": grants.model_names, "requests_per_minute": grants.requests_per_minute,
                "tokens_per_minute": grants.tokens_per_minute, "created_ms": row.created_ms, "revoked_ms": row.revoked_ms,
            })
        })
        .collect();
    Ok(json!({ "keys": keys }))
}

async fn revoke(parts: Arc<Parts>, _: Principal, Id { id }: Id) -> Result<Value, Error> {
    if parts.auth.revoke(&id).await? {
        return Ok(json!({ "id": id, "revoked": true }));
    }
    // Names are for people, and several keys may have the same.
    let rows = parts.auth.list().await?;
    let of_name: Vec<&str> = rows.iter().filter(|row| row.revoked_ms.is_none() && row.name == id).map(|row| row.id.as_str()).collect();
    let hint =
        if of_name.is_empty() { String::new() } else { format!("; that is the name of `{}`: revoke it by its id", of_name.join("`, `")) };
    Err(Error::NoKey { id: clip(&id, 40), hint })
}
