//! Server and tool joined in one public name.

use crate::domain::{Digest, PUBLIC_NAME_MAX};

/// `server__tool`, of `[A-Za-z0-9_-]` and at most 48 characters. Where the tool's own name does not
/// allow that, a hash of it takes the place of what was lost, so that names never depend on what
/// other tools there are.
pub fn public(server: &str, tool: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let joined = format!("{server}__{tool}");
    if joined.len() <= PUBLIC_NAME_MAX && joined.chars().all(plain) {
        return joined;
    }
    let hash = Digest::of("portolan/name", joined.as_bytes()).hex();
    let hash = hash.get(..8).unwrap_or_default();
    let mut safe: String = joined.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    safe.truncate(PUBLIC_NAME_MAX - hash.len() - 1);
    format!("{safe}_{hash}")
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
        fn every_uri_comes_back(server in "[a-z][a-z0-9-]{0,31}", uri in "(ui|file|wiki)://[a-z+/]{0,12}") {
            let joined = public_uri(&server, &uri);
            prop_assert_eq!(parted_uri(&joined), Some((server.as_str(), uri)));
        }
    }
}
