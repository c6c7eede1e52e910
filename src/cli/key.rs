//! `portolan key …`

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, Result};
use super::output::{as_json, date, list, print, table, text};

/// What can be done with API keys.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a key; it is shown once
    Create {
        /// What the key may do: mcp, models, registry, admin; may be repeated
        #[arg(long = "grant", required = true, value_name = "GRANT")]
        grants: Vec<String>,
        /// What people call it
        #[arg(long, default_value = "")]
        name: String,
        /// Servers it may see, as a glob; may be repeated; all by default
        #[arg(long = "server", value_name = "GLOB")]
        servers: Vec<String>,
        /// Tools it may use, as a glob over `server__tool`; may be repeated; all by default
        #[arg(long = "tool", value_name = "GLOB")]
        tools: Vec<String>,
        /// Models it may call, as a glob; may be repeated; all by default
        #[arg(long = "model", value_name = "GLOB")]
        models: Vec<String>,
        /// Completions, embeddings and calls of tools in a minute
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        requests_per_minute: Option<u32>,
        /// Tokens of completions and embeddings in a minute
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        tokens_per_minute: Option<u64>,
    },
    /// All keys made at run time
    #[command(visible_alias = "ls")]
    List,
    /// Revoke a key at once
    Revoke {
        /// Its id, as `key list` shows it
        id: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result {
    match command {
        Command::Create { grants, name, servers, tools, models, requests_per_minute, tokens_per_minute } => {
            let arguments = json!({ "grants": grants, "name": name, "servers": servers, "tools": tools, "models": models,
                "requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute });
            let made = client.control("keys_create", arguments).await?;
            if client.json {
                as_json(&made);
            } else {
                print(&format!("{}\n", text(&made, "key")));
                eprintln!("This is key {}; it is not shown again.", text(&made, "id"));
            }
        }
        Command::List => {
            let keys = client.control("keys_list", json!({})).await?;
            if client.json {
                as_json(&keys);
                return Ok(());
            }
            let row = |key: &Value| {
                let grants: Vec<&str> = list(key, "grants").iter().filter_map(Value::as_str).collect();
                let state = if key.get("revoked_ms").is_some_and(|at| !at.is_null()) { "revoked" } else { "valid" };
                vec![text(key, "id"), text(key, "name"), grants.join(","), limits(key), state.to_owned(), date(key, "created_ms")]
            };
            table(&["ID", "NAME", "GRANTS", "ONLY", "STATE", "MADE"], list(&keys, "keys").iter().map(row));
        }
        Command::Revoke { id } => {
            let revoked = client.control("keys_revoke", json!({ "id": id })).await?;
            if client.json {
                as_json(&revoked);
            } else {
                print(&format!("Key {id} is revoked.\n"));
            }
        }
    }
    Ok(())
}

/// What narrows a key, in one line.
fn limits(key: &Value) -> String {
    let kind = |kind: &str| {
        let globs: Vec<&str> = list(key, kind).iter().filter_map(Value::as_str).collect();
        (!globs.is_empty()).then(|| format!("{kind} {}", globs.join(",")))
    };
    let rate = |(rate, what): (&str, &str)| key.get(rate).and_then(Value::as_u64).map(|n| format!("{n} {what} a minute"));
    let rates = [("requests_per_minute", "requests"), ("tokens_per_minute", "tokens")].into_iter().filter_map(rate);
    let all: Vec<String> = ["servers", "tools", "models"].into_iter().filter_map(kind).chain(rates).collect();
    if all.is_empty() { "-".to_owned() } else { all.join("; ") }
}
