//! `portolan tool …`: the tools as a client of `/mcp` sees them.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::client::{Client, Error, Result};
use super::output::{as_json, is, list, print, table, text};
use crate::domain::{clip, printable};
use crate::protocol::Params;

/// What can be done with tools.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// All tools
    #[command(visible_alias = "ls")]
    List,
    /// Tools whose name or description holds all these words
    Search {
        /// The words
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// One tool with its schema
    Show {
        /// Its public name, `server__tool`
        name: String,
    },
    /// Call a tool and print its result
    Call {
        /// Its public name, `server__tool`
        name: String,
        /// The arguments: one JSON object, or `key=value` words
        arguments: Vec<String>,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result {
    match command {
        Command::List => show_list(client, &all(client).await?),
        Command::Search { words } => {
            let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
            let mut tools = all(client).await?;
            tools.retain(|tool| {
                let text = format!("{} {}", text(tool, "name"), text(tool, "description")).to_lowercase();
                words.iter().all(|word| text.contains(word))
            });
            show_list(client, &tools);
        }
        Command::Show { name } => {
            let tool = all(client).await?.into_iter().find(|tool| text(tool, "name") == name);
            let tool = tool.ok_or_else(|| Error::failed(format!("there is no tool `{name}`; `portolan tool list` shows all")))?;
            as_json(&tool);
        }
        Command::Call { name, arguments } => {
            let arguments = parse(&arguments)?;
            let result = client.mcp("/mcp", "tools/call", &Params::default().with("name", &name).with("arguments", &arguments)).await?;
            let failed = is(&result, "isError");
            if client.json {
                as_json(&result);
            } else {
                for part in list(&result, "content") {
                    match part.get("text").and_then(Value::as_str) {
                        Some(text) => print(&format!("{}\n", printable(text))),
                        None => print(&format!("{part:#}\n")),
                    }
                }
            }
            if failed {
                return Err(Error::Failed { code: "tool_error".to_owned(), message: format!("the call of `{name}` failed") });
            }
        }
    }
    Ok(())
}

async fn all(client: &Client) -> Result<Vec<Value>> {
    let mut tools = Vec::new();
    let mut params = Params::default();
    loop {
        let page = client.mcp("/mcp", "tools/list", &params).await?;
        tools.extend(list(&page, "tools").iter().cloned());
        match page.get("nextCursor").and_then(Value::as_str) {
            Some(cursor) => params = Params::default().with("cursor", cursor),
            None => return Ok(tools),
        }
    }
}

fn show_list(client: &Client, tools: &[Value]) {
    if client.json {
        as_json(&json!({ "tools": tools }));
    } else if tools.is_empty() {
        print("No tools. `portolan server list` shows the servers.\n");
    } else {
        let row = |tool: &Value| {
            let description = text(tool, "description");
            vec![text(tool, "name"), clip(description.lines().next().unwrap_or_default(), 90)]
        };
        table(&["TOOL", "DESCRIPTION"], tools.iter().map(row));
    }
}

fn parse(words: &[String]) -> Result<Value> {
    if let [one] = words
        && one.trim_start().starts_with('{')
    {
        return serde_json::from_str(one).map_err(|error| Error::Usage(format!("the arguments are not JSON: {error}")));
    }
    let mut map = Map::new();
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| Error::Usage(format!("`{word}` is neither JSON nor `key=value`")))?;
        // `n=1` is a number and `s=a` a text, as people mean it.
        map.insert(key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into()));
    }
    Ok(Value::Object(map))
}
