//! The control tools as plain JSON over HTTP.

use serde_json::{Value, json};

use crate::support::{Answer, Modern, TestGateway, http, names};

async fn call(gateway: &TestGateway, key: &str, tool: &str, arguments: &Value) -> Answer {
    let request = http().post(gateway.url(&format!("/api/v1/{tool}"))).bearer_auth(key).json(arguments);
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_control_tool_answers_as_it_does_over_mcp() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner_key();
    let added = call(&gateway, &owner, "servers_add", &json!({ "name": "demo", "command": ["portolan", "demo-server"] })).await;
    assert_eq!(added.status, 200, "{}", added.text);
    for tool in ["servers_list", "keys_list", "access_blocks"] {
        let over_mcp = gateway.control(tool, json!({})).await;
        assert_eq!(call(&gateway, &owner, tool, &json!({})).await.body, over_mcp, "{tool}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_problem_document_with_a_word_for_machines() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner_key();
    let (key, _) = gateway.key(json!({ "grants": ["admin"] })).await;
    for (key, tool, arguments, status, code) in [
        (&owner, "servers_show", json!({ "server": "gone" }), 404, "not_found"),
        (&owner, "servers_show", json!({}), 400, "invalid_arguments"),
        (&owner, "servers_show", json!({ "server": "a", "more": 1 }), 400, "invalid_arguments"),
        (&owner, "status_show", json!([]), 400, "invalid_arguments"),
        (&owner, "keys_create", json!(["n", ["mcp"], [], [], []]), 400, "invalid_arguments"),
        (&owner, "servers_burn", json!({}), 404, "no_such_tool"),
        (&owner, "servers_add", json!({ "name": "a", "url": "http://169.254.169.254/" }), 400, "url_not_allowed"),
        (&key, "keys_create", json!({ "grants": ["mcp"] }), 403, "owner_only"),
    ] {
        let refused = call(&gateway, key, tool, &arguments).await;
        assert_eq!((refused.status, refused.body["code"].as_str().unwrap()), (status, code), "{tool} {arguments}: {}", refused.text);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert_eq!(refused.body["status"], status);
    }
    let plain = http().post(gateway.url("/api/v1/servers_list")).bearer_auth(&owner).body("{}").send().await.unwrap();
    assert_eq!(plain.status(), 415);
    let twice = http().post(gateway.url("/api/v1/servers_show")).bearer_auth(&owner).header("content-type", "application/json");
    assert_eq!(twice.body("{\"server\":\"a\",\"server\":\"b\"}").send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn without_the_grant_nothing_is_even_described() {
    let gateway = TestGateway::start().await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp", "models", "registry"] })).await;
    assert_eq!(http().get(gateway.url("/api/v1/openapi.json")).send().await.unwrap().status(), 401, "also on this machine");
    assert_eq!(http().get(gateway.url("/api/v1/openapi.json")).bearer_auth(&key).send().await.unwrap().status(), 403);
    let owner = Modern::new(&gateway.url("/mcp/portolan")).with_key(&gateway.owner_key());
    for tool in names(&owner.tools().await) {
        assert_eq!(call(&gateway, &key, tool, &json!({})).await.status, 403, "{tool}");
        let bare = http().post(gateway.url(&format!("/api/v1/{tool}"))).json(&json!({})).send().await.unwrap();
        assert_eq!(bare.status(), 401, "{tool}");
    }
}

#[tokio::test]
async fn the_description_names_every_control_tool_with_its_arguments() {
    let gateway = TestGateway::start().await;
    let described =
        Answer::read(http().get(gateway.url("/api/v1/openapi.json")).bearer_auth(gateway.owner_key()).send().await.unwrap()).await;
    assert_eq!(described.body["openapi"], "3.1.0");
    let owner = Modern::new(&gateway.url("/mcp/portolan")).with_key(&gateway.owner_key());
    let tools = owner.tools().await;
    assert_eq!(described.body["paths"].as_object().unwrap().len(), tools.len());
    for tool in &tools {
        let path = format!("/api/v1/{}", tool["name"].as_str().unwrap());
        let schema = &described.body["paths"][&path]["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(schema["required"], tool["inputSchema"]["required"], "{path}");
        let names = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(schema), names(&tool["inputSchema"]), "{path}");
    }
    let text = described.text.as_str();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(described.body.pointer(reference).is_some(), "{reference} leads somewhere");
    }
}

#[tokio::test]
async fn a_method_that_is_not_there_is_told_which_are() {
    let gateway = TestGateway::start().await;
    for (path, allowed) in
        [("/api/v1/servers_list", "POST"), ("/v1/models", "GET,HEAD"), ("/mcp", "GET, POST, DELETE"), ("/mcp/demo", "GET, POST, DELETE")]
    {
        let refused = Answer::read(http().put(gateway.url(path)).send().await.unwrap()).await;
        // There is no server `demo`, and that goes first.
        if refused.status != 404 {
            assert_eq!((refused.status, refused.header("allow")), (405, allowed), "{path}");
        }
    }
}
