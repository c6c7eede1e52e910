//! `GET` and `DELETE /v1/responses/{id}`: what is kept of a response, and for whom.

use serde_json::{Value, json};

use crate::support::{Answer, Reply, StubProvider, TestGateway, http, until};

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

/// The response in the last event of a stream.
fn last_response(answer: &Answer) -> Value {
    let last = answer.text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap_or_else(|| panic!("{}", answer.text));
    serde_json::from_str::<Value>(last).unwrap()["response"].clone()
}

#[tokio::test]
async fn a_streamed_response_that_speaks_of_data_is_kept_like_any_other() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    let key = gateway.owner_key();
    for (said, instructions) in [("Write the data: 42 and go.", "Be kind."), ("Aye.", "Use metadata: yes"), ("\ndata: {}\n\ndata: 1", "x")]
    {
        provider.then([Reply::stream_text(&[said])]);
        let body = json!({ "model": "stub/stub-1", "input": "hi", "instructions": instructions, "stream": true });
        let whole = last_response(&ask(&gateway, &key, &body).await);
        let id = whole["id"].as_str().unwrap();
        let read = response(&gateway, reqwest::Method::GET, &key, id).await;
        assert_eq!((read.status, &read.body), (200, &whole), "{said}");
        let on = ask(&gateway, &key, &json!({ "model": "stub/stub-1", "input": "on", "previous_response_id": id })).await;
        assert_eq!(on.status, 200, "{said}: {}", on.text);
        let told = provider.received().last().unwrap().body()["messages"].clone();
        assert!(told.as_array().unwrap().iter().any(|message| message["content"] == said), "{told}");
    }
}

/// A gateway with providers of the kind `openai` by these names.
async fn openai(providers: &[(&str, &StubProvider)], models: &str) -> TestGateway {
    let one = |(name, provider): &(&str, &StubProvider)| {
        format!("  {name}: {{ kind: openai, base_url: '{}', api_key: sk-CANARY-7f3a9c }}\n", provider.base())
    };
    let providers: String = providers.iter().map(one).collect();
    TestGateway::with_config(&format!("providers:\n{providers}{models}")).await
}

/// An event of a stream of Responses.
fn event(number: usize, kind: &str, members: &Value) -> String {
    let mut data = json!({ "type": kind, "sequence_number": number });
    data.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    format!("event: {kind}\ndata: {data}\n\n")
}

#[tokio::test]
async fn a_response_that_only_quotes_the_word_for_its_end_has_not_come_to_it() {
    let provider = StubProvider::start([]).await;
    let gateway = openai(&[("oa", &provider)], "").await;
    let key = gateway.owner_key();
    let begun = |id: &str| event(0, "response.created", &json!({ "response": { "id": id } }));
    let quoted = event(1, "response.output_text.delta", &json!({ "delta": "Then comes response.completed, or response.incomplete." }));
    let ended = |id: &str| event(2, "response.completed", &json!({ "response": { "id": id, "status": "completed", "output": [] } }));
    let ask = async |from: Option<&str>| {
        ask(&gateway, &key, &json!({ "model": "oa/m", "input": "x", "stream": true, "previous_response_id": from })).await
    };
    let text = begun("resp_a") + &quoted;
    provider.then([Reply::stream(&(text.clone() + &ended("resp_a"))).cut_after(text.len())]);
    ask(None).await;
    assert_eq!(ask(Some("resp_a")).await.word(), "previous_response_not_found", "it broke off");
    let text = begun("resp_b") + &quoted + &ended("resp_b");
    provider.then([Reply::stream(&text).in_pieces(begun("resp_b").len() + quoted.len(), std::time::Duration::from_millis(50))]);
    ask(None).await;
    provider.then([Reply::stream(&(begun("resp_c") + &ended("resp_c")))]);
    assert_eq!(ask(Some("resp_b")).await.status, 200, "its end is seen behind the quotation");
}

#[tokio::test]
async fn a_request_that_is_written_over_many_lines_is_streamed_in_events_of_one_line() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    let body = json!({ "model": "stub/stub-1", "input": "hi", "stream": true, "metadata": { "a": "b" },
        "tools": [{ "type": "function", "name": "f", "parameters": { "type": "object", "properties": { "n": { "type": "integer" } } } }] });
    let text = serde_json::to_string_pretty(&body).unwrap();
    let request = http().post(gateway.url("/v1/responses")).header("content-type", "application/json").body(text);
    let answer = Answer::read(request.send().await.unwrap()).await;
    let events: Vec<&str> = answer.text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert!(events.len() > 2, "{}", answer.text);
    for event in events {
        assert!(serde_json::from_str::<Value>(event).is_ok(), "{event}");
    }
}

/// The database of a running gateway.
async fn database(gateway: &TestGateway) -> sqlx::SqlitePool {
    let path = gateway.data_dir().join("portolan.db");
    sqlx::SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap()
}

/// Puts so many responses of a caller there, each a millisecond younger than the one before.
async fn fill(database: &sqlx::SqlitePool, caller: &str, count: i64, from_ms: i64) {
    let rows = sqlx::query(
        "INSERT INTO responses (id, caller, items, created_ms, bytes) WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
         SELECT 'filler-' || $1 || i, $1, '[]', $3 + i, 2 FROM n",
    );
    rows.bind(caller).bind(count).bind(from_ms).execute(database).await.unwrap();
}

async fn count(database: &sqlx::SqlitePool, caller: &str) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM responses WHERE caller = $1").bind(caller).fetch_one(database).await.unwrap()
}

