//! Toolsets: tools chosen from several servers, at a path and under names of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::grants::Globs;
use super::name::ServerName;
use super::release_pin::ReleasePin;
use super::selection::Selection;

/// How the tools of a toolset are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// `server__tool`, as at `/mcp`.
    #[default]
    Prefixed,
    /// As their servers call them. Where two tools have the same name, both keep the prefixed form.
    Bare,
}

/// In which form a toolset shows its tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As their servers define them.
    #[default]
    Full,
    /// For clients that read less: schemas lifted to JSON Schema 2020-12, no output schemas, and structured results only where they are objects.
    Compat,
}

/// Every toolset by its name.
pub type Toolsets = Arc<BTreeMap<ServerName, Arc<Toolset>>>;

/// A choice of tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolset {
    /// Its name, which no server has.
    pub name: ServerName,
    /// How its tools are called.
    pub naming: Naming,
    /// Names in the set by public name; they go before `naming`.
    pub rename: BTreeMap<String, String>,
    /// The form its tools are shown in.
    pub form: Form,
    tools: Selection,
    /// What in `tools` names servers as a whole, as they are served.
    whole: Option<Globs>,
}

impl Toolset {
    /// A toolset of the tools and servers that `tools` means.
    pub fn new(name: ServerName, tools: Selection, naming: Naming, rename: BTreeMap<String, String>, form: Form) -> Result<Self, String> {
        // No server's name has an underscore, so a pattern with one is of tools, but for `server__*`.
        let server =
            |pattern: &String| Some(pattern.strip_suffix("__*").unwrap_or(pattern)).filter(|rest| !rest.contains('_')).map(str::to_owned);
        let servers: Vec<String> = tools.free().iter().filter_map(server).collect();
        let whole = if servers.is_empty() { None } else { Some(Globs::new(servers)?) };
        Ok(Self { name, naming, rename, form, tools, whole })
    }

    /// Whether a server belongs to it as a whole, with its prompts and resources.
    pub fn takes_server(&self, server: &str) -> bool {
        self.whole.as_ref().is_some_and(|whole| whole.matches(server)) || self.tools.pin_of_server(server).is_some()
    }

    /// Whether a tool belongs to it, by its server and its public name.
    pub fn takes_tool(&self, server: &str, public: &str) -> bool {
        self.takes_server(server) || self.tools.matches(public) || self.tools.pin_of_tool(server, public).is_some()
    }

    /// The release at which it takes a tool, where that is not the one that is served.
    pub fn pin_of_tool(&self, server: &str, public: &str) -> Option<&ReleasePin> {
        self.tools.pin_of_tool(server, public)
    }

    /// The release at which it takes a server's prompts and resources, where that is not the one that is served.
    pub fn pin_of_server(&self, server: &str) -> Option<&ReleasePin> {
        self.tools.pin_of_server(server)
    }

    /// Every release that it names, with its server.
    pub fn pins(&self) -> impl Iterator<Item = (&ServerName, &ReleasePin)> {
        self.tools.pins()
    }

    /// Whether any server could belong to it as a whole.
    pub fn takes_servers(&self) -> bool {
        self.whole.is_some() || self.tools.pins().any(|(server, _)| self.tools.pin_of_server(server.as_str()).is_some())
    }

    /// Whether anything of a server could belong to it, whatever that server may offer.
    pub fn may_take_of(&self, server: &str) -> bool {
        self.takes_server(server) || self.tools.may_reach(server)
    }

    /// The patterns by which it chooses, as they were written.
    pub fn patterns(&self) -> &[String] {
        self.tools.patterns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(patterns: &[&str]) -> Toolset {
        let tools = Selection::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect()).unwrap();
        Toolset::new("set".parse().unwrap(), tools, Naming::Bare, BTreeMap::new(), Form::Full).unwrap()
    }

    #[test]
    fn a_server_belongs_to_a_set_as_a_whole_by_its_name_or_by_all_of_its_tools() {
        let set = of(&["github__get_*", "time__*", "wiki", "ja*"]);
        for (server, whole) in [("time", true), ("wiki", true), ("jazz", true), ("github", false), ("other", false)] {
            assert_eq!(set.takes_server(server), whole, "{server}");
        }
        assert!(set.takes_tool("github", "github__get_issue") && !set.takes_tool("github", "github__set_issue"));
        assert!(set.takes_tool("wiki", "wiki__x") && !set.takes_tool("wikis", "wikis__x"));
        assert!(set.may_take_of("github") && !set.may_take_of("other") && !set.may_take_of("githubs"));
        assert!(!of(&["github__get_*", "*_issue"]).takes_servers());
    }
}
