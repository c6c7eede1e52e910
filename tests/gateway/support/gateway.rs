//! A gateway that really runs: the binary, a data directory of its own, and a command line next to it.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{Answer, Modern, PATIENCE, until, within};

const BINARY: &str = env!("CARGO_BIN_EXE_portolan");

/// A running gateway. It is killed when dropped.
pub struct TestGateway {
    home: TempDir,
    config: Option<PathBuf>,
    listen: String,
    env: Vec<(String, String)>,
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    url: String,
}

/// How a command of the command line ended.
#[derive(Debug)]
pub struct Cli {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl TestGateway {
    /// A gateway without a configuration file.
    pub async fn start() -> Self {
        Self::launch(None, "127.0.0.1:0", &[]).await
    }

    /// A gateway with a configuration file.
    pub async fn with_config(text: &str) -> Self {
        Self::launch(Some(text), "127.0.0.1:0", &[]).await
    }

    /// A gateway with all that can be said of it.
    pub async fn launch(config: Option<&str>, listen: &str, env: &[(&str, &str)]) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::create_dir(home.path().join("home")).unwrap();
        let config = config.map(|text| {
            let path = home.path().join("portolan.yaml");
            std::fs::write(&path, text).unwrap();
            path
        });
        let env: Vec<(String, String)> = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (child, stdout, stderr) = spawn(home.path(), config.as_deref(), listen, &env);
        let mut gateway = Self { home, config, listen: listen.to_owned(), env, child, stdout, stderr, url: String::new() };
        gateway.greet().await;
        gateway
    }

    /// Runs the gateway where it is expected to stop by itself, and says how it did.
    pub async fn refused(config: &str) -> Cli {
        let home = TempDir::new().unwrap();
        let path = home.path().join("portolan.yaml");
        std::fs::write(&path, config).unwrap();
        let mut command = command(home.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.path().join("data"));
        finish(command.arg("--config").arg(path)).await
    }

