//! Context sources: list, preview.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Tool};
use crate::config::Variable;
use crate::context::{Listed, Query};
use crate::domain::{Principal, clip};
use crate::policy::Act;

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<Nothing, _, _>("context_list", Class::Read, "Lists the context sources and where each comes from.", list),
        Tool::new::<Preview, _, _>("context_preview", Class::Read, "Shows what a context source would add to a completion now.", preview),
    ]
}

/// A source, and the request it is to be fetched for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Preview {
    /// The source.
    name: String,
    /// What stands for `{{ query }}`.
    query: Option<String>,
    /// What stands for `{{ tags.NAME }}`.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// The id of the key that asks; you yourself where it is not said. For the owner alone.
    key: Option<String>,
}

async fn list(parts: Arc<Parts>, _: Principal, _: Nothing) -> Result<Value, Error> {
    let completions = parts.completions.load();
    let row = |listed: Listed<'_>| {
        let source = listed.source;
        let needs: Vec<String> = source.variables().iter().map(ToString::to_string).collect();
        json!({
            "name": listed.name, "from": listed.origin(), "trust": source.trust().as_str(), "scope": listed.sharing.as_str(),
            "refresh": source.refresh.as_str(), "ttl_ms": u64::try_from(source.ttl.0.as_millis()).unwrap_or(u64::MAX),
            "max_tokens": source.max_tokens, "needs": needs,
        })
    };
    let sources: Vec<Value> = completions.context().list().map(row).collect();
    Ok(json!({ "sources": sources }))
}

async fn preview(parts: Arc<Parts>, principal: Principal, Preview { name, query, tags, key }: Preview) -> Result<Value, Error> {
    let caller = match &key {
        // What a source says to one caller is for nobody else to read.
        Some(_) if !principal.is_owner() => return Err(Error::OwnerOnly("context_preview with a key")),
        Some(id) => parts.auth.by_id(id).ok_or_else(|| Error::Missing("valid key", clip(id, 40)))?,
        None => principal,
    };
    let context = parts.completions.load().context().clone();
    let asked = Query { text: query.as_deref(), tags: Some(&tags), trace: None };
    let outcomes = context.fetch(&Act::of(&caller), &context.choose(&caller, std::slice::from_ref(&name), &[])?, asked).await?;
    let outcome = outcomes.first().ok_or_else(|| Error::Missing("context source", name.clone()))?;
    Ok(match &outcome.text {
        Ok(fetched) => json!({
            "name": name, "from": fetched.origin, "trust": fetched.trust.as_str(), "digest": fetched.digest.to_string(),
            "bytes": fetched.text.len(), "tokens": fetched.tokens, "cut": fetched.cut, "cached": outcome.cached, "stale": outcome.stale,
            "scope": outcome.sharing.as_str(), "refresh": outcome.refresh.as_str(), "ms": outcome.ms, "text": fetched.text,
        }),
        Err(why) => {
            let listed = context.list().find(|listed| listed.name == name);
            let lacks = |variable: &&Variable| match variable {
                Variable::Query | Variable::Embedding => query.as_deref().unwrap_or_default().trim().is_empty(),
                Variable::RequestTag(tag) => !tags.contains_key(tag),
                Variable::CallerTag(tag) => !caller.tags().contains_key(tag),
                Variable::CallerId | Variable::CallerSubject => false,
            };
            let lacking: Vec<String> =
                listed.iter().flat_map(|listed| listed.source.variables()).filter(lacks).map(ToString::to_string).collect();
            json!({ "name": name, "from": listed.map(|listed| listed.origin()), "error": why, "lacking": lacking, "ms": outcome.ms })
        }
    })
}
