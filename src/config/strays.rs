//! What a file says to no effect: names of servers that it does not declare, weights that nobody weighs.
//!
//! They are no errors, for servers are added at run time as well. But one that was spelled wrongly is never there, and
//! what hangs on it is missing in silence.

use std::collections::BTreeMap;

use super::models::{Model, Strategy};
use super::source::Source;
use crate::domain::{ServerName, Toolsets, may_reach, meant};

/// Something that has no effect as the file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// `context`, `model` or `toolset`.
    pub kind: &'static str,
    /// The source, model or toolset that names it.
    pub name: String,
    /// What is missing, and how to mend it.
    pub why: String,
}

/// All that is said to no effect in sources and models.
pub fn strays<S>(
    servers: &BTreeMap<ServerName, S>,
    toolsets: &Toolsets,
    sources: &BTreeMap<String, Source>,
    models: &BTreeMap<String, Model>,
) -> Vec<Stray> {
    let mut found = Vec::new();
    for (name, source) in sources {
        if let Some(server) = source.server.as_ref().filter(|server| !servers.contains_key(*server)) {
            let why = format!("`server`: no server `{server}` is declared, so nothing can be read{}", mend(server.as_str(), servers));
            found.push(Stray { kind: "context", name: name.clone(), why });
        }
    }
    for (name, model) in models {
        if model.strategy != Strategy::Weighted && model.targets.iter().any(|target| target.weight != 1) {
            let why = "`weight`: does nothing without `strategy: weighted`".to_owned();
            found.push(Stray { kind: "model", name: name.clone(), why });
        }
        for pattern in model.tools.patterns() {
            let mut known = servers.keys().chain(toolsets.keys());
            if !known.any(|known| may_reach(pattern, known.as_str())) {
                let server = pattern.split("__").next().unwrap_or_default();
                let why = format!("`tools`: no server is known whose tools match `{pattern}`{}", mend(server, servers));
                found.push(Stray { kind: "model", name: name.clone(), why });
            }
        }
    }
    found
}

/// The patterns of toolsets that no known server can match.
pub fn stray_toolsets<S>(servers: &BTreeMap<ServerName, S>, toolsets: &Toolsets) -> Vec<Stray> {
    let mut found = Vec::new();
    for toolset in toolsets.values() {
        let stray = |pattern: &&String| !servers.keys().any(|server| may_reach(pattern, server.as_str()));
        for pattern in toolset.patterns().iter().filter(stray) {
            let server = pattern.split("__").next().unwrap_or_default();
            let why = format!("`tools`: no server is known whose tools match `{pattern}`{}", mend(server, servers));
            found.push(Stray { kind: "toolset", name: toolset.name.to_string(), why });
        }
    }
    found
}

fn mend<S>(server: &str, servers: &BTreeMap<ServerName, S>) -> String {
    let near = meant(server, servers.keys().map(ServerName::as_str));
    if near.is_empty() { " until one is added".to_owned() } else { near }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_weight_that_nobody_weighs_is_told_of_and_loads() {
        let text = "models:\n  m: { strategy: fallback, targets: [{ provider: portolan, model: echo, weight: 4 }] }\n";
        let config = Config::parse(text, Path::new(".")).unwrap();
        let found = strays(&config.mcp.servers, &config.mcp.chosen(), &config.context.sources, &config.models);
        assert!(found.len() == 1 && found[0].why.contains("strategy: weighted"), "{found:?}");
    }

    #[test]
    fn a_server_that_nobody_declared_is_told_of_with_the_name_that_is_near() {
        let text = "mcp: { servers: { github: { command: [x] }, time: { command: [x] } } }
context: { sources: { ghost: { server: nope, resource: 'a://b' }, good: { server: time, tool: t } } }
models:
  m: { targets: [{ provider: portolan, model: echo }], tools: [time, 'time__*', 'git*', '*__get', 'gihub__*', 'github__{a,b}', tim] }
";
        let config = Config::parse(text, Path::new(".")).unwrap();
        let found = strays(&config.mcp.servers, &config.mcp.chosen(), &config.context.sources, &config.models);
        let said: Vec<String> = found.into_iter().map(|stray| format!("{} {} {}", stray.kind, stray.name, stray.why)).collect();
        assert_eq!(said.len(), 3, "{said:#?}");
        assert!(said[0].contains("context ghost `server`: no server `nope` is declared"), "{said:#?}");
        assert!(said[1].contains("model m") && said[1].contains("`gihub__*`") && said[1].contains("did you mean `github`?"), "{said:#?}");
        assert!(said[2].contains("`tim`") && said[2].contains("did you mean `time`?"), "{said:#?}");
    }
}
