//! `portolan server login`

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, Error, Result};
use super::output::{as_json, print, text};

/// How often it is asked whether the person has agreed.
const PAUSE: Duration = Duration::from_millis(700);

/// A server to log in to.
#[derive(Args, Debug)]
pub struct Login {
    /// The server
    name: String,
    /// A scope to ask for, instead of what the server names; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Only print the address
    #[arg(long)]
    no_browser: bool,
}

pub(super) async fn run(client: &Client, login: Login) -> Result {
    let Login { name, scopes, no_browser } = login;
    let before = standing(client, &name).await?;
    let begun = client.control("servers_login", json!({ "server": name, "scopes": scopes })).await?;
    let address = text(&begun, "authorize");
    eprintln!("Open this address in a browser, and agree there:\n\n  {address}\n");
    if !no_browser && std::io::stdout().is_terminal() && webbrowser::open(&address).is_err() {
        eprintln!("No browser could be started from here.");
    }
    let lasts = Duration::from_secs(begun.get("lasts_s").and_then(Value::as_u64).unwrap_or(600));
    let start = Instant::now();
    while start.elapsed() < lasts {
        tokio::time::sleep(PAUSE).await;
        let now = standing(client, &name).await?;
        if let Some(why) = now.get("error").and_then(Value::as_str) {
            return Err(Error::failed(format!("`{name}`: {why}")));
        }
        if now.get("at_ms") != before.get("at_ms") && text(&now, "state") == "valid" {
            if client.json {
                as_json(&json!({ "server": name, "login": now }));
            } else {
                print(&format!("The gateway is logged in at `{name}`.\n"));
            }
            return Ok(());
        }
    }
    Err(Error::failed(format!("nobody agreed within {} minutes; begin again with `portolan server login {name}`", lasts.as_secs() / 60)))
}

async fn standing(client: &Client, name: &str) -> Result<Value> {
    let mut server = client.control("servers_show", json!({ "server": name })).await?;
    Ok(server.get_mut("login").map(Value::take).unwrap_or_default())
}
