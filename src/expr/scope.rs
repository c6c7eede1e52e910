//! What an expression is asked about: one caller and one request, as values of the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use cel::objects::Key;
use cel::{Context, Env, Value};

use crate::domain::Principal;

/// Most tags of one side, and most bytes of all values together.
const MAX_TAGS: usize = 256;
const MAX_BYTES: usize = 64 << 10;

/// The engine's own functions, made once.
pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// What is known of a request before anyone reads it.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The model's name as the caller wrote it.
    pub model: &'a str,
    /// `chat`, `messages`, `responses` or `embeddings`.
    pub endpoint: &'a str,
    /// Whether the answer is wanted as a stream.
    pub stream: bool,
    /// The caller's own words, which anyone may choose.
    pub tags: &'a BTreeMap<String, String>,
}

/// One caller and one request. Made once, and asked by many expressions.
pub struct Scope {
    /// None when the values are larger than an expression may look through.
    pub(super) context: Option<Context<'static, 'static>>,
}

impl Scope {
    /// What may be asked of this caller and this request.
    pub fn new(caller: &Principal, request: &Asking<'_>) -> Self {
        let bytes = |tags: &BTreeMap<String, String>| tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let size = caller.id().len() + bytes(caller.tags()) + request.model.len() + bytes(request.tags);
        if size > MAX_BYTES || caller.tags().len().max(request.tags.len()) > MAX_TAGS {
            return Self { context: None };
        }
        let mut context = Context::with_env(ENV.clone());
        let kind = if caller.is_owner() { "owner" } else { caller.id().split(':').next().unwrap_or_default() };
        let caller = [("id", caller.id().into()), ("kind", kind.into()), ("tags", map(caller.tags()))];
        context.add_variable_from_value("caller", record(caller));
        let request = [
            ("model", request.model.into()),
            ("endpoint", request.endpoint.into()),
            ("stream", Value::Bool(request.stream)),
            ("tags", map(request.tags)),
        ];
        context.add_variable_from_value("request", record(request));
        Self { context: Some(context) }
    }
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().collect::<HashMap<&str, Value>>().into()
}

fn map(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| (Key::from(key.as_str()), Value::from(value.as_str()))).collect::<HashMap<Key, Value>>().into()
}
