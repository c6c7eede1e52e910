//! Access tokens: JSON Web Tokens (RFC 7519) with the profile of RFC 9068, judged strictly (RFC 8725).
//!
//! The key decides the algorithm, never the token. What says where another key is to be had is refused, as is what stands
//! twice: whoever issues honest tokens writes neither.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{now_ms, walk};

/// How far clocks may differ, in seconds.
pub(super) const LEEWAY: u64 = 30;
/// Longest name of a key, in bytes.
const MAX_KID: usize = 128;
/// What names a key or its place in a token's own header, or asks for what is not understood here.
const FOREIGN: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "crit", "enc", "zip", "b64"];

/// A key of an issuer, with the algorithms it may be used with.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    algorithms: Vec<Algorithm>,
    with: DecodingKey,
}

impl Key {
    /// A key for signatures that are checked with a public key; none of any other.
    pub(super) fn read(jwk: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|is_for| *is_for == PublicKeyUse::Signature);
        let verifies = jwk.common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !signs || !verifies {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![ES384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![EdDSA],
            // A secret that both sides know would let every one of its holders issue tokens.
            _ => return None,
        };
        if let Some(own) = jwk.common.key_algorithm.filter(|own| *own != KeyAlgorithm::UNKNOWN_ALGORITHM) {
            algorithms.retain(|algorithm| format!("{algorithm:?}") == own.to_string());
        }
        let with = DecodingKey::from_jwk(&jwk).ok().filter(|_| !algorithms.is_empty())?;
        Some(Self { kid: jwk.common.key_id, algorithms, with })
    }
}

/// What a token says of itself before anyone believes it.
pub(super) struct Claimed {
    pub(super) issuer: String,
    pub(super) kid: Option<String>,
    algorithm: Algorithm,
    /// Whether its header says that it is an access token.
    pub(super) typed: bool,
}

/// What a token says, once its signature is found right.
pub(super) struct Claims {
    pub(super) subject: String,
    /// Whom it is for.
    pub(super) audience: Vec<String>,
    pub(super) scopes: Vec<String>,
    /// When it ends, in seconds since the Unix epoch.
    pub(super) expires: u64,
    pub(super) all: Map<String, Value>,
}

/// Whether a credential has the form of a token: three parts, the first of which is an object.
pub(super) fn is_token(credential: &str) -> bool {
    credential.starts_with("eyJ") && credential.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Looks at a token without believing it: who issued it, and with which key.
pub(super) fn look(token: &str) -> Result<Claimed, &'static str> {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("the token has not three parts");
    };
    let (header, payload) = (object(header)?, object(payload)?);
    let header: Header = serde_json::from_str(&header).map_err(|_| "the token's header cannot be read")?;
    if FOREIGN.iter().any(|name| header.rest.contains_key(*name)) {
        return Err("the token's header names a key, or something else that is not accepted");
    }
    if header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
        return Err("the name of the token's key is too long");
    }
    let typed = match header.typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ)) {
        Some(typ) if typ.eq_ignore_ascii_case("at+jwt") => true,
        Some(typ) if !typ.eq_ignore_ascii_case("jwt") => return Err("the token is of another kind than access tokens"),
        _ => false,
    };
    let algorithm = header.alg.parse().map_err(|_| "the token's algorithm is not accepted")?;
    let members = walk::members(&payload).unwrap_or_default();
    let issuer = walk::find(&members, "iss").and_then(walk::text).ok_or("the token names no issuer")?.into_owned();
    Ok(Claimed { issuer, kid: header.kid, algorithm, typed })
}

/// A part of a token that is an object in which nothing stands twice.
fn object(part: &str) -> Result<String, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "the token is not base64url")?;
    let text = String::from_utf8(bytes).map_err(|_| "the token is not UTF-8")?;
    if walk::members(&text).is_none() {
        return Err("the token holds no plain JSON object");
    }
    Ok(text)
}

