//! Models: list.

use std::sync::Arc;

use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Tool};
use crate::domain::Principal;

pub(super) fn tools() -> Vec<Tool> {
    vec![Tool::new::<Nothing, _, _>("models_list", Class::Read, "Lists the models that can be called, and who answers them.", list)]
}

async fn list(parts: Arc<Parts>, principal: Principal, _: Nothing) -> Result<Value, Error> {
    let completions = parts.completions.load_full();
    let router = completions.router();
    let models: Vec<Value> = router
        .list(&principal)
        .await
        .into_iter()
        .map(|(name, owner)| match router.named().get(&name) {
            Some(model) => {
                let targets: Vec<String> = model.targets.iter().map(|target| format!("{}/{}", target.provider, target.model)).collect();
                let context: Vec<String> = model.context.iter().map(ToString::to_string).collect();
                json!({ "name": name, "targets": targets, "context": context, "tools": model.tools })
            }
            None => json!({ "name": name, "provider": owner }),
        })
        .collect();
    Ok(json!({ "models": models }))
}
