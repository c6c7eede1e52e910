//! Curated servers: what was reviewed ships with the binary, and a server that is added by name is held up to it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Cli, TestGateway, http, modern};

const NAME: &str = "io.github.modelcontextprotocol/server-sequential-thinking";
const PACKAGE: &str = "@modelcontextprotocol/server-sequential-thinking";
const VERSION: &str = "2026.8.31";

/// The curated manifest of the server that stands in for all.
fn manifest() -> Value {
    let file = format!("{}/registry/{NAME}/{VERSION}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn definitions(kind: &str) -> Vec<Value> {
    let all = manifest()["_meta"]["dev.portolan/release"]["definitions"].as_array().unwrap().clone();
    all.into_iter().filter(|one| one["kind"] == kind).map(|one| one["body"].clone()).collect()
}

/// A runner that fetches nothing: its server has the tools of a file, and its registry says what a file says.
struct Runner {
    dir: tempfile::TempDir,
    path: String,
}

impl Runner {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let runner = Self { dir, path };
        let dir = runner.dir.path().display();
        runner.script("npm", &format!("echo \"$@\" >> {dir}/asked\nexec cat {dir}/npm.json"));
        let answer = |result: &str| format!("printf '{{\"jsonrpc\":\"2.0\",\"id\":%s,{result}}}\\n' \"$id\"");
        let server = format!(
            "echo \"$@\" >> {dir}/ran\nwhile IFS= read -r line; do\n\
             id=$(printf '%s' \"$line\" | sed -n 's/.*\"id\":\\(\"[^\"]*\"\\|[0-9]*\\).*/\\1/p')\n\
             case \"$line\" in\n*'\"initialize\"'*) {};;\n*'\"tools/list\"'*) {} \"$(cat {dir}/tools.json)\";;\n*'\"id\":'*) {};;\nesac\ndone",
            answer(
                r#""result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"thinking","version":"1"}}"#
            ),
            answer(r#""result":{"tools":%s}"#),
            answer(r#""error":{"code":-32601,"message":"no such method"}"#),
        );
        runner.script("npx", &server);
        runner.publishes(VERSION, &definitions("code")[0]["integrity"][0]);
        runner.offers(&definitions("tool"));
        runner
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.file(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn publishes(&self, version: &str, integrity: &Value) {
        std::fs::write(self.file("npm.json"), json!({ "version": version, "dist.integrity": integrity }).to_string()).unwrap();
    }

    fn offers(&self, tools: &[Value]) {
        std::fs::write(self.file("tools.json"), json!(tools).to_string()).unwrap();
    }

    /// The same tool with other words.
    fn offers_more_words(&self) {
        let mut tool = definitions("tool")[0].clone();
        tool["description"] = json!("Thinks aloud.");
        self.offers(&[tool]);
    }

    fn lines(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.file(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    async fn gateway(&self, config: &str) -> TestGateway {
        TestGateway::launch(Some(config), "127.0.0.1:0", &[("PATH", self.path.as_str())]).await
    }

    async fn run(&self, words: &[&str]) -> Cli {
        TestGateway::plain_cli(&[("PATH", self.path.as_str())], words).await
    }
}

#[tokio::test]
async fn what_was_reviewed_is_served_at_once_under_any_profile() {
    for profile in ["team", "locked"] {
        let runner = Runner::new();
        let gateway = runner.gateway(&format!("registry: {{ profile: {profile} }}\n")).await;
        let added = gateway.cli(&["server", "add", "think", "--curated", "sequential-thinking", "--", "--quiet"]).await.ok();
        assert!(added.contains("`think` is registered as think@1.0.0") && added.contains("sequentialthinking"), "{added}");
        assert_eq!(runner.lines("ran"), [format!("-y {PACKAGE}@{VERSION} --quiet")]);
        assert!(runner.lines("asked")[0].starts_with(&format!("view {PACKAGE}@{VERSION} ")), "{:?}", runner.lines("asked"));
        let shown = gateway.server("think").await;
        assert_eq!((&shown["curated"], &shown["held"]), (&json!(format!("{NAME}@{VERSION}")), &json!(false)), "{shown}");
        let releases = gateway.cli(&["registry", "history", "think", "--json"]).await.json();
        let release = &releases["releases"][0];
        assert_eq!(release["decided_by"], format!("the curated manifest {NAME}@{VERSION}"), "{releases}");
        let digest = &manifest()["_meta"]["dev.portolan/release"]["digest"];
        assert_eq!((&release["digest"], &release["version"], &release["state"]), (digest, &json!("1.0.0"), &json!("served")));
    }
}

#[tokio::test]
async fn each_release_says_where_its_server_json_is_and_that_is_how_the_package_is_had() {
    let runner = Runner::new();
    let gateway = runner.gateway("{}\n").await;
    gateway.control("servers_add", json!({ "name": "think", "curated": NAME })).await;
    let releases = gateway.control("releases_list", json!({ "server": "think" })).await;
    let release = &releases["releases"][0];
    let upstream = "https://registry.modelcontextprotocol.io/v0.1/servers/io.github.modelcontextprotocol%2Fserver-sequential-thinking/versions/2026.8.31";
    assert_eq!(release["upstream_server_json"], upstream);
    let told: Value = http().get(release["server_json"].as_str().unwrap()).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&told["server"]["name"], &told["server"]["packages"]),
        (&json!("localhost/think"), &manifest()["server"]["packages"]),
        "{told}"
    );
    // Whoever offers just that by just that code is the same, however it was added.
    gateway.control("servers_add", json!({ "name": "same", "command": ["npx", "-y", PACKAGE] })).await;
    let releases = gateway.control("releases_list", json!({ "server": "same" })).await;
    assert_eq!(
        (&releases["releases"][0]["upstream_server_json"], &releases["releases"][0]["digest"]),
        (&json!(upstream), &release["digest"])
    );
    gateway.add_demo().await;
    let releases = gateway.control("releases_list", json!({ "server": "demo" })).await;
    assert_eq!(releases["releases"][0]["upstream_server_json"], Value::Null);
    assert!(
        releases["releases"][0]["server_json"].as_str().unwrap().ends_with("/v0.1/servers/localhost%2Fdemo/versions/1.0.0"),
        "{releases}"
    );
}

#[tokio::test]
async fn other_contents_of_the_reviewed_version_are_not_run() {
    let runner = Runner::new();
    runner.publishes(VERSION, &json!("sha512-other"));
    let gateway = runner.gateway("{}\n").await;
    let refused = gateway.cli(&["server", "add", "think", "--curated", "sequential-thinking"]).await.failed(1);
    assert!(refused.contains("is not what was reviewed, and is not run") && refused.contains("sha512-other"), "{refused}");
    runner.script("npm", "echo 'network is unreachable' >&2; exit 1");
    let refused = gateway.cli(&["server", "add", "think", "--curated", "sequential-thinking"]).await.failed(1);
    assert!(refused.contains("is not known") && refused.contains("network is unreachable"), "{refused}");
    assert_eq!((runner.lines("ran").len(), gateway.server("think").await), (0, Value::Null));
}

#[tokio::test]
async fn what_differs_from_what_was_reviewed_is_held_and_the_reviewed_words_are_served() {
    let runner = Runner::new();
    runner.offers_more_words();
    let gateway = runner.gateway("{}\n").await;
    let added = gateway.cli(&["server", "add", "think", "--curated", "sequential-thinking"]).await.ok();
    assert!(
        added.contains("offers something else than io.github.modelcontextprotocol/server-sequential-thinking@2026.8.31 says"),
        "{added}"
    );
    let diff = gateway.cli(&["registry", "diff", "think"]).await.ok();
    assert!(diff.contains("tool sequentialthinking: steering") && diff.contains("Thinks aloud."), "{diff}");
    let shown = modern(&gateway.url("/mcp/think")).tools().await;
    assert_eq!(shown[0]["description"], definitions("tool")[0]["description"]);
    let releases = gateway.control("releases_list", json!({ "server": "think" })).await;
    let states: Vec<&Value> = releases["releases"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert!(states.contains(&&json!("served")) && states.contains(&&json!("held")), "{releases}");
    gateway.cli(&["registry", "approve", "think"]).await.ok();
    assert_eq!(modern(&gateway.url("/mcp/think")).tools().await[0]["description"], "Thinks aloud.");
}

#[tokio::test]
async fn the_newest_version_is_taken_up_when_somebody_upgrades() {
    let runner = Runner::new();
    let mut gateway = runner.gateway("{}\n").await;
    gateway.control("servers_add", json!({ "name": "think", "curated": "sequential-thinking" })).await;
    runner.publishes("2026.9.30", &json!("sha512-newer"));
    gateway.kill().await;
    gateway.start_again().await;
    gateway.wait_for_server("think", "ready").await;
    assert_eq!(gateway.server("think").await["code"]["version"], VERSION);
    let upgraded = gateway.control("servers_upgrade", json!({ "server": "think" })).await;
    assert_eq!((&upgraded["look"]["release"], &upgraded["code"]["version"]), (&json!("1.0.1"), &json!("2026.9.30")), "{upgraded}");
}

#[tokio::test]
async fn a_curated_server_is_declared_by_name_and_a_lock_file_goes_before_it() {
    let runner = Runner::new();
    let server = "mcp: { servers: { think: { curated: sequential-thinking, args: ['--quiet'] } } }\n";
    let gateway = runner.gateway(server).await;
    gateway.wait_for_server("think", "ready").await;
    assert_eq!(runner.lines("ran"), [format!("-y {PACKAGE}@{VERSION} --quiet")]);

    let (config, lock) = (runner.file("portolan.yaml"), runner.file("portolan.lock"));
    std::fs::write(&config, server).unwrap();
    runner.publishes("2026.9.30", &json!("sha512-newer"));
    let refused = runner.run(&["registry", "lock", "--live", "--config", &config, "--file", &lock]).await;
    assert!(refused.code == 1 && refused.stdout.contains("is not what was reviewed"), "{refused:?}");
    runner.publishes(VERSION, &definitions("code")[0]["integrity"][0]);
    runner.run(&["registry", "lock", "--live", "--config", &config, "--file", &lock]).await.ok();
    let locked: Value = serde_json::from_str(&std::fs::read_to_string(&lock).unwrap()).unwrap();
    let digest = &manifest()["_meta"]["dev.portolan/release"]["digest"];
    assert_eq!((&locked["servers"]["think"]["digest"], &locked["servers"]["think"]["release"]), (digest, &json!("1.0.0")));

    std::fs::write(&lock, "{ \"lock\": 1, \"servers\": {} }").unwrap();
    let gateway = runner.gateway(&format!("registry: {{ source: lock, lock: '{lock}' }}\n{server}")).await;
    gateway.wait_for_server("think", "held").await;
}

#[tokio::test]
async fn a_check_of_the_configuration_runs_no_other_contents_than_were_reviewed_either() {
    let runner = Runner::new();
    let config = runner.file("portolan.yaml");
    std::fs::write(&config, "mcp: { servers: { think: { curated: sequential-thinking } } }\n").unwrap();
    runner.publishes(VERSION, &json!("sha512-other"));
    let refused = runner.run(&["check", "--config", &config]).await;
    assert!(refused.code == 1 && refused.stdout.contains("is not what was reviewed, and is not run"), "{refused:?}");
    assert_eq!(runner.lines("ran").len(), 0);
    runner.publishes(VERSION, &definitions("code")[0]["integrity"][0]);
    runner.run(&["check", "--config", &config]).await.ok();
    assert_eq!(runner.lines("ran"), [format!("-y {PACKAGE}@{VERSION}")]);
}

#[tokio::test]
async fn what_a_curated_server_needs_is_named_before_anything_is_started() {
    let runner = Runner::new();
    let gateway = runner.gateway("{}\n").await;
    let refused = gateway.cli(&["server", "add", "files", "--curated", "filesystem"]).await.failed(1);
    let needs = "filesystem needs the argument DIRECTORY (A folder that the server may use)";
    assert!(refused.contains(needs) && refused.contains("portolan server add files --curated filesystem -- DIRECTORY"), "{refused}");
    let refused = gateway.cli(&["server", "add", "files", "--curated", "filesytem"]).await.failed(1);
    assert!(refused.contains("did you mean `filesystem`?"), "{refused}");
    let refused = gateway.cli(&["server", "add", "filesystem"]).await.failed(2);
    assert!(refused.contains("portolan server add filesystem --curated filesystem -- DIRECTORY"), "{refused}");
    let refused = gateway.try_control("servers_add", json!({ "name": "a", "command": ["a"], "arguments": ["b"] })).await.unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("`arguments` goes with `curated`"), "{refused}");
    for (server, why) in [
        ("{ curated: filesystem }", "mcp.servers.files: filesystem needs the argument DIRECTORY"),
        ("{ curated: file-system }", "mcp.servers.files.curated: there is no curated server"),
        ("{ curated: git, command: [git] }", "mcp.servers.files: needs one of"),
        ("{ command: [git], args: [x] }", "mcp.servers.files.args: goes with `curated`"),
    ] {
        let refused = TestGateway::refused(&format!("mcp: {{ servers: {{ files: {server} }} }}\n")).await;
        assert!(refused.code != 0 && refused.stderr.contains(why), "{refused:?}");
    }
    assert!(!Path::new(&runner.file("ran")).exists());
}

#[tokio::test]
async fn all_curated_servers_are_listed_without_a_gateway() {
    let listed = TestGateway::plain_cli(&[], &["registry", "curated", "--json"]).await.json();
    let all = listed["curated"].as_array().unwrap();
    assert!(all.len() >= 10, "{listed}");
    let files = all.iter().find(|one| one["name"] == "filesystem").unwrap();
    assert_eq!((&files["package"], &files["needs"]), (&json!("@modelcontextprotocol/server-filesystem"), &json!(["DIRECTORY"])), "{files}");
    assert_eq!(files["add"], "portolan server add filesystem --curated filesystem -- DIRECTORY");
    let table = TestGateway::plain_cli(&[], &["registry", "curated"]).await.ok();
    assert!(table.contains("mcp-server-git 2026.10.19") && table.contains("sequential-thinking"), "{table}");
}

#[tokio::test]
async fn a_curated_manifest_is_written_from_a_server_json_and_checked_against_the_package() {
    let runner = Runner::new();
    let (server, out) = (runner.file("server.json"), runner.file("out"));
    std::fs::write(&server, manifest()["server"].to_string()).unwrap();
    let curate = async |more: &[&str], file: &str| runner.run(&[&["registry", "curate", file, "--out", &out], more].concat()).await;
    let absent = curate(&["--check"], &server).await;
    assert!(absent.code == 1 && absent.stdout.contains("NOT LOCKED"), "{absent:?}");
    curate(&[], &server).await.ok();
    let file = format!("{out}/{NAME}/{VERSION}.json");
    let (mut written, mut shipped): (Value, Value) = (serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap(), manifest());
    for one in [&mut written, &mut shipped] {
        // The stand-in presents itself in its own way, which is no part of what is reviewed.
        let release = one["_meta"]["dev.portolan/release"].as_object_mut().unwrap();
        release.remove("info");
        release.remove("capabilities");
    }
    assert_eq!(written, shipped);
    curate(&["--check"], &file).await.ok();
    runner.offers_more_words();
    let changed = curate(&["--check"], &file).await;
    assert!(changed.code == 1 && changed.stdout.contains("Thinks aloud.") && changed.stdout.contains("registry curate"), "{changed:?}");
}
