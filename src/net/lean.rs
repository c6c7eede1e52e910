//! The client for addresses that need nothing but a connection: no proxy, no rule on what may be dialled.
//!
//! It is hyper's own pool without the layers of a general client around it, which cost more than the
//! exchange itself. What it does not know, a redirect or a request to be sent again, is the other client's.

use std::error::Error as StdError;
use std::future::ready;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::net::TcpStream;
use tower::ServiceExt as _;
use tower::timeout::Timeout;
use tower::util::BoxCloneSyncService;
use tower_http::decompression::{Decompression, DecompressionBody};
use url::{Position, Url};

use super::error::Error;

/// Longest time for a connection to stand, TLS included.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection that nobody uses is kept.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// When a silent connection is asked whether it is still there, and asked again.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(15);
/// After so many questions without an answer it is not.
const PROBES: u32 = 3;
/// How long what was sent may go unheard.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNHEARD: Duration = Duration::from_secs(30);

/// What opens connections.
type Connector = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, tower::BoxError>;

/// The client. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lean(Client<Connector, Full<Bytes>>);

/// An address as this client needs it, read once.
#[derive(Clone)]
pub(super) struct Place {
    uri: Uri,
    /// Made once; only where it cannot come to be spoken HTTP/2, which has its own.
    host: Option<HeaderValue>,
}

/// What follows the head of an answer.
pub(super) enum Body {
    Plain(Incoming),
    Packed(Pin<Box<DecompressionBody<Incoming>>>),
}

impl Lean {
    pub(super) fn new() -> Result<Self, Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // One dead address must leave time for the next; and a peer that is gone without a word is noticed soon.
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(PROBES));
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        tcp.set_tcp_user_timeout(Some(UNHEARD));
        let tls = rustls::ClientConfig::with_platform_verifier().map_err(|error| Error::Failed(error.to_string()))?;
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(BoxCloneSyncService::new(Timeout::new(https, CONNECT)));
        Ok(Self(client))
    }

    pub(super) async fn send(&self, place: &Place, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Refusal> {
        request.uri_mut().clone_from(&place.uri);
        if let Some(host) = &place.host {
            request.headers_mut().entry(HOST).or_insert_with(|| host.clone());
        }
        self.0.request(request).await
    }
}

/// Why a request has no answer.
pub(super) type Refusal = hyper_util::client::legacy::Error;

/// Whether the server itself says that it did nothing with a request (RFC 9113 §8.7), as one that is being replaced does.
pub(super) fn untouched(refusal: &Refusal) -> bool {
    let mut chain = std::iter::successors(refusal.source(), |error| <dyn StdError>::source(*error));
    chain.find_map(|error| error.downcast_ref::<h2::Error>()).is_some_and(|error| {
        let gone = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (gone || refused)
    })
}

impl Place {
    /// An address as this client can call it; none where it needs the other one.
    pub(super) fn of(url: &Url, proxies: Option<&Matcher>) -> Option<Self> {
        let uri: Uri = url[..Position::AfterQuery].parse().ok()?;
        if proxies.is_some_and(|proxies| proxies.intercept(&uri).is_some()) {
            return None;
        }
        let host = uri.authority().filter(|_| url.scheme() == "http").and_then(|host| HeaderValue::try_from(host.as_str()).ok());
        Some(Self { uri, host })
    }
}

/// The body of an answer, which may be compressed though nobody asked for it.
pub(super) async fn opened(response: Response<Incoming>) -> Result<Response<Body>, Error> {
    if response.headers().contains_key(CONTENT_ENCODING) { Box::pin(unpacked(response)).await } else { Ok(response.map(Body::Plain)) }
}

async fn unpacked(response: Response<Incoming>) -> Result<Response<Body>, Error> {
    let mut response = Some(response);
    let come = tower::service_fn(move |_: Request<()>| ready(response.take().ok_or_else(|| Error::Failed("no answer".to_owned()))));
    let unpacked = Decompression::new(come).oneshot(Request::new(())).await?;
    Ok(unpacked.map(|body| Body::Packed(Box::pin(body))))
}
