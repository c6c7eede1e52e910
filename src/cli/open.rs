//! `portolan open`

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::json;

use super::client::{Client, Result};
use super::output::{as_json, print, text};

/// How to open the console.
#[derive(Args, Debug)]
pub struct Open {
    /// Only print the link
    #[arg(long)]
    no_browser: bool,
}

pub(super) async fn run(client: &Client, open: &Open) -> Result {
    let made = client.control("console_open", json!({})).await?;
    let url = client.page(&format!("login={}", text(&made, "link")));
    if client.json {
        as_json(&json!({ "url": url, "lasts_s": made.get("lasts_s") }));
        return Ok(());
    }
    print(&format!("{url}\n"));
    eprintln!("This link logs a browser in once, within {} seconds.", text(&made, "lasts_s"));
    let wanted = !open.no_browser && std::io::stdout().is_terminal();
    if wanted && webbrowser::open(&url).is_err() {
        eprintln!("No browser could be started from here; open the link in one.");
    }
    Ok(())
}
