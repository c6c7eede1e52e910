//! Traces: what a collector gets to see of requests, and what peers are told of the trace they are part of.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{
    Collector, DEMO, Events, McpUpstream, Modern, Reply, Session, Spanned, Speaks, StubProvider, TestGateway, chat, http, modern, post,
    session, settles, streamed, tool,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn parent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// A gateway with a scripted MCP server as `up`, and a collector.
async fn traced(speaks: Speaks) -> (TestGateway, McpUpstream, Collector) {
    let collector = Collector::start().await;
    let upstream = McpUpstream::start(speaks, [tool("go", "Goes.", json!({ "type": "object" }))]).await;
    let gateway =
        TestGateway::with_config(&format!("{}mcp: {{ servers: {{ up: {{ url: '{}' }} }} }}\n", collector.section(), upstream.url())).await;
    gateway.wait_for_server("up", "ready").await;
    (gateway, upstream, collector)
}

/// A stateless call of `up__go` with what `_meta` says.
fn call(client: &Modern, meta: Value) -> reqwest::RequestBuilder {
    client.prepare("tools/call", json!({ "name": "up__go", "arguments": { "secret": "CANARY-argument" }, "_meta": meta })).1
}

fn the<'s>(spans: &'s [Spanned], kind: &str, name: &str) -> &'s Spanned {
    spans.iter().find(|span| span.kind == kind && span.name == name).unwrap_or_else(|| panic!("no {kind} span `{name}`: {spans:#?}"))
}

#[tokio::test]
async fn a_call_is_a_span_of_the_callers_trace_and_its_server_goes_on_from_there() {
    for speaks in [Speaks::Stateless, Speaks::Sessions] {
        let (gateway, upstream, collector) = traced(speaks).await;
        let client = modern(&gateway.url("/mcp"));
        let meta = json!({ "traceparent": parent(), "tracestate": "vendor=1", "baggage": "team=build", "other": 7 });
        let sent = call(&client, meta).header("x-request-id", "trace-me").send().await.unwrap();
        assert_eq!(sent.status(), 200);
        let spans = collector.trace("tools/call up__go", 2).await;
        let (server, client) = (the(&spans, "server", "tools/call up__go"), the(&spans, "client", "tools/call go"));
        assert_eq!((server.trace.as_str(), server.parent.as_str(), server.state.as_str()), (TRACE, PARENT, "vendor=1"));
        assert_eq!((&client.trace, &client.parent), (&server.trace, &server.id));
        assert!(server.began <= client.began && client.ended <= server.ended);
        for (name, value) in [
            ("mcp.method.name", json!("tools/call")),
            ("mcp.protocol.version", json!("2026-07-28")),
            ("gen_ai.operation.name", json!("execute_tool")),
            ("gen_ai.tool.name", json!("up__go")),
            ("jsonrpc.request.id", json!("1")),
            ("network.transport", json!("tcp")),
            ("portolan.request.id", json!("trace-me")),
            ("portolan.principal", json!("local")),
            ("error.type", Value::Null),
        ] {
            assert_eq!(*server.get(name), value, "{name}: {server:#?}");
        }
        let version = if speaks == Speaks::Stateless { "2026-07-28" } else { "2025-06-18" };
        for (name, value) in [
            ("mcp.protocol.version", json!(version)),
            ("gen_ai.tool.name", json!("go")),
            ("portolan.server", json!("up")),
            ("server.address", json!("127.0.0.1")),
        ] {
            assert_eq!(*client.get(name), value, "{name}: {client:#?}");
        }
        let told = upstream.recorded("tools/call").pop().unwrap();
        let expected = format!("00-{TRACE}-{}-01", client.id);
        let meta = &told.body["params"]["_meta"];
        assert_eq!(
            (&meta["traceparent"], &meta["tracestate"], &meta["baggage"]),
            (&json!(expected), &json!("vendor=1"), &json!("team=build"))
        );
        assert_eq!(meta["other"], 7, "what is not of the trace goes on as it came");
        let header = |name: &str| told.headers[name].to_str().unwrap();
        assert_eq!((header("traceparent"), header("tracestate")), (expected.as_str(), "vendor=1"));
        assert!(!told.headers.contains_key("baggage"));
    }
}

