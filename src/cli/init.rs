//! `portolan init`: a first configuration, with the servers that another program knows.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum as _};
use serde_json::{Map, Value, json};
use url::Url;

use super::client::{Error, Result};
use super::clients::AgentClient;
use super::connection::Connection;
use super::output::{as_json, print};
use crate::domain::{ServerName, printable};

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

/// What is taken over.
#[derive(Default)]
struct Taken {
    /// The members of each server, as they are written.
    servers: BTreeMap<String, Vec<String>>,
    /// The variables that must be set, and what for.
    variables: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl Taken {
    /// All but the gateway itself, which the client may know already.
    fn of(servers: &Map<String, Value>, gateway: &str) -> Self {
        let mut taken = Self::default();
        for (name, server) in servers {
            taken.take(name, server, gateway);
        }
        taken
    }

    fn take(&mut self, theirs: &str, server: &Value, gateway: &str) {
        let text = |key: &str| server.get(key).and_then(Value::as_str);
        if server.get("disabled") == Some(&Value::Bool(true)) || server.get("enabled") == Some(&Value::Bool(false)) {
            self.notes.push(format!("`{theirs}` is switched off there and was left out"));
            return;
        }
        let Some(name) = self.named(theirs) else {
            self.notes.push(format!("`{theirs}` was left out: no name can be made of it"));
            return;
        };
        let mut members = Vec::new();
        let url = text("httpUrl").or_else(|| text("url")).or_else(|| text("serverUrl"));
        let words = |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
        // Zed once had the program below `command`; opencode has it with its arguments in one list.
        let command = match server.get("command") {
            Some(Value::String(program)) => Some([vec![program.clone()], server.get("args").map(words).unwrap_or_default()].concat()),
            Some(Value::Object(command)) => {
                let program = command.get("path").and_then(Value::as_str).unwrap_or_default();
                Some([vec![program.to_owned()], command.get("args").map(words).unwrap_or_default()].concat())
            }
            Some(list @ Value::Array(_)) => Some(words(list)),
            _ => None,
        };
        if command.as_deref().is_some_and(is_bridge) || url.is_some_and(|url| leads_to(url, gateway)) {
            self.notes.push(format!("`{theirs}` is this gateway itself and was left out"));
            return;
        }
        match (command, url) {
            (Some(command), _) if command.first().is_some_and(|program| !program.is_empty()) => {
                let own = upper(&name);
                let words: Vec<String> = command.iter().map(|word| quoted(&self.argument(&own, word))).collect();
                members.push(format!("command: [{}]", words.join(", ")));
                let env = server.get("env").or_else(|| server.get("environment"));
                members.extend(self.pairs("env", &own, env, &theirs_of(theirs)));
            }
            (_, Some(url)) => {
                if text("type") == Some("sse") || url.trim_end_matches('/').ends_with("/sse") {
                    self.notes.push(format!("`{theirs}` speaks the old transport HTTP+SSE, which is not supported yet; it was left out"));
                    return;
                }
                let own = upper(&name);
                members.push(format!("url: {}", quoted(&referenced(url))));
                let headers = server.get("headers").or_else(|| server.get("http_headers"));
                members.extend(self.pairs("headers", &own, headers, &theirs_of(theirs)));
                if let Some(variable) = text("bearer_token_env_var") {
                    self.variables.insert(variable.to_owned(), format!("the token of `{theirs}`"));
                    members.push(format!("headers: {{ Authorization: {} }}", quoted(&format!("Bearer ${{{variable}}}"))));
                }
            }
            _ => {
                self.notes.push(format!("`{theirs}` has neither a command nor a URL and was left out"));
                return;
            }
        }
        if name != theirs {
            self.notes.push(format!("`{theirs}` is called `{name}` here"));
        }
        self.servers.insert(name, members);
    }

    /// A name that the gateway takes, and that is not taken yet.
    fn named(&self, theirs: &str) -> Option<String> {
        let plain: String = theirs.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let plain = plain.trim_matches(|c: char| c == '-' || c.is_ascii_digit()).to_owned();
        let free = |name: &String| name.parse::<ServerName>().is_ok() && !self.servers.contains_key(name);
        let more = (2..100).map(|n| format!("{plain}-{n}"));
        std::iter::once(plain.clone()).chain(more).find(free)
    }

    /// Variables or headers, each secret by reference.
    fn pairs(&mut self, member: &str, own: &str, pairs: Option<&Value>, of: &str) -> Option<String> {
        let pairs = pairs?.as_object().filter(|pairs| !pairs.is_empty())?;
        let mut written = Vec::new();
        for (key, value) in pairs {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let reference = referenced(&value);
            let safe = reference != value.replace('$', "$$") || !is_secret(key, &value);
            let value = if safe {
                self.expect(&reference, of);
                reference
            } else {
                // What says how a secret is meant is none itself.
                let (scheme, _) =
                    value.split_once(' ').filter(|(scheme, _)| matches!(*scheme, "Bearer" | "Basic" | "Token")).unwrap_or_default();
                let variable = if member == "env" { upper(key) } else { format!("{own}_{}", upper(key)) };
                self.variables.insert(variable.clone(), format!("`{key}` of {of}"));
                format!("{scheme} ${{{variable}}}").trim_start().to_owned()
            };
            written.push(format!("{}: {}", quoted(key), quoted(&value)));
        }
        Some(format!("{member}: {{ {} }}", written.join(", ")))
    }

    /// An argument, with a secret behind an equals sign by reference.
    fn argument(&mut self, own: &str, word: &str) -> String {
        match word.split_once('=') {
            Some((key, value)) if is_secret(key, value) && !value.starts_with('$') => {
                let variable = format!("{own}_{}", upper(key.trim_start_matches('-')));
                self.variables.insert(variable.clone(), format!("`{key}` of `{}`", own.to_ascii_lowercase()));
                format!("{}=${{{variable}}}", referenced(key))
            }
            _ => referenced(word),
        }
    }

    /// Notes the variables that a text refers to.
    fn expect(&mut self, text: &str, of: &str) {
        for variable in text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next()) {
            self.variables.entry(variable.to_owned()).or_insert_with(|| format!("used by {of}"));
        }
    }

