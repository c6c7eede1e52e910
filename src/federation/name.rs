//! Server and tool joined in one public name.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Digest, Naming, PUBLIC_NAME_MAX};

/// `server__tool`, of `[A-Za-z0-9_-]` and at most 48 characters. Where the tool's own name does not
/// allow that, a hash of it takes the place of what was lost, so that names never depend on what
/// other tools there are.
pub fn public(server: &str, tool: &str) -> String {
    safe(format!("{server}__{tool}"))
}

/// A tool's own name by itself, made safe in the same way.
fn bare(tool: &str) -> String {
    safe(tool.to_owned())
}

fn safe(name: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=PUBLIC_NAME_MAX).contains(&name.len()) && name.chars().all(plain) {
        return name;
    }
    let hash = Digest::of("portolan/name", name.as_bytes()).hex();
    let hash = hash.get(..8).unwrap_or_default();
    let mut safe: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    safe.truncate(PUBLIC_NAME_MAX - hash.len() - 1);
    format!("{safe}_{hash}")
}

/// What the things of a toolset are called there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SetNames {
    /// The name in the set of each public name.
    pub names: BTreeMap<String, String>,
    /// The bare names that more than one wanted, each with the public names that were kept instead.
    pub doubles: BTreeMap<String, BTreeSet<String>>,
}

impl SetNames {
    /// Names for things by server and own name. Each depends on what there is, and never on its order: a bare name that two
    /// want, that a rename gives away, or that is another's public name, is nobody's.
    pub fn of<'n>(naming: Naming, rename: &BTreeMap<String, String>, things: impl IntoIterator<Item = (&'n str, &'n str)>) -> Self {
        let things: BTreeMap<String, String> = things.into_iter().map(|(server, own)| (public(server, own), bare(own))).collect();
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (public, bare) in things.iter().filter(|(public, _)| naming == Naming::Bare && !rename.contains_key(*public)) {
            wanted.entry(bare).or_default().insert(public);
        }
        let given: BTreeSet<&str> = rename.values().map(String::as_str).collect();
        let mut set = Self::default();
        for (bare, by) in wanted {
            let free = by.len() == 1 && !given.contains(bare) && !things.contains_key(bare);
            for public in &by {
                set.names.insert((*public).to_owned(), if free { bare } else { public }.to_owned());
            }
            if !free {
                set.doubles.insert(bare.to_owned(), by.into_iter().map(str::to_owned).collect());
            }
        }
        for public in things.into_keys().filter(|public| naming == Naming::Prefixed || rename.contains_key(public)) {
            let name = rename.get(&public).unwrap_or(&public).clone();
            set.names.insert(public, name);
        }
        set
    }
}

/// A resource's URI on the aggregate: `server+uri`; the `ui` scheme must stay, so there it is `ui://server/rest`.
pub(super) fn public_uri(server: &str, uri: &str) -> String {
    match uri.strip_prefix("ui://") {
        Some(rest) => format!("ui://{server}/{rest}"),
        None => format!("{server}+{uri}"),
    }
}

/// The server and its own URI, of a URI on the aggregate.
pub(super) fn parted_uri(uri: &str) -> Option<(&str, String)> {
    if let Some(rest) = uri.strip_prefix("ui://") {
        let (server, rest) = rest.split_once('/')?;
        return Some((server, format!("ui://{rest}")));
    }
    let (server, own) = uri.split_once('+')?;
    Some((server, own.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Things = BTreeSet<(String, String)>;

    fn named(things: &Things, rename: &BTreeMap<String, String>) -> SetNames {
        SetNames::of(Naming::Bare, rename, things.iter().map(|(server, own)| (server.as_str(), own.as_str())))
    }

    /// Few servers and few names, so that many are the same.
    fn things() -> impl Strategy<Value = Things> {
        proptest::collection::btree_set(("[ab]", "(get|set|a__get|b__set|x[.]y|x/y)"), 0..12)
    }

    #[test]
    fn two_tools_of_one_name_both_keep_their_servers_before_it() {
        let things = [("a", "get"), ("b", "get"), ("b", "set"), ("c", "issue"), ("c", "b__get")];
        let rename = BTreeMap::from([("b__set".to_owned(), "issue".to_owned())]);
        let set = SetNames::of(Naming::Bare, &rename, things);
        let name = |public: &str| set.names.get(public).map(String::as_str);
        assert_eq!((name("a__get"), name("b__get")), (Some("a__get"), Some("b__get")));
        assert_eq!((name("b__set"), name("c__issue")), (Some("issue"), Some("c__issue")), "a rename goes before a name of its own");
        assert_eq!(name("c__b__get"), Some("c__b__get"), "nothing takes the public name of another");
        assert_eq!(set.doubles.keys().collect::<Vec<_>>(), ["b__get", "get", "issue"]);
        assert_eq!(SetNames::of(Naming::Bare, &BTreeMap::new(), [("b", "set")]).names["b__set"], "set");
    }

    #[test]
    fn a_short_plain_name_is_kept_and_others_get_a_hash() {
        assert_eq!(public("time", "get_current_time"), "time__get_current_time");
        assert_ne!(public("a", "x.y"), public("a", "x/y"));
        assert_eq!(parted_uri("wiki+wiki://a+b"), Some(("wiki", "wiki://a+b".into())));
    }

    proptest! {
        #[test]
        fn every_public_name_is_short_and_plain(server in "[a-z][a-z0-9-]{0,31}", tool in ".{1,128}") {
            let name = public(&server, &tool);
            prop_assert!(name.len() <= PUBLIC_NAME_MAX);
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
        }

        #[test]
        fn no_two_things_of_a_set_have_one_name_and_every_name_is_plain(things in things()) {
            let rename = BTreeMap::from([("a__get".to_owned(), "set".to_owned())]);
            let set = named(&things, &rename);
            prop_assert_eq!(set.names.len(), things.len());
            let names: BTreeSet<&String> = set.names.values().collect();
            prop_assert_eq!(names.len(), things.len());
            prop_assert!(names.iter().all(|name| (1..=PUBLIC_NAME_MAX).contains(&name.len()) && !name.contains(['.', '/'])));
        }

        #[test]
        fn what_comes_or_goes_changes_no_other_name_but_one_that_it_shares(mut things in things(), server in "[abc]", own in "(get|set|x[.]y|new)") {
            things.remove(&(server.clone(), own.clone()));
            let before = named(&things, &BTreeMap::new());
            things.insert((server.clone(), own.clone()));
            let after = named(&things, &BTreeMap::new());
            let (new, shared) = (public(&server, &own), bare(&own));
            for (public, name) in &before.names {
                let same = after.names.get(public) == Some(name);
                prop_assert!(same || *name == shared || *name == new, "{} was {} and is {:?}", public, name, after.names.get(public));
            }
            // With prefixes a name is a matter of its server and itself alone.
            for (server, own) in &things {
                let set = SetNames::of(Naming::Prefixed, &BTreeMap::new(), [(server.as_str(), own.as_str())]);
                let name = public(server, own);
                prop_assert_eq!(set.names.get(&name), Some(&name));
            }
        }

        #[test]
        fn every_uri_comes_back(server in "[a-z][a-z0-9-]{0,31}", uri in "(ui|file|wiki)://[a-z+/]{0,12}") {
            let joined = public_uri(&server, &uri);
            prop_assert_eq!(parted_uri(&joined), Some((server.as_str(), uri)));
        }
    }
}
