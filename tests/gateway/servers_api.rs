//! The official registry's API, read: what it says of the releases of this gateway.

use serde_json::{Value, json};

use crate::support::{Answer, McpUpstream, Speaks, TestGateway, http, tool};

async fn get(gateway: &TestGateway, path: &str) -> Answer {
    Answer::read(http().get(gateway.url(path)).send().await.unwrap()).await
}

fn act(description: &str) -> Value {
    tool("act", description, json!({ "type": "object" }))
}

/// A gateway with two servers, one of which has had a release before.
async fn two() -> (TestGateway, McpUpstream) {
    let (wiki, news) =
        (McpUpstream::start(Speaks::Sessions, [act("Acts.")]).await, McpUpstream::start(Speaks::Stateless, [act("Acts.")]).await);
    let gateway = TestGateway::start().await;
    gateway.add_url("wiki", &wiki.url()).await;
    gateway.add_url("news", &news.url()).await;
    wiki.set_tools([act("Acts at once.")]);
    gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
    gateway.control("releases_approve", json!({ "server": "wiki" })).await;
    (gateway, wiki)
}

fn versions(body: &Value) -> Vec<String> {
    let version = |one: &Value| format!("{}@{}", one["server"]["name"].as_str().unwrap(), one["server"]["version"].as_str().unwrap());
    body["servers"].as_array().unwrap().iter().map(version).collect()
}

#[tokio::test]
async fn each_release_is_a_version_of_a_server_and_the_served_one_is_the_latest() {
    let (gateway, _wiki) = two().await;
    let all = get(&gateway, "/v0.1/servers").await.body;
    assert_eq!(versions(&all), ["localhost/news@1.0.0", "localhost/wiki@1.0.1", "localhost/wiki@1.0.0"], "{all}");
    assert_eq!(all["metadata"], json!({ "count": 3 }));
    let latest = get(&gateway, "/v0.1/servers/localhost%2Fwiki/versions/latest").await.body;
    assert_eq!(latest["server"]["version"], "1.0.1");
    assert_eq!(latest["server"]["remotes"][0]["url"], gateway.url("/mcp/wiki"));
    let official = &latest["_meta"]["io.modelcontextprotocol.registry/official"];
    assert_eq!((&official["status"], &official["isLatest"]), (&json!("active"), &json!(true)), "{latest}");
    let release = &latest["_meta"]["dev.portolan/release"];
    let served = gateway.server("wiki").await;
    assert_eq!(release["digest"], served["digest"]);
    assert_eq!(release["tools"][0]["name"], "act");
    assert!(release["tools"][0]["definitionDigest"].as_str().unwrap().starts_with("sha256:"), "{release}");
    let old = get(&gateway, "/v0.1/servers/localhost%2Fwiki/versions/1.0.0").await.body;
    assert!(old["server"]["remotes"][0]["url"].as_str().unwrap().ends_with("/mcp/wiki@1.0.0"), "it is reached where it is pinned: {old}");
    let both = get(&gateway, "/v0.1/servers/localhost%2Fwiki/versions").await.body;
    assert_eq!(versions(&both), ["localhost/wiki@1.0.1", "localhost/wiki@1.0.0"]);
}

#[tokio::test]
async fn lists_are_searched_filtered_and_taken_page_by_page() {
    let (gateway, _wiki) = two().await;
    let mut cursor = String::new();
    let mut seen = Vec::new();
    loop {
        let page = get(&gateway, &format!("/v0.1/servers?limit=1&cursor={cursor}")).await.body;
        seen.extend(versions(&page));
        match page["metadata"]["nextCursor"].as_str() {
            Some(next) => cursor = next.replace('/', "%2F"),
            None => break,
        }
    }
    assert_eq!(seen, ["localhost/news@1.0.0", "localhost/wiki@1.0.1", "localhost/wiki@1.0.0"]);
    for (query, found) in [
        ("search=WIK&version=latest", vec!["localhost/wiki@1.0.1"]),
        ("version=1.0.0", vec!["localhost/news@1.0.0", "localhost/wiki@1.0.0"]),
        ("updated_since=2999-01-01T00:00:00Z", vec![]),
        ("search=nothing", vec![]),
    ] {
        assert_eq!(versions(&get(&gateway, &format!("/v0.1/servers?{query}")).await.body), found, "{query}");
    }
    let many = get(&gateway, "/v0.1/servers?limit=100000000000000000000").await.body;
    assert_eq!(many["metadata"]["count"], 3, "as many as there are");
}

