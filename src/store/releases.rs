//! Releases in SQLite.

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row as _, query};

use super::contract::{Error, ReleaseHead, ReleaseRow, ReleaseState};

pub(super) async fn all(readers: &SqlitePool, server: &str, variant: bool) -> Result<Vec<ReleaseHead>, Error> {
    let all = query(
        "SELECT server, digest, version, state, era, captured_ms, captured_by, decided_ms, decided_by, deprecated_ms, sunset_ms, \
         variant FROM releases WHERE server = $1 AND variant = $2 ORDER BY COALESCE(decided_ms, captured_ms) DESC, captured_ms DESC",
    );
    all.bind(server).bind(i64::from(variant)).fetch_all(readers).await?.iter().map(head).collect()
}

pub(super) async fn one(readers: &SqlitePool, server: &str, digest: &str) -> Result<Option<ReleaseRow>, Error> {
    let one = query(
        "SELECT server, digest, version, state, era, captured_ms, captured_by, decided_ms, decided_by, deprecated_ms, sunset_ms, \
         variant, manifest FROM releases WHERE server = $1 AND digest = $2",
    );
    let row = one.bind(server).bind(digest).fetch_optional(readers).await?;
    row.map(|row| Ok(ReleaseRow { head: head(&row)?, manifest: row.try_get(12)? })).transpose()
}

pub(super) async fn put(writer: &SqlitePool, row: &ReleaseRow) -> Result<(), Error> {
    let ReleaseRow { head, manifest } = row;
    let mut all = writer.begin().await?;
    query("DELETE FROM releases WHERE server = $1 AND (digest = $2 OR (state = 'held' AND variant = 0 AND $3 = 0))")
        .bind(&head.server)
        .bind(&head.digest)
        .bind(i64::from(head.variant))
        .execute(&mut *all)
        .await?;
    let new = query(
        "INSERT INTO releases (server, digest, version, state, era, captured_ms, captured_by, decided_ms, decided_by, deprecated_ms, \
         sunset_ms, variant, manifest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    );
    new.bind(&head.server)
        .bind(&head.digest)
        .bind(&head.version)
        .bind(match head.state {
            ReleaseState::Approved => "approved",
            ReleaseState::Held => "held",
            ReleaseState::Rejected => "rejected",
        })
        .bind(&head.era)
        .bind(head.captured_ms)
        .bind(&head.captured_by)
        .bind(head.decided_ms)
        .bind(&head.decided_by)
        .bind(head.deprecated_ms)
        .bind(head.sunset_ms)
        .bind(i64::from(head.variant))
        .bind(manifest)
        .execute(&mut *all)
        .await?;
    all.commit().await?;
    Ok(())
}

fn head(row: &SqliteRow) -> Result<ReleaseHead, Error> {
    let state = match row.try_get::<String, _>(3)?.as_str() {
        "approved" => ReleaseState::Approved,
        "held" => ReleaseState::Held,
        "rejected" => ReleaseState::Rejected,
        other => return Err(Error::Corrupt(format!("a release in the state `{other}`"))),
    };
    Ok(ReleaseHead {
        server: row.try_get(0)?,
        digest: row.try_get(1)?,
        version: row.try_get(2)?,
        state,
        era: row.try_get(4)?,
        captured_ms: row.try_get(5)?,
        captured_by: row.try_get(6)?,
        decided_ms: row.try_get(7)?,
        decided_by: row.try_get(8)?,
        deprecated_ms: row.try_get(9)?,
        sunset_ms: row.try_get(10)?,
        variant: row.try_get::<i64, _>(11)? != 0,
    })
}
