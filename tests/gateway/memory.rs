//! Conversations: what the gateway put in stays where it was, so that the model knows what it did and a
//! provider's prompt cache stays warm.

use serde_json::{Value, json};

use crate::support::{Answer, Cached, Door, Reply, Seen, StubProvider, TestGateway, as_stream, http, tool_use};

/// What the model says in a turn.
fn saying(turn: usize) -> String {
    format!("Answer {turn}. {}", "The pilot boat answers. ".repeat(20)).trim_end().to_owned()
}

/// A gateway whose models `bound-…` have context that is fetched once, context of each turn, and tools.
async fn harbour() -> (TestGateway, StubProvider) {
    let provider = StubProvider::exacting([]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}
models:
  plain-stub: {{ targets: [{{ provider: stub, model: stub-1 }}] }}
  plain-claude: {{ targets: [{{ provider: claude, model: claude-stub }}] }}
  bound-stub: {{ targets: [{{ provider: stub, model: stub-1 }}], context: [rules, greeting], tools: [demo] }}
  bound-claude: {{ targets: [{{ provider: claude, model: claude-stub }}], context: [rules, greeting], tools: [demo] }}
mcp: {{ servers: {{ demo: {{ command: [portolan, demo-server] }} }} }}
context:
  deadline: 20s
  sources:
    rules: {{ file: rules.md, ttl: 1ms }}
    greeting: {{ server: demo, prompt: greeting, arguments: {{ name: '{{{{ query }}}}' }}, refresh: turn }}
",
        provider.both_sections()
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;
    rules(&gateway, "first");
    (gateway, provider)
}

/// Writes the context that is fetched once; another text each time would show.
fn rules(gateway: &TestGateway, edition: &str) {
    std::fs::write(gateway.file("rules.md"), format!("The {edition} edition. {}", "Speak briefly. ".repeat(30))).unwrap();
}

/// One who talks at a door.
struct Talk {
    door: Door,
    model: &'static str,
    history: Vec<Value>,
}

impl Talk {
    fn new(door: Door, model: &'static str) -> Self {
        Self { door, model, history: Vec::new() }
    }

    fn body(&self, streamed: bool) -> Value {
        let mut body = self.door.ask(self.model, "x");
        let mut history = self.history.clone();
        let system = "You are a harbour master. ".repeat(60);
        match self.door {
            Door::Chat => history.insert(0, json!({ "role": "system", "content": system })),
            Door::Messages => {
                // Its clients say themselves what shall be cached: the instructions, and the newest message.
                let mark = json!({ "type": "ephemeral" });
                body["system"] = json!([{ "type": "text", "text": system, "cache_control": mark }]);
                let newest = history.last_mut().unwrap();
                newest["content"] = json!([{ "type": "text", "text": newest["content"], "cache_control": mark }]);
            }
            Door::Responses => body["instructions"] = system.into(),
        }
        body[self.door.list()] = history.into();
        if streamed { as_stream(self.door, body) } else { body }
    }

    /// Says something; the model answers, after a call of a tool of ours if `calls`.
    async fn say(&mut self, gateway: &TestGateway, provider: &StubProvider, turn: usize, calls: bool) -> (Answer, Seen) {
        self.history.push(json!({ "role": "user", "content": format!("Question {turn}. {}", "Who answers there? ".repeat(12)) }));
        let (streamed, text) = (turn.is_multiple_of(2), saying(turn));
        let (call, arguments) = (format!("call_{turn}"), json!({ "text": format!("echo {turn}") }));
        let text_of_call = arguments.to_string();
        let calling = [(call.as_str(), "demo__echo", text_of_call.as_str())];
        let (said, called) = ([json!({ "type": "text", "text": text })], [tool_use(&call, "demo__echo", arguments.clone())]);
        let (call, answer) = match (self.model.ends_with("claude"), streamed) {
            (true, true) => (Reply::stream_message(&called, "tool_use"), Reply::stream_message(&said, "end_turn")),
            (true, false) => (Reply::message(&called, "tool_use"), Reply::message(&said, "end_turn")),
            (false, true) => (Reply::stream_calls(&calling), Reply::stream_text(&[&text])),
            (false, false) => (Reply::calls(&calling), Reply::text(&text)),
        };
        provider.then(calls.then_some(call).into_iter().chain([answer]));
        let answer = self.door.send(gateway, &self.body(streamed)).await;
        assert_eq!(answer.status, 200, "{:?} turn {turn}: {}", self.door, answer.text);
        let seen = Seen::read(self.door, &answer);
        assert!(seen.is_whole() && seen.text == text, "{:?} turn {turn}: {}", self.door, answer.text);
        match self.door {
            Door::Responses => self.history.extend(seen.items.iter().cloned()),
            Door::Chat | Door::Messages => self.history.push(json!({ "role": "assistant", "content": seen.text })),
        }
        (answer, seen)
    }
}

