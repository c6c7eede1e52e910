//! `portolan server …`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Client, Error, Result};
use super::output::{as_json, is, list, print, table, text};
use crate::curated::Curated;

/// What can be done with servers.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Register a server by URL, by a command behind `--`, or by a curated manifest, and show what it offers
    Add(Add),
    /// Log the gateway in at a server that wants it: a person agrees in a browser
    Login(super::login::Login),
    /// Forget the gateway's login at a server
    Logout {
        /// The server
        name: String,
    },
    /// All servers with their state
    #[command(visible_alias = "ls")]
    List,
    /// One server: what it offers, what was left out, what its process last wrote
    Show {
        /// The server
        name: String,
    },
    /// Look for changes now
    Refresh {
        /// The server
        name: String,
    },
    /// Take up the newest version of a server's package (npx, uvx), as far as what it offers is accepted
    Upgrade {
        /// The server
        name: String,
    },
    /// Enable a server that was disabled
    Enable {
        /// The server
        name: String,
    },
    /// Hide a server from callers and end its process
    Disable {
        /// The server
        name: String,
    },
    /// Remove a server with its releases
    #[command(visible_alias = "rm")]
    Remove {
        /// The server
        name: String,
    },
}

/// A server to register.
#[derive(Args, Debug)]
pub struct Add {
    /// Its name: lower-case letters, digits and `-`
    name: String,
    /// The address of its streamable HTTP endpoint
    #[arg(long, conflicts_with = "program")]
    url: Option<String>,
    /// A curated server, as `portolan registry curated` lists them; its own arguments stand behind `--`
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    curated: Option<String>,
    /// Let the URL lead to a private address
    #[arg(long, requires = "url")]
    allow_private: bool,
    /// A header for every request, as `Name=value`; may be repeated
    #[arg(long = "header", value_name = "K=V", requires = "url")]
    headers: Vec<String>,
    /// The id that the server's authorization server knows the gateway by; one is registered without it
    #[arg(long, value_name = "ID", requires = "url")]
    client_id: Option<String>,
    /// The secret that goes with it
    #[arg(long, value_name = "SECRET", requires = "client_id")]
    client_secret: Option<String>,
    /// A variable for the program, as `NAME=value`; may be repeated
    #[arg(long = "env", value_name = "K=V")]
    env: Vec<String>,
    /// Who shares one process or session: shared, caller or session
    #[arg(long)]
    isolation: Option<String>,
    /// The protocol revision to speak, instead of finding out
    #[arg(long)]
    protocol: Option<String>,
    /// The program and its arguments; with --curated the arguments alone
    #[arg(last = true, num_args = 1.., value_name = "COMMAND")]
    program: Vec<String>,
}

pub(super) async fn run(client: &Client, command: Command) -> Result {
    match command {
        Command::Add(add) => register(client, add).await?,
        Command::Login(login) => super::login::run(client, login).await?,
        Command::Logout { name } => {
            let value = client.control("servers_logout", json!({ "server": name })).await?;
            let there = is(&value, "logged_out");
            let line = if there { format!("The login at `{name}` is forgotten.\n") } else { format!("There was no login at `{name}`.\n") };
            done(client, &value, &line);
        }
        Command::List => {
            let servers = client.control("servers_list", json!({})).await?;
            if client.json {
                as_json(&servers);
            } else if list(&servers, "servers").is_empty() {
                print("No servers yet. Add one: portolan server add demo -- portolan demo-server\n");
            } else {
                let row = |server: &Value| {
                    let held = is(server, "held");
                    let note = match text(server, "error").as_str() {
                        _ if text(server, "state") == "login_needed" => {
                            format!("wants a login: portolan server login {}", text(server, "name"))
                        }
                        "-" if held => {
                            let changes = server.get("held_changes").and_then(Value::as_u64).unwrap_or(1);
                            let what = if changes == 1 { "1 change is".to_owned() } else { format!("{changes} changes are") };
                            format!("{what} held: portolan registry diff {}", text(server, "name"))
                        }
                        "-" if text(server, "state") == "rejected" => {
                            format!("what it offers was rejected: portolan registry releases {}", text(server, "name"))
                        }
                        "-" if is(server, "differs") => {
                            format!("it offers something else, which is not served: portolan registry releases {}", text(server, "name"))
                        }
                        "-" => text(server, "target"),
                        error => error.to_owned(),
                    };
                    vec![
                        text(server, "name"),
                        text(server, "state"),
                        text(server, "era"),
                        text(server, "release"),
                        text(server, "tools"),
                        note,
                    ]
                };
                table(&["NAME", "STATE", "ERA", "RELEASE", "TOOLS", ""], list(&servers, "servers").iter().map(row));
            }
        }
        Command::Show { name } => {
            let server = client.control("servers_show", json!({ "server": name })).await?;
            if client.json {
                as_json(&server);
            } else {
                show(&server);
            }
        }
        Command::Refresh { name } => {
            let looked = client.control("servers_refresh", json!({ "server": name })).await?;
            done(client, &looked, &found(&name, &looked));
        }
        Command::Upgrade { name } => {
            let looked = client.control("servers_upgrade", json!({ "server": name })).await?;
            let line = match looked.pointer("/look/found").and_then(Value::as_str) {
                Some("same") => format!("`{name}` runs the newest version already: {}.\n", code(&looked)),
                Some("accepted") => format!("{}`{name}` runs {} now.\n", found(&name, &looked), code(&looked)),
                _ => format!("{}Until then it runs {}.\n", found(&name, &looked), code(&looked)),
            };
            done(client, &looked, &line);
        }
        Command::Enable { name } => {
            let value = client.control("servers_enable", json!({ "server": name })).await?;
            done(client, &value, &format!("`{name}` is enabled.\n"));
        }
        Command::Disable { name } => {
            let value = client.control("servers_disable", json!({ "server": name })).await?;
            done(client, &value, &format!("`{name}` is disabled.\n"));
        }
        Command::Remove { name } => {
            let value = client.control("servers_remove", json!({ "server": name })).await?;
            done(client, &value, &format!("`{name}` is removed.\n"));
        }
    }
    Ok(())
}

