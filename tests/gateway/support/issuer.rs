//! An authorization server that signs whatever a test wants it to sign.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{Page, WebServer};

/// An issuer with one key, `k1`, of the curve P-256.
pub struct Issuer {
    pub web: WebServer,
    pub key: EncodingKey,
    /// Its public key.
    pub jwk: Value,
}

impl Issuer {
    pub async fn start() -> Self {
        let web = WebServer::start().await;
        let (key, jwk) = Self::new_key("k1");
        let issuer = Self { web, key, jwk };
        issuer.describe(&issuer.url());
        issuer.publish(json!([issuer.jwk]));
        issuer
    }

    /// A key pair: what signs, and what is published.
    pub fn new_key(kid: &str) -> (EncodingKey, Value) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        let key = EncodingKey::from_ec_der(der.as_ref());
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = kid.into();
        (key, jwk)
    }

    /// Its metadata, under this name.
    pub fn describe(&self, name: &str) {
        let metadata = json!({ "issuer": name, "jwks_uri": self.web.url("/jwks"), "authorization_endpoint": self.web.url("/authorize"),
            "token_endpoint": self.web.url("/token"), "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"] });
        self.web.set("/.well-known/oauth-authorization-server", Page::json(&metadata));
    }

    /// The keys it shows.
    pub fn publish(&self, keys: Value) {
        self.web.set("/jwks", Page::json(&json!({ "keys": keys })));
    }

    /// Signs with another key from now on.
    pub fn sign_with(&mut self, key: EncodingKey) {
        self.key = key;
    }

    /// Its identifier.
    pub fn url(&self) -> String {
        self.web.url("")
    }

    /// How often it was asked for its keys.
    pub fn asked(&self) -> usize {
        self.web.visits().iter().filter(|visit| visit.uri.path() == "/jwks").count()
    }

    /// Good claims: alice, for this resource, for five minutes.
    pub fn claims(&self, audience: &str) -> Value {
        json!({ "iss": self.url(), "aud": audience, "sub": "alice", "exp": now() + 300, "scope": "mcp.use llm.use" })
    }

    /// A good token.
    pub fn token(&self, audience: &str) -> String {
        self.with_claims(self.claims(audience))
    }

    /// A token with these claims, and all else as it should be.
    pub fn with_claims(&self, claims: Value) -> String {
        self.with_header(json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k1" }), claims)
    }

    /// A token with this header, signed with ES256 whatever it says.
    pub fn with_header(&self, header: Value, claims: Value) -> String {
        let message = signed_part(&header, &claims);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }

    /// A token signed with HMAC, with a secret that everyone knows.
    pub fn with_secret(header: Value, claims: Value, secret: &[u8]) -> String {
        let message = signed_part(&header, &claims);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    /// A configuration that accepts its tokens, at `https://gw.test`.
    pub fn config(&self, more: &str) -> String {
        format!(
            "server: {{ public_url: \"https://gw.test\" }}\n\
             auth:\n  issuers:\n    - issuer: {}\n      scopes: {{ mcp.use: [mcp], llm.use: [models], gw.admin: [admin] }}\n{more}",
            self.url()
        )
    }
}

/// What a token says before its signature.
pub fn signed_part(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
