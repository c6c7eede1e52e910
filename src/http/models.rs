//! `GET /v1/models` and `/v1/models/{id}`.

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use super::caller::ModelCaller;
use super::error::ApiError;
use super::name::Name;
use super::state::State;
use crate::completion;

/// All models the caller may use.
pub(super) async fn list(Shared(state): Shared<State>, ModelCaller(principal): ModelCaller) -> Json<Value> {
    let completions = state.completions.load_full();
    let blocks = state.blocks.list();
    let all = completions.router().list(&principal).await;
    let named = completions.router().named();
    let targets = |id: &String| {
        named.get(id).into_iter().flat_map(|model| &model.targets).map(|target| format!("{}/{}", target.provider, target.model))
    };
    let shown = all.iter().filter(|(id, _)| blocks.of_named(id, targets(id)).is_none());
    let models: Vec<Value> = shown.map(|(id, owner)| object(id, owner)).collect();
    Json(json!({ "object": "list", "data": models }))
}

/// One model.
pub(super) async fn show(
    Shared(state): Shared<State>,
    ModelCaller(principal): ModelCaller,
    Name(id): Name,
) -> Result<Json<Value>, ApiError> {
    if let Some(blocked) = state.blocks.list().of_model(&id) {
        return Err(completion::Error::Blocked(blocked).into());
    }
    let completions = state.completions.load_full();
    let owner = completions.router().owner(&principal, &id).await.map_err(completion::Error::Model)?;
    Ok(Json(object(&id, &owner)))
}

fn object(id: &str, owner: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 0, "owned_by": owner })
}
