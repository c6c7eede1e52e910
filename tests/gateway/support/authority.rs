//! An authorization server, and before an MCP server the gate that takes its tokens alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::http;

type Pairs = BTreeMap<String, String>;

/// An authorization server and the gate of one MCP server.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    base: String,
    /// The MCP server behind the gate.
    server: String,
    state: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Members of the metadata in place of the usual ones; null takes one away.
    metadata: Value,
    /// What is in place of our issuer in answers; null leaves it out.
    says: Option<Value>,
    /// Where the server says that people log in.
    named: Option<String>,
    /// Scopes that a call of a tool needs.
    needed: Vec<String>,
    /// How long access tokens hold, in seconds.
    lasts: Option<u64>,
    /// Refuses, with this word.
    refuses: Option<String>,
    /// The token endpoint answers with this status.
    sick: Option<u16>,
    /// It takes so long for its answers, once it has made up its mind.
    slow: Duration,
    codes: BTreeMap<String, Pairs>,
    access: BTreeMap<String, String>,
    refresh: BTreeSet<String>,
    /// Refresh tokens that came once more.
    replayed: usize,
    made: usize,
    asked: Vec<(String, Pairs)>,
    registered: Vec<Value>,
    /// What the MCP server was sent.
    seen: Vec<HeaderMap>,
}

impl Authority {
    /// Before the MCP server at this address.
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let this = Self(Arc::new(Inner { base, server: server.to_owned(), state: Mutex::default() }));
        let router = Router::new()
            .route("/mcp", any(gate))
            .route("/.well-known/oauth-protected-resource/mcp", get(resource))
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/register", post(register))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        this
    }

    /// The address of the MCP server, behind the gate.
    pub fn url(&self) -> String {
        format!("{}/mcp", self.0.base)
    }

    /// Other members of the metadata.
    pub fn describes(&self, metadata: Value) {
        self.with(|known| known.metadata = metadata);
    }

    /// Another issuer in answers; null leaves it out.
    pub fn says_it_is(&self, issuer: Value) {
        self.with(|known| known.says = Some(issuer));
    }

    /// The server names this authorization server from now on; none is this one.
    pub fn server_names(&self, authority: Option<&str>) {
        self.with(|known| known.named = authority.map(str::to_owned));
    }

    /// Its own name.
    pub fn issuer(&self) -> String {
        self.0.base.clone()
    }

    /// A call of a tool needs these scopes.
    pub fn needs(&self, scopes: &[&str]) {
        self.with(|known| known.needed = scopes.iter().map(ToString::to_string).collect());
    }

    /// How long access tokens hold from now on.
    pub fn tokens_last(&self, seconds: u64) {
        self.with(|known| known.lasts = Some(seconds));
    }

    /// Whoever comes to agree is refused.
    pub fn refuses(&self, word: &str) {
        self.with(|known| known.refuses = Some(word.to_owned()));
    }

    /// The token endpoint answers with this status; none makes it well again.
    pub fn is_sick(&self, status: Option<u16>) {
        self.with(|known| known.sick = status);
    }

    /// The token endpoint takes so long for its answers.
    pub fn is_slow(&self, pause: Duration) {
        self.with(|known| known.slow = pause);
    }

    /// Takes all access tokens back.
    pub fn revoke_access(&self) {
        self.with(|known| known.access.clear());
    }

    /// Takes all tokens back.
    pub fn revoke(&self) {
        self.with(|known| {
            known.access.clear();
            known.refresh.clear();
        });
    }

    /// What the token endpoint was asked, by the kind of grant.
    pub fn asked(&self, grant: &str) -> Vec<Pairs> {
        self.with(|known| known.asked.iter().filter(|(kind, _)| kind == grant).map(|(_, pairs)| pairs.clone()).collect())
    }

    /// The clients that registered.
    pub fn registered(&self) -> Vec<Value> {
        self.with(|known| known.registered.clone())
    }

    /// The headers of what the MCP server was sent.
    pub fn seen(&self) -> Vec<HeaderMap> {
        self.with(|known| known.seen.clone())
    }

    /// How many refresh tokens came that were used before.
    pub fn replayed(&self) -> usize {
        self.with(|known| known.replayed)
    }

    /// What a person's browser is sent back to, once they agreed.
    pub async fn agree(&self, address: &str) -> String {
        let answer = http().get(address).send().await.unwrap();
        assert_eq!(answer.status(), 302, "{address}");
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.0.state.lock().unwrap())
    }
}

async fn resource(State(this): State<Authority>) -> impl IntoResponse {
    let named = this.with(|known| known.named.clone()).unwrap_or_else(|| this.0.base.clone());
    axum::Json(json!({ "resource": this.url(), "authorization_servers": [named], "scopes_supported": ["files.read"] }))
}

