//! Responses in SQLite: what each added, who has how much, and what goes first.
//!
//! What is to go is looked for among the readers, a few rows at a time, so that the one writer is soon free again.

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row as _, query};

use super::contract::{Bounds, Chain, Elsewhere, Error, Holding, ResponseRow};

/// Most rows that one step of a sweep takes away.
const FEW: u32 = 64;

/// Adds a response; what its caller has here now.
pub(super) async fn add(writer: &SqlitePool, row: &ResponseRow) -> Result<Holding, Error> {
    let bytes = row.items.len() + row.answer.as_ref().map_or(0, String::len);
    let mut all = writer.begin().await?;
    query("INSERT INTO responses (id, caller, previous, items, created_ms, target, bytes) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(&row.id)
        .bind(&row.caller)
        .bind(&row.previous)
        .bind(&row.items)
        .bind(row.created_ms)
        .bind(&row.target)
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .execute(&mut *all)
        .await?;
    if let Some(answer) = &row.answer {
        query("INSERT INTO answers (id, body) VALUES ($1, $2)").bind(&row.id).bind(answer).execute(&mut *all).await?;
    }
    let holding = query("SELECT kept, bytes FROM holdings WHERE caller = $1").bind(&row.caller).fetch_one(&mut *all).await?;
    let holding = Holding { responses: holding.try_get(0)?, bytes: holding.try_get(1)? };
    all.commit().await?;
    Ok(holding)
}

/// The whole answer of a caller's response.
pub(super) async fn answer(readers: &SqlitePool, caller: &str, id: &str) -> Result<Option<String>, Error> {
    let found = query("SELECT body FROM answers JOIN responses USING (id) WHERE id = $1 AND caller = $2");
    let row = found.bind(id).bind(caller).fetch_optional(readers).await?;
    row.map(|row| row.try_get(0).map_err(Error::from)).transpose()
}

/// Removes a caller's response that is kept here.
pub(super) async fn remove(writer: &SqlitePool, caller: &str, id: &str) -> Result<bool, Error> {
    let gone = query("DELETE FROM responses WHERE id = $1 AND caller = $2 AND items <> ''").bind(id).bind(caller);
    Ok(gone.execute(writer).await?.rows_affected() > 0)
}

/// A response with those before it, back to the first one or to one that a provider keeps.
pub(super) async fn chain(readers: &SqlitePool, caller: &str, id: &str, most: u32, bytes: u32) -> Result<Chain, Error> {
    let rows = query(
        "WITH RECURSIVE chain (id, previous, items, target, depth, size) AS (
            SELECT id, previous, items, target, 0, length(items) FROM responses WHERE id = $1 AND caller = $2
            UNION ALL
            SELECT r.id, r.previous, r.items, r.target, chain.depth + 1, chain.size + length(r.items) FROM responses r
            JOIN chain ON r.id = chain.previous AND r.caller = $2 WHERE chain.items <> '' AND chain.depth + 1 < $3 AND chain.size <= $4
        ) SELECT items, previous, id, target FROM chain ORDER BY depth DESC",
    );
    let rows = rows.bind(id).bind(caller).bind(i64::from(most)).bind(i64::from(bytes)).fetch_all(readers).await?;
    let mut items = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    let Some(oldest) = rows.first() else { return Ok(Chain::default()) };
    if items.first().is_some_and(String::is_empty) {
        items.remove(0);
        let elsewhere = Elsewhere { id: oldest.try_get(2)?, target: oldest.try_get(3)? };
        return Ok(Chain { items, before: None, elsewhere: Some(elsewhere) });
    }
    Ok(Chain { items, before: oldest.try_get(1)?, elsewhere: None })
}

/// Takes away a few of those that are too many, or else of those that are too old; how many there were.
pub(super) async fn forget(writer: &SqlitePool, readers: &SqlitePool, bounds: &Bounds) -> Result<u64, Error> {
    if let Some(over) = over(readers, bounds).await? {
        let gone = query("DELETE FROM responses WHERE id IN (SELECT value FROM json_each($1))");
        return Ok(gone.bind(list(&oldest(readers, &over).await?)).execute(writer).await?.rows_affected());
    }
    let Some(before_ms) = bounds.before_ms else { return Ok(0) };
    let old = query(
        "SELECT id FROM responses r WHERE created_ms < $1 AND NOT EXISTS (SELECT 1 FROM responses n WHERE n.previous = r.id)
         ORDER BY created_ms LIMIT $2",
    );
    let old = old.bind(before_ms).bind(FEW).fetch_all(readers).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let old = old.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    // What somebody has gone on from meanwhile stays.
    let gone = query(
        "DELETE FROM responses WHERE id IN (SELECT value FROM json_each($1))
         AND NOT EXISTS (SELECT 1 FROM responses n WHERE n.previous = responses.id)",
    );
    Ok(gone.bind(list(&old)).execute(writer).await?.rows_affected())
}

/// A caller who has too much, by how many responses and by how many bytes. Where all together have too much, it is the one who has the most.
async fn over(readers: &SqlitePool, bounds: &Bounds) -> Result<Option<SqliteRow>, Error> {
    let own = query("SELECT caller, kept - $1, bytes - $2 FROM holdings WHERE kept > $1 OR bytes > $2 LIMIT 1");
    let own = own.bind(bounds.of_one.responses).bind(bounds.of_one.bytes).fetch_optional(readers).await?;
    if own.is_some() {
        return Ok(own);
    }
    let all = query(
        "SELECT caller, (SELECT SUM(kept) FROM holdings) - $1, 0 FROM holdings
         WHERE (SELECT SUM(kept) FROM holdings) > $1 ORDER BY kept DESC LIMIT 1",
    );
    Ok(all.bind(bounds.of_all).fetch_optional(readers).await?)
}

/// The oldest of a caller who has too much, as many as that is.
async fn oldest(readers: &SqlitePool, over: &SqliteRow) -> Result<Vec<String>, Error> {
    let (caller, mut rows, mut bytes): (String, i64, i64) = (over.try_get(0)?, over.try_get(1)?, over.try_get(2)?);
    let all = query("SELECT id, bytes FROM responses WHERE caller = $1 ORDER BY created_ms, rowid LIMIT $2");
    let mut gone = Vec::new();
    for row in all.bind(caller).bind(FEW).fetch_all(readers).await? {
        if rows <= 0 && bytes <= 0 {
            break;
        }
        rows -= 1;
        bytes -= row.try_get::<i64, _>(1)?;
        gone.push(row.try_get(0)?);
    }
    Ok(gone)
}

/// Ids as a JSON list, which the database reads.
fn list(ids: &[String]) -> String {
    serde_json::Value::from(ids).to_string()
}
