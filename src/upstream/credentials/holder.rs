//! The token for one server: at hand, renewed in time, or missing until somebody logs in.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use reqwest::header::HeaderValue;
use rmcp::transport::auth::{AuthError, AuthorizationManager, OAuthClientConfig, WWWAuthenticateParams};
use tokio::sync::OnceCell;
use url::Url;

use super::record::{Keeping, LoginOf, Record, Token};
use super::wire::Wire;
use super::words::words;
use crate::domain::{OAuth, ServerName, ServerSpec, clip};
use crate::net::{Net, Reach};
use crate::store::{LoginRow, Store};
use crate::upstream::Error;

/// After a renewal that failed, the next one waits so long.
const PAUSE: Duration = Duration::from_secs(10);
/// A token that is refused so soon is not renewed: a server that refuses every token must not make us ask for more and more.
const YOUNG: Duration = Duration::from_secs(2);

/// The token for one server.
pub(in crate::upstream) struct Holder {
    pub(super) server: ServerName,
    pub(super) url: String,
    /// Whether its server was removed: nothing that is on its way is kept any more.
    pub(super) over: Arc<AtomicBool>,
    /// What the operator says of us as a client.
    pub(super) oauth: OAuth,
    /// The same, read.
    address: Url,
    net: Net,
    pub(super) reach: Reach,
    pub(super) store: Store,
    token: ArcSwapOption<Token>,
    /// Whether the store was asked.
    read: OnceCell<()>,
    /// One renewal at a time, or a refresh token that was used already would be used again.
    renewing: tokio::sync::Mutex<Option<Renewal>>,
    /// What the server asked for last: its challenge (RFC 9110 §11.6.1).
    challenge: Mutex<Option<String>>,
    /// Why the last login failed, if it did.
    failed: Mutex<Option<String>>,
}

/// What is known of a token without waiting.
pub(in crate::upstream) enum AtHand {
    /// It is good, as far as we know.
    Token(HeaderValue),
    /// Nobody has logged in.
    Nothing,
    /// It must be asked for.
    Unknown,
}

/// The last renewal, and why it failed if it did.
struct Renewal {
    at: Instant,
    failed: Option<String>,
}

