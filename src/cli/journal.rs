//! `portolan journal`, `portolan usage`

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Result};
use super::output::{as_json, date, list, print, table, text};
use crate::domain::{now_ms, printable};

/// How often a journal that is followed is asked for what is new.
const LOOK: Duration = Duration::from_millis(500);
/// Most entries of one answer.
const MOST: i64 = 1_000;

/// Which entries to show.
#[derive(Args, Debug)]
pub struct Journal {
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Only this kind
    #[arg(long, value_parser = ["chat", "messages", "responses", "embeddings", "count_tokens", "tool", "control"])]
    kind: Option<String>,
    /// Only this caller, as the journal names them
    #[arg(long)]
    principal: Option<String>,
    /// Only this model, tool, or act
    #[arg(long)]
    subject: Option<String>,
    /// Only what ended so
    #[arg(long, value_parser = ["ok", "tool_error", "refused", "failed", "cancelled", "begun"])]
    outcome: Option<String>,
    /// Only this request, by its `x-request-id`
    #[arg(long)]
    request: Option<String>,
    /// At most so many, the newest
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=MOST))]
    limit: i64,
}

/// What to add up.
#[derive(Args, Debug)]
pub struct Usage {
    /// By what
    #[arg(long, default_value = "principal")]
    by: By,
    /// Of the last so many days
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=3_650))]
    days: i64,
    /// Of this caller alone, as the journal names them
    #[arg(long)]
    principal: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// Who asked
    Principal,
    /// The model, by the name it was called by
    Model,
    /// Provider and model
    Target,
    /// The day, in UTC
    Day,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Model => "model",
            Self::Target => "target",
            Self::Day => "day",
        }
    }
}

pub(super) async fn journal(client: &Client, wish: Journal) -> Result {
    let ask = |after: Option<i64>, limit: i64| {
        client.control(
            "journal_query",
            json!({ "kind": wish.kind, "principal": wish.principal, "subject": wish.subject, "outcome": wish.outcome,
                "request": wish.request, "after": after, "limit": limit }),
        )
    };
    let first = ask(None, wish.limit).await?;
    if client.json && !wish.follow {
        as_json(&first);
        return Ok(());
    }
    // As it happened: the newest stands last, where one reads on.
    let entries: Vec<&Value> = list(&first, "entries").iter().rev().collect();
    if !wish.follow {
        if entries.is_empty() {
            print("There is nothing on record.\n");
        } else {
            table(&HEAD, entries.into_iter().map(row));
        }
        return Ok(());
    }
    if !client.json {
        print(&line(&HEAD.map(str::to_owned)));
    }
    let mut after = entries.last().map_or(0, |entry| number(entry));
    for entry in entries {
        show(client, entry);
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let news = ask(Some(after), MOST).await?;
        for entry in list(&news, "entries").iter().rev() {
            after = after.max(number(entry));
            show(client, entry);
        }
    }
}

const HEAD: [&str; 9] = ["TIME", "KIND", "WHO", "WHAT", "DONE BY", "OUTCOME", "TOKENS", "USD", "MS"];

fn number(entry: &Value) -> i64 {
    entry.get("id").and_then(Value::as_i64).unwrap_or_default()
}

fn row(entry: &Value) -> Vec<String> {
    let outcome = match entry.get("detail").and_then(Value::as_str) {
        Some(detail) => format!("{}: {detail}", text(entry, "outcome")),
        None => text(entry, "outcome"),
    };
    let tokens = match entry.get("input_tokens").and_then(Value::as_i64) {
        Some(input) => format!("{input} > {}", text(entry, "output_tokens")),
        None => "-".to_owned(),
    };
    let (who, what, by) = (text(entry, "principal"), text(entry, "subject"), text(entry, "target"));
    vec![date(entry, "at_ms"), text(entry, "kind"), who, what, by, outcome, tokens, dollars(entry), text(entry, "ms")]
}

/// One line: JSON for scripts, words for people.
fn show(client: &Client, entry: &Value) {
    if client.json {
        print(&format!("{entry}\n"));
    } else {
        print(&line(&row(entry)));
    }
}

/// One line of a table that nobody knows the end of, so its columns are as wide as most things need.
fn line(cells: &[String]) -> String {
    const WIDTHS: [usize; 9] = [20, 10, 16, 24, 36, 12, 12, 8, 0];
    let cells = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:<width$}"));
    format!("{}\n", printable(cells.collect::<Vec<_>>().join("  ").trim_end()).replace('\n', " "))
}

fn dollars(of: &Value) -> String {
    of.get("cost_usd").and_then(Value::as_f64).map_or_else(|| "-".to_owned(), |cost| format!("{cost:.6}"))
}

pub(super) async fn usage(client: &Client, wish: Usage) -> Result {
    let since = now_ms() - wish.days * 24 * 60 * 60 * 1_000;
    let spent = client.control("usage_query", json!({ "by": wish.by.as_str(), "since_ms": since, "principal": wish.principal })).await?;
    if client.json {
        as_json(&spent);
        return Ok(());
    }
    if list(&spent, "usage").is_empty() {
        print("Nothing was spent.\n");
        return Ok(());
    }
    let row = |spent: &Value| {
        let name = text(spent, "name");
        let name = if name.is_empty() { "-".to_owned() } else { name };
        vec![
            name,
            text(spent, "answers"),
            text(spent, "input_tokens"),
            text(spent, "cached_tokens"),
            text(spent, "output_tokens"),
            dollars(spent),
        ]
    };
    let head = wish.by.as_str().to_uppercase();
    table(&[&head, "ANSWERS", "INPUT", "CACHED", "OUTPUT", "USD"], list(&spent, "usage").iter().map(row));
    let sum = |key: &str| list(&spent, "usage").iter().filter_map(|spent| spent.get(key)?.as_i64()).sum::<i64>();
    let (unpriced, uncounted) = (sum("unpriced"), sum("uncounted"));
    if unpriced > 0 {
        print(&format!("Of {unpriced} answers no price is known; they are not in USD. Give their targets a `price`.\n"));
    }
    if uncounted > 0 {
        print(&format!("Of {uncounted} answers the provider told no tokens.\n"));
    }
    Ok(())
}
