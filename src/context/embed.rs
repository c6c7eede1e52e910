//! The embedding of a query, made by a provider and kept for a while: one question is often asked of several sources.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde_json::{Value, json};

use crate::domain::{Digest, Principal};
use crate::llm::{Body, Endpoint, Providers, Request, Target};
use crate::policy::{Act, Blocks};
use crate::trace::{ModelCall, Trace};

/// How long an embedding is used again; a model gives the same one every time.
const KEPT: Duration = Duration::from_secs(600);
/// Most bytes of embeddings that are kept.
const CAPACITY: u64 = 16 << 20;
/// Most numbers of an embedding.
const MAX_LENGTH: usize = 65_536;

/// Makes embeddings.
pub(super) struct Embedder {
    providers: Providers,
    blocks: Blocks,
    kept: Cache<Digest, Arc<Value>>,
}

impl Embedder {
    pub(super) fn new(providers: Providers, blocks: Blocks) -> Self {
        let weigh = |_: &Digest, vector: &Arc<Value>| {
            let length = vector.as_array().map_or(0, Vec::len) * size_of::<Value>();
            u32::try_from(length + 64).unwrap_or(u32::MAX)
        };
        Self { providers, blocks, kept: Cache::builder().weigher(weigh).max_capacity(CAPACITY).time_to_live(KEPT).build() }
    }

    /// The embedding of a text by `provider/model`: a list of numbers.
    pub(super) async fn embed(&self, model: &str, text: &str, trace: Option<&Trace>) -> Result<Arc<Value>, String> {
        let nobody = Principal::local();
        let act = Act { target: Some(model), ..Act::of(&nobody) };
        self.blocks.check(&act).map_err(|blocked| format!("no embedding from `{model}`: {blocked}"))?;
        let key = Digest::of("portolan/embedding", json!([model, text]).to_string().as_bytes());
        self.kept.try_get_with(key, self.ask(model, text, trace)).await.map_err(|why| (*why).clone())
    }

    async fn ask(&self, model: &str, text: &str, trace: Option<&Trace>) -> Result<Arc<Value>, String> {
        let (provider, own) = model.split_once('/').ok_or("`embed` names no model")?;
        let target = Target::new(provider, own);
        let body = json!({ "model": own, "input": text, "encoding_format": "float" }).to_string();
        let request = Request::parse_embeddings(&body.into()).map_err(|wrong| wrong.why)?;
        let asked = ModelCall { operation: "embeddings", provider, model: own, stream: false };
        let mut span = trace.map(|trace| trace.model(&asked)).unwrap_or_default();
        let reply = match self.providers.send(&target, Endpoint::Embeddings, &request, &mut span).await {
            Ok(reply) => reply.traced(span),
            Err(error) => {
                span.failed(error.word());
                return Err(format!("no embedding from `{model}`: {error}"));
            }
        };
        let wrong = || format!("no embedding from `{model}`: its answer holds no list of numbers");
        let Body::Json(body) = reply.body else { return Err(wrong()) };
        let mut answer: Value = serde_json::from_slice(&body).map_err(|_| wrong())?;
        let vector = answer.pointer_mut("/data/0/embedding").map(Value::take).unwrap_or_default();
        let numbers = vector.as_array().filter(|list| !list.is_empty() && list.len() <= MAX_LENGTH);
        if numbers.is_some_and(|list| list.iter().all(Value::is_number)) { Ok(Arc::new(vector)) } else { Err(wrong()) }
    }
}
