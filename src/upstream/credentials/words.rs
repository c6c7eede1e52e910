//! What an authorization server did wrong, in words.

use rmcp::transport::auth::AuthError;
use url::Url;

use crate::domain::{clip, printable};

/// What went wrong with an authorization server, in our own words: what it wrote may hold anything.
pub(super) fn words(error: &AuthError) -> String {
    match error {
        AuthError::PkceUnsupported => {
            "its authorization server does not say that it proves who a code is for (PKCE with S256), so logging in there is not safe"
                .to_owned()
        }
        AuthError::NoAuthorizationSupport => "neither the server nor an authorization server says how to log in".to_owned(),
        AuthError::DiscoveryRequestFailed { url, .. } => format!("the authorization server could not be asked at {}", shown(url)),
        AuthError::ProtectedResourceMetadataInvalid { url, .. } => {
            format!("what the server says of its logins at {} cannot be used, or is of another address than the server's", shown(url))
        }
        AuthError::AuthorizationServersUnavailable { authorization_servers, .. } => {
            let named: Vec<String> = authorization_servers.iter().take(4).map(|name| printable(&clip(name, 200))).collect();
            format!("none of the server's authorization servers says how to log in: {}", named.join(", "))
        }
        AuthError::RegistrationFailed(_) => {
            "the authorization server did not take the gateway as a client; register one there, and give its `client_id`".to_owned()
        }
        AuthError::AuthorizationServerMismatch { .. } | AuthError::MetadataError(_) => {
            "what the authorization server says of itself does not fit its address".to_owned()
        }
        AuthError::TokenExchangeFailed(_) => "the authorization server gave no token for the code".to_owned(),
        AuthError::TokenRefreshFailed(_) => "the authorization server did not renew the token".to_owned(),
        AuthError::CredentialStoreError(why) => why.clone(),
        AuthError::UrlError(_) | AuthError::OAuthError(_) => "an address that the authorization server names is not one".to_owned(),
        _ => "the login failed".to_owned(),
    }
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    clip(url.as_str(), 200)
}
