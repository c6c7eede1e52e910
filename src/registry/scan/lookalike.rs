//! Names that look like other names, so that a person, or a model, takes one for the other (UTS #39).

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::confusable_detection::skeleton;

use crate::domain::ServerName;
use crate::registry::definition::{Kind, Manifest};

/// How a name looks: two names that look the same have the same.
fn look(name: &str) -> String {
    let plain: String = name.nfkc().collect();
    skeleton(&plain).collect::<String>().to_lowercase()
}

/// How the tools of all servers look, so that a new one is held up to those that look like it alone.
#[derive(Default)]
pub(in crate::registry) struct Looks {
    /// The tools of each look, with their servers.
    tools: HashMap<String, Vec<(ServerName, String)>>,
    /// The looks of each server's tools.
    servers: HashMap<ServerName, Vec<String>>,
}

impl Looks {
    /// Takes a manifest for what a server has.
    pub(in crate::registry) fn put(&mut self, server: &ServerName, manifest: &Manifest) {
        self.remove(server);
        let looks: Vec<String> = manifest.of(Kind::Tool).map(|tool| look(&tool.name)).collect();
        for (look, tool) in looks.iter().zip(manifest.of(Kind::Tool)) {
            self.tools.entry(look.clone()).or_default().push((server.clone(), tool.name.clone()));
        }
        self.servers.insert(server.clone(), looks);
    }

    /// Forgets a server.
    pub(in crate::registry) fn remove(&mut self, server: &ServerName) {
        for look in self.servers.remove(server).into_iter().flatten() {
            if let Some(same) = self.tools.get_mut(&look) {
                same.retain(|(other, _)| other != server);
                if same.is_empty() {
                    self.tools.remove(&look);
                }
            }
        }
    }

    /// The tools of a server that look like another tool of it or of others: for each its name, and which it looks like.
    pub(in crate::registry) fn like(&self, server: &ServerName, manifest: &Manifest) -> Vec<(String, String)> {
        let mut own: HashMap<String, &str> = HashMap::new();
        let mut found = Vec::new();
        for tool in manifest.of(Kind::Tool) {
            let look = look(&tool.name);
            let others = self.tools.get(&look).into_iter().flatten().filter(|(other, _)| other != server);
            // Two servers may well have a tool of the same name; that is told apart by the server's.
            let other = others.map(|(other, name)| (other, name.as_str())).find(|(_, name)| *name != tool.name);
            if let Some((other, name)) = other.or_else(|| own.get(&look).map(|name| (server, *name))) {
                found.push((tool.name.clone(), format!("has a name that looks like `{name}` of `{other}`")));
            }
            own.entry(look).or_insert(tool.name.as_str());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::raw;
    use crate::registry::Definition;

    fn manifest(names: &[&str]) -> Manifest {
        let definition = |name: &&str| Definition::new(Kind::Tool, (*name).to_owned(), raw(&json!({ "name": name }))).unwrap();
        Manifest {
            definitions: names.iter().map(definition).collect(),
            dropped: Vec::new(),
            info: raw(&json!({})),
            capabilities: raw(&json!({})),
        }
    }

    #[test]
    fn names_that_only_look_the_same_are_found() {
        let (bank, evil): (ServerName, ServerName) = ("bank".parse().unwrap(), "evil".parse().unwrap());
        let mut looks = Looks::default();
        looks.put(&bank, &manifest(&["old"]));
        looks.put(&bank, &manifest(&["transfer_money", "list", "pay1"]));
        let all = |names: &[&str]| looks.like(&evil, &manifest(names)).len();
        assert_eq!(all(&["transfer_money", "list"]), 0, "two servers may have tools of one name");
        assert_eq!(all(&["tr\u{430}nsfer_money"]), 1, "a Cyrillic letter");
        assert_eq!(all(&["payl"]), 1, "a letter for a digit");
        assert_eq!(all(&["transfer\u{ff3f}money"]), 1, "full width");
        assert_eq!(all(&["pull", "pu11"]), 1, "within one server");
        assert_eq!(all(&["get", "set", "read_file", "write_file", "o1d"]), 0);
        looks.remove(&bank);
        assert_eq!(looks.like(&evil, &manifest(&["payl"])), [], "what is gone is like nothing");
    }
}
