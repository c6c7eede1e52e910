//! A login on its way: from the address where a person agrees, to the code that comes back (OAuth 2.1 §4.1, RFC 7636, 8707, 9207).

use oauth2::TokenResponse as _;
use rmcp::transport::auth::{AuthError, AuthorizationManager, AuthorizationMetadata, OAuthClientConfig};
use url::Url;

use super::holder::Holder;
use super::place::Place;
use super::record::{Keeping, Record};
use crate::domain::{OAuth, now_ms};

/// What the gateway calls itself.
const NAME: &str = "Portolan";
/// What refresh tokens are given for (OpenID Connect Core §11).
const OFFLINE: &str = "offline_access";

/// A login that waits for a person.
pub(super) struct Flow {
    manager: AuthorizationManager,
    metadata: AuthorizationMetadata,
    /// Where they agree.
    pub(super) address: Url,
    /// What the answer must be for.
    pub(super) state: String,
}

/// Why a login does not go on.
pub(super) enum Stopped {
    /// The answer is not from whom we asked; the right one may still come.
    Foreign,
    /// The authorization server says no: one word of its own.
    Refused(String),
    /// It failed.
    Failed(AuthError),
}

impl Flow {
    /// Finds out who logs people in at a server, becomes a client of theirs, and asks for `wanted`, or for what the server names.
    pub(super) async fn begin(holder: &Holder, oauth: &OAuth, wanted: &[String], place: &Place, by: &str) -> Result<Self, AuthError> {
        let mut manager = holder.unconfigured().await?;
        let found = manager.resolve_metadata_from_challenge(holder.challenge().as_deref()).await?;
        if !found.source.is_discovered() {
            return Err(AuthError::NoAuthorizationSupport);
        }
        let metadata = found.metadata;
        let proves = |methods: &Vec<String>| methods.iter().any(|method| method == "S256");
        // Without it a stolen code is as good as a login; who says nothing of it cannot be trusted to check it.
        if !metadata.code_challenge_methods_supported.as_ref().is_some_and(proves) {
            return Err(AuthError::PkceUnsupported);
        }
        manager.set_metadata(metadata.clone());
        let known = Keeping::read(&holder.store, &holder.server, &holder.url).await;
        let known = known.map_err(|error| AuthError::CredentialStoreError(error.to_string()))?.map(|(record, _)| record);
        let known = known.filter(|record| record.issuer == metadata.issuer);
        let scopes = scopes(&manager, &metadata, holder, oauth, wanted, known.as_ref()).await;
        let asked: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let client = client(&mut manager, &metadata, oauth, known.as_ref(), &asked, place).await?;
        let registered =
            known.filter(|record| record.client_id == client.client_id).map_or_else(|| scopes.clone(), |record| record.registered);
        let record = Record {
            url: holder.url.clone(),
            issuer: metadata.issuer.clone(),
            token_endpoint: metadata.token_endpoint.clone(),
            client_id: client.client_id.clone(),
            client_secret: client.client_secret.clone(),
            named: oauth.client_id.is_some(),
            registered,
            redirect: place.redirect.clone(),
            granted: None,
        };
        manager.configure_client(client)?;
        manager.set_credential_store(holder.keeping(by.to_owned(), now_ms(), record));
        let address = Url::parse(&manager.get_authorization_url(&asked).await?)?;
        // A person's browser is sent there, and may know other schemes that do something else.
        if !matches!(address.scheme(), "https" | "http") {
            return Err(AuthError::OAuthError("the authorization endpoint is no web address".to_owned()));
        }
        let state = address.query_pairs().find(|(key, _)| key == "state").map(|(_, state)| state.into_owned()).unwrap_or_default();
        Ok(Self { manager, metadata, address, state })
    }