#[tokio::test]
async fn the_headers_of_a_request_are_the_parent_of_a_message_without_one_and_else_a_link() {
    let (gateway, upstream, collector) = traced(Speaks::Stateless).await;
    let client = modern(&gateway.url("/mcp"));
    let carried = "00-11111111111111111111111111111111-2222222222222222-01";
    call(&client, json!({})).header("traceparent", carried).header("baggage", "CANARY=1").send().await.unwrap();
    let spans = collector.trace("tools/call up__go", 2).await;
    let server = the(&spans, "server", "tools/call up__go");
    assert_eq!((server.trace.as_str(), server.parent.as_str(), server.links.len()), (&carried[3..35], "2222222222222222", 0));
    let meta = upstream.recorded("tools/call").pop().unwrap().body["params"]["_meta"].clone();
    assert!(meta["traceparent"].as_str().unwrap().starts_with("00-11111111") && meta["baggage"].is_null(), "{meta}");
    call(&client, json!({ "traceparent": parent() })).header("traceparent", carried).send().await.unwrap();
    let spans = settled(&collector, 4).await;
    let server = spans.iter().rfind(|span| span.kind == "server").unwrap();
    assert_eq!((server.trace.as_str(), server.parent.as_str()), (TRACE, PARENT));
    assert_eq!(server.links, [(carried[3..35].to_owned(), carried[36..52].to_owned())]);
}

/// Waits for so many spans of what a test itself asks for.
async fn settled(collector: &Collector, count: usize) -> Vec<Spanned> {
    settles(&format!("{count} spans have come"), async || asked_for(collector).len() >= count).await;
    asked_for(collector)
}

/// The spans without those of waiting until a server is ready.
fn asked_for(collector: &Collector) -> Vec<Spanned> {
    collector.spans().into_iter().filter(|span| span.name != "tools/call servers_list").collect()
}

#[tokio::test]
async fn what_is_no_parent_begins_a_new_trace_and_is_no_error() {
    let (gateway, upstream, collector) = traced(Speaks::Stateless).await;
    let client = modern(&gateway.url("/mcp"));
    let bad = [
        json!({ "traceparent": "nonsense", "tracestate": "x".repeat(600), "baggage": "b".repeat(9000) }),
        json!({ "traceparent": 7, "baggage": ["a"] }),
        json!({ "traceparent": format!("00-{}-{PARENT}-01", "0".repeat(32)) }),
        json!({ "traceparent": format!("ff-{TRACE}-{PARENT}-01") }),
    ];
    for meta in &bad {
        assert_eq!(call(&client, meta.clone()).header("traceparent", "also nonsense").send().await.unwrap().status(), 200, "{meta}");
    }
    let spans = settled(&collector, 2 * bad.len()).await;
    assert!(spans.iter().all(|span| span.trace != TRACE && span.state.is_empty()), "{spans:#?}");
    assert!(spans.iter().filter(|span| span.kind == "server").all(|span| span.parent.is_empty()));
    for told in upstream.recorded("tools/call") {
        let meta = &told.body["params"]["_meta"];
        assert!(meta["traceparent"].as_str().is_some_and(|own| own.len() == 55), "{meta}");
        assert!(meta["tracestate"].is_null() && meta["baggage"].is_null(), "{meta}");
    }
    // A long state costs only itself.
    let meta = json!({ "traceparent": parent(), "tracestate": format!("a={}", "x".repeat(600)) });
    call(&client, meta).send().await.unwrap();
    let spans = settled(&collector, 2 * bad.len() + 2).await;
    assert_eq!(spans.iter().filter(|span| span.trace == TRACE && span.state.is_empty()).count(), 2, "{spans:#?}");
}

#[tokio::test]
async fn a_trace_that_the_caller_does_not_sample_is_handed_on_and_not_exported() {
    let (gateway, upstream, collector) = traced(Speaks::Stateless).await;
    let client = modern(&gateway.url("/mcp"));
    call(&client, json!({ "traceparent": parent().replace("-01", "-00") })).send().await.unwrap();
    let told = upstream.recorded("tools/call").pop().unwrap().body["params"]["_meta"]["traceparent"].clone();
    assert!(told.as_str().unwrap().starts_with(&format!("00-{TRACE}-")) && told.as_str().unwrap().ends_with("-00"), "{told}");
    call(&client, json!({})).send().await.unwrap();
    let spans = settled(&collector, 2).await;
    assert!(spans.iter().all(|span| span.trace != TRACE), "{spans:#?}");
}

