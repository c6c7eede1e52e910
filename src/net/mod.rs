//! The one outbound HTTP client. Whoever calls out says how far its address is trusted.
//!
//! A guarded client resolves names itself, refuses a name when any of its addresses is not allowed,
//! and dials the very addresses it has checked; address literals never reach a resolver and are
//! checked in the URL. Redirects are followed only within one origin, three times at most.

mod guard;
mod sse;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect;
use url::{Host, Url};

pub use guard::Reach;
pub use sse::{Event, Splitter};

/// Why a request could not be sent or answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address we may dial.
    #[error("the address is not allowed: {0}")]
    NotAllowed(String),
    /// Nobody listens there.
    #[error("the connection was refused")]
    Refused,
    /// The name has no address.
    #[error("the host name could not be resolved")]
    Unresolved,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// It answered with a redirect to another origin, or with too many.
    #[error("it answered with a redirect that is not followed; register the final address instead")]
    Redirect,
    /// TLS or the protocol failed.
    #[error("the connection failed: {0}")]
    Failed(String),
    /// More bytes than are taken.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        let chain = || std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        if let Some(refusal) = chain().find_map(|error| error.downcast_ref::<guard::Refusal>()) {
            return Self::NotAllowed(refusal.to_string());
        }
        if error.is_redirect() {
            return Self::Redirect;
        }
        if error.is_timeout() {
            return Self::Timeout;
        }
        let kind = chain().find_map(|error| error.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
        match kind {
            Some(std::io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(std::io::ErrorKind::TimedOut) => Self::Timeout,
            _ if chain().any(|error| error.to_string().contains("dns error")) => Self::Unresolved,
            _ => Self::Failed(chain().last().map(ToString::to_string).unwrap_or_default()),
        }
    }
}

/// The outbound clients, one per degree of trust. Cheap to clone; pools are shared.
#[derive(Clone)]
pub struct Net {
    direct: reqwest::Client,
    proxied: reqwest::Client,
    private: reqwest::Client,
    public: reqwest::Client,
}

impl Net {
    /// Builds the clients once.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            direct: client(Reach::Operator, false)?,
            proxied: client(Reach::Operator, true)?,
            private: client(Reach::Private, false)?,
            public: client(Reach::Public, false)?,
        })
    }

    /// The client for an address of this trust, once the address itself is found allowed.
    pub fn client(&self, url: &Url, reach: Reach) -> Result<&reqwest::Client, Error> {
        guard::check(url, reach).map_err(|refusal| Error::NotAllowed(refusal.to_string()))?;
        Ok(match reach {
            Reach::Operator if is_local(url) => &self.direct,
            Reach::Operator => &self.proxied,
            Reach::Private => &self.private,
            Reach::Public => &self.public,
        })
    }
}

/// Whether an environment proxy would be wrong: loopback and address literals.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

fn client(reach: Reach, proxied: bool) -> Result<reqwest::Client, Error> {
    // What is compressed arrives late; whoever compresses all the same is understood.
    let plain = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    let mut builder = reqwest::Client::builder()
        .default_headers(plain)
        .user_agent(concat!("portolan/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(5))
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_keepalive(Duration::from_secs(15))
        .tcp_nodelay(true)
        .referer(false)
        .redirect(redirect::Policy::custom(|attempt| {
            let first = attempt.previous().first().map(Url::origin);
            let allowed = first.is_some_and(|origin| origin == attempt.url().origin());
            if allowed && attempt.previous().len() <= 3 { attempt.follow() } else { attempt.error("not followed") }
        }));
    if !proxied {
        builder = builder.no_proxy();
    }
    if reach != Reach::Operator {
        builder = builder.dns_resolver(Arc::new(guard::Resolver(reach)));
    }
    builder.build().map_err(Error::from)
}

/// Reads a whole answer of at most `limit` bytes.
pub async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::with_capacity(response.content_length().and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(limit));
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
