//! What the gateway says, held against the protocol's own schemas, where `PORTOLAN_SPEC` names the folder that holds them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("PORTOLAN_SPEC").map(PathBuf::from));

type Known = HashMap<(String, String), Option<Arc<Validator>>>;

/// Holds a message of a revision against its schema; `asked` is the method that it answers.
pub fn check(revision: &str, asked: &str, message: &Value) {
    // What is no message of the protocol is refused in the words of HTTP.
    if FOLDER.is_none() || message["jsonrpc"].is_null() {
        return;
    }
    if let Some(method) = message["method"].as_str() {
        let form = if message["id"].is_null() { "JSONRPCNotification" } else { "JSONRPCRequest" };
        hold(revision, form, message);
        if let Some(definition) = said_by_servers(method) {
            hold(revision, definition, message);
        }
        return;
    }
    let Some(result) = message.get("result") else {
        // What has no id that could be read has none in the answer.
        let form = if revision >= "2025-11-25" { "JSONRPCErrorResponse" } else { "JSONRPCError" };
        if !message["id"].is_null() {
            hold(revision, form, message);
        }
        return;
    };
    hold(revision, if revision >= "2025-11-25" { "JSONRPCResultResponse" } else { "JSONRPCResponse" }, message);
    let definition = match (result["resultType"].as_str(), asked) {
        (Some("input_required"), _) => "InputRequiredResult",
        // An extension has a schema of its own.
        (Some(kind), _) if kind != "complete" => return,
        (_, "initialize") => "InitializeResult",
        (_, "server/discover") => "DiscoverResult",
        (_, "subscriptions/listen") => "SubscriptionsListenResult",
        (_, "tools/list") => "ListToolsResult",
        (_, "tools/call") => "CallToolResult",
        (_, "prompts/list") => "ListPromptsResult",
        (_, "prompts/get") => "GetPromptResult",
        (_, "resources/list") => "ListResourcesResult",
        (_, "resources/templates/list") => "ListResourceTemplatesResult",
        (_, "resources/read") => "ReadResourceResult",
        (_, "completion/complete") => "CompleteResult",
        (_, "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe") => "EmptyResult",
        _ => return,
    };
    hold(revision, definition, result);
}

fn said_by_servers(method: &str) -> Option<&'static str> {
    Some(match method {
        "notifications/cancelled" => "CancelledNotification",
        "notifications/progress" => "ProgressNotification",
        "notifications/message" => "LoggingMessageNotification",
        "notifications/tools/list_changed" => "ToolListChangedNotification",
        "notifications/prompts/list_changed" => "PromptListChangedNotification",
        "notifications/resources/list_changed" => "ResourceListChangedNotification",
        "notifications/resources/updated" => "ResourceUpdatedNotification",
        "notifications/elicitation/complete" => "ElicitationCompleteNotification",
        "notifications/subscriptions/acknowledged" => "SubscriptionsAcknowledgedNotification",
        "elicitation/create" => "ElicitRequest",
        "sampling/createMessage" => "CreateMessageRequest",
        "roots/list" => "ListRootsRequest",
        "ping" => "PingRequest",
        _ => return None,
    })
}

fn hold(revision: &str, definition: &str, value: &Value) {
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let key = (revision.to_owned(), definition.to_owned());
    let validator = KNOWN.lock().unwrap().entry(key).or_insert_with(|| validator(revision, definition)).clone();
    let Some(validator) = validator else { return };
    let wrong: Vec<String> = validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "this is no {definition} of {revision}: {value}\n{}", wrong.join("\n"));
}

/// None where a revision is no revision; one without the definition fails the test.
fn validator(revision: &str, definition: &str) -> Option<Arc<Validator>> {
    let text = std::fs::read_to_string(FOLDER.as_ref()?.join(format!("mcp-{revision}.schema.json"))).ok()?;
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    let member = if schema["$defs"].is_null() { "definitions" } else { "$defs" };
    assert!(!schema[member][definition].is_null(), "{revision} has no {definition}");
    schema["$ref"] = json!(format!("#/{member}/{definition}"));
    Some(Arc::new(jsonschema::validator_for(&schema).unwrap()))
}
