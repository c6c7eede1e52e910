//! What is on record: the journal, and what was spent.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Tool, whole};
use crate::domain::{Principal, dollars, now_ms};
use crate::store::{JournalRow, JournalWish, Spent, SpentBy, SpentWish};

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<Query, _, _>(
            "journal_query",
            Class::Read,
            "Shows what is on record, the newest first: who asked for what, who did it, what came of it, and what it took.",
            query,
        ),
        Tool::new::<Usage, _, _>("usage_query", Class::Read, "Adds up answers, tokens and cost by caller, model, target or day.", usage),
    ]
}

/// Which entries to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Of this kind: `chat`, `messages`, `responses`, `embeddings`, `count_tokens`, `tool`, `sampling`, or `control`.
    kind: Option<String>,
    /// Of this caller, as the journal names them: `key:ID`, `subject:NAME@ISSUER`, `local`, `owner`.
    principal: Option<String>,
    /// About this model, tool, or act.
    subject: Option<String>,
    /// That ended so: `ok`, `tool_error`, `refused`, `failed`, `cancelled`, or `begun`.
    outcome: Option<String>,
    /// Of this request, by its `x-request-id`.
    request: Option<String>,
    /// Not older than this, in milliseconds since the epoch.
    #[serde(default, deserialize_with = "whole")]
    since_ms: Option<i64>,
    /// Later than the entry of this number.
    #[serde(default, deserialize_with = "whole")]
    after: Option<i64>,
    /// Earlier than the entry of this number: the next page.
    #[serde(default, deserialize_with = "whole")]
    before: Option<i64>,
    /// At most so many, up to 1,000; 50 where it is not said.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<i64>,
}

/// How many entries are shown where nobody says how many.
const PAGE: i64 = 50;

/// What to add up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Usage {
    /// By what.
    #[serde(default)]
    by: By,
    /// Since then, in milliseconds since the epoch; the last 30 days where it is not said.
    #[serde(default, deserialize_with = "whole")]
    since_ms: Option<i64>,
    /// Of this caller alone.
    principal: Option<String>,
}

/// What usage is added up by.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum By {
    /// Who asked.
    #[default]
    Principal,
    /// The model, by the name it was called by.
    Model,
    /// `provider/model`.
    Target,
    /// The day, in UTC.
    Day,
}

async fn query(parts: Arc<Parts>, _: Principal, query: Query) -> Result<Value, Error> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=1_000).contains(&limit) {
        return Err(Error::Arguments("`limit` must be from 1 to 1000".to_owned()));
    }
    let Query { kind, principal, subject, outcome, request, since_ms, after, before, .. } = query;
    let wish = JournalWish { kind, principal, subject, outcome, request, since_ms, after, before, limit };
    let entries = parts.journal.query(&wish).await?;
    Ok(json!({ "entries": entries.iter().map(entry).collect::<Vec<_>>() }))
}

fn entry(row: &JournalRow) -> Value {
    json!({
        "id": row.id, "at_ms": row.at_ms, "kind": row.kind, "principal": row.principal, "request": row.request, "subject": row.subject,
        "target": row.target, "outcome": row.outcome, "detail": row.detail, "input_tokens": row.input, "output_tokens": row.output,
        "cached_tokens": row.cached, "cost_usd": row.cost_nano.map(dollars), "ms": row.ms,
    })
}

const MONTH_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

async fn usage(parts: Arc<Parts>, _: Principal, usage: Usage) -> Result<Value, Error> {
    let by = match usage.by {
        By::Principal => SpentBy::Principal,
        By::Model => SpentBy::Model,
        By::Target => SpentBy::Target,
        By::Day => SpentBy::Day,
    };
    let since_ms = usage.since_ms.unwrap_or_else(|| now_ms() - MONTH_MS);
    let spent = parts.journal.spent(&SpentWish { since_ms, by, principal: usage.principal }).await?;
    let row = |spent: &Spent| {
        json!({
            "name": spent.name, "answers": spent.answers, "input_tokens": spent.input, "output_tokens": spent.output,
            "cached_tokens": spent.cached, "cost_usd": dollars(spent.cost_nano), "unpriced": spent.unpriced, "uncounted": spent.uncounted,
        })
    };
    Ok(json!({ "since_ms": since_ms, "usage": spent.iter().map(row).collect::<Vec<_>>() }))
}
