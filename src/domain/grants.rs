//! What a caller may do: four grants, narrowed by globs on servers, tools and models.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

/// A list of glob patterns (`github__get_*`); an empty list means "all".
#[derive(Clone, Debug, Default)]
pub struct Globs {
    patterns: Vec<String>,
    set: Option<GlobSet>,
}

impl Globs {
    /// Compiles `patterns`; the error names the pattern that is wrong.
    pub fn new(patterns: Vec<String>) -> Result<Self, String> {
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            let glob = GlobBuilder::new(pattern).literal_separator(false).build();
            set.add(glob.map_err(|error| format!("`{pattern}` is not a pattern: {}", error.kind()))?);
        }
        let set = set.build().map_err(|error| error.to_string())?;
        Ok(Self { patterns, set: Some(set) })
    }

    /// Whether `name` is matched; without patterns everything is.
    pub fn matches(&self, name: &str) -> bool {
        self.set.as_ref().is_none_or(|set| set.is_match(name))
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether there is no narrowing at all.
    pub fn is_all(&self) -> bool {
        self.set.is_none()
    }
}

impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Globs {}

/// Whether a pattern is a server's name, or may match the public name of one of its tools; a release behind it makes no difference.
pub fn may_reach(pattern: &str, server: &str) -> bool {
    let pattern = pattern.split('@').next().unwrap_or(pattern);
    let tools = format!("{server}__");
    match pattern.find(['*', '?', '[', '{']) {
        None => pattern == server || pattern.starts_with(&tools),
        Some(end) => {
            let start = pattern.get(..end).unwrap_or_default();
            start.starts_with(&tools) || tools.starts_with(start)
        }
    }
}

impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Globs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.patterns.serialize(serializer)
    }
}

/// The four grants and their narrowing. Nothing is granted by default.
#[allow(clippy::struct_excessive_bools)] // Four grants are four answers to four questions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// May use MCP servers through the gateway.
    pub mcp: bool,
    /// May call models.
    pub models: bool,
    /// May read the registry of definitions.
    pub registry: bool,
    /// May administer the gateway through the control server.
    pub admin: bool,
    /// Servers this caller may see; empty means all.
    pub servers: Globs,
    /// Tools, by public name (`server__tool`); empty means all.
    pub tools: Globs,
    /// Models, by name; empty means all.
    pub model_names: Globs,
    /// Requests in a minute, where it is said for this caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens in a minute, where it is said for this caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
}

impl Grants {
    /// The names that [`Grants::allow`] understands.
    pub const NAMES: [&str; 4] = ["mcp", "models", "registry", "admin"];

    /// Everything: the owner.
    pub fn all() -> Self {
        Self { mcp: true, models: true, registry: true, admin: true, ..Self::default() }
    }

    /// What an open loopback door gives: MCP and models, never administration.
    pub fn local() -> Self {
        Self { mcp: true, models: true, registry: true, ..Self::default() }
    }

    /// Adds a grant by name; false when there is no such grant.
    #[must_use]
    pub fn allow(&mut self, name: &str) -> bool {
        match name {
            "mcp" => self.mcp = true,
            "models" => self.models = true,
            "registry" => self.registry = true,
            "admin" => self.admin = true,
            _ => return false,
        }
        true
    }

    /// The granted names, for people.
    pub fn names(&self) -> Vec<&'static str> {
        let flags = [self.mcp, self.models, self.registry, self.admin];
        Self::NAMES.into_iter().zip(flags).filter_map(|(name, on)| on.then_some(name)).collect()
    }

    /// Whether this caller may see `server`.
    pub fn server(&self, server: &str) -> bool {
        self.mcp && self.servers.matches(server)
    }

    /// Whether this caller may use the tool of this public name on `server`.
    pub fn tool(&self, server: &str, public_name: &str) -> bool {
        self.server(server) && self.tools.matches(public_name)
    }

    /// Whether this caller may call the model of this name.
    pub fn model(&self, name: &str) -> bool {
        self.models && self.model_names.matches(name)
    }

    /// Whether every server and tool is visible, so that a shared view may be served.
    pub fn sees_everything(&self) -> bool {
        self.mcp && self.servers.is_all() && self.tools.is_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_narrows_tools_and_an_empty_list_means_all() {
        let mut grants = Grants::local();
        assert!(grants.tool("github", "github__delete_repo"));
        grants.tools = Globs::new(vec!["github__get_*".into()]).unwrap();
        assert!(grants.tool("github", "github__get_issue"));
        assert!(!grants.tool("github", "github__delete_repo"));
    }
}
