//! What the toolsets of a configuration come to, by the tools that its servers list.

use std::collections::BTreeMap;

use super::checked::{Checked, State};
use crate::config::Config;
use crate::domain::{ServerName, Toolset, meant};
use crate::federation::{SetNames, public_name};

/// The names of each server's tools; none where it does not list them.
type Listed = BTreeMap<ServerName, Option<Vec<String>>>;

/// How many tools each toolset has, which of its patterns and renames match none, and which bare names several tools want.
pub(super) fn compare(config: &Config, listed: &Listed) -> Vec<Checked> {
    config.mcp.chosen().values().flat_map(|toolset| look(toolset, listed)).collect()
}

fn look(toolset: &Toolset, listed: &Listed) -> Vec<Checked> {
    let name = toolset.name.to_string();
    let silent: Vec<String> = listed
        .iter()
        .filter(|(server, tools)| tools.is_none() && toolset.may_take_of(server.as_str()))
        .map(|(server, _)| format!("`{server}`"))
        .collect();
    let tools = listed.iter().flat_map(|(server, tools)| tools.iter().flatten().map(|tool| (server.as_str(), tool.as_str())));
    let ours: Vec<(&str, &str)> = tools.filter(|(server, tool)| toolset.takes_tool(server, &public_name(server, tool))).collect();
    let set = SetNames::of(toolset.naming, &toolset.rename, ours.iter().copied());
    let count = if ours.len() == 1 { "1 tool".to_owned() } else { format!("{} tools", ours.len()) };
    let warning = |detail: String| Checked { kind: "toolset", name: name.clone(), state: State::Warning, detail };
    let unsure = |detail| Checked { kind: "toolset", name: name.clone(), state: State::Skipped, detail };
    let first = match silent.is_empty() {
        true if ours.is_empty() => warning("no tool of its servers matches".to_owned()),
        true => Checked::tried("toolset", name.clone(), Ok(count)),
        false => unsure(format!("{count} so far; what it has of {} is not known", silent.join(", "))),
    };
    let doubles = set.doubles.iter().map(|(bare, by)| {
        let by = by.iter().map(|public| format!("`{public}`")).collect::<Vec<_>>().join(", ");
        warning(format!("nothing is called `{bare}` in it, for it could be another tool's name too: {by}; `rename` can tell them apart"))
    });
    let unknown =
        toolset.rename.keys().filter(|public| silent.is_empty() && !set.names.contains_key(*public)).map(|public| {
            warning(format!("`rename`: no server has a tool `{public}`{}", meant(public, set.names.keys().map(String::as_str))))
        });
    std::iter::once(first).chain(doubles).chain(unknown).collect()
}
