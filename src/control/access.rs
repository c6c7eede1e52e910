//! The kill switch: block, unblock, list.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Tool};
use crate::domain::{Principal, clip};
use crate::policy::{Block, Named, Target};
use crate::store;

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<New, _, _>(
            "access_block",
            Class::Add,
            "Blocks a server, a tool, a provider, a model, a key, a subject, or all: what is under way ends, and what comes is refused, until it is unblocked.",
            block,
        ),
        Tool::new::<Old, _, _>("access_unblock", Class::Weaken, "Lifts a block.", unblock),
        Tool::new::<Nothing, _, _>("access_blocks", Class::Read, "Lists what is blocked, by whom and why.", list),
    ]
}

/// How a target is written.
const FORM: &str = r"^(all|(server|tool|provider|key):[^\x00-\x1f\x7f-\x9f*?\[{]{1,128}|(model|subject):[^\x00-\x1f\x7f-\x9f]{1,128})$";

/// What to block.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct New {
    /// `all`, `server:NAME`, `tool:SERVER__TOOL`, `provider:NAME`, `model:NAME`, `key:ID`, or `subject:ID`.
    #[schemars(extend("pattern" = FORM))]
    target: String,
    /// Why, for whoever finds it blocked later.
    #[serde(default)]
    reason: String,
}

/// What to unblock.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Old {
    /// As `access_blocks` shows it.
    #[schemars(extend("pattern" = FORM))]
    target: String,
}

async fn block(parts: Arc<Parts>, principal: Principal, New { target, reason }: New) -> Result<Value, Error> {
    let target: Target = target.parse().map_err(Error::Arguments)?;
    let known = known(&parts, &target);
    let (doing, blocked) = (parts.clone(), target.clone());
    store::apart::<_, Error>(async move {
        let new = doing.blocks.add(blocked.clone(), principal.id(), &clip(&reason, 500)).await?;
        doing.registry.hide(&doing.blocks).await;
        // Its words may have been put into conversations.
        if new && blocked.speaks() {
            doing.completions.load().purge();
            doing.federation.forget();
        }
        Ok(())
    })
    .await?;
    let blocks = parts.blocks.list();
    let mut made = blocks.all().iter().find(|block| block.target == target).map_or_else(|| json!({}), described);
    if let (Some(members), Some(known)) = (made.as_object_mut(), known) {
        members.insert("known".to_owned(), known.into());
    }
    Ok(made)
}

async fn unblock(parts: Arc<Parts>, _: Principal, Old { target }: Old) -> Result<Value, Error> {
    let target: Target = target.parse().map_err(Error::Arguments)?;
    let lifted = target.clone();
    let there = store::apart::<_, Error>(async move {
        let there = parts.blocks.remove(&lifted).await?;
        parts.registry.hide(&parts.blocks).await;
        Ok(there)
    })
    .await?;
    if there { Ok(json!({ "target": target.to_string(), "blocked": false })) } else { Err(Error::Missing("block of", target.to_string())) }
}

/// Whether there is something of that name now; none where nobody can say.
fn known(parts: &Parts, target: &Target) -> Option<bool> {
    let completions = parts.completions.load();
    let router = completions.router();
    let provider = |name: &str| router.providers().has(name);
    match target.named() {
        Named::Server(name) => Some(parts.registry.catalog().servers.contains_key(name)),
        Named::Tool(name) => Some(parts.federation.tool_names(&Principal::owner()).iter().any(|known| known == name)),
        Named::Provider(name) => Some(provider(name)),
        Named::Model(name) => Some(router.named().contains_key(name) || name.split_once('/').is_some_and(|(of, _)| provider(of))),
        Named::Key(id) => Some(parts.auth.by_id(id).is_some()),
        Named::All | Named::Subject(_) => None,
    }
}

async fn list(parts: Arc<Parts>, _: Principal, _: Nothing) -> Result<Value, Error> {
    Ok(json!({ "blocks": parts.blocks.list().all().iter().map(described).collect::<Vec<_>>() }))
}

fn described(block: &Block) -> Value {
    json!({ "target": block.target.to_string(), "by": block.by, "at_ms": block.at_ms, "reason": block.reason, "blocked": true })
}
