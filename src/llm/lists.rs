//! The lists of models that providers give, and in plain words why one gives none.
//!
//! A provider that lists nothing may be down, refuse the key, or stand at another address than was written; whoever has
//! to mend that must not guess.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;
use reqwest::Method;
use reqwest::header::HeaderMap;
use url::Url;

use super::error::Error;
use super::provider::Provider;
use crate::config;
use crate::net::{self, Net, Reach};

/// How long a list is good for.
const KEPT: Duration = Duration::from_secs(300);
/// How long a provider may take to list its models.
const PATIENCE: Duration = Duration::from_secs(3);

/// The lists of all providers, kept for a while.
pub(super) struct Lists {
    net: Net,
    kept: Cache<String, Arc<Vec<String>>>,
    /// Where each provider is asked.
    addresses: BTreeMap<String, Url>,
}

impl Lists {
    pub(super) fn new<'a>(net: &Net, declared: impl Iterator<Item = (&'a String, &'a config::Provider)>) -> Self {
        let address = |provider: &config::Provider| Url::parse(&format!("{}/models", provider.base())).ok();
        let addresses = declared.filter_map(|(name, provider)| Some((name.clone(), address(provider)?))).collect();
        Self { net: net.clone(), kept: Cache::builder().max_capacity(256).time_to_live(KEPT).build(), addresses }
    }

    /// The models a provider lists.
    pub(super) async fn get(&self, name: &str, provider: &dyn Provider) -> Result<Arc<Vec<String>>, Arc<Error>> {
        let read = async {
            let listing = tokio::time::timeout(PATIENCE, provider.models());
            listing.await.unwrap_or(Err(Error::Idle(PATIENCE))).map(Arc::new)
        };
        self.kept.try_get_with(name.to_owned(), read).await
    }

    /// Why a provider lists nothing: for operators, as it names addresses.
    pub(super) async fn why(&self, name: &str, error: &Error) -> String {
        let Some(url) = self.addresses.get(name) else { return error.to_string() };
        let at = shown(url);
        match error {
            Error::Unreachable => format!("cannot be reached at {at}: {}", self.cause(url).await),
            Error::Credential(status) => format!("refuses the key, with status {status} at {at}; look at `api_key`"),
            Error::Refused(404 | 405, _) => {
                let hint = if url.path().ends_with("/v1/models") { "" } else { ", which usually ends in `/v1`" };
                format!("has no list of models, status 404 at {at}; look at `base_url`{hint}")
            }
            Error::Refused(status, refusal) => format!("refuses to list its models, with status {status} at {at}: {}", refusal.message),
            Error::Failed(status, _) => format!("fails with status {status} at {at}"),
            Error::RateLimited { .. } => format!("has had too many requests, status 429 at {at}"),
            Error::Idle(limit) => format!("does not answer within {limit:?} at {at}"),
            Error::InStream(refusal) => format!("answers at {at} with an error: {}", refusal.message),
            Error::Protocol(what) => format!("answers at {at}, but not with a list of models: {what}; look at `base_url`"),
            Error::Truncated | Error::TooLarge | Error::Unfit(_) | Error::NotOffered(_) | Error::Missing(_) => format!("{error}, at {at}"),
        }
    }

    /// What stands in the way to an address that could not be reached.
    async fn cause(&self, url: &Url) -> String {
        // By the same client that could not reach it.
        let sent =
            async { self.net.to(url.clone(), Reach::Operator)?.send(Method::HEAD, &net::dressed(&HeaderMap::new()), Bytes::new()).await };
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(_)) => "the connection broke off, and now there is one again".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => net::Error::Timeout.to_string(),
        }
    }
}

/// An address without what may be secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.to_string()
}