    /// Waits for the banner, which says where the gateway is.
    async fn greet(&mut self) {
        let (stdout, stderr, child) = (self.stdout.clone(), self.stderr.clone(), &mut self.child);
        let port = until("the banner is there", async || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the gateway stopped with {status}:\n{}", stderr.lock().unwrap());
            }
            let banner = stdout.lock().unwrap();
            let (_, rest) = banner.split_once("http://")?;
            let address = rest.split(|c: char| c.is_whitespace() || c == '/').next()?;
            // The word is whole once something stands behind it.
            (rest.len() > address.len()).then(|| address.rsplit(':').next()?.parse::<u16>().ok()).flatten()
        });
        self.url = format!("http://127.0.0.1:{}", port.await);
    }

    /// The address of a path, by loopback.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Posts a body of this many blanks, in pieces and without saying how long it is unless `told`; the
    /// status. A gateway need not read to the end what it refuses, so whoever sends must look up meanwhile.
    pub async fn post_blanks(&self, path: &str, headers: &str, length: usize, told: bool) -> u16 {
        let mut stream = TcpStream::connect(self.authority()).await.unwrap();
        let framing = if told { format!("content-length: {length}") } else { "transfer-encoding: chunked".to_owned() };
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}\r\n{headers}\r\n");
        let (mut read, mut write) = stream.split();
        let sending = async {
            write.write_all(head.as_bytes()).await?;
            let piece = vec![b' '; 16 << 10];
            let mut left = length;
            while left > 0 {
                let size = left.min(piece.len());
                let chunk =
                    if told { piece[..size].to_vec() } else { [format!("{size:x}\r\n").as_bytes(), &piece[..size], b"\r\n"].concat() };
                write.write_all(&chunk).await?;
                left -= size;
            }
            write.write_all(if told { b"" } else { b"0\r\n\r\n" }).await
        };
        let mut start = [0; 12];
        let reading = read.read_exact(&mut start);
        let (_, done) = within(PATIENCE, "an answer", async { tokio::join!(sending, reading) }).await;
        done.expect("an answer before the connection's end");
        String::from_utf8_lossy(&start[9..]).parse().unwrap()
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// What it printed.
    pub fn banner(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Where it keeps its state.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A place for a test's own files, gone with the gateway.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The owner key, from its file.
    pub fn owner_key(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("owner.key")).unwrap().trim().to_owned()
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id().expect("the gateway runs")).unwrap()
    }

    /// Most memory it ever held, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Puts another configuration in place.
    pub fn write_config(&self, text: &str) {
        std::fs::write(self.config.as_ref().expect("the gateway has a file"), text).unwrap();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        within(PATIENCE, "the end of the gateway", self.child.wait()).await.unwrap()
    }

    /// SIGTERM, and its end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// SIGKILL, and its end.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again on the same data, on the same port.
    pub async fn start_again_here(&mut self) {
        self.listen = self.authority().to_owned();
        self.start_again().await;
    }

    /// Starts it again on the same data, on another port.
    pub async fn start_again(&mut self) {
        (self.child, self.stdout, self.stderr) = spawn(self.home.path(), self.config.as_deref(), &self.listen, &self.env);
        self.greet().await;
    }

    /// A command of the command line, with this gateway's address and data directory.
    pub async fn cli(&self, args: &[&str]) -> Cli {
        let mut command = command(self.home.path());
        command.env("PORTOLAN_URL", &self.url).env("PORTOLAN_DATA_DIR", self.data_dir()).args(args);
        finish(&mut command).await
    }

    /// A command that goes on, with its standard streams at hand.
    pub fn spawn_cli(&self, args: &[&str]) -> Child {
        let mut command = command(self.home.path());
        command.env("PORTOLAN_URL", &self.url).env("PORTOLAN_DATA_DIR", self.data_dir()).args(args);
        command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The same, without any gateway in mind.
    pub async fn plain_cli(env: &[(&str, &str)], args: &[&str]) -> Cli {
        let home = TempDir::new().unwrap();
        let mut command = command(home.path());
        finish(command.envs(env.iter().copied()).args(args)).await
    }

    /// What a person types into a shell, up to the first command that fails. The shell knows of no gateway.
    pub async fn shell(script: &str) -> Cli {
        let home = TempDir::new().unwrap();
        let binary = command(home.path());
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().current_dir(home.path()).kill_on_drop(true).args(["-e", "-c", script]);
        shell.envs(binary.as_std().get_envs().filter_map(|(key, value)| Some((key, value?))));
        finish(&mut shell).await
    }

    /// A tool of the control server, with the owner key; its structured result.
    pub async fn control(&self, tool: &str, arguments: Value) -> Value {
        self.try_control(tool, arguments.clone()).await.unwrap_or_else(|error| panic!("{tool} {arguments}: {error}"))
    }

    /// The same where a refusal is of interest: then its `{code, message}`.
    pub async fn try_control(&self, tool: &str, arguments: Value) -> Result<Value, Value> {
        let answer = self.control_as(&self.owner_key(), tool, arguments).await;
        assert_eq!(answer.status, 200, "{tool}: {}", answer.text);
        let result = answer.result();
        let value = result["structuredContent"].clone();
        if result["isError"] == json!(true) { Err(value["error"].clone()) } else { Ok(value) }
    }

    /// A control tool with some key, and the answer as it came.
    pub async fn control_as(&self, key: &str, tool: &str, arguments: Value) -> Answer {
        let client = Modern::new(&self.url("/mcp/portolan")).with_key(key);
        client.request("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// A server as `servers_list` shows it.
    pub async fn server(&self, name: &str) -> Value {
        let listed = self.control("servers_list", json!({})).await;
        let servers = listed["servers"].as_array().unwrap();
        servers.iter().find(|server| server["name"] == name).cloned().unwrap_or(Value::Null)
    }

    /// Waits until a server is in this state; one that is ready has a release, too.
    pub async fn wait_for_server(&self, name: &str, state: &str) -> Value {
        let there = |server: &Value| server["state"] == state && (state != "ready" || server["release"].is_string());
        until(&format!("`{name}` is {state}"), async || Some(self.server(name).await).filter(there)).await
    }

    /// Registers an MCP server by its address on this machine.
    pub async fn add_url(&self, name: &str, url: &str) -> Value {
        self.control("servers_add", json!({ "name": name, "url": url, "allow_private": true })).await
    }

    /// Registers a stdio server.
    pub async fn add_command(&self, name: &str, command: &[&str]) -> Value {
        self.control("servers_add", json!({ "name": name, "command": command })).await
    }

    /// Registers the demo server as `demo`.
    pub async fn add_demo(&self) {
        self.add_command("demo", &["portolan", "demo-server"]).await;
    }

    /// A new key, and its id.
    pub async fn key(&self, arguments: Value) -> (String, String) {
        let made = self.control("keys_create", arguments).await;
        (made["key"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    }
}

impl Cli {
    /// Standard output, when all went well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// Standard output as JSON, when all went well.
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The complaint, when it ended with this code.
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:#?}");
        self.stderr
    }
}

/// The binary with an environment in which nothing is found by accident. Its own directory is on the
/// path, as it is where people install it.
fn command(home: &Path) -> Command {
    let own = Path::new(BINARY).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .env("PATH", format!("{}:{path}", own.display()))
        .env("HOME", home.join("home"))
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

type Running = (Child, Arc<Mutex<String>>, Arc<Mutex<String>>);

fn spawn(home: &Path, config: Option<&Path>, listen: &str, env: &[(String, String)]) -> Running {
    let mut command = command(home);
    command.args(["serve", "--listen", listen, "--data-dir"]).arg(home.join("data"));
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let mut child = command.envs(env.iter().cloned()).spawn().unwrap();
    let stdout = gather(child.stdout.take().unwrap());
    let stderr = gather(child.stderr.take().unwrap());
    (child, stdout, stderr)
}

/// Reads to the end in the background, so that the writer never has to wait.
fn gather(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = text.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
            shared.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    });
    text
}

async fn finish(command: &mut Command) -> Cli {
    let output = within(PATIENCE, "a command", command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Cli { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}
