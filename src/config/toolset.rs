//! `mcp.toolsets`: tools chosen from several servers, at `/mcp/{toolset}`.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use crate::domain::{Form, Naming, PUBLIC_NAME_MAX, Selection, ServerName, Toolset as Chosen};

/// Tools chosen from several servers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Toolset {
    /// Servers (`time`, `time__*`) or globs on public names (`github__get_*`), each as it is served, or at a release
    /// (`time@1`, `github__get_issue@1.4`). What is named as a whole server brings its prompts, resources and instructions, too.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub tools: Selection,
    /// How the tools are called: `prefixed` (`github__get_issue`) or `bare` (`get_issue`).
    #[serde(default)]
    pub names: Naming,
    /// Other names for single tools, by public name: `github__get_issue: issue`.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// In which form they are shown.
    #[serde(default)]
    pub view: Form,
}

impl Toolset {
    /// The same, as the floors above know it; an error says what cannot be.
    pub fn chosen(&self, name: &ServerName) -> Result<Chosen, Error> {
        let at = format!("mcp.toolsets.{name}");
        if self.tools.is_all() {
            return Err(Error::wrong(format!("{at}.tools"), "needs at least one server or glob; `[\"*\"]` takes all"));
        }
        let chosen = Chosen::new(name.clone(), self.tools.clone(), self.names, self.rename.clone(), self.view);
        let chosen = chosen.map_err(|why| Error::wrong(format!("{at}.tools"), why))?;
        let mut seen = HashMap::new();
        for (public, own) in &self.rename {
            let at = format!("{at}.rename.{public}");
            let server = public.split_once("__").map(|(server, _)| server);
            if !server.is_some_and(|server| chosen.takes_tool(server, public)) {
                let why = "is no tool that `tools` selects; write its public name, as `github__get_issue`, and select it";
                return Err(Error::wrong(at, why));
            }
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            if own.is_empty() || own.len() > PUBLIC_NAME_MAX || !own.bytes().all(plain) {
                let why = format!("must be 1 to {PUBLIC_NAME_MAX} letters, digits, `_` and `-`, which is all that every client takes");
                return Err(Error::wrong(at, why));
            }
            if own.contains("__") {
                return Err(Error::wrong(at, "must not hold `__`, which parts server and tool in the names of other tools"));
            }
            if let Some(other) = seen.insert(own, public) {
                return Err(Error::wrong(at, format!("is the name of `{other}` as well; choose another one")));
            }
        }
        Ok(chosen)
    }
}