#[tokio::test]
async fn what_the_official_description_does_not_allow_is_refused_where_it_has_a_meaning() {
    let (gateway, _wiki) = two().await;
    let lists = ["limit=0", "limit=", "limit=many", "updated_since=yesterday", "updated_since=", "cursor=x", "include_deleted=1"];
    let paths = lists.map(|query| format!("/v0.1/servers?{query}"));
    let below = ["versions", "versions/latest"].map(|below| format!("/v0.1/servers/localhost%2Fwiki/{below}?include_deleted="));
    for path in paths.iter().chain(&below) {
        let refused = get(&gateway, path).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.body["error"].is_string(), "{path}: {}", refused.text);
    }
    let listed = get(&gateway, "/v0.1/servers/localhost%2Fwiki/versions?limit=0&updated_since=yesterday").await;
    assert_eq!(listed.status, 200, "only lists of all servers are filtered: {}", listed.text);
}

#[tokio::test]
async fn a_release_that_was_taken_back_counts_as_deleted() {
    let (gateway, _wiki) = two().await;
    gateway.control("releases_rollback", json!({ "server": "wiki" })).await;
    let shown = get(&gateway, "/v0.1/servers/localhost%2Fwiki/versions").await.body;
    assert_eq!(versions(&shown), ["localhost/wiki@1.0.0"]);
    let all = get(&gateway, "/v0.1/servers/localhost%2Fwiki/versions?include_deleted=true").await.body;
    let deleted = all["servers"].as_array().unwrap().iter().find(|one| one["server"]["version"] == "1.0.1").unwrap();
    assert_eq!(deleted["_meta"]["io.modelcontextprotocol.registry/official"]["status"], "deleted");
}

#[tokio::test]
async fn a_version_is_of_one_release_for_good() {
    let (gateway, wiki) = two().await;
    // Back to the words of 1.0.0, and from there to others than those of 1.0.1; these are taken back, and there are others again.
    for words in ["Acts.", "Acts twice."] {
        wiki.set_tools([act(words)]);
        gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
    }
    gateway.control("releases_approve", json!({ "server": "wiki" })).await;
    gateway.control("releases_rollback", json!({ "server": "wiki" })).await;
    wiki.set_tools([act("Acts three times.")]);
    gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
    gateway.control("releases_approve", json!({ "server": "wiki" })).await;
    let all = get(&gateway, "/v0.1/servers/localhost%2Fwiki/versions?include_deleted=true").await.body;
    let mut found = versions(&all);
    found.sort();
    assert_eq!(found, ["1.0.0", "1.0.1", "1.0.2", "1.0.3"].map(|version| format!("localhost/wiki@{version}")), "{all}");
}

#[tokio::test]
async fn nobody_hears_of_servers_that_are_not_theirs_or_are_not_there() {
    let (gateway, _wiki) = two().await;
    for path in ["localhost%2Fnone/versions", "localhost%2Fwiki/versions/9.9.9", "com.example%2Fwiki/versions", "wiki/versions"] {
        let missed = get(&gateway, &format!("/v0.1/servers/{path}")).await;
        assert_eq!(missed.status, 404, "{path}");
        assert!(missed.body["error"].is_string(), "{path}: {}", missed.text);
    }
    let (key, _) = gateway.key(json!({ "grants": ["registry"], "servers": ["news"] })).await;
    let with = async |path: &str| Answer::read(http().get(gateway.url(path)).bearer_auth(&key).send().await.unwrap()).await;
    assert_eq!(versions(&with("/v0.1/servers").await.body), ["localhost/news@1.0.0"]);
    assert_eq!(with("/v0.1/servers/localhost%2Fwiki/versions").await.status, 404);
    let (models, _) = gateway.key(json!({ "grants": ["models"] })).await;
    let refused = http().get(gateway.url("/v0.1/servers")).bearer_auth(&models).send().await.unwrap();
    assert_eq!(refused.status(), 403);
}