#[tokio::test]
async fn only_a_part_of_the_traces_that_begin_here_is_kept() {
    let collector = Collector::start().await;
    let config = format!("telemetry: {{ otlp: {{ endpoint: '{}', sample: 0 }} }}\n", collector.url());
    let gateway = TestGateway::with_config(&config).await;
    post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await;
    let asked = http().post(gateway.url("/v1/chat/completions")).header("traceparent", parent()).json(&chat("portolan/echo", "x"));
    assert_eq!(asked.send().await.unwrap().status(), 200);
    let spans = collector.trace("POST /v1/chat/completions", 2).await;
    assert!(spans.iter().all(|span| span.trace == TRACE), "{spans:#?}");
    assert_eq!(collector.spans().len(), 2, "what begins here is not sampled, what a caller samples is");
}

#[tokio::test]
async fn a_completion_and_each_attempt_at_a_model_are_spans() {
    let collector = Collector::start().await;
    let provider = StubProvider::start([Reply::status(503, &json!({})), Reply::text("x")]).await;
    let gateway = TestGateway::with_config(&format!("{}{}", provider.section(), collector.section())).await;
    let asked = http().post(gateway.url("/v1/chat/completions")).header("traceparent", parent()).header("x-request-id", "req-7");
    assert_eq!(asked.json(&chat("stub/stub-1", "CANARY-prompt")).send().await.unwrap().status(), 200);
    let spans = collector.trace("POST /v1/chat/completions", 3).await;
    let [server, failed, good] = spans.as_slice() else { panic!("{spans:#?}") };
    assert_eq!((server.kind, server.trace.as_str(), server.parent.as_str()), ("server", TRACE, PARENT));
    for (name, value) in [
        ("http.request.method", json!("POST")),
        ("http.route", json!("/v1/chat/completions")),
        ("http.response.status_code", json!(200)),
        ("gen_ai.request.model", json!("stub/stub-1")),
        ("portolan.request.id", json!("req-7")),
    ] {
        assert_eq!(*server.get(name), value, "{name}: {server:#?}");
    }
    assert_eq!((failed.name.as_str(), failed.failed, failed.get("error.type")), ("chat stub-1", true, &json!("503")));
    assert!(!good.failed && [failed, good].iter().all(|span| span.parent == server.id && span.kind == "client"));
    for (name, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("stub")),
        ("gen_ai.request.model", json!("stub-1")),
        ("gen_ai.response.model", json!("stub-1")),
        ("gen_ai.response.id", json!("chatcmpl-stub")),
        ("gen_ai.response.finish_reasons", json!(["stop"])),
        ("gen_ai.usage.input_tokens", json!(11)),
        ("gen_ai.usage.output_tokens", json!(7)),
        ("portolan.target", json!("stub/stub-1")),
        ("server.address", json!("127.0.0.1")),
        ("server.port", json!(provider.base().trim_end_matches("/v1").rsplit(':').next().unwrap().parse::<u16>().unwrap())),
    ] {
        assert_eq!(*good.get(name), value, "{name}: {good:#?}");
    }
    let told: Vec<_> = provider.received().iter().map(|asked| asked.header("traceparent").unwrap_or_default().to_owned()).collect();
    assert_eq!(told, [format!("00-{TRACE}-{}-01", failed.id), format!("00-{TRACE}-{}-01", good.id)]);
    assert!(provider.received().iter().all(|asked| asked.header("baggage").is_none()));
}

