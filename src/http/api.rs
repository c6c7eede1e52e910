//! The control tools as plain JSON over HTTP, and what they are in the words of OpenAPI 3.1.

use axum::Json;
use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use super::body::read_json;
use super::caller::AdminCaller;
use super::error::ApiError;
use super::name::Name;
use super::state::State;
use crate::control::{Control, Operation, Refusal};

/// Largest arguments, in bytes.
const MAX_BODY: usize = 256 << 10;

/// `POST /api/v1/{tool}`: the arguments are the body, the result is the answer.
pub(super) async fn call(
    Shared(state): Shared<State>,
    AdminCaller(principal): AdminCaller,
    Name(tool): Name,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let (_, body) = read_json(request, MAX_BODY).await?;
    let invalid = |_| ApiError::new(StatusCode::BAD_REQUEST, "invalid_arguments", "the body is not UTF-8");
    let arguments = std::str::from_utf8(&body).map_err(invalid)?;
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
    state.control.run(&principal, &tool, arguments).await.map(Json).map_err(refused)
}

/// `GET /api/v1/openapi.json`.
pub(super) async fn describe(Shared(state): Shared<State>, AdminCaller(_): AdminCaller) -> impl IntoResponse {
    Json(openapi(&state.control))
}

fn refused(Refusal { code, message }: Refusal) -> ApiError {
    let status = match code {
        "invalid_arguments" | "url_not_allowed" => StatusCode::BAD_REQUEST,
        "missing_grant" | "owner_only" | "key_only" | "blocked" => StatusCode::FORBIDDEN,
        "not_found" | crate::control::NO_TOOL => StatusCode::NOT_FOUND,
        "no_login" | "exists" | "declared" | "nothing_held" | "changed_again" | "disabled" | "full" | "not_packaged" | "release_served"
        | "release_ended" | "locked" => StatusCode::CONFLICT,
        "server_unusable" | "context_failed" | "login_failed" => StatusCode::BAD_GATEWAY,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    ApiError::new(status, code, message)
}

/// The description of all operations, made of the same table that MCP clients see.
fn openapi(control: &Control) -> Value {
    let mut schemas = json!({ "Problem": {
        "type": "object", "description": "A problem document (RFC 9457).", "required": ["type", "title", "status", "detail", "code"],
        "properties": { "type": { "type": "string" }, "title": { "type": ["string", "null"] }, "status": { "type": "integer" },
            "detail": { "type": "string" }, "code": { "type": "string" } },
    } });
    let mut operation = |operation: Operation<'_>| {
        let arguments = hoisted(operation.name, operation.schema, &mut schemas);
        let refusal = |what: &str| json!({ "description": what, "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } });
        let responses = json!({
            "200": { "description": "The result.", "content": { "application/json": { "schema": { "type": "object" } } } },
            "400": refusal("The arguments do not fit, or name an address that is not allowed."),
            "401": refusal("A credential is needed."),
            "403": refusal("The credential is not enough."),
            "404": refusal("There is nothing of that name."),
            "409": refusal("It cannot be done as things stand."),
            "413": refusal("The body is too large."),
            "415": refusal("The body is no JSON."),
            "502": refusal("A server or a source did not do its part."),
            "503": refusal("It could not be written, or the gateway is stopping."),
        });
        json!({ "post": {
            "operationId": operation.name,
            "summary": operation.description,
            "x-portolan-owner-only": operation.owner_only,
            "requestBody": { "required": true, "content": { "application/json": { "schema": arguments } } },
            "responses": responses,
        } })
    };
    let paths: Map<String, Value> = control.operations().map(|one| (format!("/api/v1/{}", one.name), operation(one))).collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Portolan: administration", "version": env!("CARGO_PKG_VERSION"),
            "description": "The control tools, as plain JSON over HTTP. They are the same as those of the MCP server at `/mcp/portolan`." },
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer", "description": "The owner key, or a key with the grant `admin`." } },
            "schemas": schemas,
        },
    })
}

/// A schema without definitions of its own: they move to where all of the document's are, since that is what a
/// reference in it is relative to.
fn hoisted(tool: &str, schema: &Value, schemas: &mut Value) -> Value {
    let mut schema = schema.clone();
    let own = schema.as_object_mut().and_then(|schema| schema.remove("$defs"));
    for (name, mut definition) in own.and_then(|own| own.as_object().cloned()).into_iter().flatten() {
        redirect(tool, &mut definition);
        if let Some(schemas) = schemas.as_object_mut() {
            schemas.insert(format!("{tool}.{name}"), definition);
        }
    }
    redirect(tool, &mut schema);
    schema
}

fn redirect(tool: &str, schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(name) = reference.strip_prefix("#/$defs/")
            {
                *reference = format!("#/components/schemas/{tool}.{name}");
            }
            members.values_mut().for_each(|member| redirect(tool, member));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(tool, item)),
        _ => {}
    }
}
