//! Names that look like other names, so that a person, or a model, takes one for the other (UTS #39).

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::confusable_detection::skeleton;

use crate::registry::definition::{Kind, Manifest};

/// How a name looks: two names that look the same have the same.
fn look(name: &str) -> String {
    let plain: String = name.nfkc().collect();
    skeleton(&plain).collect::<String>().to_lowercase()
}

/// The tools of a server that look like another tool of the same server or of others, or whose server does: for each its name, and
/// which it looks like.
pub(in crate::registry) fn lookalikes<'n>(
    server: &str,
    manifest: &'n Manifest,
    others: impl Iterator<Item = (&'n str, &'n Manifest)>,
) -> Vec<(String, String)> {
    let mut seen: HashMap<String, Vec<(&str, &str)>> = HashMap::new();
    for (other, manifest) in others.filter(|(other, _)| *other != server) {
        for tool in manifest.of(Kind::Tool) {
            seen.entry(look(&tool.name)).or_default().push((other, tool.name.as_str()));
        }
    }
    let mut found = Vec::new();
    for tool in manifest.of(Kind::Tool) {
        let same = seen.entry(look(&tool.name)).or_default();
        // Two servers may well have a tool of the same name; that is told apart by the server's.
        if let Some((other, name)) = same.iter().find(|(_, name)| *name != tool.name) {
            found.push((tool.name.clone(), format!("has a name that looks like `{name}` of `{other}`")));
        }
        same.push((server, tool.name.as_str()));
    }
    found
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
        let bank = manifest(&["transfer_money", "list", "pay1"]);
        let all = |names: &[&str]| lookalikes("evil", &manifest(names), [("bank", &bank)].into_iter()).len();
        assert_eq!(all(&["transfer_money", "list"]), 0, "two servers may have tools of one name");
        assert_eq!(all(&["tr\u{430}nsfer_money"]), 1, "a Cyrillic letter");
        assert_eq!(all(&["payl"]), 1, "a letter for a digit");
        assert_eq!(all(&["transfer\u{ff3f}money"]), 1, "full width");
        assert_eq!(all(&["pull", "pu11"]), 1, "within one server");
        assert_eq!(all(&["get", "set", "read_file", "write_file"]), 0);
    }
}
