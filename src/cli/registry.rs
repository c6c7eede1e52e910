//! `portolan registry …`

use std::io::IsTerminal as _;

use clap::Subcommand;
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use super::client::{Client, Result};
use super::output::{as_json, date, list, print, table, text};
use super::sides::{ROOM, shown, sides, width};
use crate::domain::printable;

/// What can be done with releases.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// All releases of a server, with when and by whom each was decided on
    #[command(alias = "history")]
    Releases {
        /// The server
        server: String,
    },
    /// What differs between the served release and the change that is held
    Diff {
        /// The server
        server: String,
    },
    /// Approve the held change, or with --digest one that was rejected: callers see it from now on
    Approve {
        /// The server
        server: String,
        /// The digest that `diff` or `releases` showed: refuse when the server changed once more since
        #[arg(long)]
        digest: Option<String>,
    },
    /// Reject the held change: the approved release goes on being served
    Reject {
        /// The server
        server: String,
        /// The digest that `diff` showed
        #[arg(long)]
        digest: Option<String>,
    },
    /// Serve an earlier release again; later ones count as rejected
    Rollback {
        /// The server
        server: String,
        /// The version or digest to go back to [default: the one before]
        #[arg(long)]
        to: Option<String>,
    },
    /// Tell those who pin an earlier release until when they may
    Deprecate {
        /// The server
        server: String,
        /// The version or digest of the release
        release: String,
        /// The last day, or the time (RFC 3339); without it, the release does not end after all
        #[arg(long)]
        sunset: Option<String>,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result {
    match command {
        Command::Releases { server } => {
            let releases = client.control("releases_list", json!({ "server": server })).await?;
            if client.json {
                as_json(&releases);
                return Ok(());
            }
            let row = |release: &Value| {
                let digest = text(release, "digest");
                vec![text(release, "version"), text(release, "state"), digest, date(release, "captured_ms"), text(release, "decided_by")]
            };
            table(&["VERSION", "STATE", "DIGEST", "SEEN", "DECIDED BY"], list(&releases, "releases").iter().map(row));
        }
        Command::Diff { server } => {
            let diff = client.control("releases_diff", json!({ "server": server })).await?;
            if client.json {
                as_json(&diff);
            } else if list(&diff, "differences").is_empty() {
                print(&format!("Nothing is held for `{server}`.\n"));
            } else {
                show_diff(&server, &diff);
            }
        }
        Command::Approve { server, digest } => {
            let approved = client.control("releases_approve", json!({ "server": server, "digest": digest })).await?;
            if client.json {
                as_json(&approved);
            } else {
                print(&format!("{server}@{} is approved and served.\n", text(&approved, "release")));
            }
        }
        Command::Reject { server, digest } => {
            let rejected = client.control("releases_reject", json!({ "server": server, "digest": digest })).await?;
            if client.json {
                as_json(&rejected);
            } else {
                print(&format!("The change of `{server}` is rejected; the approved release goes on being served.\n"));
            }
        }
        Command::Rollback { server, to } => {
            let back = client.control("releases_rollback", json!({ "server": server, "to": to })).await?;
            if client.json {
                as_json(&back);
            } else {
                print(&format!("{server}@{} is served again; later releases count as rejected.\n", text(&back, "release")));
            }
        }
        Command::Deprecate { server, release, sunset } => {
            let told = client.control("releases_deprecate", json!({ "server": server, "release": release, "sunset": sunset })).await?;
            if client.json {
                as_json(&told);
            } else if told.get("sunset_ms").is_some_and(Value::is_i64) {
                print(&format!(
                    "{server}@{} can be pinned until {}; who does so is told.\n",
                    text(&told, "release"),
                    date(&told, "sunset_ms")
                ));
            } else {
                print(&format!("{server}@{} does not end.\n", text(&told, "release")));
            }
        }
    }
    Ok(())
}

fn show_diff(server: &str, diff: &Value) {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let width = width().filter(|width| *width >= ROOM);
    let paint = |code: &str, line: &str| if colour { format!("\u{1b}[{code}m{line}\u{1b}[0m\n") } else { format!("{line}\n") };
    for difference in list(diff, "differences") {
        let title = format!("{} {}: {}", text(difference, "kind"), text(difference, "name"), text(difference, "class"));
        print(&paint("1", &printable(&title)));
        for change in list(difference, "changes") {
            let place = Some(text(change, "at")).filter(|at| !at.is_empty()).map_or_else(|| "it".to_owned(), |at| format!("`{at}`"));
            print(&format!("    {:<9} {}\n", text(change, "class"), printable(&format!("{place} {}", text(change, "why")))));
        }
        let pretty = |key: &str| difference.get(key).map(|value| format!("{value:#}")).unwrap_or_default();
        let (old, new) = (pretty("approved"), pretty("live"));
        if let Some(width) = width.filter(|_| !old.is_empty() && !new.is_empty()) {
            print(&sides(&old, &new, width, colour));
            print("\n");
            continue;
        }
        for change in TextDiff::from_lines(&old, &new).iter_all_changes() {
            let line = shown(change.value().trim_end_matches('\n'));
            print(&match change.tag() {
                ChangeTag::Delete => paint("31", &format!("  - {line}")),
                ChangeTag::Insert => paint("32", &format!("  + {line}")),
                ChangeTag::Equal => paint("2", &format!("    {line}")),
            });
        }
        print("\n");
    }
    let digest = text(diff, "digest");
    print(&format!(
        "Approve: portolan registry approve {server} --digest {digest}\nReject:  portolan registry reject {server} --digest {digest}\n"
    ));
}