impl Holder {
    pub(super) fn new(spec: &ServerSpec, url: &str, address: Url, oauth: &OAuth, net: Net, store: Store) -> Self {
        Self {
            server: spec.name.clone(),
            url: url.to_owned(),
            over: Arc::default(),
            oauth: oauth.clone(),
            address,
            net,
            reach: reach(spec),
            store,
            token: ArcSwapOption::empty(),
            read: OnceCell::new(),
            renewing: tokio::sync::Mutex::default(),
            challenge: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// The token, as far as nothing must be waited for.
    pub(in crate::upstream) fn at_hand(&self) -> AtHand {
        match &*self.token.load() {
            Some(token) if token.is_fresh() => AtHand::Token(token.header.clone()),
            None if self.read.initialized() => AtHand::Nothing,
            _ => AtHand::Unknown,
        }
    }

    /// The token as a header, renewed if it must be; none where nobody has logged in.
    pub(in crate::upstream) async fn header(self: &Arc<Self>) -> Result<Option<HeaderValue>, Error> {
        self.read.get_or_try_init(|| self.reread()).await?;
        match self.at_hand() {
            AtHand::Token(token) => Ok(Some(token)),
            AtHand::Nothing => Ok(None),
            AtHand::Unknown => self.renewed(None).await.map(Some),
        }
    }

    /// Another token than one that the server refused.
    pub(in crate::upstream) async fn renewed(self: &Arc<Self>, refused: Option<&HeaderValue>) -> Result<HeaderValue, Error> {
        let (this, refused) = (self.clone(), refused.cloned());
        // In a task of its own: what was sent must be heard to its end, or the next refresh token is lost.
        let renewing = tokio::spawn(async move { this.renew(refused.as_ref()).await });
        renewing.await.unwrap_or(Err(Error::Closed))
    }

    async fn renew(&self, refused: Option<&HeaderValue>) -> Result<HeaderValue, Error> {
        let mut last = self.renewing.lock().await;
        let usable = |token: &Token| token.is_fresh() && Some(&token.header) != refused;
        if let Some(token) = self.token.load_full().filter(|token| usable(token)) {
            return Ok(token.header.clone());
        }
        match &*last {
            Some(Renewal { at, failed: Some(why) }) if at.elapsed() < PAUSE => return Err(Error::Login(why.clone())),
            Some(Renewal { at, failed: None }) if refused.is_some() && at.elapsed() < YOUNG => return Err(Error::LoginNeeded),
            _ => {}
        }
        let done = self.refresh().await;
        let failed = match &done {
            Err(Error::Login(why)) => Some(why.clone()),
            _ => None,
        };
        *last = Some(Renewal { at: Instant::now(), failed });
        done?;
        self.token.load().as_ref().map(|token| token.header.clone()).ok_or(Error::LoginNeeded)
    }

    /// Asks the authorization server for a new token, and takes it up.
    async fn refresh(&self) -> Result<(), Error> {
        let Some((record, row)) = Keeping::read(&self.store, &self.server, &self.url).await.map_err(|error| unread(&error))? else {
            return Err(self.gone());
        };
        if record.named && self.oauth.client_id.as_deref() != Some(&record.client_id) {
            self.note(Some("the gateway is another client there now, by its configuration; log in again".to_owned()));
            return Err(self.gone());
        }
        let mut manager = self.manager(&record, &row).await?;
        // What was issued by one authorization server is never shown to another.
        let resolved = manager.resolve_metadata_from_challenge(self.challenge().as_deref()).await.map_err(|error| unwell(&error))?;
        if resolved.metadata.issuer != record.issuer || resolved.metadata.token_endpoint != record.token_endpoint {
            return Err(Error::Login(
                "the server names another authorization server now; log in there, or wait until it names the old one".to_owned(),
            ));
        }
        manager.set_metadata(resolved.metadata);
        let mut client = OAuthClientConfig::new(record.client_id, record.redirect);
        // A secret that the operator has changed counts from now on.
        let named = self.oauth.client_secret.as_ref().map(|secret| secret.reveal().to_owned());
        client.client_secret = if record.named { named } else { record.client_secret };
        manager.configure_client(client).map_err(|error| unwell(&error))?;
        match manager.refresh_token().await {
            Ok(_) => {}
            Err(AuthError::AuthorizationRequired | AuthError::TokenRefreshRejected(_)) => return Err(self.gone()),
            Err(error) => return Err(unwell(&error)),
        }
        self.reread().await
    }

    /// Where what is got is kept: `by` whom and when somebody logged in, and what is known so far.
    pub(super) fn keeping(&self, by: String, at_ms: i64, record: Record) -> Keeping {
        Keeping::new(self.store.clone(), self.server.clone(), self.over.clone(), LoginOf { by, at_ms }, record)
    }

    async fn manager(&self, record: &Record, row: &LoginRow) -> Result<AuthorizationManager, Error> {
        let mut manager = self.unconfigured().await.map_err(|error| unwell(&error))?;
        manager.set_credential_store(self.keeping(row.by.clone(), row.at_ms, record.clone()));
        Ok(manager)
    }

    /// An OAuth client that knows nothing but the server's address.
    pub(super) async fn unconfigured(&self) -> Result<AuthorizationManager, AuthError> {
        let wire = Wire { net: self.net.clone(), reach: self.reach };
        // A query may hold keys, and is no part of what a resource is called (RFC 8707 §2).
        let mut address = self.address.clone();
        address.set_query(None);
        let _ = (address.set_username(""), address.set_password(None));
        AuthorizationManager::new_with_oauth_http_client(address, Arc::new(wire)).await
    }

    /// Keeps renewals away while something else is done with the login; what was kept of the last one is forgotten.
    pub(super) async fn alone(&self) -> impl Drop {
        let mut renewing = self.renewing.lock().await;
        *renewing = None;
        renewing
    }

    /// Takes up what the store holds.
    pub(super) async fn reread(&self) -> Result<(), Error> {
        let found = Keeping::read(&self.store, &self.server, &self.url).await.map_err(|error| unread(&error))?;
        self.token.store(found.and_then(|(record, _)| record.token()).map(Arc::new));
        let _ = self.read.set(());
        Ok(())
    }

    /// There is no token any more, and only a person can get another.
    fn gone(&self) -> Error {
        self.token.store(None);
        Error::LoginNeeded
    }

    /// Takes note of why a login failed, or that another began.
    pub(super) fn note(&self, failed: Option<String>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// Why the last login failed, if it did.
    pub(super) fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of what the server says it wants.
    pub(in crate::upstream) fn challenged(&self, challenge: &HeaderValue) {
        let text = challenge.to_str().ok().map(|text| clip(text, 4_096));
        *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// Whether it wants more than the login is good for.
    pub(super) fn wants_more(&self) -> bool {
        self.challenge().is_some_and(|challenge| WWWAuthenticateParams::parse(&challenge, &self.address).is_insufficient_scope())
    }

    /// What the server said it wants.
    pub(super) fn challenge(&self) -> Option<String> {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How far addresses are trusted that a server names: whoever named the server does not answer for them.
pub(super) fn reach(spec: &ServerSpec) -> Reach {
    if spec.allow_private { Reach::Private } else { Reach::Public }
}

fn unread(error: &crate::store::Error) -> Error {
    Error::Login(format!("the login cannot be read: {error}"))
}

/// A failure of the authorization server, in words without what it wrote: that may hold anything.
fn unwell(error: &AuthError) -> Error {
    Error::Login(words(error))
}
