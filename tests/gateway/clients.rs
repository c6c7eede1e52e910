//! Agent clients: what `connect` writes into their files, and what `init` reads out of them.

use serde_json::{Value, json};

use crate::support::TestGateway;

const CLIENTS: [(&str, &str, &str); 8] = [
    ("claude-code", ".mcp.json", "/mcpServers/portolan/url"),
    ("claude-desktop", "home/.config/Claude/claude_desktop_config.json", "/mcpServers/portolan/env/PORTOLAN_URL"),
    ("cursor", "home/.cursor/mcp.json", "/mcpServers/portolan/url"),
    ("vscode", ".vscode/mcp.json", "/servers/portolan/url"),
    ("codex", "home/.codex/config.toml", "/mcp_servers/portolan/url"),
    ("zed", "home/.config/zed/settings.json", "/context_servers/portolan/url"),
    ("gemini-cli", "home/.gemini/settings.json", "/mcpServers/portolan/httpUrl"),
    ("opencode", "home/.config/opencode/opencode.json", "/mcp/portolan/url"),
];

fn is_toml(file: &str) -> bool {
    std::path::Path::new(file).extension().is_some_and(|extension| extension == "toml")
}

fn parsed(file: &str, text: &str) -> Value {
    if is_toml(file) { toml::from_str(text).unwrap() } else { serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")) }
}

#[tokio::test]
async fn every_client_is_shown_and_written_its_own_words_and_keeps_what_it_had() {
    let gateway = TestGateway::start().await;
    for (client, file, pointer) in CLIENTS {
        let shown = gateway.cli(&["connect", client]).await.ok();
        let address = parsed(file, &shown).pointer(pointer).unwrap_or_else(|| panic!("{client}: {shown}")).clone();
        assert!(address.as_str().unwrap().starts_with(&gateway.url("")), "{client}: {address}");
        let path = gateway.file(file);
        assert!(!path.exists(), "{client}: nothing is written unasked");

        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let before = if is_toml(file) { "# mine\nmodel = \"gpt-5\"\n" } else { "{ \"theme\": \"dark\", \"zebra\": 1.50 }" };
        std::fs::write(&path, before).unwrap();
        gateway.cli(&["connect", client, "--write"]).await.ok();
        let text = std::fs::read_to_string(&path).unwrap();
        let written = parsed(file, &text);
        assert_eq!(written.pointer(pointer), Some(&address), "{client}: {text}");
        assert!(text.contains("# mine") || text.contains("\"zebra\": 1.50") || written["zebra"] == json!(1.5), "{client}: {text}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_changed_safely_stays_as_it_is_and_the_snippet_is_told() {
    let gateway = TestGateway::start().await;
    for (client, file, text) in [
        ("zed", "home/.config/zed/settings.json", "// my settings\n{ \"theme\": \"dark\" }"),
        ("cursor", "home/.cursor/mcp.json", "{ \"mcpServers\": [] }"),
        ("codex", "home/.codex/config.toml", "[mcp_servers.portolan]\nurl = \"https://old\"\n"),
        ("codex", "home/.codex/config.toml", "not = toml = at all"),
    ] {
        let path = gateway.file(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let said = gateway.cli(&["connect", client, "--write"]).await.failed(1);
        assert!(said.contains("is left as it is") && said.contains("/mcp"), "{client}: {said}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test]
async fn a_key_is_named_by_its_variable_and_never_written() {
    let gateway = TestGateway::start().await;
    for (client, file, _) in CLIENTS {
        let shown = gateway.cli(&["connect", client, "--key-env", "MY_KEY", "--server", "time", "--name", "gw"]).await;
        if matches!(client, "zed" | "claude-desktop") {
            assert!(shown.failed(2).contains("reads no variables"), "{client}");
            continue;
        }
        let text = shown.ok();
        assert!(text.contains("MY_KEY") && text.contains("/mcp/time") && text.contains("gw"), "{client}: {text}");
        assert!(!text.contains("ptl_"), "{client}: {text}");
        parsed(file, &text);
    }
    let wrong = gateway.cli(&["connect", "cursor", "--name", "a\"b"]).await.failed(2);
    assert!(wrong.contains("must be letters"), "{wrong}");
    let pinned = gateway.cli(&["connect", "cursor", "--server", "time@1.4"]).await.ok();
    assert!(pinned.contains("/mcp/time@1.4"), "{pinned}");
    let wrong = gateway.cli(&["connect", "cursor", "--server", "time@latest"]).await.failed(2);
    assert!(wrong.contains("perhaps at a release"), "{wrong}");
}

#[tokio::test]
async fn a_first_configuration_is_written_once_and_is_a_good_one() {
    let gateway = TestGateway::start().await;
    let said = gateway.cli(&["init"]).await.ok();
    assert!(said.contains("portolan.yaml is written"), "{said}");
    gateway.cli(&["check", "--offline"]).await.ok();
    let again = gateway.cli(&["init"]).await.failed(1);
    assert!(again.contains("is there already"), "{again}");
}

#[tokio::test]
async fn servers_of_every_client_are_taken_over_and_their_secrets_are_not() {
    let gateway = TestGateway::start().await;
    let cursor = json!({ "mcpServers": {
        "GitHub Server": { "url": "https://api.example.com/mcp", "headers": { "Authorization": "Bearer ghp_CANARY0123456789abcdef", "X-Team": "build" } },
        "files": { "command": "npx", "args": ["-y", "@x/files", "--token=CANARY-2", "/srv"], "env": { "API_KEY": "CANARY-3", "TZ": "UTC", "HOST": "${env:FILES_HOST}" } },
        "old": { "url": "http://10.0.0.1/sse" },
        "off": { "command": "x", "disabled": true },
        "empty": {},
        "own": { "url": gateway.url("/mcp").replace("127.0.0.1", "localhost") },
        "told": { "command": "npx", "args": ["-y", "@x/told", "--api-key", "CANARY-4", "--header", "Authorization: Bearer CANARY-5"] },
        "keyed": { "url": "https://keyed.example.com/mcp?key=CANARY-6&page=2" },
        "bridge": { "command": "/usr/local/bin/portolan", "args": ["stdio"] },
    } });
    let codex = "[mcp_servers.docs]\nurl = \"https://docs.example.com/mcp\"\nbearer_token_env_var = \"DOCS_TOKEN\"\n[mcp_servers.time]\ncommand = \"uvx\"\nargs = [\"mcp-server-time\"]\n";
    let zed = "{\n  // my servers\n  \"context_servers\": { \"time\": { \"command\": { \"path\": \"uvx\", \"args\": [\"mcp-server-time\"] } }, },\n}";
    let opencode = json!({ "mcp": { "time": { "type": "local", "command": ["uvx", "mcp-server-time"], "environment": { "TOKEN": "{env:TIME_TOKEN}" } } } });
    for (client, file, text) in [
        ("cursor", "home/.cursor/mcp.json", cursor.to_string()),
        ("codex", "home/.codex/config.toml", codex.to_owned()),
        ("zed", "home/.config/zed/settings.json", zed.to_owned()),
        ("opencode", "home/.config/opencode/opencode.json", opencode.to_string()),
    ] {
        let path = gateway.file(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let output = format!("{client}.yaml");
        let said = gateway.cli(&["init", "--from", client, "--output", &output, "--json"]).await.json();
        let written = std::fs::read_to_string(gateway.file(&output)).unwrap();
        assert!(!written.contains("CANARY") && !said.to_string().contains("CANARY"), "{written}");
        let servers = said["servers"].as_array().unwrap();
        assert!(!servers.is_empty(), "{client}: {said}");
        // With its variables set it is a good configuration.
        let variables: Vec<String> = said["variables"].as_object().unwrap().keys().cloned().collect();
        let set: Vec<(&str, &str)> = variables.iter().map(|name| (name.as_str(), "0123456789abcdef")).collect();
        let file = gateway.file(&output);
        let checked = TestGateway::plain_cli(&set, &["check", "--offline", "--config", file.to_str().unwrap()]).await;
        assert_eq!(checked.code, 0, "{client}: {checked:?}\n{written}");
        if client == "cursor" {
            assert_eq!(said["servers"], json!(["files", "github-server", "keyed", "told"]));
            assert_eq!(
                variables,
                ["API_KEY", "FILES_HOST", "FILES_TOKEN", "GITHUB_SERVER_AUTHORIZATION", "KEYED_KEY", "TOLD_API_KEY", "TOLD_AUTHORIZATION"]
            );
            assert!(written.contains("Bearer ${GITHUB_SERVER_AUTHORIZATION}") && written.contains("\"TZ\": \"UTC\""), "{written}");
            let notes = said["notes"].to_string();
            assert!(
                ["old", "off", "empty", "GitHub Server", "`own` is this gateway itself", "`bridge` is this gateway itself"]
                    .iter()
                    .all(|name| notes.contains(name)),
                "{notes}"
            );
        }
    }
    let nothing = gateway.cli(&["init", "--from", "gemini-cli", "--output", "none.yaml"]).await.failed(1);
    assert!(nothing.contains("no MCP servers were found in") && nothing.contains(".gemini/settings.json"), "{nothing}");
    assert!(!gateway.file("none.yaml").exists());
}