async fn metadata(State(this): State<Authority>) -> impl IntoResponse {
    let base = &this.0.base;
    let mut all = json!({
        "issuer": base, "authorization_endpoint": format!("{base}/authorize"), "token_endpoint": format!("{base}/token"),
        "registration_endpoint": format!("{base}/register"), "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": true,
        "scopes_supported": ["files.read", "files.write", "offline_access"],
    });
    for (name, value) in this.with(|known| known.metadata.clone()).as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    axum::Json(all)
}

async fn register(State(this): State<Authority>, axum::Json(client): axum::Json<Value>) -> impl IntoResponse {
    let id = this.with(|known| {
        known.registered.push(client.clone());
        format!("client-{}", known.registered.len())
    });
    let mut answer = client;
    answer["client_id"] = id.into();
    (StatusCode::CREATED, axum::Json(answer))
}

async fn authorize(State(this): State<Authority>, Query(asked): Query<Pairs>) -> Response {
    let mut back = url::Url::parse(&asked["redirect_uri"]).unwrap();
    this.with(|known| {
        let mut query = back.query_pairs_mut();
        query.append_pair("state", &asked["state"]);
        match known.says.clone().unwrap_or_else(|| this.0.base.clone().into()) {
            Value::String(issuer) => query.append_pair("iss", &issuer),
            _ => &mut query,
        };
        if let Some(word) = &known.refuses {
            query.append_pair("error", word).append_pair("error_description", "<script>alert(1)</script>");
        } else {
            known.made += 1;
            let code = format!("CODE-{}", known.made);
            query.append_pair("code", &code);
            known.codes.insert(code, asked.clone());
        }
    });
    (StatusCode::FOUND, [(header::LOCATION, back.to_string())]).into_response()
}

async fn token(State(this): State<Authority>, headers: HeaderMap, body: Bytes) -> Response {
    let mut asked: Pairs = url::form_urlencoded::parse(&body).into_owned().collect();
    if let Some(basic) = headers.get(header::AUTHORIZATION) {
        asked.insert("authorization".to_owned(), basic.to_str().unwrap().to_owned());
    }
    let refused = |word: &str| (StatusCode::BAD_REQUEST, axum::Json(json!({ "error": word }))).into_response();
    let slow = this.with(|known| known.slow);
    let answer = this.with(|known| {
        let grant = asked.get("grant_type").cloned().unwrap_or_default();
        known.asked.push((grant.clone(), asked.clone()));
        if let Some(status) = known.sick {
            return (StatusCode::from_u16(status).unwrap(), "CANARY-BODY").into_response();
        }
        let scope = match grant.as_str() {
            "authorization_code" => {
                let Some(begun) = asked.get("code").and_then(|code| known.codes.remove(code)) else { return refused("invalid_grant") };
                let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(asked["code_verifier"].as_bytes()));
                if proof != begun["code_challenge"] || begun["redirect_uri"] != asked["redirect_uri"] {
                    return refused("invalid_grant");
                }
                begun.get("scope").cloned().unwrap_or_default()
            }
            "refresh_token" => {
                if !known.refresh.remove(&asked["refresh_token"]) {
                    known.replayed += 1;
                    return refused("invalid_grant");
                }
                asked.get("scope").cloned().unwrap_or_default()
            }
            _ => return refused("unsupported_grant_type"),
        };
        known.made += 1;
        let (access, refresh) = (format!("CANARY-ACCESS-{}", known.made), format!("CANARY-REFRESH-{}", known.made));
        known.access.insert(access.clone(), scope.clone());
        known.refresh.insert(refresh.clone());
        let mut answer = json!({ "access_token": access, "token_type": "Bearer", "refresh_token": refresh, "scope": scope });
        if let Some(lasts) = known.lasts {
            answer["expires_in"] = lasts.into();
        }
        axum::Json(answer).into_response()
    });
    tokio::time::sleep(slow).await;
    answer
}

async fn gate(State(this): State<Authority>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let calls = serde_json::from_slice::<Value>(&body).is_ok_and(|body| body["method"] == "tools/call");
    let refusal = this.with(|known| {
        known.seen.push(headers.clone());
        let Some(scope) = bearer.and_then(|token| known.access.get(token)) else {
            let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", this.0.base);
            return Some((StatusCode::UNAUTHORIZED, format!("Bearer resource_metadata=\"{metadata}\", scope=\"files.read\"")));
        };
        let has = |needed: &String| scope.split(' ').any(|scope| scope == needed);
        let short = calls && !known.needed.iter().all(has);
        short.then(|| (StatusCode::FORBIDDEN, format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", known.needed.join(" "))))
    });
    if let Some((status, challenge)) = refusal {
        return (status, [(header::WWW_AUTHENTICATE, HeaderValue::from_str(&challenge).unwrap())]).into_response();
    }
    let mut forward = http().request(method, &this.0.server).body(body);
    for (name, value) in headers.iter().filter(|(name, _)| *name != header::HOST && *name != header::CONTENT_LENGTH) {
        forward = forward.header(name, value);
    }
    let answer = forward.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| *name != header::TRANSFER_ENCODING) {
        response = response.header(name, value);
    }
    response.body(Body::from_stream(answer.bytes_stream())).unwrap()
}