/// What a look at a server found.
fn found(name: &str, looked: &Value) -> String {
    match looked.pointer("/look/found").and_then(Value::as_str).unwrap_or_default() {
        "login_needed" => format!("`{name}` wants a login: portolan server login {name}\n"),
        "same" => format!("`{name}` is what was approved.\n"),
        "held" => format!("`{name}` changed, and the change is held: portolan registry diff {name}\n"),
        "rejected" => format!("`{name}` still offers what was rejected; what was approved before is served, if anything.\n"),
        _ => {
            let release = looked.pointer("/look/release").and_then(Value::as_str).unwrap_or_default();
            format!("`{name}` changed; {name}@{release} is served now.\n")
        }
    }
}

/// The package that a server runs.
fn code(value: &Value) -> String {
    match value.get("code").filter(|code| code.is_object()) {
        Some(code) => format!("{} {}", text(code, "package"), text(code, "version")),
        None => "code whose version is not known".to_owned(),
    }
}

fn done(client: &Client, value: &Value, line: &str) {
    if client.json { as_json(value) } else { print(line) }
}

fn pairs(given: &[String]) -> Result<Value> {
    let mut map = Map::new();
    for pair in given {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Error::Usage("write `NAME=value` for --env and --header".to_owned()));
        };
        map.insert(name.to_owned(), value.into());
    }
    Ok(Value::Object(map))
}

async fn register(client: &Client, add: Add) -> Result {
    let Add { name, url, curated, allow_private, headers, client_id, client_secret, env, isolation, protocol, program } = add;
    let mut arguments = Map::new();
    arguments.insert("name".into(), name.clone().into());
    if curated.is_some() && (client_id.is_some() || !headers.is_empty() || allow_private) {
        return Err(Error::Usage(
            "--client-id, --header and --allow-private go with --url; a curated server takes its credentials from --env".to_owned(),
        ));
    }
    for (part, whole) in places(&program, curated.is_none()).filter(|_| !client.json) {
        eprintln!("`{part}` is looked for where the gateway was started; if that is another folder, write {}", whole.display());
    }
    match (url, curated, program.is_empty()) {
        (None, Some(curated), _) => {
            arguments.insert("curated".into(), curated.into());
            arguments.insert("arguments".into(), program.into());
            arguments.insert("env".into(), pairs(&env)?);
        }
        (Some(_), None, true) if !env.is_empty() => return Err(Error::Usage("--env goes with a command, not with --url".to_owned())),
        (Some(url), None, true) => {
            arguments.insert("url".into(), url.into());
            arguments.insert("headers".into(), pairs(&headers)?);
            arguments.insert("allow_private".into(), allow_private.into());
            if client_id.is_some() || client_secret.is_some() {
                arguments.insert("oauth".into(), json!({ "client_id": client_id, "client_secret": client_secret }));
            }
        }
        (None, None, false) if client_id.is_some() || !headers.is_empty() || allow_private => {
            let why = "--client-id, --header and --allow-private go with --url; a command takes its credentials from --env";
            return Err(Error::Usage(why.to_owned()));
        }
        (None, None, false) => {
            arguments.insert("command".into(), program.into());
            arguments.insert("env".into(), pairs(&env)?);
        }
        _ => {
            let known =
                Curated::find(&name).map(|curated| format!("; or, for there is a curated server of that name: {}", curated.how(&name)));
            let why = format!("say how `{name}` is reached: --url URL, --curated NAME, or -- COMMAND ARGS…{}", known.unwrap_or_default());
            return Err(Error::Usage(why));
        }
    }
    for (key, value) in [("isolation", isolation), ("protocol", protocol)] {
        if let Some(value) = value {
            arguments.insert(key.into(), value.into());
        }
    }
    if !client.json {
        eprintln!("Connecting to `{name}` … (a first start may fetch packages)");
    }
    let added = client.control("servers_add", Value::Object(arguments)).await?;
    if client.json {
        as_json(&added);
    } else {
        show_added(&added);
    }
    Ok(())
}

