//! `portolan init`: a first configuration, with the servers that another program knows.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum as _};
use serde_json::{Map, Value, json};

use super::client::{Error, Result};
use super::clients::AgentClient;
use super::connection::Connection;
use super::output::{as_json, print};
use super::takeover::Taken;
use crate::domain::printable;

/// What to write, and from where.
#[derive(Args, Debug)]
pub struct Init {
    /// Take over the servers of an agent client (claude-code, claude-desktop, cursor, vscode, codex, zed, gemini-cli, opencode), or of a file of one
    #[arg(long, value_name = "CLIENT|FILE")]
    from: Option<String>,
    /// The file to write
    #[arg(long, default_value = "portolan.yaml", value_name = "FILE")]
    output: PathBuf,
}

/// What begins every file that is written.
const HEAD: &str = include_str!("init.yaml");

pub(super) fn run(connection: &Connection, init: &Init) -> Result {
    let Init { from, output } = init;
    let found = from.as_deref().map(read).transpose()?;
    let mut text = HEAD.to_owned();
    let mut taken = Taken::default();
    if let Some((_, servers)) = &found {
        taken = Taken::of(servers, &connection.url);
        text.push_str(&taken.yaml());
    }
    write(output, &text)?;
    if connection.json {
        let (servers, variables, notes) = (taken.servers.keys().collect::<Vec<_>>(), &taken.variables, &taken.notes);
        as_json(&json!({ "file": output, "servers": servers, "variables": variables, "notes": notes }));
        return Ok(());
    }
    print(&format!("{} is written", output.display()));
    match &found {
        Some((path, _)) => print(&format!(", with {} of {}.\n", counted(taken.servers.len()), path.display())),
        None => print(".\n"),
    }
    for note in &taken.notes {
        print(&format!("- {}\n", printable(note)));
    }
    if !taken.variables.is_empty() {
        print("Secrets were not copied. Set these variables before you start the gateway:\n");
        for (variable, meaning) in &taken.variables {
            print(&format!("  {variable}  {}\n", printable(meaning)));
        }
    }
    print(&format!("Next: portolan check --config {0}, then portolan serve --config {0}\n", output.display()));
    Ok(())
}

fn counted(servers: usize) -> String {
    if servers == 1 { "one server".to_owned() } else { format!("{servers} servers") }
}

/// Never over another file.
fn write(path: &Path, text: &str) -> Result {
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::failed(format!("{} is there already and stays as it is; name another with --output", path.display()))
        }
        _ => Error::failed(format!("{} cannot be written: {error}", path.display())),
    })
}

/// The servers of a client's file, as they stand in it, and the file.
fn read(from: &str) -> Result<(PathBuf, Map<String, Value>)> {
    let files = match AgentClient::from_str(from, true) {
        Ok(client) => client.files(),
        Err(_) => vec![PathBuf::from(from)],
    };
    for path in &files {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::failed(format!("{} cannot be read: {error}", path.display()))),
        };
        let unreadable = |why: String| Error::failed(format!("{} cannot be read: {why}", path.display()));
        let whole: Value = if path.extension().is_some_and(|extension| extension == "toml") {
            toml::from_str(&text).map_err(|error| unreadable(error.message().to_owned()))?
        } else {
            serde_json::from_str(&uncommented(&text)).map_err(|error| unreadable(error.to_string()))?
        };
        let roots = ["mcpServers", "servers", "context_servers", "mcp_servers", "mcp"];
        if let Some(servers) = roots.iter().find_map(|root| whole.get(root)?.as_object()).filter(|servers| !servers.is_empty()) {
            return Ok((path.clone(), servers.clone()));
        }
    }
    let looked: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    Err(Error::failed(format!("no MCP servers were found in {}", looked.join(" or "))))
}

/// JSON without the comments and the last commas that editors allow.
fn uncommented(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => {
                out.push(character);
                out.extend(characters.next());
            }
            '"' => {
                quoted = !quoted;
                out.push(character);
            }
            '/' if !quoted && characters.peek() == Some(&'/') => while characters.next_if(|next| *next != '\n').is_some() {},
            '/' if !quoted && characters.peek() == Some(&'*') => {
                let mut last = ' ';
                characters.next();
                for next in characters.by_ref() {
                    if last == '*' && next == '/' {
                        break;
                    }
                    last = next;
                }
            }
            ']' | '}' if !quoted && out.trim_end().ends_with(',') => {
                out.truncate(out.trim_end().len() - 1);
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_last_commas_are_no_hindrance() {
        let text = "{ // one\n \"a\": \"x // y\", /* two */ \"b\": [1, 2,],\n}";
        let value: Value = serde_json::from_str(&uncommented(text)).unwrap();
        assert_eq!(value, json!({ "a": "x // y", "b": [1, 2] }));
    }
}