#[tokio::test]
async fn old_responses_go_behind_an_answer_but_for_what_newer_ones_go_on_from() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    let database = database(&gateway).await;
    fill(&database, "loose", 200, 1).await;
    let now = "unixepoch() * 1000";
    for (id, previous, at) in [("base", "NULL", "1"), ("middle", "'base'", "2"), ("tip", "'middle'", now), ("gone", "'base'", "3")] {
        let row =
            format!("INSERT INTO responses (id, caller, previous, items, created_ms) VALUES ('{id}', 'talk', {previous}, '[]', {at})");
        sqlx::query(sqlx::AssertSqlSafe(row)).execute(&database).await.unwrap();
    }
    assert_eq!(ask(&gateway, &gateway.owner_key(), &json!({ "model": "stub/stub-1", "input": "hi" })).await.status, 200);
    until("the old ones are gone", async || (count(&database, "loose").await == 0 && count(&database, "talk").await == 3).then_some(()))
        .await;
    let left: Vec<String> =
        sqlx::query_scalar("SELECT id FROM responses WHERE caller = 'talk' ORDER BY created_ms").fetch_all(&database).await.unwrap();
    assert_eq!(left, ["base", "middle", "tip"]);
}

#[tokio::test]
async fn a_key_with_too_many_responses_loses_its_own_oldest_and_no_other_keys() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    let (ada, _) = gateway.key(json!({ "name": "ada", "grants": ["models"] })).await;
    let (bob, _) = gateway.key(json!({ "name": "bob", "grants": ["models"] })).await;
    let body = json!({ "model": "stub/stub-1", "input": "hi" });
    let id = |answer: &Answer| answer.body["id"].as_str().unwrap().to_owned();
    let bobs = id(&ask(&gateway, &bob, &body).await);
    let adas = id(&ask(&gateway, &ada, &body).await);
    let database = database(&gateway).await;
    let aged = sqlx::query("UPDATE responses SET created_ms = created_ms - 200000000 WHERE id = $1");
    assert_eq!(aged.bind(&bobs).execute(&database).await.unwrap().rows_affected(), 1);
    let (caller, made): (String, i64) =
        sqlx::query_as("SELECT caller, created_ms FROM responses WHERE id = $1").bind(&adas).fetch_one(&database).await.unwrap();
    fill(&database, &caller, 10_000, made - 100_000_000).await;
    let newest = id(&ask(&gateway, &ada, &body).await);
    until("ada has no more than one may have", async || (count(&database, &caller).await == 10_000).then_some(())).await;
    let oldest: String = sqlx::query_scalar("SELECT id FROM responses WHERE caller = $1 ORDER BY created_ms")
        .bind(&caller)
        .fetch_one(&database)
        .await
        .unwrap();
    assert_eq!(oldest, format!("filler-{caller}2"), "the two oldest are gone");
    for (key, id) in [(&bob, &bobs), (&ada, &adas), (&ada, &newest)] {
        assert_eq!(response(&gateway, reqwest::Method::GET, key, id).await.status, 200);
    }
}

#[tokio::test]
async fn a_response_that_a_provider_keeps_is_gone_on_from_at_the_target_that_made_it_alone() {
    let (a, b) = (StubProvider::start([]).await, StubProvider::start([]).await);
    let models = "models:\n  both: { strategy: fallback, targets: [{ provider: oa, model: m }, { provider: ob, model: m }] }\nlimits: { retries: 0 }\n";
    let gateway = openai(&[("oa", &a), ("ob", &b)], models).await;
    let key = gateway.owner_key();
    let whole = |id: &str| json!({ "id": id, "object": "response", "status": "completed", "output": [], "usage": null });
    let broken = || Reply::status(500, &json!({ "error": { "message": "out of order" } }));
    for streamed in [false, true] {
        let reply = |id: &str| {
            if streamed {
                let at = |number, kind| event(number, kind, &json!({ "response": whole(id) }));
                Reply::stream(&(at(0, "response.created") + &at(1, "response.completed")))
            } else {
                Reply::json(&whole(id).to_string())
            }
        };
        let go = async |model: &str, from: Option<&str>| {
            let body = json!({ "model": model, "input": "x", "previous_response_id": from, "stream": streamed });
            ask(&gateway, &key, &body).await
        };
        let (first, second, third) = (format!("resp_1{streamed}"), format!("resp_2{streamed}"), format!("resp_3{streamed}"));
        a.then([broken()]);
        b.then([reply(&first), reply(&second), broken(), reply(&third)]);
        assert_eq!(go("both", None).await.status, 200, "b answers for a");
        let asked = a.received().len();
        assert_eq!(go("both", Some(&first)).await.status, 200);
        assert_eq!(b.received().last().unwrap().body()["previous_response_id"], *first);
        let failed = go("both", Some(&second)).await;
        assert!(failed.status >= 500, "nobody else answers for it: {}", failed.text);
        assert_eq!(go("ob/other", Some(&second)).await.status, 200, "its provider knows it by any model");
        assert_eq!(go("oa/m", Some(&second)).await.word(), "previous_response_not_found");
        assert_eq!(a.received().len(), asked, "a is never asked for it");
        // Rows of earlier versions do not say who keeps them.
        sqlx::query("UPDATE responses SET target = NULL").execute(&database(&gateway).await).await.unwrap();
        a.then([reply(&format!("resp_4{streamed}"))]);
        assert_eq!(go("both", Some(&first)).await.status, 200);
        assert_eq!(a.received().len(), asked + 1);
    }
}