/// How much of all that was sent a provider had in its cache.
#[allow(clippy::cast_precision_loss)]
fn share(seen: &[Cached]) -> f64 {
    let sum = |one: fn(&Cached) -> usize| seen.iter().map(one).sum::<usize>() as f64;
    sum(|seen| seen.found) / sum(|seen| seen.total)
}

#[tokio::test]
async fn ten_turns_keep_the_prompt_cache_as_warm_as_without_what_is_put_in() {
    let (gateway, provider) = harbour().await;
    for (plain, bound) in [("plain-stub", "bound-stub"), ("plain-claude", "bound-claude")] {
        for door in Door::ALL {
            let mut shares = Vec::new();
            for model in [plain, bound] {
                provider.cache_prompts();
                let mut talk = Talk::new(door, model);
                rules(&gateway, "first");
                for turn in 1..=10 {
                    let calls = model == bound && matches!(turn, 2 | 5 | 6 | 9);
                    let (answer, seen) = talk.say(&gateway, &provider, turn, calls).await;
                    let memo = answer.header("x-portolan-cache");
                    let expected = if turn == 1 { "memo=new" } else { "memo=kept" };
                    assert!(model == plain || memo == expected, "{door:?} {model} turn {turn}: {memo}");
                    assert!(turn == 1 || seen.usage.1 > 0, "{door:?} {model} turn {turn}: the client is told of it: {seen:?}");
                    // What is fetched once is not fetched again.
                    rules(&gateway, "second");
                }
                let all = provider.cached();
                assert_eq!(all.len(), if model == bound { 14 } else { 10 });
                for (at, two) in all.windows(2).enumerate() {
                    let (before, after) = (&two[0].rendered, &two[1].rendered);
                    let same = before.bytes().zip(after.bytes()).take_while(|(one, two)| one == two).count();
                    assert_eq!(
                        same,
                        before.len(),
                        "{door:?} {model}, request {at} and the next differ:\n…{}\n…{}",
                        &before[same..],
                        &after[same..]
                    );
                }
                let last = &all.last().unwrap().rendered;
                let fixed = last.contains("The first edition") && !last.contains("The second edition");
                assert!(model == plain || last.contains("echo 2") && fixed, "{door:?} {model}: {last}");
                shares.push(share(&all));
            }
            assert!(shares[1] >= shares[0] * 0.98, "{door:?} to {bound}: {shares:?}");
            assert!(shares[0] > 0.5, "{door:?} to {plain}: {shares:?}");
        }
    }
}

#[tokio::test]
async fn thoughts_around_our_own_calls_go_back_to_where_they_were_thought() {
    let thought = |text: &str| json!({ "type": "thinking", "thinking": text, "signature": format!("seal of {text}") });
    for door in Door::ALL {
        for streamed in [false, true] {
            let (gateway, provider) = harbour().await;
            let mut body = door.ask("bound-claude", "one");
            match door {
                Door::Chat => body["reasoning_effort"] = "low".into(),
                Door::Messages => {
                    body["max_tokens"] = 8000.into();
                    body["thinking"] = json!({ "type": "adaptive" });
                }
                Door::Responses => body["reasoning"] = json!({ "effort": "low" }),
            }
            let body = if streamed { as_stream(door, body) } else { body };
            let say =
                |blocks: &[Value], stop: &str| if streamed { Reply::stream_message(blocks, stop) } else { Reply::message(blocks, stop) };
            let called = [thought("first"), tool_use("toolu_1", "demo__echo", json!({ "text": "x" }))];
            let said = [thought("second"), json!({ "type": "text", "text": "Done." })];
            provider.then([say(&called, "tool_use"), say(&said, "end_turn"), say(&said, "end_turn")]);
            let seen = door.hear(&gateway, &body).await;
            let mut next = body.clone();
            let list = next[door.list()].as_array_mut().unwrap();
            // A client that keeps texts alone.
            list.push(json!({ "role": "assistant", "content": "Done." }));
            list.push(json!({ "role": "user", "content": "two" }));
            assert_eq!(seen.text, "Done.");
            door.hear(&gateway, &next).await;
            let sent = provider.received().last().unwrap().text.clone();
            let places: Vec<_> = ["seal of first", "toolu_1", "tool_result", "seal of second", "Done."].map(|text| sent.find(text)).into();
            // At its own door a client keeps the thoughts of an answer, or does without them.
            let kept = door != Door::Messages;
            assert!(places.iter().enumerate().all(|(at, place)| place.is_some() || at == 3 && !kept), "{door:?} {places:?}: {sent}");
            assert!(!kept || places.is_sorted(), "{door:?}, streamed {streamed}: {places:?}: {sent}");
            assert_eq!(sent.matches("seal of").count(), if kept { 2 } else { 1 }, "{door:?}: each once: {sent}");
        }
    }
}

