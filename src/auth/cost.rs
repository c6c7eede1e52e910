//! What a credential costs to judge: figures for `docs/PERFORMANCE.md`.
//!
//! `cargo test --release --lib auth::cost -- --ignored --nocapture`

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::api_key::{ApiKey, Pepper, same};
use super::issuers::Issuers;
use super::token::{self, Key};
use crate::domain::{cost, now_ms};

#[test]
#[ignore = "a measurement, which means nothing without optimisation"]
fn keys_and_tokens_are_judged_in_the_time_that_is_promised() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (pepper, key) = (Pepper::generate(), ApiKey::generate());
    let stored = pepper.hash(key.reveal());
    let of_key = cost(10_000, || {
        let id = ApiKey::id_of(black_box(key.reveal()));
        assert!(id.is_some() && same(&pepper.hash(black_box(key.reveal())), &stored));
    });

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let signing = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
    let jwk = serde_json::to_value(Jwk::from_encoding_key(&signing, Algorithm::ES256).unwrap()).unwrap();
    let verifying = Key::read(jwk).unwrap();
    let now = now_ms() / 1_000;
    let claims = json!({ "iss": "https://login.example.com", "sub": "somebody", "aud": ["https://gw.example.com/mcp"], "exp": now + 3_600,
        "iat": now, "nbf": now, "jti": "0192d1f5-1111-7777-8888-abcdefabcdef", "client_id": "an-agent", "scope": "mcp.use llm.use" });
    let header = Header { typ: Some("at+jwt".into()), ..Header::new(Algorithm::ES256) };
    let token = encode(&header, &claims, &signing).unwrap();
    let first = cost(200, || {
        let claimed = token::look(black_box(&token)).unwrap();
        assert!(token::verify(&token, &claimed, &verifying).is_ok());
    });

    let issuers = Issuers::that_know(&token, &verifying);
    let resources = ["https://gw.example.com/mcp".to_owned()];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let again = runtime.block_on(async {
        let mut best = Duration::MAX;
        for _ in 0..20 {
            let start = Instant::now();
            for _ in 0..10_000 {
                assert!(issuers.identify(black_box(&token), &resources).await.is_ok());
            }
            best = best.min(start.elapsed() / 10_000);
        }
        best
    });

    println!("a key {of_key:?}; an ES256 token of {} bytes: first {first:?}, again {again:?}", token.len());
    assert!(cfg!(debug_assertions) || of_key < Duration::from_micros(1), "{of_key:?}");
    assert!(cfg!(debug_assertions) || again < Duration::from_micros(2), "{again:?}");
    assert!(cfg!(debug_assertions) || first < Duration::from_micros(200), "{first:?}");
}
