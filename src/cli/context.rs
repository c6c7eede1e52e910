//! `portolan context …`

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, Error, Result};
use super::output::{as_json, list, print, table, text};
use crate::domain::printable;

/// What can be done with context sources.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// All sources
    #[command(visible_alias = "ls")]
    List,
    /// What a source would add to a completion now
    Preview {
        /// The source
        name: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result {
    match command {
        Command::List => {
            let sources = client.control("context_list", json!({})).await?;
            if client.json {
                as_json(&sources);
            } else if list(&sources, "sources").is_empty() {
                print("No context sources. They are declared under `context.sources:` in the configuration.\n");
            } else {
                let row = |source: &Value| vec![text(source, "name"), text(source, "from")];
                table(&["SOURCE", "FROM"], list(&sources, "sources").iter().map(row));
            }
        }
        Command::Preview { name } => {
            let preview = client.control("context_preview", json!({ "name": name })).await?;
            if client.json {
                as_json(&preview);
            } else if let Some(why) = preview.get("error").and_then(Value::as_str) {
                return Err(Error::failed(format!("`{name}` cannot be had now: {why}")));
            } else {
                let cached = if preview.get("cached").and_then(Value::as_bool) == Some(true) { "from the cache" } else { "fetched now" };
                print(&format!(
                    "{name}: {}, {} bytes, about {} tokens, {cached}, {}\n\n{}\n",
                    text(&preview, "from"),
                    text(&preview, "bytes"),
                    text(&preview, "tokens_estimated"),
                    text(&preview, "digest"),
                    printable(&text(&preview, "text"))
                ));
            }
        }
    }
    Ok(())
}