#[tokio::test]
async fn another_answer_takes_what_led_to_the_first_one_away() {
    let (gateway, provider) = harbour().await;
    for door in Door::ALL {
        let mut talk = Talk::new(door, "bound-stub");
        talk.say(&gateway, &provider, 1, true).await;
        let told = provider.received().len();
        // The client goes on as if the model had said something else.
        let replaced = json!({ "role": "assistant", "content": "Something else." });
        talk.history.truncate(1);
        talk.history.push(replaced);
        let (answer, _) = talk.say(&gateway, &provider, 2, false).await;
        let sent = provider.received()[told].text.clone();
        assert!(!sent.contains("echo 1") && sent.contains("Something else."), "{door:?}: {sent}");
        assert!(sent.contains("The first edition"), "{door:?}: what was there before stays: {sent}");
        assert_eq!(answer.header("x-portolan-cache"), "memo=kept", "{door:?}");
    }
}

#[tokio::test]
async fn an_earlier_word_that_was_changed_makes_it_another_conversation() {
    let (gateway, provider) = harbour().await;
    for door in Door::ALL {
        rules(&gateway, "first");
        let mut talk = Talk::new(door, "bound-stub");
        talk.say(&gateway, &provider, 1, true).await;
        talk.history[0]["content"] = "Something else was asked.".into();
        rules(&gateway, "second");
        let told = provider.received().len();
        let (answer, _) = talk.say(&gateway, &provider, 2, false).await;
        let sent = provider.received()[told].text.clone();
        assert_eq!(answer.header("x-portolan-cache"), "memo=lost", "{door:?}");
        assert!(!sent.contains("echo 1") && sent.contains("The second edition"), "{door:?}: {sent}");
    }
}

#[tokio::test]
async fn a_memory_that_is_gone_is_told_of_and_the_context_is_placed_anew() {
    let (mut gateway, provider) = harbour().await;
    let mut talk = Talk::new(Door::Chat, "bound-claude");
    talk.say(&gateway, &provider, 1, true).await;
    gateway.stop().await;
    gateway.start_again().await;
    gateway.wait_for_server("demo", "ready").await;
    let (answer, _) = talk.say(&gateway, &provider, 2, false).await;
    assert_eq!(answer.header("x-portolan-cache"), "memo=lost");
    assert!(provider.received().last().unwrap().text.contains("The first edition"));
    let (answer, _) = talk.say(&gateway, &provider, 3, false).await;
    assert_eq!(answer.header("x-portolan-cache"), "memo=kept", "from now on it is known again");
}

#[tokio::test]
async fn a_conversation_into_which_nothing_was_put_is_not_lost() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}
models: {{ agent: {{ targets: [{{ provider: stub, model: stub-1 }}], tools: [demo] }} }}
mcp: {{ servers: {{ demo: {{ command: [portolan, demo-server] }} }} }}
",
        provider.section()
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;
    let mut talk = Talk::new(Door::Chat, "agent");
    for (turn, expected) in [(1, "memo=new"), (2, "memo=kept"), (3, "memo=kept")] {
        let (answer, _) = talk.say(&gateway, &provider, turn, false).await;
        assert_eq!(answer.header("x-portolan-cache"), expected, "turn {turn}");
    }
}

