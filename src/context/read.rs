//! The reading itself: each kind of source by its own way, and what came of it counted and cut.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use url::Url;

use super::answer::{MAX_TEXT, Read, bounded};
use super::cache::Kept;
use super::embed::Embedder;
use super::fill::{Filled, Values};
use super::mcp::Server;
use super::outcome::Fetched;
use super::{file, tokens, web};
use crate::config::{Reads, Sharing, Source};
use crate::domain::{Grants, Isolation, Principal};
use crate::federation::Federation;
use crate::net::Net;

/// All that sources are read with.
pub(super) struct Reader {
    pub(super) federation: Federation,
    pub(super) net: Net,
    pub(super) embedder: Embedder,
}

/// A text as it was read, before anyone keeps it.
pub(super) struct Found {
    pub(super) kept: Kept,
    /// Whether its server says that it is for nobody else.
    pub(super) private: bool,
}

impl Reader {
    /// Whether a source's server keeps its callers apart.
    pub(super) fn keeps_apart(&self, source: &Source) -> bool {
        let server = source.server.as_ref().and_then(|server| self.federation.isolation(server.as_str()));
        server.is_some_and(|isolation| isolation != Isolation::Shared)
    }

    /// Reads a source, in the caller's name where the text is the caller's own.
    pub(super) async fn read(&self, source: &Source, sharing: Sharing, values: Values<'_>, filled: &Filled<'_>) -> Result<Found, String> {
        // The vocabulary loads while the source is read.
        tokens::warm();
        // The operator chose the source, so the grants are not the caller's, who may well have none for the server.
        let principal = match sharing {
            Sharing::Shared => Principal::local(),
            Sharing::Caller => values.principal.with_grants(Grants::local()),
        };
        let read = self.ask(source, &principal, values, filled).await?;
        let (text, longer) = bounded(read.text);
        let measured = tokens::measure(text, source.max_tokens.map(most)).await;
        let fetched = Fetched::new(measured.text, measured.tokens, longer || measured.cut, origin(source, filled), source.trust());
        let ttl = read.ttl.map_or(source.ttl.0, |theirs| theirs.min(source.ttl.0));
        let kept = Kept { fetched: fetched.into(), at: Instant::now(), ttl, stale: false, only_for: None };
        Ok(Found { kept, private: read.private })
    }

    async fn ask(&self, source: &Source, principal: &Principal, values: Values<'_>, filled: &Filled<'_>) -> Result<Read, String> {
        let trace = values.query.trace;
        let server = |name| Server { federation: &self.federation, principal, name, trace: trace.cloned().unwrap_or_default() };
        match filled {
            Filled::Resource { server: name, uri } => server(name).resource(uri).await,
            Filled::Prompt { server: on, name, arguments } => server(on).prompt(name, arguments).await,
            Filled::Tool { server: on, name, arguments } => {
                server(on).tool(name, arguments, source.read_only, source.select.as_deref()).await
            }
            Filled::Url { url, body, question } => {
                let body = match (&source.embed, question, &source.body) {
                    (Some(model), Some(question), Some(body)) => {
                        let vector = Box::pin(self.embedder.embed(model, question, trace)).await?;
                        Some(values.json(body, &vector)?)
                    }
                    _ => body.clone(),
                };
                web::read(&self.net, source, url.clone(), body.as_ref()).await
            }
            Filled::File => match source.reads() {
                Some(Reads::File(path)) => file::read(path, MAX_TEXT).await.map(Read::plain),
                _ => Err("it names nothing to read".to_owned()),
            },
        }
    }
}

/// Asks an address that needs nothing of a request; none for any other source.
pub(super) async fn probe(source: &Source, net: &Net, patience: Duration) -> Option<Result<String, String>> {
    if source.url.is_none() || !source.variables().is_empty() {
        return None;
    }
    let principal = Principal::local();
    let values = Values { principal: &principal, query: super::fill::Query::default() };
    let read = async {
        match values.fill(source)? {
            Filled::Url { url, body, .. } => web::read(net, source, url, body.as_ref()).await,
            _ => Err("it names nothing to read".to_owned()),
        }
    };
    let outcome = tokio::time::timeout(patience, read).await.unwrap_or_else(|_| Err("it does not answer".to_owned()));
    Some(outcome.map(|read| format!("{} bytes", read.text.len())))
}

fn most(tokens: NonZeroU32) -> usize {
    usize::try_from(tokens.get()).unwrap_or(usize::MAX)
}

/// Where a source's texts come from, with its places open: what operators see.
pub(super) fn described(source: &Source) -> String {
    match source.reads() {
        Some(Reads::Resource(server, uri)) => format!("{server} {uri}"),
        Some(Reads::Prompt(server, prompt)) => format!("{server} prompt {prompt}"),
        Some(Reads::Tool(server, tool)) => format!("{server} tool {tool}"),
        Some(Reads::Url(url)) => host(&url.fill(|_| Ok::<_, ()>("x".to_owned())).unwrap_or_default()),
        Some(Reads::File(path)) => format!("file {}", path.file_name().unwrap_or_default().to_string_lossy()),
        None => String::new(),
    }
}

/// The same with scheme and port of an address: what operators see. Its path is left out, for a secret may stand there.
pub(super) fn addressed(source: &Source) -> String {
    let Some(Reads::Url(url)) = source.reads() else { return described(source) };
    let written = url.fill(|_| Ok::<_, ()>("x".to_owned())).unwrap_or_default();
    Url::parse(&written).map_or_else(|_| described(source), |url| format!("{}/…", url.origin().ascii_serialization()))
}

/// Where one text came from: what models and callers see.
fn origin(source: &Source, filled: &Filled<'_>) -> String {
    match filled {
        Filled::Resource { server, uri } => format!("{server} {}", crate::domain::clip(uri, 500)),
        _ => described(source),
    }
}

/// An address without what may be secret in it: only scheme and host.
fn host(url: &str) -> String {
    let url = url::Url::parse(url).ok();
    url.and_then(|url| Some(format!("{}://{}", url.scheme(), url.host_str()?))).unwrap_or_default()
}
