//! Models: list, explain.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Tool};
use crate::config::strays;
use crate::domain::{Principal, clip};
use crate::llm::{Explanation, Facts};
use crate::policy::{Act, List};

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<Nothing, _, _>("models_list", Class::Read, "Lists the models that can be called, and who answers them.", list),
        Tool::new::<Explain, _, _>(
            "models_explain",
            Class::Read,
            "Says how a model's name resolves: its conditions with their verdicts, and its targets in their order with price, weight and breaker.",
            explain,
        ),
    ]
}

/// A name to explain, and for whom and what.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Explain {
    /// The model's name, as a caller writes it.
    name: String,
    /// Tags of the request.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// The id of the key that calls; you yourself where it is not said.
    key: Option<String>,
    /// Where the request comes in.
    #[serde(default)]
    endpoint: Endpoint,
    /// Whether the answer is wanted as a stream.
    #[serde(default)]
    stream: bool,
}

/// Where a request comes in.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Endpoint {
    #[default]
    Chat,
    Messages,
    Responses,
    Embeddings,
}

impl Endpoint {
    fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
        }
    }
}

async fn explain(parts: Arc<Parts>, principal: Principal, explain: Explain) -> Result<Value, Error> {
    let caller = match &explain.key {
        Some(id) => parts.auth.by_id(id).ok_or_else(|| Error::Missing("valid key", clip(id, 40)))?,
        None => principal,
    };
    let facts = Facts { endpoint: explain.endpoint.name(), stream: explain.stream, tags: &explain.tags, request: None };
    let completions = parts.completions.load_full();
    let explanation = completions.router().explain(&caller, &explain.name, &facts).await;
    let explanation = block(&parts.blocks.list(), &caller, explanation);
    let mut told = serde_json::to_value(explanation).unwrap_or_default();
    if let Value::Object(told) = &mut told {
        told.insert("caller".to_owned(), caller.id().into());
        if let Some(model) = completions.router().named().get(&explain.name) {
            let one = BTreeMap::from([(explain.name.clone(), model.clone())]);
            let catalog = parts.registry.catalog();
            let unknown = strays(&catalog.servers, &catalog.toolsets, &BTreeMap::new(), &one);
            told.insert("warnings".to_owned(), unknown.into_iter().map(|stray| Value::from(stray.why)).collect());
        }
    }
    Ok(told)
}

/// The same with what the operator has blocked.
fn block(blocks: &List, caller: &Principal, mut told: Explanation) -> Explanation {
    for candidate in told.targets.iter_mut().filter(|candidate| candidate.used) {
        let act = Act { model: Some(&told.name), target: Some(&candidate.target), ..Act::of(caller) };
        if let Some(blocked) = blocks.of(&act) {
            (candidate.used, candidate.why) = (false, blocked.to_string());
        }
    }
    let blocked = blocks.of(&Act { model: Some(&told.name), ..Act::of(caller) }).map(|blocked| blocked.to_string());
    let closed = told.usable && !told.targets.is_empty() && !told.targets.iter().any(|candidate| candidate.used);
    if let Some(why) = blocked.or_else(|| closed.then(|| "the operator has blocked what it would be answered by".to_owned())) {
        (told.usable, told.why) = (false, why);
    }
    told
}

async fn list(parts: Arc<Parts>, principal: Principal, _: Nothing) -> Result<Value, Error> {
    let completions = parts.completions.load_full();
    let (router, blocks) = (completions.router(), parts.blocks.list());
    // Also those that a condition keeps for others: this is where one looks for them.
    let mut granted: Vec<_> = router.named().iter().filter(|(name, _)| principal.grants().model(name)).collect();
    granted.sort_by_key(|(_, model)| model.place);
    let named = granted.into_iter().map(|(name, model)| {
        let targets: Vec<String> = model.targets.iter().map(|target| format!("{}/{}", target.provider, target.model)).collect();
        let context: Vec<String> = model.context.iter().map(ToString::to_string).collect();
        let when = model.when.as_ref().map(|when| when.source().to_owned());
        let blocked = blocks.of_named(name, targets.iter().cloned()).map(|blocked| blocked.to_string());
        json!({
            "name": name, "strategy": model.strategy.name(), "targets": targets, "when": when, "context": context, "tools": model.tools,
            "blocked": blocked,
        })
    });
    let mut models: Vec<Value> = named.collect();
    let listed = router.list(&principal).await.into_iter().filter(|(name, _)| !router.named().contains_key(name));
    let blocked = |name: &str| blocks.of_model(name).map(|blocked| blocked.to_string());
    models.extend(listed.map(|(name, owner)| json!({ "name": name, "provider": owner, "blocked": blocked(&name) })));
    Ok(json!({ "models": models }))
}
