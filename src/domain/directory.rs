//! Where a registry tells of a version of a server, and the namespace that a gateway has there.

use url::Url;

/// The address of the `server.json` of a version, at the registry of this address (API 2025-12-01).
pub fn server_json(base: &str, name: &str, version: &str) -> String {
    let Ok(mut url) = Url::parse(base) else { return String::new() };
    if let Ok(mut path) = url.path_segments_mut() {
        // Within a segment the `/` of the name is written `%2F`.
        path.pop_if_empty().extend(["v0.1", "servers", name, "versions", version]);
    }
    url.into()
}

/// The namespace of a gateway at this address: its own host, in the order of domains from the top; addresses are no names.
pub fn namespace(base: &str) -> String {
    let host = Url::parse(base).ok().and_then(|url| url.domain().map(str::to_owned));
    host.map_or_else(|| "localhost".to_owned(), |host| host.split('.').rev().collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_the_address() {
        let at = |base| server_json(base, "com.example/files", "1.0.0");
        assert_eq!(at("https://r.example"), "https://r.example/v0.1/servers/com.example%2Ffiles/versions/1.0.0");
        assert_eq!(at("http://127.0.0.1:8484/"), "http://127.0.0.1:8484/v0.1/servers/com.example%2Ffiles/versions/1.0.0");
        assert_eq!(at(""), "");
    }

    #[test]
    fn the_namespace_is_the_host_from_the_top() {
        assert_eq!(namespace("https://mcp.example.com"), "com.example.mcp");
        assert_eq!(namespace("http://127.0.0.1:8484"), "localhost");
    }
}
