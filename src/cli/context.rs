//! `portolan context …`

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::client::{Client, Error, Result};
use super::output::{as_json, is, list, print, table, text};
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
        /// What a person asks: `{{ query }}`
        #[arg(long, value_name = "TEXT")]
        query: Option<String>,
        /// A tag of the request: `{{ tags.KEY }}`; may be given several times
        #[arg(long = "tag", value_name = "KEY=VALUE")]
        tags: Vec<String>,
        /// The id of the key that asks: `{{ caller.… }}`; without it, the one this command uses
        #[arg(long, value_name = "ID")]
        key: Option<String>,
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
                let row = |source: &Value| ["name", "from", "trust", "scope", "refresh"].map(|key| text(source, key)).to_vec();
                table(&["SOURCE", "FROM", "TRUST", "SCOPE", "REFRESH"], list(&sources, "sources").iter().map(row));
            }
        }
        Command::Preview { name, query, tags, key } => {
            let tags = tags.iter().map(|tag| parted(tag)).collect::<Result<Map<_, _>>>()?;
            let preview = client.control("context_preview", json!({ "name": name, "query": query, "tags": tags, "key": key })).await?;
            if client.json {
                as_json(&preview);
            } else if let Some(why) = preview.get("error").and_then(Value::as_str) {
                return Err(Error::failed(format!("`{name}` ({}) cannot be had: {why}{}", text(&preview, "from"), advice(&preview))));
            } else {
                print(&format!("{}\n\n{}\n", about(&name, &preview), printable(&text(&preview, "text"))));
            }
        }
    }
    Ok(())
}

/// The options that give a source what it lacked.
fn advice(preview: &Value) -> String {
    let option = |name: &str| match name.split_once('.') {
        Some(("tags", tag)) => format!("--tag {tag}=VALUE"),
        Some(_) => "--key ID (of a key with that tag)".to_owned(),
        None => "--query TEXT".to_owned(),
    };
    let mut options: Vec<String> = list(preview, "lacking").iter().filter_map(Value::as_str).map(option).collect();
    options.dedup();
    if options.is_empty() { String::new() } else { format!("; add {}", options.join(" and ")) }
}

/// One line on a preview.
fn about(name: &str, preview: &Value) -> String {
    let came = match (is(preview, "stale"), is(preview, "cached")) {
        (true, _) => "an older text, for a newer one cannot be had".to_owned(),
        (false, true) => "from the cache".to_owned(),
        (false, false) => format!("fetched now in {} ms", text(preview, "ms")),
    };
    let cut = if is(preview, "cut") { " (cut)" } else { "" };
    format!(
        "{name}: {}, trust {}, scope {}, {} bytes, {} tokens{cut}, {came}, {}",
        text(preview, "from"),
        text(preview, "trust"),
        text(preview, "scope"),
        text(preview, "bytes"),
        text(preview, "tokens"),
        text(preview, "digest"),
    )
}

/// The two parts of `key=value`.
pub(super) fn parted(tag: &str) -> Result<(String, Value)> {
    let (key, value) = tag.split_once('=').ok_or_else(|| Error::Usage(format!("`{tag}` is not a tag; write `--tag key=value`")))?;
    Ok((key.to_owned(), value.into()))
}