#[tokio::test]
async fn a_streams_span_ends_with_the_stream_and_knows_its_tokens() {
    let collector = Collector::start().await;
    let slow = Reply::stream_text(&["a", "b", "c"]).in_pieces(100, Duration::from_millis(100));
    let provider = StubProvider::start([slow]).await;
    let gateway = TestGateway::with_config(&format!("{}{}", provider.section(), collector.section())).await;
    post(&gateway.url("/v1/chat/completions"), &streamed("stub/stub-1", "x")).await;
    let spans = collector.trace("POST /v1/chat/completions", 2).await;
    let (server, client) = (the(&spans, "server", "POST /v1/chat/completions"), the(&spans, "client", "chat stub-1"));
    assert!(client.ended - client.began > 500_000_000, "{client:#?}");
    assert!(client.ended <= server.ended && !server.failed && !client.failed);
    assert_eq!((client.get("gen_ai.usage.input_tokens"), client.get("gen_ai.usage.output_tokens")), (&json!(11), &json!(7)));
    assert_eq!((client.get("gen_ai.request.stream"), client.get("gen_ai.response.finish_reasons")), (&json!(true), &json!(["stop"])));
    let first = Duration::from_secs_f64(client.get("gen_ai.response.time_to_first_chunk").as_f64().unwrap());
    assert!(!first.is_zero() && first < Duration::from_nanos(client.ended - client.began), "{first:?}");
}

#[tokio::test]
async fn a_stream_that_its_reader_leaves_or_that_breaks_ends_its_spans_and_says_why() {
    let collector = Collector::start().await;
    let text = || Reply::stream_text(&["a", "b", "c"]);
    let provider = StubProvider::start([text().stalled_after(300), text().cut_after(300)]).await;
    let gateway = TestGateway::with_config(&format!("{}{}", provider.section(), collector.section())).await;
    let url = gateway.url("/v1/chat/completions");
    let mut left = Events::new(http().post(&url).json(&streamed("stub/stub-1", "x")).send().await.unwrap());
    left.next().await.unwrap();
    drop(left);
    let spans = collector.trace("POST /v1/chat/completions", 2).await;
    assert!(spans.iter().all(|span| span.failed && *span.get("error.type") == "cancelled"), "{spans:#?}");
    post(&url, &streamed("stub/stub-1", "x")).await;
    let spans = settled(&collector, 4).await;
    let broken: Vec<_> = spans.iter().filter(|span| span.trace == spans[3].trace).collect();
    assert_eq!((broken[1].kind, broken[1].get("error.type")), ("client", &json!("truncated")), "{broken:#?}");
    assert!(broken[0].failed && *broken[0].get("http.response.status_code") == 200, "{broken:#?}");
}

#[tokio::test]
async fn a_loop_of_model_and_tools_is_one_waterfall() {
    const ECHO: (&str, &str, &str) = ("call_1", "demo__echo", r#"{"text":"CANARY-argument"}"#);
    for (script, body) in [
        ([Reply::calls(&[ECHO]), Reply::text("done")], chat("agent", "x")),
        ([Reply::stream_calls(&[ECHO]), Reply::stream_text(&["done"])], streamed("agent", "x")),
    ] {
        let collector = Collector::start().await;
        let provider = StubProvider::start(script).await;
        let gateway = TestGateway::with_config(&format!(
            "{}{}models: {{ agent: {{ targets: [{{ provider: stub, model: stub-1 }}], tools: [demo] }} }}
mcp: {{ servers: {{ demo: {{ command: {DEMO} }} }} }}\n",
            provider.section(),
            collector.section()
        ))
        .await;
        gateway.wait_for_server("demo", "ready").await;
        assert_eq!(post(&gateway.url("/v1/chat/completions"), &body).await.status, 200);
        let spans = collector.trace("POST /v1/chat/completions", 4).await;
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["POST /v1/chat/completions", "chat stub-1", "tools/call echo", "chat stub-1"]);
        let (server, rest) = spans.split_first().unwrap();
        assert!(rest.iter().all(|span| span.parent == server.id && span.kind == "client" && !span.failed), "{spans:#?}");
        assert!(rest.windows(2).all(|pair| pair[0].ended <= pair[1].began), "one after the other: {spans:#?}");
        assert!(rest.iter().all(|span| span.ended <= server.ended));
        assert_eq!((rest[1].get("network.transport"), rest[1].get("portolan.server")), (&json!("pipe"), &json!("demo")));
        assert!(collector.posts().iter().all(|(_, _, body)| memchr::memmem::find(body, b"CANARY").is_none()));
    }
}

