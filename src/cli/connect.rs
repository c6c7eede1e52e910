//! `portolan connect`: the configuration of an agent client, shown or written.

use clap::Args;
use serde_json::{Map, Value, json};

use super::client::{Error, Result};
use super::clients::{AgentClient, Reach};
use super::connection::Connection;
use super::file::put;
use super::output::{as_json, print};
use crate::domain::ReleasePin;

/// Which client, and how it reaches the gateway.
#[derive(Args, Debug)]
pub struct Connect {
    /// The agent client
    client: AgentClient,
    /// One server or toolset instead of all, a server perhaps at a release (`wiki@1.4`)
    #[arg(long)]
    server: Option<String>,
    /// What the client calls the gateway
    #[arg(long, default_value = "portolan")]
    name: String,
    /// The environment variable that holds a key, where the gateway needs one
    #[arg(long, value_name = "VARIABLE")]
    key_env: Option<String>,
    /// Write it into the client's file; all else in it stays
    #[arg(long)]
    write: bool,
}

pub(super) fn run(connection: &Connection, connect: &Connect) -> Result {
    let Connect { client, server, name, key_env, write } = connect;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    for text in [Some(name), key_env.as_ref()].into_iter().flatten() {
        if !plain(text) {
            return Err(Error::Usage(format!("`{text}` must be letters, digits, `-` and `_`")));
        }
    }
    let at = |text: &str| ReleasePin::split(text).is_ok_and(|(server, _)| plain(server));
    if let Some(server) = server.as_deref().filter(|server| !at(server)) {
        return Err(Error::Usage(format!(
            "`{server}` must be the name of a server or toolset, of a server perhaps at a release: `wiki@1.4`"
        )));
    }
    let reach = Reach { gateway: &connection.url, server: server.as_deref(), key: key_env.as_deref() };
    let entry = client.entry(&reach).map_err(Error::Usage)?;
    let file = client.file().ok_or_else(|| Error::failed("HOME is not set, so nobody can say where the client's file is".to_owned()))?;
    let snippet = if *client == AgentClient::Codex { toml(name, &entry) } else { pretty(&json!({ (client.root()): { (name): entry } })) };
    if !write {
        if connection.json {
            as_json(&json!({ "client": client.name(), "file": file, "snippet": snippet }));
        } else {
            print(&format!("{snippet}\n"));
            eprintln!("That is for {}, in {}; `--write` puts it there.", client.name(), file.display());
        }
        return Ok(());
    }
    let old = match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::failed(format!("{} cannot be read: {error}", file.display()))),
    };
    let unchanged = |why: &str| Error::failed(format!("{} is left as it is: {why}; put this into it:\n{snippet}", file.display()));
    let new = match (client, old.as_deref().map(str::trim).filter(|old| !old.is_empty())) {
        (AgentClient::Codex, old) => added(old.unwrap_or_default(), name, &snippet).map_err(|why| unchanged(&why))?,
        (_, None) => snippet.clone(),
        (_, Some(old)) => merged(old, client.root(), name, entry).map_err(|why| unchanged(&why))?,
    };
    put(&file, &format!("{}\n", new.trim_end()))
        .map_err(|error| Error::failed(format!("{} cannot be written: {error}", file.display())))?;
    if connection.json {
        as_json(&json!({ "client": client.name(), "file": file, "written": true }));
    } else {
        print(&format!("{} now knows `{name}`: {} was written. Start it anew.\n", client.name(), file.display()));
    }
    Ok(())
}

/// A file's JSON with the entry in its place.
fn merged(old: &str, root: &str, name: &str, entry: Value) -> std::result::Result<String, String> {
    let mut whole: Map<String, Value> =
        serde_json::from_str(old).map_err(|error| format!("it is no plain JSON object, perhaps for its comments ({error})"))?;
    let servers = whole.entry(root).or_insert_with(|| json!({}));
    let servers = servers.as_object_mut().ok_or_else(|| format!("its `{root}` is no object"))?;
    servers.insert(name.to_owned(), entry);
    Ok(pretty(&Value::Object(whole)))
}

/// A file's TOML with the entry behind it. Nothing before it is touched, so that all comments stay.
fn added(old: &str, name: &str, snippet: &str) -> std::result::Result<String, String> {
    let table: toml::Table = toml::from_str(old).map_err(|error| format!("it is no TOML ({})", error.message()))?;
    if table.get("mcp_servers").and_then(|servers| servers.get(name)).is_some() {
        return Err(format!("it has `mcp_servers.{name}` already"));
    }
    Ok(format!("{old}\n\n{snippet}").trim_start().to_owned())
}

fn toml(name: &str, entry: &Value) -> String {
    let members = entry.as_object().into_iter().flatten().map(|(key, value)| format!("\n{key} = {value}"));
    format!("[mcp_servers.{name}]{}", members.collect::<String>())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
