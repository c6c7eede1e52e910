//! Context sources: list, preview.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Tool};
use crate::domain::Principal;

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<Nothing, _, _>("context_list", Class::Read, "Lists the context sources and where each comes from.", list),
        Tool::new::<Name, _, _>("context_preview", Class::Read, "Shows what a context source would add to a completion now.", preview),
    ]
}

/// A source's name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Name {
    /// The source.
    name: String,
}

async fn list(parts: Arc<Parts>, _: Principal, _: Nothing) -> Result<Value, Error> {
    let sources = parts.completions.load().context().list();
    let sources: Vec<Value> = sources.into_iter().map(|(name, from)| json!({ "name": name, "from": from })).collect();
    Ok(json!({ "sources": sources }))
}

async fn preview(parts: Arc<Parts>, principal: Principal, Name { name }: Name) -> Result<Value, Error> {
    let context = parts.completions.load().context().clone();
    let outcomes = context.fetch(&principal, std::slice::from_ref(&name), &[]).await?;
    let outcome = outcomes.first().ok_or_else(|| Error::Missing("context source", name.clone()))?;
    Ok(match &outcome.text {
        Ok(fetched) => json!({
            "name": name, "from": fetched.origin, "digest": fetched.digest.to_string(), "bytes": fetched.text.len(),
            // Four bytes a token is close for English prose, and enough to plan with.
            "tokens_estimated": fetched.text.len().div_ceil(4), "cached": outcome.cached, "cut": fetched.cut, "text": fetched.text,
        }),
        Err(why) => json!({ "name": name, "error": why }),
    })
}
