//! The journal's entries in SQLite.

use std::sync::OnceLock;

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite, query};

use super::contract::{Error, JournalRow, JournalWish, ShapeRow, Spent, SpentBy, SpentWish};

/// Most entries that one sweep removes.
const SWEPT: i64 = 2_000;

/// Rows that one statement writes; a power of two, as are those of what is left, so that there are few statements to prepare.
const CHUNK: usize = 64;

/// All of them or none, many rows with each statement: that costs less than one for each.
pub(super) async fn add(pool: &SqlitePool, rows: &[JournalRow]) -> Result<(), Error> {
    let mut all = pool.begin().await?;
    let mut rest = rows;
    while !rest.is_empty() {
        let many = CHUNK.min(1 << rest.len().ilog2());
        let (rows, after) = rest.split_at(many);
        rest = after;
        let insert = rows.iter().fold(query(insertion(many)), |insert, entry| {
            insert
                .bind(entry.at_ms)
                .bind(&*entry.kind)
                .bind(&*entry.principal)
                .bind(entry.request.as_deref())
                .bind(&*entry.subject)
                .bind(entry.target.as_deref())
                .bind(&*entry.outcome)
                .bind(entry.detail.as_deref())
                .bind(entry.input)
                .bind(entry.output)
                .bind(entry.cached)
                .bind(entry.cost_nano)
                .bind(entry.ms)
        });
        insert.execute(&mut *all).await?;
    }
    for (entry, shape) in rows.iter().filter_map(|entry| Some((entry, entry.shape.as_deref()?))) {
        // `server/tool@version#digest`: a shape is of the tool, at whatever release.
        let tool = entry.target.as_deref().and_then(|target| Some(target.rsplit_once('@')?.0)).unwrap_or_default();
        let note = query(
            "INSERT INTO shapes (tool, principal, shape, seen_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (tool, principal, shape) DO UPDATE SET seen_ms = excluded.seen_ms",
        );
        note.bind(tool).bind(&*entry.principal).bind(shape).bind(entry.at_ms).execute(&mut *all).await?;
    }
    all.commit().await?;
    Ok(())
}

/// Most shapes that are read of one server.
const SHAPES: i64 = 5_000;

pub(super) async fn shapes(pool: &SqlitePool, server: &str) -> Result<Vec<ShapeRow>, Error> {
    // All that begins with `server/`: the character after `/` is `0`.
    let all = query("SELECT tool, principal, shape, seen_ms FROM shapes WHERE tool >= $1 AND tool < $2 ORDER BY seen_ms DESC LIMIT $3");
    let rows = all.bind(format!("{server}/")).bind(format!("{server}0")).bind(SHAPES).fetch_all(pool).await?;
    let row = |row: &SqliteRow| {
        Ok(ShapeRow { tool: row.try_get(0)?, principal: row.try_get(1)?, shape: row.try_get(2)?, seen_ms: row.try_get(3)? })
    };
    rows.iter().map(row).collect()
}

/// The statement that writes so many rows, a power of two up to [`CHUNK`]; each is written once.
fn insertion(rows: usize) -> &'static str {
    static STATEMENTS: [OnceLock<String>; CHUNK.ilog2() as usize + 1] = [const { OnceLock::new() }; CHUNK.ilog2() as usize + 1];
    const COLUMNS: &str = "at_ms, kind, principal, request, subject, target, outcome, detail, input, output, cached, cost_nano, ms";
    const VALUES: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let statement = || format!("INSERT INTO journal ({COLUMNS}) VALUES {}", vec![VALUES; rows].join(", "));
    STATEMENTS.get(rows.ilog2() as usize).map_or("", |kept| kept.get_or_init(statement))
}