#[derive(Deserialize)]
struct Read {
    sub: String,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
    aud: OneOrMany,
    #[serde(default)]
    scope: Option<OneOrMany>,
    #[serde(default)]
    scp: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// Checks signature, issuer and times with one key; whom it is for, and what it grants, is not looked at.
pub(super) fn verify(token: &str, claimed: &Claimed, key: &Key) -> Result<Claims, &'static str> {
    if !key.algorithms.contains(&claimed.algorithm) {
        return Err("the token's algorithm is not that of its key");
    }
    let mut validation = Validation::new(claimed.algorithm);
    validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
    validation.set_issuer(&[&claimed.issuer]);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    // Of many paths each is a resource of its own, so that is for whoever knows the path.
    validation.validate_aud = false;
    let all = decode::<Map<String, Value>>(token, &key.with, &validation).map_err(|error| reason(error.kind()))?.claims;
    let read: Read =
        serde_json::from_value(Value::Object(all.clone())).map_err(|_| "the token lacks a claim, or one is of the wrong type")?;
    let now = u64::try_from(now_ms() / 1000).unwrap_or_default();
    if read.exp.saturating_add(LEEWAY) < now || read.nbf.is_some_and(|begins| begins > now.saturating_add(LEEWAY)) {
        return Err("the token has ended, or has not begun");
    }
    if read.sub.is_empty() || read.sub.len() > 255 || read.sub.chars().any(char::is_control) {
        return Err("the token's subject is empty, too long, or no text that can be written down");
    }
    let listed = |scopes: Option<OneOrMany>| scopes.map(OneOrMany::all).unwrap_or_default();
    let scopes: Vec<String> =
        [listed(read.scope), listed(read.scp)].concat().iter().flat_map(|scopes| scopes.split(' ').map(str::to_owned)).collect();
    Ok(Claims { subject: read.sub, audience: read.aud.all(), scopes, expires: read.exp, all })
}

fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::ExpiredSignature => "the token has ended",
        ErrorKind::ImmatureSignature => "the token has not begun",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::Json(_) => "the token lacks a claim, or one is of the wrong type",
        _ => "the token's signature is not right",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(value: &str) -> String {
        URL_SAFE_NO_PAD.encode(value)
    }

    fn looked(header: &str, payload: &str) -> Result<Claimed, &'static str> {
        look(&format!("{}.{}.{}", part(header), part(payload), part("signature")))
    }

    #[test]
    fn a_header_that_brings_its_own_key_is_refused() {
        assert!(looked(r#"{"alg":"ES256","typ":"at+jwt"}"#, r#"{"iss":"https://as.test"}"#).is_ok());
        for foreign in ["\"jwk\":{}", "\"jku\":\"https://x\"", "\"x5u\":\"https://x\"", "\"x5c\":[]", "\"crit\":[\"b64\"]"] {
            assert!(looked(&format!("{{\"alg\":\"ES256\",{foreign}}}"), r#"{"iss":"https://as.test"}"#).is_err(), "{foreign}");
        }
    }

    #[test]
    fn what_stands_twice_or_is_signed_by_nobody_is_refused() {
        for (header, payload) in [
            (r#"{"alg":"none"}"#, r#"{"iss":"a"}"#),
            (r#"{"alg":"None"}"#, r#"{"iss":"a"}"#),
            (r#"{"alg":"ES256","alg":"none"}"#, r#"{"iss":"a"}"#),
            (r#"{"alg":"ES256"}"#, r#"{"iss":"a","iss":"b"}"#),
            (r#"{"alg":"ES256"}"#, r#"{"iss":1}"#),
            (r#"{"alg":"ES256"}"#, "{}"),
            (r#"{"alg":"ES256","typ":"dpop+jwt"}"#, r#"{"iss":"a"}"#),
        ] {
            assert!(looked(header, payload).is_err(), "{header} {payload}");
        }
        assert!(looked(&json!({ "alg": "ES256", "kid": "k".repeat(129) }).to_string(), r#"{"iss":"a"}"#).is_err());
    }

    #[test]
    fn a_key_is_for_its_own_algorithms_alone() {
        let rsa = |alg: Value| json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": alg });
        let of = |jwk: Value| Key::read(jwk).map(|key| key.algorithms);
        assert_eq!(of(rsa(json!("PS256"))), Some(vec![Algorithm::PS256]));
        assert_eq!(of(rsa(json!("RSA-OAEP"))), None);
        assert_eq!(of(json!({ "kty": "oct", "k": "c2VjcmV0" })), None);
        assert_eq!(of(json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc" })), None);
    }
}
