//! A small web server: each path answers what a test wants it to, and every request is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde_json::Value;
use tokio::net::TcpListener;

/// What a path answers.
#[derive(Clone, Debug)]
pub struct Page {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    pause: Duration,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Visit {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// A web server on a port of its own.
#[derive(Clone)]
pub struct WebServer(Arc<Inner>);

struct Inner {
    url: String,
    pages: Mutex<HashMap<String, Page>>,
    visits: Mutex<Vec<Visit>>,
}

impl Page {
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: vec![("content-type".into(), "text/plain".into())], body: text.into(), pause: Duration::ZERO }
    }

    pub fn json(value: &Value) -> Self {
        Self::text(value.to_string()).header("content-type", "application/json")
    }

    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }
}

impl Visit {
    /// Its body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

impl WebServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self(Arc::new(Inner { url, pages: Mutex::default(), visits: Mutex::default() }));
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0.url)
    }

    /// What a path answers from now on; `*` is any other path.
    pub fn set(&self, path: &str, page: Page) {
        self.0.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// The requests that came so far.
    pub fn visits(&self) -> Vec<Visit> {
        self.0.visits.lock().unwrap().clone()
    }

    /// The last request.
    pub fn last(&self) -> Visit {
        self.visits().pop().expect("somebody came")
    }
}

async fn answer(State(server): State<WebServer>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let page = {
        let pages = server.0.pages.lock().unwrap();
        pages.get(uri.path()).or_else(|| pages.get("*")).cloned()
    };
    server.0.visits.lock().unwrap().push(Visit { method, uri, headers, body: body.to_vec() });
    let page = page.unwrap_or_else(|| Page::text("nothing here").status(404));
    tokio::time::sleep(page.pause).await;
    let mut response = Response::builder().status(page.status);
    for (name, value) in &page.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(page.body)).unwrap()
}
