//! SIGKILL at any moment: what was acknowledged is there afterwards, and what is there is whole.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::support::{McpUpstream, Modern, Speaks, TestGateway, chat, http, modern, names, tool};

/// How often the gateway is killed at least, and how many servers and keys are at stake at least.
const ROUNDS: u64 = 20;
const ACTED: usize = 20;

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("find", "Finds.", json!({ "type": "object" }))]).await;
    let mut gateway = TestGateway::start().await;
    let mut servers: Vec<String> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    let mut revoked: Vec<String> = Vec::new();
    // On a slow machine it takes more rounds until enough is at stake.
    for round in 0..4 * ROUNDS {
        if round >= ROUNDS && servers.len() >= ACTED && keys.len() >= ACTED {
            break;
        }
        let acknowledged: Arc<Mutex<Vec<String>>> = Arc::default();
        let writing = {
            let (control, key, url, acknowledged) =
                (gateway.url("/mcp/portolan"), gateway.owner_key(), upstream.url(), acknowledged.clone());
            tokio::spawn(async move {
                let client = Modern::new(&control).with_key(&key);
                for at in 0.. {
                    let name = format!("s{round}-{at}");
                    let add = json!({ "name": "servers_add", "arguments": { "name": name, "url": url, "allow_private": true } });
                    let Some(added) = attempt(&client, add).await else { return };
                    assert_eq!(added["release"], "1.0.0", "{added}");
                    acknowledged.lock().unwrap().push(name);
                }
            })
        };
        let mut made = Vec::new();
        let client = Modern::new(&gateway.url("/mcp/portolan")).with_key(&gateway.owner_key());
        let making = async {
            loop {
                let create = json!({ "name": "keys_create", "arguments": { "grants": ["models"] } });
                let Some(key) = attempt(&client, create).await else { return };
                made.push((key["key"].as_str().unwrap().to_owned(), key["id"].as_str().unwrap().to_owned()));
            }
        };
        // Each round is cut off a little later than the one before.
        let _ = tokio::time::timeout(Duration::from_millis(40 + 23 * round), making).await;
        gateway.kill().await;
        writing.abort();
        let _ = writing.await;
        servers.append(&mut acknowledged.lock().unwrap());
        gateway.start_again().await;

        let listed = gateway.control("servers_list", json!({})).await;
        let there = listed["servers"].as_array().unwrap();
        for name in &servers {
            let server = there.iter().find(|server| server["name"] == name.as_str());
            assert_eq!(server.map(|server| server["release"].as_str()), Some(Some("1.0.0")), "round {round}: `{name}` was acknowledged");
        }
        // Every key works that was made, but the one that is now revoked, and stays so.
        if let Some((key, id)) = made.pop() {
            gateway.control("keys_revoke", json!({ "id": id })).await;
            revoked.push(key);
        }
        keys.extend(made.into_iter().map(|(key, _)| key).take(3));
        for (expected, keys) in [(200, &keys), (401, &revoked)] {
            for key in keys {
                let status = http().get(gateway.url("/v1/models")).bearer_auth(key).send().await.unwrap().status();
                assert_eq!(status, expected, "round {round}");
            }
        }
    }
    assert!(servers.len() >= ACTED && keys.len() >= ACTED, "enough was at stake: {} servers, {} keys", servers.len(), keys.len());
    assert!(modern(&gateway.url("/mcp")).tools().await.len() >= servers.len());
}

/// A control tool's structured result; none when the gateway was gone before it was acknowledged.
async fn attempt(client: &Modern, params: serde_json::Value) -> Option<serde_json::Value> {
    let (_, request) = client.prepare("tools/call", params);
    let text = request.send().await.ok()?.text().await.ok()?;
    let answer: serde_json::Value = serde_json::from_str(&text).ok()?;
    assert_ne!(answer["result"]["isError"], true, "{answer}");
    Some(answer["result"]["structuredContent"].clone())
}