/// The parts of a command that name something in the current folder, each with its whole path; the first may be a program.
fn places(command: &[String], is_program: bool) -> impl Iterator<Item = (&str, PathBuf)> {
    // A program without a slash is looked for on the path.
    let is_place = move |(at, part): &(usize, &String)| *at > 0 || !is_program || part.contains('/');
    let parts = command.iter().enumerate().filter(is_place).map(|(_, part)| part.as_str());
    // Links stay as they are: the program of a virtual environment is one.
    let here = |part: &&str| Path::new(part).is_relative() && Path::new(part).exists();
    parts.filter(here).filter_map(|part| Some((part, std::path::absolute(part).ok()?)))
}

fn show_added(server: &Value) {
    let name = text(server, "name");
    let held = server.pointer("/look/found").and_then(Value::as_str) == Some("held");
    if held && text(server, "release") == "-" {
        print(&format!(
            "`{name}` is registered, and held until somebody has read what it offers:\n  portolan registry diff {name}\n  portolan registry approve {name}\n"
        ));
        return;
    }
    if server.pointer("/look/found").and_then(Value::as_str) == Some("login_needed") {
        print(&format!("`{name}` is registered, and wants a login before it shows anything: portolan server login {name}\n"));
        return;
    }
    if held {
        print(&format!(
            "`{name}` offers something else than {} says, and that is held: portolan registry diff {name}\n",
            text(server, "curated")
        ));
    }
    print(&format!("`{name}` is registered as {name}@{}: it speaks {} and offers\n\n", text(server, "release"), text(server, "era")));
    offers(server);
    print(&format!("\nClients reach it at /mcp (with all others) and /mcp/{name} (by itself).\n"));
}

fn offers(server: &Value) {
    let offers = server.get("offers").cloned().unwrap_or_default();
    let kinds = [("tools", "tool"), ("prompts", "prompt"), ("templates", "template")];
    let rows = kinds.iter().flat_map(|(key, kind)| {
        let row = |definition: &Value| {
            let description = text(definition, "description");
            let first = description.lines().next().unwrap_or_default();
            vec![(*kind).to_owned(), text(definition, "name"), crate::domain::clip(first, 90)]
        };
        list(&offers, key).iter().map(row).collect::<Vec<_>>()
    });
    table(&["KIND", "NAME", "DESCRIPTION"], rows);
    for dropped in list(server, "left_out") {
        print(&format!("left out: {} `{}` {}\n", text(dropped, "kind"), text(dropped, "name"), text(dropped, "reason")));
    }
}

fn show(server: &Value) {
    for key in ["name", "state", "error", "era", "version", "release", "digest", "curated", "isolation", "target"] {
        let value = text(server, key);
        if value != "-" {
            print(&format!("{key:<10} {value}\n"));
        }
    }
    if let Some(held) = server.get("held_changes").and_then(Value::as_u64).filter(|held| *held > 0) {
        print(&format!("{:<10} {held}, see: portolan registry diff {}\n", "held", text(server, "name")));
    }
    if let Some(kept) = server.get("code").filter(|code| !code.is_null()) {
        let why = server.get("unpinned_because").and_then(Value::as_str).map(|why| format!(" ({why})")).unwrap_or_default();
        let known = if kept.is_object() { code(server) } else { format!("unpinned{why}") };
        print(&format!("{:<10} {known}\n", "code"));
    }
    if let Some(login) = server.get("login").filter(|login| login.is_object()) {
        let scopes: Vec<&str> = list(login, "scopes").iter().filter_map(Value::as_str).collect();
        let at = match login.get("issuer").and_then(Value::as_str) {
            Some(issuer) => format!(" at {issuer}"),
            None => String::new(),
        };
        let more = if scopes.is_empty() { String::new() } else { format!(" for {}", scopes.join(" ")) };
        print(&format!("{:<10} {}{at}{more}\n", "login", text(login, "state")));
    }
    print("\n");
    offers(server);
    let stderr = text(server, "stderr");
    if !matches!(stderr.trim(), "-" | "") {
        let lines: Vec<&str> = stderr.lines().rev().take(20).collect();
        print("\nlast words on standard error:\n");
        for line in lines.iter().rev() {
            print(&format!("  {line}\n"));
        }
    }
}
