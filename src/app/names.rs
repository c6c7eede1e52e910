//! What a configuration asks of a server by name, compared with what that server lists.
//!
//! A name that was spelled wrongly fails nobody's start: the text, or the tool, is missing in silence.

use std::time::Duration;

use serde_json::value::RawValue;

use super::checked::{Checked, State};
use crate::config::{Config, Reads, Source};
use crate::domain::{RawObject, meant, printable};
use crate::federation::public_name;
use crate::upstream::Connection;

/// The longest a list may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The names of a server's things of one kind, or why they are not known.
type Names = Result<Vec<String>, String>;

/// The names of a server's things.
struct Listed {
    tools: Names,
    prompts: Names,
    resources: Names,
}

impl Listed {
    async fn read(connection: &Connection) -> Self {
        let list = async |kind: &str, key: &str| {
            // What is not offered has no names.
            if !connection.peer().has(kind) {
                return Ok(Vec::new());
            }
            let items = connection.list(&format!("{kind}/list"), kind, PATIENCE, None).await;
            let items = items.map_err(|error| printable(&format!("its server does not list its {kind}: {error}")))?;
            let name = |item: &RawValue| RawObject::parse(item.get()).ok()?.string(key);
            Ok(items.iter().filter_map(|item| name(item)).collect())
        };
        Self { tools: list("tools", "name").await, prompts: list("prompts", "name").await, resources: list("resources", "uri").await }
    }
}

/// The sources that read from a server, and the tools that models are given of it; and the names of its tools, where it lists them.
pub(super) async fn compare(config: &Config, server: &str, connection: &Connection) -> (Vec<Checked>, Option<Vec<String>>) {
    let listed = Listed::read(connection).await;
    let own = config.context.sources.iter().filter(|(_, source)| source.server.as_ref().is_some_and(|name| name.as_str() == server));
    let mut checked: Vec<Checked> = own.map(|(name, source)| look(name, source, server, &listed)).collect();
    let Ok(own) = listed.tools else { return (checked, None) };
    let tools: Vec<String> = own.iter().map(|tool| public_name(server, tool)).collect();
    for (name, model) in &config.models {
        let plain = |pattern: &&String| pattern.starts_with(&format!("{server}__")) && !pattern.contains(['*', '?', '[', '{', '@']);
        for pattern in model.tools.patterns().iter().filter(plain).filter(|pattern| !tools.contains(pattern)) {
            let detail = format!("`tools`: `{server}` has no tool `{pattern}`{}", like(pattern, &tools));
            checked.push(Checked { kind: "model", name: name.clone(), state: State::Warning, detail });
        }
    }
    (checked, Some(own))
}

fn look(name: &str, source: &Source, server: &str, listed: &Listed) -> Checked {
    let (kind, wanted, there) = match source.reads() {
        Some(Reads::Tool(_, tool)) => ("tool", tool, &listed.tools),
        Some(Reads::Prompt(_, prompt)) => ("prompt", prompt, &listed.prompts),
        // What a template makes of a request, and what a server's own templates take, is known only then.
        Some(Reads::Resource(..)) => match source.resource.as_ref().filter(|_| source.variables().is_empty()) {
            Some(uri) => return resource(name, &uri.to_string(), server, listed),
            None => return Checked::skipped("context", name, "it needs a request"),
        },
        _ => return Checked::skipped("context", name, "it is read when it is asked for"),
    };
    let outcome = match there {
        Ok(names) if names.iter().any(|one| one == wanted) => Ok(format!("`{server}` has the {kind} `{wanted}`")),
        Ok(names) => Err(format!("`{server}` has no {kind} `{wanted}`{}", like(wanted, names))),
        Err(why) => Err(why.clone()),
    };
    Checked::tried("context", name, outcome)
}

fn resource(name: &str, uri: &str, server: &str, listed: &Listed) -> Checked {
    let names = match &listed.resources {
        Ok(names) => names,
        Err(why) => return Checked::tried("context", name, Err(why.clone())),
    };
    if names.iter().any(|one| one == uri) {
        return Checked::tried("context", name, Ok(format!("`{server}` lists `{uri}`")));
    }
    // Servers need not list all that they can read.
    let detail = format!("`{server}` does not list `{uri}`{}", like(uri, names));
    Checked { kind: "context", name: name.to_owned(), state: State::Warning, detail }
}

fn like(wanted: &str, names: &[String]) -> String {
    meant(wanted, names.iter().map(String::as_str))
}