    fn yaml(&self) -> String {
        if self.servers.is_empty() {
            return String::new();
        }
        let server = |(name, members): (&String, &Vec<String>)| {
            format!("    {name}:\n{}", members.iter().map(|member| format!("      {member}\n")).collect::<String>())
        };
        format!("\nmcp:\n  servers:\n{}", self.servers.iter().map(server).collect::<String>())
    }
}

fn theirs_of(name: &str) -> String {
    format!("`{name}`")
}

/// A text with the variables of clients (`${env:X}`, `${input:x}`, `{env:X}`, `$X`) as the gateway writes them, and all other dollars doubled.
fn referenced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '{']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let inside = found.strip_prefix("${").or_else(|| found.strip_prefix('{').filter(|inside| inside.starts_with("env:")));
        if let Some((name, after)) = inside.and_then(|inside| inside.split_once('}')) {
            let (name, default) = name.split_once(":-").map_or((name, None), |(name, default)| (name, Some(default)));
            let name = name.strip_prefix("env:").or_else(|| name.strip_prefix("input:")).unwrap_or(name);
            let default = default.map(|default| format!(":-{default}")).unwrap_or_default();
            out.extend(["${", &upper(name), &default, "}"]);
            rest = after;
            continue;
        }
        let bare =
            found.strip_prefix('$').map(|name| name.len() - name.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len());
        match bare.filter(|length| *length > 0).and_then(|length| found.get(1..=length)) {
            Some(name) => {
                out.extend(["${", name, "}"]);
                rest = found.get(name.len() + 1..).unwrap_or_default();
            }
            None => {
                out.push_str(if found.starts_with('$') { "$$" } else { "{" });
                rest = found.get(1..).unwrap_or_default();
            }
        }
    }
    out + rest
}

/// Whether a value is one that must not be copied: by what it is called, or by how it looks.
fn is_secret(key: &str, value: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let called = ["key", "token", "secret", "passw", "auth", "credential", "cookie", "bearer"].iter().any(|word| key.contains(word));
    let random = value.len() >= 24
        && value.chars().any(|c| c.is_ascii_digit())
        && value.chars().any(char::is_alphabetic)
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '='));
    let with_password = url::Url::parse(value).is_ok_and(|url| url.password().is_some());
    !value.is_empty() && (called || random || with_password)
}

/// A name as variables are written.
/// Whether a command is how clients that know only stdio reach the gateway.
fn is_bridge(command: &[String]) -> bool {
    let named = |program: &String| Path::new(program).file_stem().is_some_and(|name| name == "portolan");
    command.first().is_some_and(named) && command.get(1).is_some_and(|word| word == "stdio")
}

/// Whether an address is of an endpoint of the gateway.
fn leads_to(url: &str, gateway: &str) -> bool {
    let (Ok(url), Ok(gateway)) = (Url::parse(url), Url::parse(gateway)) else { return false };
    let host = |url: &Url| url.host_str().map(|host| if host == "localhost" { "127.0.0.1".to_owned() } else { host.to_owned() });
    let same = host(&url) == host(&gateway) && url.port_or_known_default() == gateway.port_or_known_default();
    same && (url.path() == "/mcp" || url.path().starts_with("/mcp/"))
}

fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// A text in quotation marks, as JSON and YAML both read it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_every_client_become_ours_and_other_dollars_are_doubled() {
        for (theirs, ours) in [
            ("${API_KEY}", "${API_KEY}"),
            ("${API_KEY:-none}", "${API_KEY:-none}"),
            ("Bearer ${env:TOKEN}", "Bearer ${TOKEN}"),
            ("${input:api-key}", "${API_KEY}"),
            ("{env:TOKEN}", "${TOKEN}"),
            ("$HOME/x", "${HOME}/x"),
            ("5$ {a} $$", "5$$ {a} $$$$"),
        ] {
            assert_eq!(referenced(theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn secrets_are_known_by_their_name_and_by_their_looks() {
        for (key, value) in
            [("API_KEY", "x"), ("Authorization", "Bearer x"), ("X", "ghp_0123456789abcdefghijABCDEFGHIJ"), ("DB", "postgres://a:b@c/d")]
        {
            assert!(is_secret(key, value), "{key}");
        }
        for (key, value) in [("TZ", "Europe/Lisbon"), ("LOG_LEVEL", "debug"), ("ROOT", "/srv/data/of/some/length/2026"), ("API_KEY", "")] {
            assert!(!is_secret(key, value), "{key}");
        }
    }

    #[test]
    fn comments_and_last_commas_are_no_hindrance() {
        let text = "{ // one\n \"a\": \"x // y\", /* two */ \"b\": [1, 2,],\n}";
        let value: Value = serde_json::from_str(&uncommented(text)).unwrap();
        assert_eq!(value, json!({ "a": "x // y", "b": [1, 2] }));
    }
}