#[tokio::test]
async fn what_is_fetched_for_a_completion_and_a_list_that_is_asked_for_are_spans_as_well() {
    let collector = Collector::start().await;
    let (provider, upstream) = (StubProvider::start([]).await, McpUpstream::start(Speaks::Stateless, []).await);
    let gateway = TestGateway::with_config(&format!(
        "{}{}mcp: {{ servers: {{ up: {{ url: '{}' }} }} }}
context: {{ deadline: 20s, sources: {{ notes: {{ server: up, resource: 'file:///CANARY.txt' }} }} }}
models: {{ known: {{ targets: [{{ provider: stub, model: stub-1 }}], context: [notes] }} }}\n",
        provider.section(),
        collector.section(),
        upstream.url()
    ))
    .await;
    gateway.wait_for_server("up", "ready").await;
    assert_eq!(post(&gateway.url("/v1/chat/completions"), &chat("known", "x")).await.status, 200);
    let spans = collector.trace("POST /v1/chat/completions", 3).await;
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST /v1/chat/completions", "resources/read", "chat stub-1"]);
    assert!(spans[1..].iter().all(|span| span.parent == spans[0].id && span.kind == "client" && !span.failed), "{spans:#?}");
    modern(&gateway.url("/mcp")).request("resources/list", json!({})).await;
    let spans = collector.trace("resources/list", 2).await;
    let client = the(&spans, "client", "resources/list");
    assert_eq!(client.parent, the(&spans, "server", "resources/list").id);
    for (method, id) in [("resources/read", None), ("resources/list", Some(&client.id))] {
        let told = upstream.recorded(method).pop().unwrap().body["params"]["_meta"]["traceparent"].clone();
        assert!(id.is_none_or(|id| told.as_str().unwrap().contains(id)) && told.is_string(), "{method}: {told}");
    }
    assert!(collector.posts().iter().all(|(_, _, body)| memchr::memmem::find(body, b"CANARY").is_none()));
}

#[tokio::test]
async fn what_goes_wrong_is_told_by_a_code_and_never_by_a_message() {
    let (gateway, upstream, collector) = traced(Speaks::Sessions).await;
    let session: Session = session(&gateway.url("/mcp")).await;
    upstream.answers("go", json!({ "content": [{ "type": "text", "text": "CANARY-result" }], "isError": true }));
    session.call("up__go", json!({})).await;
    session.request("tools/call", json!({ "name": "up__CANARY", "arguments": {} })).await;
    session.request("CANARY/method", json!({})).await;
    upstream.resources_say(None);
    session.request("resources/read", json!({ "uri": "up+file:///CANARY.txt" })).await;
    let spans = settled(&collector, 7).await;
    let find = |kind, name| the(&spans, kind, name);
    for kind in ["server", "client"] {
        let span = find(kind, if kind == "server" { "tools/call up__go" } else { "tools/call go" });
        assert!(span.failed && *span.get("error.type") == "tool_error", "{span:#?}");
    }
    let initialize = find("server", "initialize");
    assert_eq!((initialize.get("mcp.session.id"), initialize.get("mcp.protocol.version")), (&json!(session.id), &json!("2025-11-25")));
    let other = find("server", "_OTHER");
    assert_eq!((other.failed, other.get("rpc.response.status_code")), (false, &json!("-32601")));
    let unknown = spans.iter().find(|span| span.name.contains("up__CANARY")).unwrap();
    assert_eq!((unknown.failed, unknown.get("error.type")), (false, &json!("-32602")));
    let (asked, read) = (find("server", "resources/read"), find("client", "resources/read"));
    assert_eq!((read.get("error.type"), read.get("rpc.response.status_code")), (&json!("-32603"), &json!("-32603")));
    assert!(asked.failed && read.parent == asked.id);
    for canary in ["CANARY-result", "CANARY/method", "CANARY.txt", "out of order"] {
        assert!(collector.posts().iter().all(|(_, _, body)| memchr::memmem::find(body, canary.as_bytes()).is_none()), "{canary}");
    }
}

