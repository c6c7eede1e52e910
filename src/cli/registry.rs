//! `portolan registry …`

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use super::client::{Client, Error, Result};
use super::file::put;
use super::output::{as_json, date, is, list, print, table, text};
use super::sides::{ROOM, shown, sides, width};
use crate::domain::printable;

/// How a change is decided on where a file says what is approved.
const IN_FILE: &str = "What is approved stands in the lock file. Approve: portolan registry lock --held, and review and commit the file\n";

/// What can be done with releases.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// All releases of a server, with when and by whom each was decided on
    #[command(visible_alias = "history")]
    Releases {
        /// The server
        server: String,
    },
    /// What differs between the served release and the change that is held, or another release
    Diff {
        /// The server
        server: String,
        /// The version or digest of a release that `releases` shows, as of one that was rejected
        #[arg(long)]
        release: Option<String>,
    },
    /// Approve the held change, or with --digest one that was rejected: callers see it from now on
    Approve {
        /// The server
        server: String,
        /// The whole digest that `diff` or `releases` showed: refuse when the server changed once more since
        #[arg(long)]
        digest: Option<String>,
    },
    /// Reject the held change: the approved release goes on being served
    Reject {
        /// The server
        server: String,
        /// The whole digest that `diff` showed
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
    /// Write portolan.lock: what is approved now, to be reviewed and committed
    Lock {
        /// The file [default: what the configuration says, else ./portolan.lock]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Take up what is held
        #[arg(long)]
        held: bool,
        /// Read the servers of the configuration themselves; no gateway needs to run
        #[arg(long, conflicts_with = "held")]
        live: bool,
        /// The configuration file, for --live [default: ./portolan.yaml]
        #[arg(long, env = "PORTOLAN_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Fail where a server of the configuration offers something else than portolan.lock says; no gateway needs to run
    Verify {
        /// The lock file [default: what the configuration says, else ./portolan.lock]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// The configuration file [default: ./portolan.yaml]
        #[arg(long, env = "PORTOLAN_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// The servers that can be added by name, each with what was reviewed of it; no gateway needs to run
    Curated,
    /// Run the version that a server.json names, and write what it offers as a curated manifest; no gateway needs to run
    Curate {
        /// A server.json, or the curated manifest of one
        file: PathBuf,
        /// The folder of all curated manifests
        #[arg(long, value_name = "DIR", default_value = "registry")]
        out: PathBuf,
        /// Write nothing; fail where the server offers something else than the file says
        #[arg(long)]
        check: bool,
        /// A variable for the server, as `NAME=value`; may be repeated
        #[arg(long = "env", value_name = "K=V", value_parser = pair)]
        env: Vec<(String, String)>,
        /// Its arguments
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Tell those who pin an earlier release until when they may
    Deprecate {
        /// The server
        server: String,
        /// The version or digest of the release
        release: String,
        /// The last day, or the time (RFC 3339)
        #[arg(long, required_unless_present = "never")]
        sunset: Option<String>,
        /// The release does not end after all
        #[arg(long, conflicts_with = "sunset")]
        never: bool,
    },
}

/// `NAME=value`.
fn pair(text: &str) -> std::result::Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    parts.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "write `NAME=value`".to_owned())
}

pub(super) async fn run(client: &Client, command: Command) -> Result {
    match command {
        Command::Releases { server } => {
            let releases = client.control("releases_list", json!({ "server": server })).await?;
            if client.json {
                as_json(&releases);
                return Ok(());
            }
            show_releases(&releases);
        }
        Command::Diff { server, release } => {
            let diff = client.control("releases_diff", json!({ "server": server, "release": release })).await?;
            if client.json {
                as_json(&diff);
            } else if release.is_some() {
                show_release(&server, &diff);
            } else if list(&diff, "differences").is_empty() && list(&diff, "variants").is_empty() {
                print(&format!(
                    "Nothing is held for `{server}`. How another release differs from what is served: portolan registry diff {server} --release VERSION|DIGEST, as `portolan registry releases {server}` shows them.\n"
                ));
            } else {
                show_diff(&server, &diff);
            }
        }
        Command::Approve { server, digest } => {
            let approved = client.control("releases_approve", json!({ "server": server, "digest": digest })).await?;
            if client.json {
                as_json(&approved);
            } else if is(&approved, "variant") {
                print(&format!("It is approved: callers of {server}@{} who are offered it are shown it.\n", text(&approved, "release")));
            } else {
                print(&format!("{server}@{} is approved and served.\n", text(&approved, "release")));
            }
        }
        Command::Reject { server, digest } => {
            let rejected = client.control("releases_reject", json!({ "server": server, "digest": digest })).await?;
            if client.json {
                as_json(&rejected);
            } else {
                print(&format!(
                    "It is rejected; what was approved of `{server}` before goes on being served, if anything. To take that back: portolan registry approve {server} --digest {} (all that was rejected: portolan registry releases {server})\n",
                    digest.as_deref().unwrap_or("DIGEST")
                ));
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
        Command::Lock { file, held, .. } => {
            let file = file.unwrap_or_else(|| PathBuf::from("portolan.lock"));
            let lock = client.control("releases_lock", json!({ "held": held })).await?;
            let written = put(&file, &text(&lock, "text"));
            written.map_err(|error| Error::failed(format!("{} cannot be written: {error}", file.display())))?;
            let servers: Vec<&str> = list(&lock, "servers").iter().filter_map(Value::as_str).collect();
            if client.json {
                as_json(&json!({ "file": file, "servers": servers }));
            } else {
                print(&format!("{} says what is approved: {}.\n", file.display(), servers.join(", ")));
                let held: Vec<&str> = list(&lock, "held").iter().filter_map(Value::as_str).collect();
                if !held.is_empty() {
                    print(&format!(
                        "Of {} it has what is held, which nobody has approved yet: review it before you commit the file. Where `registry.source` is `lock`, a gateway serves it as soon as this is its file.\n",
                        held.join(", ")
                    ));
                }
            }
        }
        // These need no gateway, and so they are run before there is a client.
        Command::Verify { .. } | Command::Curated | Command::Curate { .. } => {}
        Command::Deprecate { server, release, sunset, never: _ } => {
            let told = client.control("releases_deprecate", json!({ "server": server, "release": release, "sunset": sunset })).await?;
            if client.json {
                as_json(&told);
            } else if text(&told, "state") == "ended" {
                print(&format!("{server}@{} has ended: it cannot be pinned any more.\n", text(&told, "release")));
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

/// Prints how servers stand to the lock file, or to another; failing where one of them does not offer what it says. `how` tells how that
/// is taken up.
pub fn show_verified(outcome: &Value, how: &str, json: bool) -> ExitCode {
    let good = is(outcome, "ok");
    if json {
        as_json(outcome);
    } else {
        show_standing(outcome);
        let file = text(outcome, "file");
        print(&if good {
            format!("All servers offer what {file} says.\n")
        } else {
            format!("Not all servers offer what {file} says. To take it up: portolan registry {how}, review what changed, and commit it.\n")
        });
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes the lock file anew, where there is a text for it, and prints what changed.
pub fn show_written(outcome: &Value, written: Option<&str>, json: bool) -> ExitCode {
    let file = PathBuf::from(text(outcome, "file"));
    let error = written.and_then(|text| put(&file, text).err());
    if json {
        as_json(outcome);
    } else {
        show_standing(outcome);
        match (written, &error) {
            (Some(_), None) => {
                let suspects =
                    list(outcome, "servers").iter().filter(|one| list(one, "differences").iter().any(|change| is(change, "suspect")));
                let suspects: Vec<String> = suspects.map(|one| text(one, "server")).collect();
                if !suspects.is_empty() {
                    print(&format!("What {} offers is suspect; read it before anybody is served it.\n", suspects.join(", ")));
                }
                print(&format!("{} is written; review what changed, and commit it.\n", file.display()));
            }
            (None, _) => print("Nothing was written, for not all servers could be read.\n"),
            _ => {}
        }
    }
    if let Some(error) = &error {
        eprintln!("portolan: {} cannot be written: {error}", file.display());
    }
    if written.is_some() && error.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A table of servers, and what differs of each.
fn show_standing(outcome: &Value) {
    let said = |standing: &str| match standing {
        "same" => "as it is locked",
        "changed" => "CHANGED",
        "not_locked" => "NOT LOCKED",
        "not_declared" => "not in the configuration",
        _ => "COULD NOT BE READ",
    };
    let row = |one: &Value| vec![text(one, "server"), text(one, "release"), said(&text(one, "standing")).to_owned(), text(one, "error")];
    let servers = list(outcome, "servers");
    table(&["SERVER", "RELEASE", "STATE", "DETAIL"], servers.iter().map(row));
    for one in servers.iter().filter(|one| !list(one, "differences").is_empty()) {
        print(&format!("\n{}\n", text(one, "server")));
        show_differences(one);
    }
}

/// A table of a server's releases.
fn show_releases(releases: &Value) {
    let row = |release: &Value| {
        let digest = text(release, "digest");
        let (seen, decided) = (date(release, "captured_ms"), date(release, "decided_ms"));
        let state = match text(release, "state") {
            state if state == "deprecated" => format!("{state} until {}", date(release, "sunset_ms")),
            state => state,
        };
        vec![text(release, "version"), state, digest, seen, decided, text(release, "decided_by")]
    };
    table(&["VERSION", "STATE", "DIGEST", "SEEN", "DECIDED", "BY"], list(releases, "releases").iter().map(row));
}

/// Shows how a release on record differs from the served one, and what can be done with it.
fn show_release(server: &str, diff: &Value) {
    let (version, state) = (text(diff, "version"), text(diff, "state"));
    if state == "served" {
        return print(&format!("{server}@{version} is the release that is served.\n"));
    }
    let digest = text(diff, "digest");
    let called = if version == "-" { digest.clone() } else { format!("{server}@{version}") };
    let again = || format!("Serve it again: portolan registry rollback {server} --to {version}\n");
    let (what, choice) = match state.as_str() {
        "held" => ("it is held", choice(server, diff)),
        "variant" => ("some callers are offered it", format!("Reject: portolan registry reject {server} --digest {digest}\n")),
        "rejected" => ("it was rejected", format!("Approve: portolan registry approve {server} --digest {digest}\n")),
        "ended" => ("it was served before, and has ended", again()),
        "deprecated" => ("it was served before, and is deprecated", again()),
        _ => ("it was served before", again()),
    };
    print(&format!("How {called} differs from what is served; {what}:\n\n"));
    show_change(diff, &choice);
}

fn show_diff(server: &str, diff: &Value) {
    if !list(diff, "differences").is_empty() {
        show_change(diff, &choice(server, diff));
    }
    for variant in list(diff, "variants") {
        print(&format!("Some callers of `{server}` are offered, and only they:\n\n"));
        show_differences(variant);
        print(&choice(server, variant));
        print("\n");
    }
}

/// Shows a change, what it would break, and how it is decided on, which is a file's where that says what is approved.
fn show_change(diff: &Value, choice: &str) {
    show_differences(diff);
    let impact = list(diff, "impact");
    if impact.is_empty() {
        print("No call on record would fail.\n\n");
    } else {
        print("Calls on record that would fail, or may:\n");
        let row = |one: &Value| {
            let sure = if is(one, "fails") { "fails" } else { "may fail" };
            let because = one.get("because").map(|because| format!("{} {}", text(because, "at"), text(because, "why"))).unwrap_or_default();
            let shape = one.get("shape").map(Value::to_string).unwrap_or_default();
            vec![text(one, "tool"), text(one, "principal"), date(one, "seen_ms"), sure.to_owned(), shape, printable(&because)]
        };
        table(&["TOOL", "CALLER", "LAST SEEN", "", "ARGUMENTS", "BECAUSE"], impact.iter().map(row));
        print("\n");
    }
    print(if is(diff, "locked") { IN_FILE } else { choice });
}

fn choice(server: &str, held: &Value) -> String {
    let digest = text(held, "digest");
    format!("Approve: portolan registry approve {server} --digest {digest}\nReject:  portolan registry reject {server} --digest {digest}\n")
}

fn show_differences(diff: &Value) {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let width = width().filter(|width| *width >= ROOM);
    let paint = |code: &str, line: &str| if colour { format!("\u{1b}[{code}m{line}\u{1b}[0m\n") } else { format!("{line}\n") };
    for difference in list(diff, "differences") {
        let suspect = if is(difference, "suspect") { ", and suspect" } else { "" };
        let title = format!("{} {}: {}{suspect}", text(difference, "kind"), text(difference, "name"), text(difference, "class"));
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
}