pub(super) async fn begin(pool: &SqlitePool, row: &JournalRow) -> Result<i64, Error> {
    let written = query(
        "INSERT INTO journal (at_ms, kind, principal, request, subject, target, outcome, detail, ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.at_ms)
    .bind(&row.kind)
    .bind(&row.principal)
    .bind(&row.request)
    .bind(&row.subject)
    .bind(&row.target)
    .bind(&row.outcome)
    .bind(&row.detail)
    .bind(row.ms)
    .execute(pool)
    .await?;
    Ok(written.last_insert_rowid())
}

pub(super) async fn end(pool: &SqlitePool, id: i64, row: &JournalRow) -> Result<(), Error> {
    query("UPDATE journal SET outcome = $2, detail = $3, ms = $4 WHERE id = $1")
        .bind(id)
        .bind(&row.outcome)
        .bind(&row.detail)
        .bind(row.ms)
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn find(pool: &SqlitePool, wish: &JournalWish) -> Result<Vec<JournalRow>, Error> {
    let mut find: QueryBuilder<Sqlite> = QueryBuilder::new(
        "SELECT id, at_ms, kind, principal, request, subject, target, outcome, detail, input, output, cached, cost_nano, ms \
         FROM journal WHERE 1",
    );
    for (column, wanted) in [
        (" AND kind = ", &wish.kind),
        (" AND principal = ", &wish.principal),
        (" AND subject = ", &wish.subject),
        (" AND outcome = ", &wish.outcome),
        (" AND request = ", &wish.request),
    ] {
        if let Some(wanted) = wanted {
            find.push(column).push_bind(wanted);
        }
    }
    if let Some(since) = wish.since_ms {
        find.push(" AND at_ms >= ").push_bind(since);
    }
    if let Some(after) = wish.after {
        find.push(" AND id > ").push_bind(after);
    }
    if let Some(before) = wish.before {
        find.push(" AND id < ").push_bind(before);
    }
    find.push(" ORDER BY id DESC LIMIT ").push_bind(wish.limit);
    find.build().fetch_all(pool).await?.iter().map(entry).collect()
}

fn entry(row: &SqliteRow) -> Result<JournalRow, Error> {
    Ok(JournalRow {
        id: row.try_get(0)?,
        at_ms: row.try_get(1)?,
        kind: row.try_get(2)?,
        principal: row.try_get(3)?,
        request: row.try_get(4)?,
        subject: row.try_get(5)?,
        target: row.try_get(6)?,
        shape: None,
        outcome: row.try_get(7)?,
        detail: row.try_get(8)?,
        input: row.try_get(9)?,
        output: row.try_get(10)?,
        cached: row.try_get(11)?,
        cost_nano: row.try_get(12)?,
        ms: row.try_get(13)?,
    })
}

pub(super) async fn spent(pool: &SqlitePool, wish: &SpentWish) -> Result<Vec<Spent>, Error> {
    let by = match wish.by {
        SpentBy::Principal => "principal",
        SpentBy::Model => "subject",
        SpentBy::Target => "COALESCE(target, '')",
        SpentBy::Day => "strftime('%Y-%m-%d', at_ms / 1000, 'unixepoch')",
    };
    let mut sum: QueryBuilder<Sqlite> = QueryBuilder::new("SELECT ");
    sum.push(by).push(
        ", COUNT(*), COALESCE(SUM(input), 0), COALESCE(SUM(output), 0), COALESCE(SUM(cached), 0), COALESCE(SUM(cost_nano), 0), \
         SUM(cost_nano IS NULL AND input IS NOT NULL), SUM(input IS NULL) \
         FROM journal WHERE kind NOT IN ('tool', 'control', 'count_tokens') AND target IS NOT NULL AND at_ms >= ",
    );
    sum.push_bind(wish.since_ms);
    if let Some(principal) = &wish.principal {
        sum.push(" AND principal = ").push_bind(principal);
    }
    sum.push(" GROUP BY 1 ORDER BY 6 DESC, 3 DESC, 1 LIMIT 1000");
    let row = |row: &SqliteRow| {
        Ok(Spent {
            name: row.try_get(0)?,
            answers: row.try_get(1)?,
            input: row.try_get(2)?,
            output: row.try_get(3)?,
            cached: row.try_get(4)?,
            cost_nano: row.try_get(5)?,
            unpriced: row.try_get(6)?,
            uncounted: row.try_get(7)?,
        })
    };
    sum.build().fetch_all(pool).await?.iter().map(row).collect()
}

/// The oldest entries by their numbers, as far as they are too old or too many.
pub(super) async fn forget(pool: &SqlitePool, before_ms: i64, most: i64) -> Result<u64, Error> {
    query("DELETE FROM shapes WHERE seen_ms < $1").bind(before_ms).execute(pool).await?;
    let gone = query(
        // Numbers grow with time, so the oldest are the first; what is not among the first few waits for the next sweep.
        "DELETE FROM journal WHERE id IN (SELECT id FROM (SELECT id, at_ms FROM journal ORDER BY id LIMIT $3) \
         WHERE at_ms < $1 OR id <= (SELECT MAX(id) FROM journal) - $2)",
    )
    .bind(before_ms)
    .bind(most)
    .bind(SWEPT)
    .execute(pool)
    .await?;
    Ok(gone.rows_affected())
}