#[tokio::test]
async fn a_request_that_is_refused_is_a_span_and_one_without_a_key_is_none() {
    let collector = Collector::start().await;
    let key = "auth: { keys: { some: { key: CANARY-declared-0123456789, grants: [mcp, models] } } }\n";
    let gateway = TestGateway::with_config(&format!("{key}{}", collector.section())).await;
    let url = gateway.url("/v1/chat/completions");
    assert_eq!(post(&url, &chat("portolan/echo", "x")).await.status, 401);
    let asked = |body: &'static str| {
        http().post(&url).bearer_auth("CANARY-declared-0123456789").header("content-type", "application/json").body(body).send()
    };
    assert_eq!(asked("{").await.unwrap().status(), 400);
    assert_eq!(asked(r#"{"model":"gone","messages":[{"role":"user","content":"x"}]}"#).await.unwrap().status(), 404);
    let spans = settled(&collector, 2).await;
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert!(spans.iter().all(|span| !span.failed && *span.get("portolan.principal") == "key:some"), "{spans:#?}");
    assert_eq!(*spans[0].get("http.response.status_code"), 400);
    assert_eq!((spans[1].get("http.response.status_code"), spans[1].get("error.type")), (&json!(404), &json!("model_not_found")));
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_no_request_and_is_told_of_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gateway = TestGateway::with_config(&format!("telemetry: {{ otlp: 'http://{address}' }}\n")).await;
    let url = gateway.url("/v1/chat/completions");
    for _ in 0..5 {
        assert_eq!(post(&url, &chat("portolan/echo", "x")).await.status, 200);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let complaints = || gateway.log().matches("does not take traces").count();
    settles("it is told of", async || complaints() == 1).await;
    let collector = Collector::on(TcpListener::bind(address).await.unwrap());
    let spans = settled(&collector, 10).await;
    assert_eq!(spans.len(), 10, "nothing was lost meanwhile");
    settles("its return is told of", async || gateway.log().contains("takes traces again")).await;
    assert_eq!(complaints(), 1, "{}", gateway.log());
}

#[tokio::test]
async fn what_the_collector_does_not_take_is_counted() {
    let (gateway, _upstream, collector) = traced(Speaks::Stateless).await;
    let client = modern(&gateway.url("/mcp"));
    let counted = async |reason: &str| {
        let text = http().get(gateway.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let start = format!("portolan_trace_spans_dropped_total{{reason=\"{reason}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&start)?.parse::<u64>().ok()).unwrap_or_default()
    };
    collector.rejects(1);
    call(&client, json!({})).send().await.unwrap();
    settles("a rejected span is counted", async || counted("rejected").await == 1).await;
    collector.refuses(400);
    call(&client, json!({})).send().await.unwrap();
    settles("spans that are refused for good are counted", async || counted("not_taken").await == 2).await;
    assert_eq!(gateway.log().matches("does not take traces, and they are dropped").count(), 1, "{}", gateway.log());
    collector.takes();
    call(&client, json!({ "traceparent": parent() })).send().await.unwrap();
    collector.trace("tools/call up__go", 2).await;
}

#[tokio::test]
async fn a_gateway_that_stops_sends_its_last_spans_first_and_does_not_wait_for_a_collector_that_hangs() {
    let (mut gateway, _upstream, collector) = traced(Speaks::Stateless).await;
    call(&modern(&gateway.url("/mcp")), json!({})).send().await.unwrap();
    assert_eq!(gateway.stop().await.code(), Some(0));
    assert_eq!(asked_for(&collector).len(), 2, "they were sent before the end");

    let (mut gateway, _upstream, collector) = traced(Speaks::Stateless).await;
    collector.hangs();
    call(&modern(&gateway.url("/mcp")), json!({})).send().await.unwrap();
    let start = std::time::Instant::now();
    assert_eq!(gateway.stop().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(gateway.log().contains("the last traces could not be sent"), "{}", gateway.log());
}

#[tokio::test]
async fn no_secret_and_nothing_that_was_said_is_exported() {
    let collector = Collector::start().await;
    let refused = Reply::status(401, &json!({ "error": { "message": "bad key sk-CANARY-7f3a9c: CANARY-prompt", "code": "CANARY-code" } }));
    let provider = StubProvider::start([Reply::text("CANARY-answer"), Reply::stream_text(&["CANARY-answer"]), refused]).await;
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("go", "CANARY-description", json!({ "type": "object" }))]).await;
    let address = upstream.url().replace("http://", "http://user:CANARY-password@");
    let config = format!(
        "{}auth: {{ keys: {{ some: {{ key: CANARY-declared-0123456789, grants: [mcp, models], models: ['*'] }} }} }}
mcp: {{ servers: {{ up: {{ url: '{address}?key=CANARY-query', headers: {{ x-key: CANARY-header }} }} }} }}
telemetry: {{ log: trace, otlp: {{ endpoint: '{}', headers: {{ authorization: 'Bearer CANARY-collector' }} }} }}
limits: {{ retries: 0 }}\n",
        provider.section(),
        collector.url(),
    );
    let mut gateway = TestGateway::with_config(&config).await;
    gateway.wait_for_server("up", "ready").await;
    let key = "CANARY-declared-0123456789";
    for body in [chat("stub/stub-1", "CANARY-prompt"), streamed("stub/stub-1", "CANARY-prompt"), chat("stub/stub-1", "CANARY-prompt")] {
        http().post(gateway.url("/v1/chat/completions")).bearer_auth(key).json(&body).send().await.unwrap().text().await.unwrap();
    }
    let client = modern(&gateway.url("/mcp")).with_key(key);
    call(&client, json!({})).send().await.unwrap();
    client.request("resources/read", json!({ "uri": "up+file:///CANARY-resource" })).await;
    client.request("prompts/get", json!({ "name": "up__ask", "arguments": { "what": "CANARY-prompt-argument" } })).await;
    let spans = settled(&collector, 12).await;
    the(&spans, "client", "prompts/get ask");
    gateway.stop().await;
    for (uri, headers, body) in collector.posts() {
        assert_eq!((uri.path(), headers["content-type"].to_str().unwrap()), ("/v1/traces", "application/x-protobuf"));
        assert_eq!(headers["authorization"], "Bearer CANARY-collector", "they are used");
        let found = memchr::memmem::find(&body, b"CANARY");
        let around = found.map(|at| String::from_utf8_lossy(&body[at.saturating_sub(60)..(at + 40).min(body.len())]).into_owned());
        assert!(around.is_none(), "{around:?}");
    }
    assert!(!gateway.log().contains("CANARY-collector"));
}

#[tokio::test]
async fn without_a_collector_nothing_is_traced_and_a_callers_trace_goes_through_as_it_is() {
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("go", "Goes.", json!({ "type": "object" }))]).await;
    let provider = StubProvider::start([]).await;
    let listener = Collector::start().await;
    let config = format!("{}mcp: {{ servers: {{ up: {{ url: '{}' }} }} }}\n", provider.section(), upstream.url());
    // The environment of other programs is not taken for a configuration.
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", listener.url()), ("OTEL_TRACES_EXPORTER", "otlp")];
    let mut gateway = TestGateway::launch(Some(&config), "127.0.0.1:0", &environment).await;
    gateway.wait_for_server("up", "ready").await;
    let meta = json!({ "traceparent": parent(), "tracestate": "x".repeat(600), "baggage": "team=build" });
    call(&modern(&gateway.url("/mcp")), meta.clone()).header("traceparent", parent()).send().await.unwrap();
    let told = upstream.recorded("tools/call").pop().unwrap();
    for member in ["traceparent", "tracestate", "baggage"] {
        assert_eq!(told.body["params"]["_meta"][member], meta[member]);
        assert!(!told.headers.contains_key(member));
    }
    let asked = http().post(gateway.url("/v1/chat/completions")).header("traceparent", parent());
    asked.json(&chat("stub/stub-1", "x")).send().await.unwrap();
    assert!(provider.only().header("traceparent").is_none());
    gateway.stop().await;
    assert!(listener.posts().is_empty());
}

#[tokio::test]
async fn check_tells_whether_the_collector_takes_traces_and_where_its_address_is_wrong() {
    let collector = Collector::start().await;
    let gateway = TestGateway::start().await;
    let file = gateway.file("traced.yaml");
    let check = async |text: &str| {
        std::fs::write(&file, text).unwrap();
        gateway.cli(&["check", "--config", file.to_str().unwrap()]).await
    };
    assert!(check(&collector.section()).await.ok().contains("takes traces"));
    collector.refuses(403);
    let refused = check(&collector.section()).await;
    assert!(refused.code == 1 && refused.stdout.contains("/v1/traces") && refused.stdout.contains("403"), "{refused:?}");
    let wrong = check("telemetry:\n  otlp: localhost:4318\n").await.failed(1);
    assert!(wrong.contains("line 2 column 9") && wrong.contains("http://127.0.0.1:4318"), "{wrong}");
}
