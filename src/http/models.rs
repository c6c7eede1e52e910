//! `GET /v1/models` and `/v1/models/{id}`.

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use super::caller::ModelCaller;
use super::error::ApiError;
use super::paths::Name;
use super::state::State;
use crate::completion;

/// All models the caller may use.
pub(super) async fn list(Shared(state): Shared<State>, ModelCaller(principal): ModelCaller) -> Json<Value> {
    let completions = state.completions.load_full();
    let models: Vec<Value> = completions.router().list(&principal).await.iter().map(|(id, owner)| object(id, owner)).collect();
    Json(json!({ "object": "list", "data": models }))
}

/// One model.
pub(super) async fn show(
    Shared(state): Shared<State>,
    ModelCaller(principal): ModelCaller,
    Name(id): Name,
) -> Result<Json<Value>, ApiError> {
    let completions = state.completions.load_full();
    let owner = completions.router().owner(&principal, &id).await.map_err(completion::Error::Model)?;
    Ok(Json(object(&id, &owner)))
}

fn object(id: &str, owner: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 0, "owned_by": owner })
}
