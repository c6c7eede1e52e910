//! Which target answers: names, strategies, conditions, and what `portolan model explain` says of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Answer, Reply, StubProvider, TestGateway, chat, http, post, streamed};

/// Two providers, `a` and `b`, and the rest of a configuration.
async fn two(rest: &str) -> (TestGateway, StubProvider, StubProvider) {
    let (a, b) = (StubProvider::start([]).await, StubProvider::start([]).await);
    let gateway = TestGateway::with_config(&format!("{}{rest}", providers(&a, &b))).await;
    (gateway, a, b)
}

fn providers(a: &StubProvider, b: &StubProvider) -> String {
    format!(
        "providers:\n  a: {{ kind: openai-compatible, base_url: '{}' }}\n  b: {{ kind: openai-compatible, base_url: '{}' }}\n",
        a.base(),
        b.base()
    )
}

/// A model `m` whose first target gives this reply, and the provider of the second.
async fn one_after_another(reply: Reply) -> (TestGateway, StubProvider) {
    let (gateway, first, second) = two("models:\n  m: { targets: [{ provider: a, model: x }, { provider: b, model: y }] }\n").await;
    first.then([reply]);
    (gateway, second)
}

/// Who answers a model's name.
async fn answered_by(gateway: &TestGateway, model: &str) -> String {
    let answer = post(&gateway.url("/v1/chat/completions"), &chat(model, "x")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("x-portolan-model").to_owned()
}

/// A chat with headers of its own.
async fn asked_with(gateway: &TestGateway, headers: &[(&str, &str)], body: &Value) -> Answer {
    let request = http().post(gateway.url("/v1/chat/completions")).json(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_name_is_a_named_model_or_a_providers_or_a_bare_id() {
    let provider = StubProvider::start([]).await;
    let config = format!("{}models:\n  assistant: {{ targets: [{{ provider: stub, model: stub-1 }}] }}\n", provider.section());
    let gateway = TestGateway::with_config(&config).await;
    for name in ["assistant", "stub/stub-1", "stub-1"] {
        let answer = post(&gateway.url("/v1/chat/completions"), &chat(name, "x")).await;
        assert_eq!((answer.status, answer.header("x-portolan-model")), (200, "stub/stub-1"), "{name}: {}", answer.text);
    }
    assert!(provider.bodies().iter().all(|body| body["model"] == "stub-1"));
}

#[tokio::test]
async fn an_unknown_model_is_404_with_names_that_come_near() {
    let provider = StubProvider::start([]).await;
    let config = format!("{}models:\n  assistant: {{ targets: [{{ provider: stub, model: stub-1 }}] }}\n", provider.section());
    let gateway = TestGateway::with_config(&config).await;
    for path in ["/v1/chat/completions", "/v1/embeddings"] {
        let answer = post(&gateway.url(path), &chat("asistant", "x")).await;
        assert_eq!(
            (answer.status, answer.word(), &answer.body["error"]["param"]),
            (404, "model_not_found", &json!("model")),
            "{}",
            answer.text
        );
        assert!(answer.message().contains("assistant"), "{}", answer.text);
        assert_eq!(answer.body["error"]["type"], "invalid_request_error");
    }
    for name in ["nobody/x", "portolan/other"] {
        let answer = post(&gateway.url("/v1/chat/completions"), &chat(name, "x")).await;
        assert_eq!((answer.status, answer.word()), (404, "model_not_found"), "{name}: {}", answer.text);
    }
    assert!(provider.received().is_empty());
}

#[tokio::test]
async fn the_next_target_answers_what_the_first_one_does_not() {
    let failures = [
        Reply::status(500, &json!({})),
        Reply::status(429, &json!({})),
        Reply::status(403, &json!({})),
        Reply::html(200),
        Reply::stream("").cut_after(0),
        Reply::text("x").reset_after(0),
        // The last one, for nobody asks a provider again that does not know us.
        Reply::status(401, &json!({})),
    ];
    let count = failures.len();
    let first = StubProvider::start(failures).await;
    let second = StubProvider::start([]).await;
    let config = format!(
        "providers:
  a: {{ kind: openai-compatible, base_url: '{}' }}
  b: {{ kind: openai-compatible, base_url: '{}' }}
  dead: {{ kind: openai-compatible, base_url: 'http://127.0.0.1:1/v1' }}
models:
  m: {{ targets: [{{ provider: dead, model: x }}, {{ provider: a, model: first }}, {{ provider: b, model: second }}] }}
limits: {{ retries: 0, breaker_failures: 100 }}
",
        first.base(),
        second.base()
    );
    let gateway = TestGateway::with_config(&config).await;
    for round in 0..count {
        let answer = post(&gateway.url("/v1/chat/completions"), &streamed("m", "x")).await;
        assert_eq!((answer.status, answer.header("x-portolan-model")), (200, "b/second"), "round {round}: {}", answer.text);
        assert!(answer.text.contains("stub ") && answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
    }
    assert_eq!((first.received().len(), second.bodies()[0]["model"].clone()), (count, json!("second")));
}

#[tokio::test]
async fn no_other_target_is_tried_once_the_first_word_is_out() {
    let begun = Reply::stream_text(&["begun"]);
    let cut = begun.body_text().find("begun").unwrap() + 60;
    let (gateway, second) = one_after_another(begun.cut_after(cut)).await;
    let answer = post(&gateway.url("/v1/chat/completions"), &streamed("m", "x")).await;
    assert!(answer.text.contains("begun") && answer.word() == "upstream_truncated", "{}", answer.text);
    assert!(second.received().is_empty());
}

#[tokio::test]
async fn a_request_that_is_wrong_is_not_tried_elsewhere() {
    let refusal = json!({ "error": { "message": "temperature is too high", "type": "invalid_request_error", "code": "out_of_range", "param": "temperature" } });
    let (gateway, second) = one_after_another(Reply::status(400, &refusal)).await;
    let answer = post(&gateway.url("/v1/chat/completions"), &chat("m", "x")).await;
    assert_eq!(
        (answer.status, answer.word(), &answer.body["error"]["param"]),
        (400, "out_of_range", &json!("temperature")),
        "{}",
        answer.text
    );
    assert!(answer.message().contains("temperature is too high"));
    assert!(second.received().is_empty());
}

#[tokio::test]
async fn a_weighted_model_is_answered_in_proportion_and_weight_0_only_when_others_fail() {
    let (gateway, a, b) = two("models:
  shared: { strategy: weighted, targets: [{ provider: a, model: x, weight: 3 }, { provider: b, model: y, weight: 2 }] }
  spare: { strategy: weighted, targets: [{ provider: b, model: z, weight: 0 }, { provider: a, model: x, weight: 1 }] }
")
    .await;
    let mut by: BTreeMap<String, usize> = BTreeMap::new();
    for n in 0..60 {
        let answer = post(&gateway.url("/v1/chat/completions"), &chat("shared", &format!("Question {n}"))).await;
        *by.entry(answer.header("x-portolan-model").to_owned()).or_default() += 1;
    }
    assert!(by["a/x"] > 5 && by["b/y"] > 5, "{by:?}");
    let first = answered_by(&gateway, "shared").await;
    for _ in 0..10 {
        assert_eq!(answered_by(&gateway, "shared").await, first, "what begins alike stays where its beginning is cached");
    }
    let before = (a.received().len(), b.received().len());
    for _ in 0..10 {
        assert_eq!(answered_by(&gateway, "spare").await, "a/x");
    }
    assert_eq!((a.received().len(), b.received().len()), (before.0 + 10, before.1));
}

#[tokio::test]
async fn the_cheapest_answers_and_an_unknown_price_is_never_the_lowest() {
    let (gateway, ..) = two("models:
  priced:
    strategy: cheapest
    targets:
      - { provider: a, model: unknown }
      - { provider: a, model: dear, price: { input: 2.5, output: 10 } }
      - { provider: b, model: cheap, price: { input: 0.25, output: 2 } }
")
    .await;
    assert_eq!(answered_by(&gateway, "priced").await, "b/cheap");
    let told = gateway.control("models_explain", json!({ "name": "priced" })).await;
    let order: Vec<&str> = told["targets"].as_array().unwrap().iter().map(|target| target["target"].as_str().unwrap()).collect();
    assert_eq!(order, ["b/cheap", "a/dear", "a/unknown"]);
    assert!(told["targets"][2]["price"].is_null() && told["targets"][2]["why"].as_str().unwrap().contains("not known"), "{told:#}");
}

const CONDITIONS: &str = "models:
  open: { targets: [{ provider: a, model: x }] }
  guarded: { targets: [{ provider: a, model: x }], when: '!(\"hipaa\" in caller.tags)' }
  parted:
    targets:
      - { provider: a, model: x, when: 'request.endpoint == \"embeddings\" || \"beta\" in request.tags' }
      - { provider: b, model: y }
  broken: { targets: [{ provider: a, model: x, when: 'caller.tags.team == \"build\"' }, { provider: b, model: y }] }
  nobody: { targets: [{ provider: a, model: x, when: 'request.stream' }] }
auth:
  keys:
    clinic: { key: clinic-key-0123456789, grants: [models], tags: { hipaa: 'yes' } }
    build: { key: build-key-0123456789, grants: [models], tags: { team: build } }
    narrow: { key: narrow-key-0123456789, grants: [models], models: [open, 'a/*'] }
";
const CLINIC: (&str, &str) = ("authorization", "Bearer clinic-key-0123456789");
const BUILD: (&str, &str) = ("authorization", "Bearer build-key-0123456789");
const NARROW: (&str, &str) = ("authorization", "Bearer narrow-key-0123456789");

#[tokio::test]
async fn a_model_whose_condition_says_no_is_for_that_caller_not_there() {
    let (gateway, a, _b) = two(CONDITIONS).await;
    let refused = asked_with(&gateway, &[CLINIC], &chat("guarded", "x")).await;
    assert_eq!((refused.status, refused.word()), (404, "model_not_found"), "{}", refused.text);
    assert!(!refused.message().contains("mean guarded"), "{}", refused.text);
    assert_eq!(asked_with(&gateway, &[BUILD], &chat("guarded", "x")).await.status, 200);
    for (key, seen) in [(CLINIC, false), (BUILD, true)] {
        let listed = http().get(gateway.url("/v1/models")).header(key.0, key.1).send().await.unwrap().text().await.unwrap();
        assert_eq!(listed.contains("\"guarded\""), seen, "{listed}");
        let shown = http().get(gateway.url("/v1/models/guarded")).header(key.0, key.1).send().await.unwrap();
        assert_eq!(shown.status() == 200, seen);
    }
    assert_eq!(a.received().len(), 1);
}

#[tokio::test]
async fn a_target_whose_condition_says_no_is_left_out() {
    let (gateway, ..) = two(CONDITIONS).await;
    let by = |answer: Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.header("x-portolan-model").to_owned()
    };
    assert_eq!(by(asked_with(&gateway, &[BUILD], &chat("parted", "x")).await), "b/y");
    assert_eq!(by(asked_with(&gateway, &[BUILD, ("x-portolan-tags", "beta=yes, x=1")], &chat("parted", "x")).await), "a/x");
    let mut body = chat("parted", "x");
    body["portolan"] = json!({ "tags": { "beta": "" } });
    assert_eq!(by(asked_with(&gateway, &[BUILD], &body).await), "a/x");
    let embeddings = http().post(gateway.url("/v1/embeddings")).header(BUILD.0, BUILD.1).json(&json!({ "model": "parted", "input": "x" }));
    assert_eq!(by(Answer::read(embeddings.send().await.unwrap()).await), "a/x");
    let none = asked_with(&gateway, &[BUILD], &chat("nobody", "x")).await;
    assert_eq!((none.status, none.word()), (404, "model_not_found"), "no target is left: {}", none.text);
    assert_eq!(asked_with(&gateway, &[BUILD], &streamed("nobody", "x")).await.status, 200);
}

#[tokio::test]
async fn a_condition_that_fails_says_no_and_the_log_tells_it_once() {
    let (gateway, ..) = two(CONDITIONS).await;
    assert_eq!(asked_with(&gateway, &[BUILD], &chat("broken", "x")).await.header("x-portolan-model"), "a/x");
    for _ in 0..3 {
        assert_eq!(asked_with(&gateway, &[CLINIC], &chat("broken", "x")).await.header("x-portolan-model"), "b/y");
    }
    let log = gateway.log();
    assert_eq!(log.matches("models.broken.targets[0].when").count(), 1, "{log}");
}

#[tokio::test]
async fn the_tags_of_a_request_never_reach_a_provider_and_are_bounded() {
    let (gateway, a, _b) = two(CONDITIONS).await;
    let mut body = chat("open", "x");
    body["portolan"] = json!({ "tags": { "k": "v" } });
    assert_eq!(asked_with(&gateway, &[BUILD, ("x-portolan-tags", "secret-tag=1")], &body).await.status, 200);
    let mut embed = json!({ "model": "open", "input": "x" });
    embed["portolan"] = json!({ "tags": { "k": "v" } });
    let sent = http().post(gateway.url("/v1/embeddings")).header(BUILD.0, BUILD.1).json(&embed).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    assert!(a.received().iter().all(|request| !request.text.contains("portolan") && request.header("x-portolan-tags").is_none()));
    let many: BTreeMap<String, &str> = (0..40).map(|n| (format!("k{n}"), "v")).collect();
    for tags in [json!({ "k": 1 }), json!(["k"]), json!({ "": "v" }), json!({ "k": "v".repeat(300) }), json!(many)] {
        body["portolan"] = json!({ "tags": tags });
        let answer = asked_with(&gateway, &[BUILD], &body).await;
        assert_eq!((answer.status, answer.word()), (400, "invalid_request"), "{tags}: {}", answer.text);
    }
    let answer = asked_with(&gateway, &[BUILD, ("x-portolan-tags", "no-value")], &chat("open", "x")).await;
    assert_eq!((answer.status, answer.word()), (400, "invalid_request"), "{}", answer.text);
}

#[tokio::test]
async fn a_key_that_is_narrowed_to_some_names_resolves_no_others() {
    let (gateway, ..) = two(CONDITIONS).await;
    for (key, name, status) in [
        (NARROW, "open", 200),
        (NARROW, "a/anything", 200),
        (NARROW, "b/anything", 404),
        (NARROW, "guarded", 404),
        (NARROW, "stub-1", 404),
        (BUILD, "open", 200),
        (BUILD, "a/anything", 404),
        (BUILD, "stub-1", 404),
    ] {
        let answer = asked_with(&gateway, &[key], &chat(name, "x")).await;
        assert_eq!(answer.status, status, "{name} with {}: {}", key.1, answer.text);
    }
}

#[tokio::test]
async fn what_a_file_says_wrongly_of_models_is_named_with_its_place() {
    let target = "targets: [{ provider: portolan, model: echo";
    for (model, words) in [
        (format!("{target} }}], when: 'calle.id == 1'"), vec!["line 2 column", "unknown variable `calle`", "caller.id"]),
        (format!("{target} }}], when: 'caller.tags['"), vec!["line 2 column", "is not CEL", "too early"]),
        (format!("{target}, when: 'now() > 1' }}]"), vec!["line 2 column", "unknown function `now`"]),
        (format!("{target} }}], strategy: fastest"), vec!["line 2 column", "fastest", "fallback", "weighted", "cheapest"]),
        (format!("{target} }}], retries: 6"), vec!["models.m.retries", "at most 5"]),
        (format!("{target}, weight: 0 }}], strategy: weighted"), vec!["models.m.targets", "weight"]),
        (format!("{target}, weight: 9999999 }}]"), vec!["models.m.targets[0].weight", "1000000"]),
        (format!("{target} }}], when: caller.id"), vec!["line 2 column", "is a text, where true or false is needed"]),
        (format!("{target} }}], when: 'caller.id = 1'"), vec!["line 2 column", "write `==`"]),
        (format!("{target} }}], when: 'request.endpoint == \"chatt\"'"), vec!["line 2 column", "did you mean `chat`?"]),
        (format!("{target} }}], strategy: fallbak"), vec!["line 2 column", "did you mean `fallback`?"]),
        (format!("{target}, timeout: 0s }}]"), vec!["models.m.targets[0].timeout"]),
        (format!("{target}, price: {{ input: -1, output: 2 }} }}]"), vec!["models.m.targets[0].price", "dollars per million"]),
        (format!("{target}, price: {{ input: 1 }} }}]"), vec!["line 2 column", "output"]),
    ] {
        let complaint = TestGateway::refused(&format!("models:\n  m: {{ {model} }}\n")).await.failed(1);
        for word in words {
            assert!(complaint.contains(word), "`{word}` is not in: {complaint}");
        }
    }
    let complaint = TestGateway::refused("limits: { retries: 6 }\n").await.failed(1);
    assert!(complaint.contains("limits.retries") && complaint.contains("at most 5"), "{complaint}");
}

#[tokio::test]
async fn an_explanation_says_for_each_target_whether_it_is_tried_and_why() {
    let (gateway, a, b) = two(CONDITIONS).await;
    let told = gateway.control("models_explain", json!({ "name": "parted", "key": "build" })).await;
    assert_eq!((&told["usable"], &told["is"], &told["caller"]), (&json!(true), &json!("named"), &json!("key:build")), "{told:#}");
    assert_eq!((&told["targets"][0]["target"], &told["targets"][0]["used"]), (&json!("b/y"), &json!(true)), "{told:#}");
    assert_eq!((&told["targets"][1]["target"], &told["targets"][1]["when"]["verdict"]), (&json!("a/x"), &json!("no")), "{told:#}");
    let told = gateway.control("models_explain", json!({ "name": "parted", "tags": { "beta": "" } })).await;
    assert_eq!(told["targets"][0]["target"], "a/x");
    let told = gateway.control("models_explain", json!({ "name": "guarded", "key": "clinic" })).await;
    assert_eq!((&told["usable"], &told["when"]["verdict"]), (&json!(false), &json!("no")), "{told:#}");
    let told = gateway.control("models_explain", json!({ "name": "broken", "key": "clinic" })).await;
    assert!(told["targets"][1]["when"]["error"].as_str().is_some_and(|why| why.contains("team")), "{told:#}");
    for (name, key, why) in
        [("guarded", "narrow", "globs"), ("b/x", "build", "only what stands there"), ("gone", "", "no provider lists it")]
    {
        let key = Some(key).filter(|key| !key.is_empty());
        let told = gateway.control("models_explain", json!({ "name": name, "key": key })).await;
        assert!(told["is"] == "unknown" && told["why"].as_str().unwrap().contains(why), "{told:#}");
    }
    let told = gateway.control("models_explain", json!({ "name": "stub-1" })).await;
    assert_eq!((&told["is"], &told["targets"][0]["target"]), (&json!("listed"), &json!("a/stub-1")), "{told:#}");
    assert!(a.received().is_empty() && b.received().is_empty(), "explaining asks nobody");
}

#[tokio::test]
async fn model_explain_is_a_table_for_people_and_json_for_scripts() {
    let (gateway, ..) = two("models:
  shared:
    strategy: weighted
    when: '!(\"eu\" in request.tags)'
    targets: [{ provider: a, model: x, weight: 3, price: { input: 1, output: 2.5 } }, { provider: b, model: y }]
")
    .await;
    let text = gateway.cli(&["model", "explain", "shared"]).await.ok();
    for word in
        ["is answered for owner", "when      !(\"eu\" in request.tags): yes", "strategy  weighted", "retries   1", "TARGET", "1 / 2.5"]
    {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    assert!(text.contains("first for 75% of requests") && text.contains("unknown"), "{text}");
    let text = gateway.cli(&["model", "explain", "shared", "--tag", "eu=1"]).await.stdout;
    assert!(text.contains("is NOT answered") && text.contains(": no"), "{text}");
    let told = gateway.cli(&["model", "explain", "shared", "--endpoint", "embeddings", "--json"]).await.json();
    assert_eq!((&told["strategy"], &told["targets"][0]["weight"]), (&json!("weighted"), &json!(3)));
    gateway.cli(&["model", "explain", "shared", "--key", "nobody"]).await.failed(1);
    gateway.cli(&["model", "explain", "shared", "--tag", "eu"]).await.failed(2);
    let listed = gateway.cli(&["model", "list"]).await.ok();
    assert!(listed.contains("STRATEGY") && listed.contains("weighted"), "{listed}");
}
