//! `GET` and `DELETE /v1/responses/{id}`: what is kept of a response, and for whom.

use serde_json::{Value, json};

use crate::support::{Answer, StubProvider, TestGateway, http};

/// Asks for a response as one who holds a key.
async fn ask(gateway: &TestGateway, key: &str, body: &Value) -> Answer {
    Answer::read(http().post(gateway.url("/v1/responses")).bearer_auth(key).json(body).send().await.unwrap()).await
}

/// Reads or deletes a response as one who holds a key.
async fn response(gateway: &TestGateway, method: reqwest::Method, key: &str, id: &str) -> Answer {
    let request = http().request(method, gateway.url(&format!("/v1/responses/{id}"))).bearer_auth(key);
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_response_that_is_kept_can_be_read_and_deleted_by_its_own_caller_alone() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&provider.both_sections()).await;
    let (ada, _) = gateway.key(json!({ "name": "ada", "grants": ["models"] })).await;
    let (bob, _) = gateway.key(json!({ "name": "bob", "grants": ["models", "mcp"] })).await;
    for streamed in [false, true] {
        let body = json!({ "model": "claude/claude-stub", "input": "one", "stream": streamed });
        let first = ask(&gateway, &ada, &body).await;
        let said = if streamed {
            let last = first.text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
            serde_json::from_str::<Value>(last).unwrap()["response"].clone()
        } else {
            first.body.clone()
        };
        let id = said["id"].as_str().unwrap_or_else(|| panic!("{}", first.text)).to_owned();
        let read = response(&gateway, reqwest::Method::GET, &ada, &id).await;
        assert_eq!((read.status, &read.body), (200, &said), "as it was answered");
        for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
            let foreign = response(&gateway, method, &bob, &id).await;
            assert_eq!(
                (foreign.status, foreign.word(), &foreign.body["error"]["type"]),
                (404, "response_not_found", &json!("invalid_request_error"))
            );
        }
        assert_eq!(response(&gateway, reqwest::Method::GET, &ada, &format!("{id}?stream=true")).await.status, 400);
        let gone = response(&gateway, reqwest::Method::DELETE, &ada, &id).await;
        assert_eq!((gone.status, gone.body), (200, json!({ "id": id, "object": "response", "deleted": true })));
        for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
            assert_eq!(response(&gateway, method, &ada, &id).await.word(), "response_not_found");
        }
        let on = json!({ "model": "claude/claude-stub", "input": "two", "previous_response_id": id });
        assert_eq!(ask(&gateway, &ada, &on).await.word(), "previous_response_not_found");
    }
    let unstored = ask(&gateway, &ada, &json!({ "model": "claude/claude-stub", "input": "one", "store": false })).await;
    let id = unstored.body["id"].as_str().unwrap();
    assert_eq!(response(&gateway, reqwest::Method::GET, &ada, id).await.status, 404, "what is not stored is not there");
}
