//! Protected resources (RFC 9728): what an access token must be for, by the path that it is sent to.

use std::borrow::Cow;
use std::net::SocketAddr;

use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use url::Url;

use super::paths;
use crate::config::Resource;

/// The resources of a gateway, by the addresses it is reached at.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The public address, or those of this machine; without a slash at the end.
    bases: Vec<String>,
    mcp: Vec<String>,
    models: Vec<String>,
    per_path: bool,
}

impl Resources {
    /// The resources of a gateway that is reached at `public_url`, or at loopback's names.
    pub fn new(public_url: Option<&Url>, listens: SocketAddr, resource: Resource) -> Self {
        let port = listens.port();
        let bases: Vec<String> = match public_url {
            Some(url) => vec![url.as_str().trim_end_matches('/').to_owned()],
            None => ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("http://{host}:{port}")).to_vec(),
        };
        let of = |path: &str| bases.iter().map(|base| format!("{base}{path}")).collect();
        Self { mcp: of("/mcp"), models: of("/v1"), bases, per_path: resource == Resource::PerPath }
    }

    /// The names of the resource that a path belongs to.
    pub(super) fn of(&self, path: &str) -> Cow<'_, [String]> {
        match &*self.path(path) {
            "/v1" => Cow::Borrowed(&self.models),
            paths::AGGREGATE => Cow::Borrowed(&self.mcp),
            own => Cow::Owned(self.bases.iter().map(|base| format!("{base}{own}")).collect()),
        }
    }

    /// The path of the resource that a path belongs to, by the name that the path means and not by how it is written.
    pub(super) fn path(&self, path: &str) -> Cow<'static, str> {
        if path == "/v1" || path.starts_with("/v1/") {
            return Cow::Borrowed("/v1");
        }
        match target(path).filter(|_| self.per_path) {
            Some(name) => Cow::Owned(format!("{}{name}", paths::BELOW_AGGREGATE)),
            None => Cow::Borrowed(paths::AGGREGATE),
        }
    }

    /// The address that a client knows us by.
    pub(super) fn base(&self, headers: &HeaderMap) -> &str {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let named = self.bases.iter().find(|base| base.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host)));
        named.or_else(|| self.bases.first()).map_or("", String::as_str)
    }

    /// Where the metadata of a path's resource is: RFC 9728 §3.1 puts its name before the path.
    pub(super) fn metadata(&self, path: &str, headers: &HeaderMap) -> String {
        let base = self.base(headers);
        let start = base.find("://").map_or(0, |at| at + 3);
        let (origin, below) = base.split_at(base.get(start..).and_then(|rest| rest.find('/')).map_or(base.len(), |at| start + at));
        format!("{origin}{}{below}{}", paths::PROTECTED, self.path(path))
    }
}

/// The server, or whatever else stands below `/mcp`, that a path names; none where no such thing can have that name.
pub(super) fn target(path: &str) -> Option<String> {
    let name = percent_decode_str(path.strip_prefix(paths::BELOW_AGGREGATE)?).decode_utf8().ok()?;
    // A release of it is the same resource.
    let name = name.split_once('@').map_or(&*name, |(name, _)| name);
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    plain.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(public: &str, resource: Resource) -> Resources {
        Resources::new(Some(&Url::parse(public).unwrap()), SocketAddr::from(([0, 0, 0, 0], 80)), resource)
    }

    #[test]
    fn one_resource_covers_every_path_below_it_unless_each_has_its_own() {
        let shared = resources("https://gw.test/", Resource::Shared);
        assert_eq!(*shared.of("/mcp/github"), ["https://gw.test/mcp".to_owned()]);
        assert_eq!(*shared.of("/v1/models"), ["https://gw.test/v1".to_owned()]);
        let own = resources("https://gw.test", Resource::PerPath);
        assert_eq!(*own.of("/mcp/git%68ub"), ["https://gw.test/mcp/github".to_owned()], "however it is written");
        assert_eq!(*own.of("/mcp/a\",x=\"b"), ["https://gw.test/mcp".to_owned()], "nothing can have that name");
        assert_eq!(*own.of("/mcp/github"), ["https://gw.test/mcp/github".to_owned()]);
        assert_eq!(*own.of("/mcp"), ["https://gw.test/mcp".to_owned()]);
    }

    #[test]
    fn metadata_has_its_name_between_host_and_path() {
        let none = HeaderMap::new();
        let at = |public: &str, path: &str| resources(public, Resource::Shared).metadata(path, &none);
        assert_eq!(at("https://gw.test", "/mcp/a"), "https://gw.test/.well-known/oauth-protected-resource/mcp");
        assert_eq!(at("https://gw.test/ai", "/v1/models"), "https://gw.test/.well-known/oauth-protected-resource/ai/v1");
    }
}