/// Posts with a key.
async fn post_as(gateway: &TestGateway, door: Door, key: &str, body: &Value) -> Answer {
    Answer::read(http().post(gateway.url(door.path())).bearer_auth(key).json(body).send().await.unwrap()).await
}

#[tokio::test]
async fn two_callers_with_the_same_words_share_nothing() {
    let (gateway, provider) = harbour().await;
    let (ada, _) = gateway.key(json!({ "name": "ada", "grants": ["models", "mcp"] })).await;
    let (bob, _) = gateway.key(json!({ "name": "bob", "grants": ["models", "mcp"] })).await;
    for door in Door::ALL {
        let mut talk = Talk::new(door, "bound-stub");
        talk.history.push(json!({ "role": "user", "content": "Who is there?" }));
        provider.then([Reply::calls(&[("call_1", "demo__echo", r#"{"text":"for ada alone"}"#)]), Reply::text("Nobody.")]);
        let answer = post_as(&gateway, door, &ada, &talk.body(false)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        talk.history.push(json!({ "role": "assistant", "content": "Nobody." }));
        talk.history.push(json!({ "role": "user", "content": "And now?" }));
        for (key, expected) in [(&bob, "memo=lost"), (&ada, "memo=kept")] {
            let answer = post_as(&gateway, door, key, &talk.body(false)).await;
            assert_eq!((answer.status, answer.header("x-portolan-cache")), (200, expected), "{door:?}: {}", answer.text);
            let sent = provider.received().last().unwrap().text.clone();
            assert_eq!(sent.contains("for ada alone"), *key == ada, "{door:?}: {sent}");
        }
    }
}

#[tokio::test]
async fn a_response_is_gone_on_from_by_its_caller_alone_and_only_when_it_was_stored() {
    let (gateway, provider) = harbour().await;
    let (ada, _) = gateway.key(json!({ "name": "ada", "grants": ["models"] })).await;
    let (bob, _) = gateway.key(json!({ "name": "bob", "grants": ["models"] })).await;
    let ask = |text: &str, from: Option<&str>, store: bool| json!({ "model": "plain-claude", "input": text, "previous_response_id": from, "store": store, "instructions": "Be kind." });
    let first = post_as(&gateway, Door::Responses, &ada, &ask("one", None, true)).await;
    let id = first.body["id"].as_str().unwrap().to_owned();
    let unstored = post_as(&gateway, Door::Responses, &ada, &ask("one", None, false)).await.body["id"].as_str().unwrap().to_owned();
    let sent = provider.received().len();
    for (key, from) in [(&bob, id.as_str()), (&ada, unstored.as_str()), (&ada, "resp_unknown"), (&ada, "'; drop table"), (&ada, "")] {
        for streamed in [false, true] {
            let mut body = ask("two", Some(from), true);
            body["stream"] = streamed.into();
            let answer = post_as(&gateway, Door::Responses, key, &body).await;
            assert_eq!((answer.status, answer.word()), (400, "previous_response_not_found"), "{from}: {}", answer.text);
            assert_eq!(answer.body["error"]["param"], "previous_response_id");
        }
    }
    assert_eq!(provider.received().len(), sent, "nothing is sent");
    for streamed in [true, false] {
        let mut body = ask("two", Some(&id), true);
        body["stream"] = streamed.into();
        let answer = post_as(&gateway, Door::Responses, &ada, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let told = provider.received().last().unwrap().body()["messages"].to_string();
        assert!(told.contains("one") && told.contains("stub answer") && told.contains("two"), "{told}");
    }
}

#[tokio::test]
async fn what_was_put_in_for_one_person_is_not_put_in_for_another_with_the_same_key() {
    let provider = crate::support::StubProvider::start([]).await;
    let config = format!(
        "{}models:\n  told: {{ targets: [{{ provider: stub, model: stub-1 }}], context: [who] }}\ncontext:\n  deadline: 20s\n  sources:\n    who: {{ server: demo, tool: echo, \
         arguments: {{ text: 'This is {{{{ tags.user }}}}.' }}, read_only: true }}\nmcp: {{ servers: {{ demo: {{ command: {} }} }} }}\n",
        provider.section(),
        crate::support::DEMO
    );
    let gateway = crate::support::TestGateway::with_config(&config).await;
    gateway.wait_for_server("demo", "ready").await;
    let ask = async |user: &str, messages: serde_json::Value| {
        let body = serde_json::json!({ "model": "told", "messages": messages });
        let request = crate::support::http().post(gateway.url("/v1/chat/completions")).json(&body);
        let sent = request.header("x-portolan-tags", format!("user={user}")).send().await.unwrap();
        assert_eq!(sent.status(), 200);
    };
    let say = |role: &str, text: &str| serde_json::json!({ "role": role, "content": text });
    ask("alice", serde_json::json!([say("user", "hi")])).await;
    ask("bob", serde_json::json!([say("user", "hi"), say("assistant", "stub answer"), say("user", "Who am I?")])).await;
    let told = provider.received().last().unwrap().text.clone();
    assert!(told.contains("This is bob.") && !told.contains("alice"), "{told}");
}

#[tokio::test]
async fn a_response_that_its_provider_keeps_is_gone_on_from_by_its_caller_alone_and_there_alone() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&format!(
        "{}  openai: {{ kind: openai, base_url: '{}', api_key: sk-CANARY-7f3a9c }}\nmodels:\n  native: {{ targets: [{{ provider: openai, model: gpt-5-mini }}] }}\n  \
         other: {{ targets: [{{ provider: stub, model: stub-1 }}] }}\n",
        provider.section(),
        provider.base()
    ))
    .await;
    let (ada, _) = gateway.key(json!({ "name": "ada", "grants": ["models"] })).await;
    let (bob, _) = gateway.key(json!({ "name": "bob", "grants": ["models"] })).await;
    let response = |id: &str| json!({ "id": id, "object": "response", "status": "completed", "output": [], "usage": null });
    let event = |number: usize, kind: &str, id: &str| {
        format!("event: {kind}\ndata: {}\n\n", json!({ "type": kind, "sequence_number": number, "response": response(id) }))
    };
    let stream = |id: &str| Reply::stream(&(event(0, "response.created", id) + &event(1, "response.completed", id)));
    let ask = |model: &str, from: Option<&str>, streamed: bool| json!({ "model": model, "input": "x", "previous_response_id": from, "stream": streamed });
    for streamed in [false, true] {
        let reply = |id: &str| if streamed { stream(id) } else { Reply::json(&response(id).to_string()) };
        let (first, second) = if streamed { ("resp_s1", "resp_s2") } else { ("resp_1", "resp_2") };
        provider.then([reply(first)]);
        assert_eq!(post_as(&gateway, Door::Responses, &ada, &ask("native", None, streamed)).await.status, 200);
        let sent = provider.received().len();
        for (key, model, from) in
            [(&bob, "native", first), (&ada, "native", "resp_unknown"), (&ada, "other", first), (&bob, "other", first)]
        {
            let answer = post_as(&gateway, Door::Responses, key, &ask(model, Some(from), streamed)).await;
            assert_eq!((answer.status, answer.word()), (400, "previous_response_not_found"), "{model} {from}: {}", answer.text);
        }
        assert_eq!(provider.received().len(), sent, "nothing is sent");
        provider.then([reply(second)]);
        let answer = post_as(&gateway, Door::Responses, &ada, &ask("native", Some(first), streamed)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(provider.received().last().unwrap().body()["previous_response_id"], first);
    }
}

#[tokio::test]
async fn half_a_conversation_is_not_gone_on_with() {
    let (gateway, provider) = harbour().await;
    let ask = async |text: &str, from: Option<&str>| {
        let body = json!({ "model": "plain-claude", "input": text, "previous_response_id": from });
        Door::Responses.send(&gateway, &body).await
    };
    let id = |answer: &Answer| answer.body["id"].as_str().unwrap().to_owned();
    let first = id(&ask("one", None).await);
    let second = id(&ask("two", Some(&first)).await);
    let third = id(&ask("three", Some(&second)).await);
    let sent = provider.received().len();
    let database = format!("sqlite://{}", gateway.data_dir().join("portolan.db").display());
    let pool = sqlx::SqlitePool::connect(&database).await.unwrap();
    assert_eq!(sqlx::query("DELETE FROM responses WHERE id = $1").bind(&first).execute(&pool).await.unwrap().rows_affected(), 1);
    let answer = ask("four", Some(&third)).await;
    assert_eq!((answer.status, answer.word()), (400, "previous_response_not_found"), "{}", answer.text);
    assert!(answer.message().contains(&first), "it says which is missing: {}", answer.text);
    assert_eq!(provider.received().len(), sent, "nothing is sent");
}