    /// Takes the code that came back, and gets tokens for it.
    pub(super) async fn finish(&self, code: &str, issuer: Option<&str>) -> Result<(), Stopped> {
        let got = self.manager.exchange_code_for_token_with_issuer(code, &self.state, issuer).await;
        let answer = got.map_err(|error| match error {
            AuthError::AuthorizationServerMismatch { .. } | AuthError::AuthorizationServerMissingIssuer { .. } => Stopped::Foreign,
            error => Stopped::Failed(error),
        })?;
        tracing::debug!(renewable = answer.refresh_token().is_some(), "an authorization server gave a token");
        Ok(())
    }

    /// Hears that the authorization server says no. That, too, is heard only from whom we asked (RFC 9207 §2.4).
    pub(super) fn refused(&self, word: &str, issuer: Option<&str>) -> Stopped {
        let says =
            self.metadata.additional_fields.get("authorization_response_iss_parameter_supported").and_then(serde_json::Value::as_bool);
        let expected = self.metadata.issuer.as_deref();
        let foreign = match issuer {
            Some(issuer) => expected.is_some_and(|expected| expected != issuer),
            None => says == Some(true),
        };
        let known = !word.is_empty() && word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if foreign { Stopped::Foreign } else { Stopped::Refused(if known { word } else { "an unknown reason" }.to_owned()) }
    }
}

/// What is asked for: what is `wanted`; or else what the operator and the server name, with what was granted before.
async fn scopes(
    manager: &AuthorizationManager,
    metadata: &AuthorizationMetadata,
    holder: &Holder,
    oauth: &OAuth,
    wanted: &[String],
    known: Option<&Record>,
) -> Vec<String> {
    let mut scopes = wanted.to_vec();
    if scopes.is_empty() {
        let named = manager.select_initial_scopes(&[]).await;
        // What was granted before is asked for again, or the next login would lose what this one is for (SEP-2350).
        let before = known.into_iter().flat_map(|record| record.scopes().iter().cloned());
        let now = named.into_iter().filter(|_| oauth.scopes.is_empty() || holder.wants_more());
        for scope in oauth.scopes.iter().cloned().chain(now).chain(before) {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
    }
    // It makes the login last where the authorization server knows it.
    let lasting = |scope: &String| scope == OFFLINE;
    let known_there = metadata.scopes_supported.iter().flatten().any(lasting);
    if known_there && !scopes.is_empty() && !scopes.iter().any(lasting) {
        scopes.push(OFFLINE.to_owned());
    }
    scopes
}

/// Who we are to an authorization server, at which `known` was got, in the order of the specification (2026-07-28:
/// basic/authorization/client-registration): known beforehand, by our document, registered before, or registered now.
async fn client(
    manager: &mut AuthorizationManager,
    metadata: &AuthorizationMetadata,
    oauth: &OAuth,
    known: Option<&Record>,
    scopes: &[&str],
    place: &Place,
) -> Result<OAuthClientConfig, AuthError> {
    let called = |id: &str| OAuthClientConfig::new(id, &place.redirect).with_application_type(place.kind());
    if let Some(id) = &oauth.client_id {
        let mut client = called(id);
        client.client_secret = oauth.client_secret.as_ref().map(|secret| secret.reveal().to_owned());
        return Ok(client);
    }
    let by_document = metadata.additional_fields.get("client_id_metadata_document_supported").and_then(serde_json::Value::as_bool);
    if let (Some(document), Some(true)) = (&place.document, by_document) {
        return Ok(called(document));
    }
    // A client may ask for what it was registered for, and no more (RFC 7591 §2).
    let covers = |record: &Record| scopes.iter().all(|scope| record.registered.iter().any(|known| known == scope));
    let usable = |record: &&Record| {
        record.redirect == place.redirect && !record.named && !record.client_id.starts_with("https://") && covers(record)
    };
    if let Some(record) = known.filter(usable) {
        let mut client = called(&record.client_id);
        client.client_secret.clone_from(&record.client_secret);
        return Ok(client);
    }
    // What kind of application we are is told to it by way of a client.
    manager.configure_client(called("unregistered"))?;
    manager.register_client(NAME, &place.redirect, scopes).await
}
