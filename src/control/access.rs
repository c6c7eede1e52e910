//! The kill switch: block, unblock, list.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Tool};
use crate::domain::{Principal, clip};
use crate::policy::{Block, Target};

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<New, _, _>(
            "access_block",
            Class::Add,
            "Blocks a server, a tool, a model, a key, a subject, or all: what is under way ends, and what comes is refused, until it is unblocked.",
            block,
        ),
        Tool::new::<Old, _, _>("access_unblock", Class::Weaken, "Lifts a block.", unblock),
        Tool::new::<Nothing, _, _>("access_blocks", Class::Read, "Lists what is blocked, by whom and why.", list),
    ]
}

/// What to block.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct New {
    /// `all`, `server:NAME`, `tool:SERVER__TOOL`, `model:NAME`, `key:ID`, or `subject:ID`.
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
    target: String,
}

async fn block(parts: Arc<Parts>, principal: Principal, New { target, reason }: New) -> Result<Value, Error> {
    let target: Target = target.parse().map_err(Error::Arguments)?;
    parts.blocks.add(target.clone(), principal.id(), &clip(&reason, 500)).await?;
    show(&parts);
    // Texts of a server that is blocked now may have been put into conversations.
    parts.completions.load().purge();
    parts.federation.forget();
    let blocks = parts.blocks.list();
    let made = blocks.all().iter().find(|block| block.target == target);
    Ok(made.map_or_else(|| json!({ "target": target.to_string() }), described))
}

async fn unblock(parts: Arc<Parts>, _: Principal, Old { target }: Old) -> Result<Value, Error> {
    let target: Target = target.parse().map_err(Error::Arguments)?;
    let there = parts.blocks.remove(&target).await?;
    show(&parts);
    if there { Ok(json!({ "target": target.to_string(), "blocked": false })) } else { Err(Error::Missing("block of", target.to_string())) }
}

async fn list(parts: Arc<Parts>, _: Principal, _: Nothing) -> Result<Value, Error> {
    Ok(json!({ "blocks": parts.blocks.list().all().iter().map(described).collect::<Vec<_>>() }))
}

/// Lets callers see what they may see now.
fn show(parts: &Parts) {
    parts.registry.hide(&parts.blocks.list());
}

fn described(block: &Block) -> Value {
    json!({ "target": block.target.to_string(), "by": block.by, "at_ms": block.at_ms, "reason": block.reason, "blocked": true })
}