#[tokio::test]
async fn what_was_removed_and_decided_stays_so_after_a_kill() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", json!({ "type": "object" }))]).await;
    let mut gateway = TestGateway::start().await;
    for name in ["gone", "off", "kept"] {
        gateway.add_url(name, &upstream.url()).await;
    }
    upstream.set_tools([tool("find", "Finds more.", json!({ "type": "object" }))]);
    gateway.control("servers_refresh", json!({ "name": "kept" })).await;
    gateway.control("releases_approve", json!({ "server": "kept" })).await;
    gateway.control("servers_disable", json!({ "name": "off" })).await;
    gateway.control("servers_remove", json!({ "name": "gone" })).await;
    gateway.kill().await;
    gateway.start_again().await;
    let listed = gateway.control("servers_list", json!({})).await;
    assert_eq!(names(listed["servers"].as_array().unwrap()), ["kept", "off"]);
    assert_eq!(gateway.server("off").await["state"], "disabled");
    assert_eq!(modern(&gateway.url("/mcp")).tools().await[0]["description"], "Finds more.");
}

#[tokio::test]
async fn a_second_gateway_on_the_same_data_does_no_harm() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let data = gateway.data_dir();
    let mut second = tokio::process::Command::new(env!("CARGO_BIN_EXE_portolan"));
    second
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut second = second.kill_on_drop(true).spawn().unwrap();
    let _ = tokio::time::timeout(Duration::from_secs(2), second.wait()).await;
    gateway.key(json!({ "grants": ["models"] })).await;
    assert_eq!(gateway.server("demo").await["state"], "ready");
    second.kill().await.unwrap();
    gateway.key(json!({ "grants": ["models"] })).await;
}

/// How often the gateway is killed where there is time.
const KILLS: u64 = 500;
/// How many acts are at stake at least, however slow the machine is; it is killed more often until they are.
const ACTS: usize = 500;

#[tokio::test]
#[ignore = "it takes minutes"]
async fn every_acknowledged_act_is_there_once_after_five_hundred_kills_under_load() {
    let mut gateway = TestGateway::start().await;
    let mut acknowledged: Vec<String> = Vec::new();
    let mut checked = 0;
    for round in 0..4 * KILLS {
        let url = gateway.url("/v1/chat/completions");
        let load: Vec<_> = (0..4)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { while http().post(&url).json(&chat("portolan/echo", "x")).send().await.is_ok() {} })
            })
            .collect();
        let client = Modern::new(&gateway.url("/mcp/portolan")).with_key(&gateway.owner_key());
        let acting = async {
            for at in 0.. {
                let name = format!("r{round}-{at}");
                let create = json!({ "name": "keys_create", "arguments": { "grants": ["models"], "name": name } });
                if attempt(&client, create).await.is_none() {
                    return;
                }
                acknowledged.push(name);
            }
        };
        // No two rounds are cut off at the same moment.
        let _ = tokio::time::timeout(Duration::from_millis(5 + (round * 37) % 120), acting).await;
        gateway.kill().await;
        for task in load {
            task.abort();
        }
        gateway.start_again().await;
        // Those of this round, each time; all of them, at the end.
        let last = round + 1 >= KILLS && acknowledged.len() > ACTS;
        let looked = if last { &acknowledged[..] } else { &acknowledged[checked..] };
        let keys = gateway.control("keys_list", json!({})).await;
        let keys = names(keys["keys"].as_array().unwrap()).into_iter().fold(HashMap::new(), |mut counts, name| {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
            counts
        });
        for name in looked {
            assert_eq!(keys.get(name), Some(&1), "round {round}: the key `{name}` was acknowledged");
            let found = gateway.control("journal_query", json!({ "subject": format!("keys_create {name}") })).await;
            assert_eq!(found["entries"].as_array().unwrap().len(), 1, "round {round}: `{name}` is on record once: {found}");
        }
        checked = acknowledged.len();
        if last {
            break;
        }
    }
    assert!(acknowledged.len() > ACTS, "enough was at stake: {}", acknowledged.len());
}
