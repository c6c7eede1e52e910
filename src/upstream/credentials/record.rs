//! What a login at a server got: who we are there, and our tokens, kept sealed in the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use oauth2::TokenResponse as _;
use reqwest::header::HeaderValue;
use rmcp::transport::auth::{AuthError, CredentialStore, StoredCredentials};
use serde::{Deserialize, Serialize};

use crate::domain::{Secret, ServerName, raw};
use crate::store::{LoginRow, Store};

/// A token that ends within this is renewed before it is used.
const MARGIN: Duration = Duration::from_secs(30);
/// The longest that a token is believed to hold.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// What is kept of a login.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// The server's address that the tokens are for. Another one never sees them.
    pub(super) url: String,
    /// The authorization server.
    pub(super) issuer: Option<String>,
    /// Where it gives tokens. Another place never sees what it gave.
    pub(super) token_endpoint: String,
    /// Who we are to it.
    pub(super) client_id: String,
    pub(super) client_secret: Option<String>,
    /// Whether the operator named the client; what is not named any more is not used any more.
    #[serde(default)]
    pub(super) named: bool,
    /// What we may ask it for, where it registered us for that.
    #[serde(default)]
    pub(super) registered: Vec<String>,
    /// Where it sends browsers to.
    pub(super) redirect: String,
    /// Our tokens; none once the authorization server took them back.
    pub(super) granted: Option<StoredCredentials>,
}

/// An access token, ready to be sent.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    /// From when it is to be renewed.
    pub(super) stale_at: Option<Instant>,
}

impl Token {
    pub(super) fn is_fresh(&self) -> bool {
        self.stale_at.is_none_or(|at| Instant::now() < at)
    }
}

impl Record {
    /// The access token, whether or not it still holds.
    pub(super) fn token(&self) -> Option<Token> {
        let granted = self.granted.as_ref()?;
        let answer = granted.token_response.as_ref()?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", answer.access_token().secret())).ok()?;
        header.set_sensitive(true);
        let stale_at = answer.expires_in().map(|lasts| {
            let received = UNIX_EPOCH + Duration::from_secs(granted.token_received_at.unwrap_or_default());
            let age = SystemTime::now().duration_since(received).unwrap_or_default();
            // Whatever it says, it is looked at again some day.
            Instant::now() + lasts.min(LONGEST).saturating_sub(MARGIN.min(lasts / 2)).saturating_sub(age)
        });
        Some(Token { header, stale_at })
    }

    /// Whether calls can be made with it: its token holds, or can be renewed.
    pub(super) fn is_good(&self) -> bool {
        let answer = self.granted.as_ref().and_then(|granted| granted.token_response.as_ref());
        let renewable = answer.is_some_and(|answer| answer.refresh_token().is_some());
        self.token().is_some_and(|token| renewable || token.is_fresh())
    }

    /// What the tokens are good for.
    pub(super) fn scopes(&self) -> &[String] {
        self.granted.as_ref().map_or(&[], |granted| &granted.granted_scopes)
    }
}

/// One server's record, as the OAuth client reads and writes it.
pub(super) struct Keeping {
    store: Store,
    server: ServerName,
    /// Whether the server was removed meanwhile.
    over: Arc<AtomicBool>,
    login: LoginOf,
    record: Mutex<Record>,
}

/// Who logged in, and when; a renewal is no login.
pub(super) struct LoginOf {
    pub(super) by: String,
    pub(super) at_ms: i64,
}

impl Keeping {
    pub(super) fn new(store: Store, server: ServerName, over: Arc<AtomicBool>, login: LoginOf, record: Record) -> Self {
        Self { store, server, over, login, record: Mutex::new(record) }
    }

    /// The login at a server, if there is one for this address.
    pub(super) async fn read(store: &Store, server: &ServerName, url: &str) -> Result<Option<(Record, LoginRow)>, crate::store::Error> {
        let Some(row) = store.login(server.as_str()).await? else { return Ok(None) };
        let unreadable =
            |error| tracing::error!(server.name = %server, "the login at `{server}` cannot be read, and counts as none: {error}");
        let record: Option<Record> = serde_json::from_str(row.secret.reveal()).map_err(unreadable).ok();
        Ok(record.filter(|record| record.url == url).map(|record| (record, row)))
    }

    fn record(&self) -> Record {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn put(&self, granted: Option<StoredCredentials>) -> Result<(), AuthError> {
        if self.over.load(Ordering::Acquire) {
            return Err(AuthError::CredentialStoreError("the server was removed meanwhile".to_owned()));
        }
        let mut record = self.record();
        record.issuer = granted.as_ref().and_then(|granted| granted.issuer.clone()).or(record.issuer);
        record.granted = granted;
        let secret = Secret::new(raw(&record).get());
        let row = LoginRow { server: self.server.to_string(), secret, by: self.login.by.clone(), at_ms: self.login.at_ms };
        self.store.put_login(&row).await.map_err(|error| AuthError::CredentialStoreError(error.to_string()))?;
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = record;
        Ok(())
    }
}

#[async_trait]
impl CredentialStore for Keeping {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.record().granted)
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.put(Some(credentials)).await
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.put(None).await
    }

    async fn on_refresh_token_rejected(&self, _: &StoredCredentials) -> Result<(), AuthError> {
        self.clear().await
    }
}
