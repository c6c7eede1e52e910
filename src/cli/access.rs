//! `portolan block`, `portolan unblock`, `portolan blocks`

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, Result};
use super::output::{as_json, date, list, print, table, text};

/// What to block.
#[derive(Args, Debug)]
pub struct Block {
    /// `all`, `server:NAME`, `tool:SERVER__TOOL`, `provider:NAME`, `model:NAME`, `key:ID`, or `subject:ID`
    target: String,
    /// Why, for whoever finds it blocked later
    #[arg(long, default_value = "")]
    reason: String,
}

pub(super) async fn block(client: &Client, Block { target, reason }: Block) -> Result {
    let made = client.control("access_block", json!({ "target": target, "reason": reason })).await?;
    if client.json {
        as_json(&made);
    } else {
        if made.get("known").and_then(Value::as_bool) == Some(false) {
            eprintln!("There is nothing called `{target}` now, so look whether it is written right; the block holds should it come.");
        }
        print(&format!("{target} is blocked: what was under way has ended, and what comes is refused.\n"));
        eprintln!("`portolan unblock {target}` lifts it.");
    }
    Ok(())
}

pub(super) async fn unblock(client: &Client, target: String) -> Result {
    let lifted = client.control("access_unblock", json!({ "target": target })).await?;
    if client.json {
        as_json(&lifted);
    } else {
        print(&format!("{target} is not blocked any more.\n"));
    }
    Ok(())
}

pub(super) async fn show(client: &Client) -> Result {
    let blocks = client.control("access_blocks", json!({})).await?;
    if client.json {
        as_json(&blocks);
    } else if list(&blocks, "blocks").is_empty() {
        print("Nothing is blocked.\n");
    } else {
        let row = |block: &Value| vec![text(block, "target"), text(block, "by"), date(block, "at_ms"), text(block, "reason")];
        table(&["TARGET", "BY", "SINCE", "REASON"], list(&blocks, "blocks").iter().map(row));
    }
    Ok(())
}
