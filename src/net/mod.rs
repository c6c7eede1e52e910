//! The one outbound HTTP door. Whoever calls out says how far its address is trusted.
//!
//! An address that a stranger may have named goes through a guarded client: it resolves names itself,
//! refuses a name when any of its addresses is not allowed, and dials the very addresses it has checked;
//! address literals never reach a resolver and are checked in the URL. The operator's addresses, which most
//! requests go to, take the lean client where no proxy of the environment stands before them. Redirects
//! are followed only within one origin, a few times at most.

mod error;
mod guard;
mod lean;
mod loops;
mod reply;
mod sse;

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use reqwest::{Method, StatusCode, redirect};
use url::{Host, Url};

pub use error::Error;
pub use guard::Reach;
pub use loops::{LOOP, LOOP_VARIABLE, Passed, having_passed, loop_name, passed};
pub use reply::Reply;
pub use sse::{Event, Splitter};

use lean::{CONNECT, IDLE, KEEPALIVE, Lean, Place};

/// What we are called by those whom we call.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("portolan/", env!("CARGO_PKG_VERSION")));
/// What is compressed arrives late; whoever compresses all the same is understood.
const PLAIN: HeaderValue = HeaderValue::from_static("identity");

/// The outbound clients, one per degree of trust. Cheap to clone; pools are shared.
#[derive(Clone)]
pub struct Net(Arc<Clients>);

struct Clients {
    lean: Lean,
    proxies: Matcher,
    general: General,
    /// Those that follow no redirect.
    still: General,
}

/// Each is made when somebody needs it: it reads the machine's certificates, and many gateways need one of them or none.
#[derive(Default)]
struct General {
    direct: OnceLock<reqwest::Client>,
    proxied: OnceLock<reqwest::Client>,
    private: OnceLock<reqwest::Client>,
    public: OnceLock<reqwest::Client>,
}

/// An address that may be called, with the client that calls it. Cheap to clone.
#[derive(Clone)]
pub struct Destination {
    net: Net,
    url: Url,
    reach: Reach,
    /// User and password, where the address had them.
    credential: Option<HeaderValue>,
    /// Where the lean client may go.
    place: Option<Place>,
}

impl Net {
    /// The clients of a process.
    pub fn new() -> Result<Self, Error> {
        let (general, still) = (General::default(), General::default());
        Ok(Self(Arc::new(Clients { lean: Lean::new()?, proxies: Matcher::from_system(), general, still })))
    }

    /// The general client for an address of this trust, once the address itself is found allowed.
    pub fn client(&self, url: &Url, reach: Reach) -> Result<&reqwest::Client, Error> {
        self.0.general.client(url, reach, redirects())
    }

    /// A client for what must not be sent anywhere else, such as a secret: it follows no redirect.
    pub fn still(&self, url: &Url, reach: Reach) -> Result<&reqwest::Client, Error> {
        self.0.still.client(url, reach, redirect::Policy::none())
    }

    /// An address that is called again and again, once it is found allowed.
    pub fn to(&self, mut url: Url, reach: Reach) -> Result<Destination, Error> {
        guard::check(&url, reach).map_err(|refusal| Error::NotAllowed(refusal.to_string()))?;
        let credential = credential(&url);
        // Sent in a header, they are no part of what the server is told of its address.
        let _ = (url.set_username(""), url.set_password(None));
        let proxies = Some(&self.0.proxies).filter(|_| !is_local(&url));
        let place = (reach == Reach::Operator).then(|| Place::of(&url, proxies)).flatten();
        Ok(Destination { net: self.clone(), url, reach, credential, place })
    }
}

impl General {
    fn client(&self, url: &Url, reach: Reach, redirects: redirect::Policy) -> Result<&reqwest::Client, Error> {
        guard::check(url, reach).map_err(|refusal| Error::NotAllowed(refusal.to_string()))?;
        let (place, proxied) = match reach {
            Reach::Operator if is_local(url) => (&self.direct, false),
            Reach::Operator => (&self.proxied, true),
            Reach::Private => (&self.private, false),
            Reach::Public => (&self.public, false),
        };
        if let Some(made) = place.get() {
            return Ok(made);
        }
        let made = client(reach, proxied, redirects)?;
        Ok(place.get_or_init(|| made))
    }
}

impl Destination {
    /// The address, without user and password.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Sends a request with headers that are [`dressed`], and returns the head of its answer.
    pub async fn send(&self, method: Method, headers: &HeaderMap, body: Bytes) -> Result<Reply, Error> {
        let Some(place) = &self.place else { return Box::pin(self.full(self.url.clone(), method, headers, body)).await };
        let mut request = hyper::Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        *request.headers_mut() = self.complete(headers);
        let response = match self.net.0.lean.send(place, request).await {
            Err(refusal) if lean::untouched(&refusal) => return Box::pin(self.full(self.url.clone(), method, headers, body)).await,
            sent => sent?,
        };
        let Some(location) = response.headers().get(LOCATION).filter(|_| response.status().is_redirection()) else {
            return Ok(lean::opened(response).await?.into());
        };
        // The others make a GET of a POST, which nobody who calls from here means.
        let same = method != Method::POST || matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let next = location.to_str().ok().and_then(|location| self.url.join(location).ok());
        match next.filter(|next| same && next.origin() == self.url.origin()) {
            Some(next) => Box::pin(self.full(next, method, headers, body)).await,
            None => Err(Error::Redirect),
        }
    }

    /// As they are sent: with the credential of the address, and with whom the request went through before.
    fn complete(&self, headers: &HeaderMap) -> HeaderMap {
        let mut headers = headers.clone();
        if let (Some(credential), false) = (&self.credential, headers.contains_key(AUTHORIZATION)) {
            headers.insert(AUTHORIZATION, credential.clone());
        }
        loops::hand_on(&mut headers);
        headers
    }

    async fn full(&self, url: Url, method: Method, headers: &HeaderMap, body: Bytes) -> Result<Reply, Error> {
        let mut request = reqwest::Request::new(method, url.clone());
        *request.headers_mut() = self.complete(headers);
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        Ok(self.net.client(&url, self.reach)?.execute(request).await?.into())
    }
}

/// The user and the password of an address as a header (RFC 7617).
fn credential(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", text(url.username()), text(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Headers with those that every request carries.
pub fn dressed(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for (name, value) in [(USER_AGENT, AGENT), (ACCEPT_ENCODING, PLAIN)] {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    loops::mark(&mut headers);
    headers
}

/// Whether an environment proxy would be wrong: loopback and address literals.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

/// Redirects are followed within an origin, a few times.
fn redirects() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let first = attempt.previous().first().map(Url::origin);
        let allowed = first.is_some_and(|origin| origin == attempt.url().origin());
        if allowed && attempt.previous().len() <= 3 { attempt.follow() } else { attempt.error("not followed") }
    })
}

fn client(reach: Reach, proxied: bool, redirects: redirect::Policy) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(KEEPALIVE)
        .tcp_nodelay(true)
        .referer(false)
        .redirect(redirects);
    if !proxied {
        builder = builder.no_proxy();
    }
    if reach != Reach::Operator {
        builder = builder.dns_resolver(Arc::new(guard::Resolver::new(reach)));
    }
    builder.build().map_err(Error::from)
}

/// Reads a whole answer of at most `limit` bytes.
pub async fn read(response: reqwest::Response, limit: usize) -> Result<Bytes, Error> {
    Reply::from(response).whole(limit).await
}
