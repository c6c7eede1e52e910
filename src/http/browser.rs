//! A browser's session as it is shown: a cookie, and in a header of its own the page's half, which no other site can send.

use axum::http::{HeaderMap, HeaderName, header};

/// The page's half of a session.
const TOKEN: HeaderName = HeaderName::from_static("x-portolan-csrf");

/// Whether a request comes from the page, and means to be let in by its session.
pub(super) fn is_of_page(headers: &HeaderMap) -> bool {
    headers.contains_key(&TOKEN)
}

/// Both halves of a session: the cookie, and the page's.
pub(super) fn halves(headers: &HeaderMap) -> Option<(&str, &str)> {
    let token = headers.get(&TOKEN).and_then(|value| value.to_str().ok())?;
    Some((Cookie::of(headers).held(headers)?, token))
}

/// The cookie of the gateway at an address. Cookies know no ports: each gateway of a machine has one of its own name.
pub(super) struct Cookie<'h> {
    port: &'h str,
    /// Whether the browser came by TLS, as the page's origin says.
    pub(super) secure: bool,
}

impl<'h> Cookie<'h> {
    /// That of whom these headers are addressed to.
    pub(super) fn of(headers: &'h HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let port = text(header::HOST).rsplit_once(':').map_or("", |(_, port)| port);
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        Self { port: if is_port { port } else { "" }, secure: text(header::ORIGIN).starts_with("https://") }
    }

    /// A `__Host-` cookie can be set by nobody but this host, and by TLS alone (RFC 6265bis §4.1.3.2).
    pub(super) fn name(&self) -> String {
        format!("{}portolan{}", if self.secure { "__Host-" } else { "" }, self.port)
    }

    /// What the browser sent of it. A `GET` of the page says no origin, so either name is looked for.
    pub(super) fn held(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let cookies = || {
            let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
            texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='))
        };
        let value_of = |secure| {
            let name = Cookie { port: self.port, secure }.name();
            cookies().find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        value_of(true).or_else(|| value_of(false))
    }
}
