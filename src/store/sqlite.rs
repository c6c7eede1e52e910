//! SQLite: write-ahead log, synchronous FULL, one writer and a few readers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Row, query};

use super::contract::{
    BlockRow, Bounds, Chain, Contract, Error, Holding, JournalRow, JournalWish, KeyRow, LoginRow, ReleaseHead, ReleaseRow, ResponseRow,
    ServerRow, ShapeRow, Spent, SpentWish,
};
use super::seal::Seal;
use super::{journal, releases, responses};
use crate::domain::Secret;

/// One database file.
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    seal: Arc<Seal>,
}

impl Sqlite {
    /// Opens or makes the file, and brings it to this version in one transaction.
    pub async fn open(path: &Path, seal: impl Into<Arc<Seal>>) -> Result<Self, Error> {
        private(path).map_err(|error| Error::Unavailable(format!("{}: {error}", path.display())))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let pool = |size| SqlitePoolOptions::new().max_connections(size);
        let unusable = |error| Error::Unavailable(format!("{}: {error}", path.display()));
        let writer = pool(1).connect_with(options.clone()).await.map_err(unusable)?;
        let migrations = sqlx::migrate!("src/store/migrations").run(&writer).await;
        migrations.map_err(|error| Error::Unavailable(format!("{}: {error}", path.display())))?;
        let readers = pool(2).connect_lazy_with(options);
        let store = Self { writer, readers, seal: seal.into() };
        store.seal_servers().await?;
        Ok(store)
    }

    /// Seals what an older version wrote for all to read, and leaves no trace of it in the file.
    async fn seal_servers(&self) -> Result<(), Error> {
        let rows = query("SELECT name, spec FROM servers").fetch_all(&self.writer).await?;
        let mut sealed = 0;
        // Also where the process ends before the file is written anew.
        query("PRAGMA secure_delete = ON").execute(&self.writer).await?;
        for row in rows {
            let (name, spec): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            if !Seal::is_sealed(&spec) {
                let spec = self.seal.seal(&of_server(&name), &spec)?;
                query("UPDATE servers SET spec = $2 WHERE name = $1").bind(name).bind(spec).execute(&self.writer).await?;
                sealed += 1;
            }
        }
        if sealed > 0 {
            query("VACUUM").execute(&self.writer).await?;
            query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await?;
        }
        query("PRAGMA secure_delete = OFF").execute(&self.writer).await?;
        Ok(())
    }
}

/// The place that a server's entry is sealed for.
fn of_server(name: &str) -> String {
    format!("the server `{name}`")
}

/// The place that a login is sealed for.
fn of_login(server: &str) -> String {
    format!("the login at `{server}`")
}

/// Makes the file, if it is not there, readable by its owner only: headers and variables of servers lie in it.
/// SQLite gives its other files the same mode.
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) if inner.is_unique_violation() => Self::Exists,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

#[async_trait]
impl Contract for Sqlite {
    async fn servers(&self) -> Result<Vec<ServerRow>, Error> {
        let rows = query("SELECT name, spec, enabled FROM servers ORDER BY name").fetch_all(&self.readers).await?;
        let row = |row: SqliteRow| {
            let name: String = row.try_get(0)?;
            let spec = self.seal.unseal(&of_server(&name), row.try_get(1)?)?;
            Ok(ServerRow { name, spec, enabled: row.try_get::<i64, _>(2)? != 0 })
        };
        rows.into_iter().map(row).collect()
    }

    async fn add_server(&self, row: &ServerRow) -> Result<(), Error> {
        let spec = self.seal.seal(&of_server(&row.name), &row.spec)?;
        let mut all = self.writer.begin().await?;
        // Nothing of another server that once had this name is handed on.
        query("DELETE FROM releases WHERE server = $1").bind(&row.name).execute(&mut *all).await?;
        query("DELETE FROM eras WHERE server = $1").bind(&row.name).execute(&mut *all).await?;
        query("DELETE FROM logins WHERE server = $1").bind(&row.name).execute(&mut *all).await?;
        query("INSERT INTO servers (name, spec, enabled) VALUES ($1, $2, $3)")
            .bind(&row.name)
            .bind(spec)
            .bind(i64::from(row.enabled))
            .execute(&mut *all)
            .await?;
        all.commit().await?;
        Ok(())
    }

    async fn enable_server(&self, name: &str, enabled: bool) -> Result<bool, Error> {
        let done = query("UPDATE servers SET enabled = $2 WHERE name = $1").bind(name).bind(i64::from(enabled));
        Ok(done.execute(&self.writer).await?.rows_affected() > 0)
    }

    async fn remove_server(&self, name: &str) -> Result<bool, Error> {
        let mut all = self.writer.begin().await?;
        let gone = query("DELETE FROM servers WHERE name = $1").bind(name).execute(&mut *all).await?;
        query("DELETE FROM releases WHERE server = $1").bind(name).execute(&mut *all).await?;
        query("DELETE FROM eras WHERE server = $1").bind(name).execute(&mut *all).await?;
        query("DELETE FROM logins WHERE server = $1").bind(name).execute(&mut *all).await?;
        all.commit().await?;
        Ok(gone.rows_affected() > 0)
    }

    async fn era(&self, server: &str) -> Result<Option<String>, Error> {
        let row = query("SELECT era FROM eras WHERE server = $1").bind(server).fetch_optional(&self.readers).await?;
        row.map(|row| row.try_get(0).map_err(Error::from)).transpose()
    }

    async fn set_era(&self, server: &str, era: &str) -> Result<(), Error> {
        query("INSERT INTO eras (server, era) VALUES ($1, $2) ON CONFLICT (server) DO UPDATE SET era = excluded.era")
            .bind(server)
            .bind(era)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn releases(&self, server: &str) -> Result<Vec<ReleaseHead>, Error> {
        releases::all(&self.readers, server, false).await
    }

    async fn variants(&self, server: &str) -> Result<Vec<ReleaseHead>, Error> {
        releases::all(&self.readers, server, true).await
    }

    async fn release(&self, server: &str, digest: &str) -> Result<Option<ReleaseRow>, Error> {
        releases::one(&self.readers, server, digest).await
    }

    async fn put_release(&self, row: &ReleaseRow) -> Result<(), Error> {
        releases::put(&self.writer, row).await
    }

    async fn drop_held(&self, server: &str) -> Result<(), Error> {
        query("DELETE FROM releases WHERE server = $1 AND state = 'held' AND variant = 0").bind(server).execute(&self.writer).await?;
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, Error> {
        let all = query("SELECT id, name, hash, grants, created_ms, revoked_ms FROM keys ORDER BY created_ms DESC, id");
        let row = |row: SqliteRow| {
            Ok(KeyRow {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                hash: row.try_get(2)?,
                grants: row.try_get(3)?,
                created_ms: row.try_get(4)?,
                revoked_ms: row.try_get(5)?,
            })
        };
        all.fetch_all(&self.readers).await?.into_iter().map(row).collect()
    }

    async fn add_key(&self, row: &KeyRow) -> Result<(), Error> {
        query("INSERT INTO keys (id, name, hash, grants, created_ms) VALUES ($1, $2, $3, $4, $5)")
            .bind(&row.id)
            .bind(&row.name)
            .bind(&row.hash)
            .bind(&row.grants)
            .bind(row.created_ms)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn revoke_key(&self, id: &str, at_ms: i64) -> Result<bool, Error> {
        let done = query("UPDATE keys SET revoked_ms = $2 WHERE id = $1 AND revoked_ms IS NULL").bind(id).bind(at_ms);
        Ok(done.execute(&self.writer).await?.rows_affected() > 0)
    }

    async fn blocks(&self) -> Result<Vec<BlockRow>, Error> {
        let rows = query("SELECT target, by_whom, at_ms, reason FROM blocks").fetch_all(&self.readers).await?;
        let row =
            |row: SqliteRow| Ok(BlockRow { target: row.try_get(0)?, by: row.try_get(1)?, at_ms: row.try_get(2)?, reason: row.try_get(3)? });
        rows.into_iter().map(row).collect()
    }

    async fn add_block(&self, row: &BlockRow) -> Result<(), Error> {
        query("INSERT INTO blocks (target, by_whom, at_ms, reason) VALUES ($1, $2, $3, $4) ON CONFLICT (target) DO NOTHING")
            .bind(&row.target)
            .bind(&row.by)
            .bind(row.at_ms)
            .bind(&row.reason)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn remove_block(&self, target: &str) -> Result<(), Error> {
        query("DELETE FROM blocks WHERE target = $1").bind(target).execute(&self.writer).await?;
        Ok(())
    }

    async fn login(&self, server: &str) -> Result<Option<LoginRow>, Error> {
        let found = query("SELECT secret, by_whom, at_ms FROM logins WHERE server = $1").bind(server).fetch_optional(&self.readers).await?;
        let Some(row) = found else { return Ok(None) };
        let secret = self.seal.unseal(&of_login(server), row.try_get(0)?)?;
        Ok(Some(LoginRow { server: server.to_owned(), secret: Secret::new(secret), by: row.try_get(1)?, at_ms: row.try_get(2)? }))
    }

    async fn put_login(&self, row: &LoginRow) -> Result<(), Error> {
        query("INSERT OR REPLACE INTO logins (server, secret, by_whom, at_ms) VALUES ($1, $2, $3, $4)")
            .bind(&row.server)
            .bind(self.seal.seal(&of_login(&row.server), row.secret.reveal())?)
            .bind(&row.by)
            .bind(row.at_ms)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn remove_login(&self, server: &str) -> Result<bool, Error> {
        let gone = query("DELETE FROM logins WHERE server = $1").bind(server).execute(&self.writer).await?;
        Ok(gone.rows_affected() > 0)
    }

    async fn shapes(&self, server: &str) -> Result<Vec<ShapeRow>, Error> {
        journal::shapes(&self.readers, server).await
    }

    async fn add_entries(&self, rows: &[JournalRow]) -> Result<(), Error> {
        journal::add(&self.writer, rows).await
    }

    async fn begin_entry(&self, row: &JournalRow) -> Result<i64, Error> {
        journal::begin(&self.writer, row).await
    }

    async fn end_entry(&self, id: i64, row: &JournalRow) -> Result<(), Error> {
        journal::end(&self.writer, id, row).await
    }

    async fn entries(&self, wish: &JournalWish) -> Result<Vec<JournalRow>, Error> {
        journal::find(&self.readers, wish).await
    }

    async fn spent(&self, wish: &SpentWish) -> Result<Vec<Spent>, Error> {
        journal::spent(&self.readers, wish).await
    }

    async fn forget_entries(&self, before_ms: i64, most: i64) -> Result<u64, Error> {
        journal::forget(&self.writer, before_ms, most).await
    }

    async fn add_response(&self, row: &ResponseRow) -> Result<Holding, Error> {
        responses::add(&self.writer, row).await
    }

    async fn responses(&self, caller: &str, id: &str, most: u32, bytes: u32) -> Result<Chain, Error> {
        responses::chain(&self.readers, caller, id, most, bytes).await
    }

    async fn answer(&self, caller: &str, id: &str) -> Result<Option<String>, Error> {
        responses::answer(&self.readers, caller, id).await
    }

    async fn remove_response(&self, caller: &str, id: &str) -> Result<bool, Error> {
        responses::remove(&self.writer, caller, id).await
    }

    async fn forget_responses(&self, bounds: &Bounds) -> Result<u64, Error> {
        responses::forget(&self.writer, &self.readers, bounds).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::{Elsewhere, ReleaseState};
    use super::*;

    #[tokio::test]
    async fn a_newer_held_release_takes_the_place_of_the_older_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("a.db"), Seal::random()).await.unwrap();
        let head = |digest: &str, state| ReleaseHead {
            server: "time".into(),
            digest: digest.into(),
            version: String::new(),
            state,
            era: None,
            captured_ms: 1,
            captured_by: None,
            decided_ms: None,
            decided_by: None,
            deprecated_ms: None,
            sunset_ms: None,
            variant: false,
        };
        let row = |digest: &str, state| ReleaseRow { head: head(digest, state), manifest: "{}".into() };
        store.put_release(&row("a", ReleaseState::Approved)).await.unwrap();
        store.put_release(&row("b", ReleaseState::Held)).await.unwrap();
        store.put_release(&row("c", ReleaseState::Held)).await.unwrap();
        let kept: Vec<_> = store.releases("time").await.unwrap().into_iter().map(|row| row.digest).collect();
        assert_eq!(kept.len(), 2);
        assert!(kept.contains(&"a".to_owned()) && kept.contains(&"c".to_owned()));
        for digest in ["d", "e"] {
            let head = ReleaseHead { variant: true, ..head(digest, ReleaseState::Held) };
            store.put_release(&ReleaseRow { head, manifest: "{}".into() }).await.unwrap();
        }
        store.drop_held("time").await.unwrap();
        assert_eq!((store.releases("time").await.unwrap().len(), store.variants("time").await.unwrap().len()), (1, 2), "variants stay");
    }

    fn response(id: &str, caller: &str, previous: Option<&str>, created_ms: i64) -> ResponseRow {
        ResponseRow {
            id: id.into(),
            caller: caller.into(),
            previous: previous.map(Into::into),
            items: format!("[\"{id}\"]"),
            created_ms,
            answer: Some(format!("{{\"id\":\"{id}\"}}")),
            target: None,
        }
    }

    const BOUNDS: Bounds = Bounds { before_ms: Some(5), of_one: Holding { responses: 999, bytes: 99_999 }, of_all: 9_999 };

    #[tokio::test]
    async fn a_response_is_read_with_those_before_it_by_its_own_caller_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("a.db"), Seal::random()).await.unwrap();
        for (id, previous, at) in [("1", None, 1), ("2", Some("1"), 9), ("3", Some("2"), 9)] {
            store.add_response(&response(id, "key:a", previous, at)).await.unwrap();
        }
        let chain = |items: &[&str], before: Option<&str>| Chain {
            items: items.iter().map(|item| (*item).to_owned()).collect(),
            before: before.map(Into::into),
            elsewhere: None,
        };
        assert_eq!(store.responses("key:a", "3", 9, 999).await.unwrap(), chain(&["[\"1\"]", "[\"2\"]", "[\"3\"]"], None));
        assert_eq!(store.responses("key:a", "3", 2, 999).await.unwrap(), chain(&["[\"2\"]", "[\"3\"]"], Some("1")));
        assert_eq!(store.responses("key:b", "3", 9, 999).await.unwrap(), Chain::default());
        assert_eq!(store.answer("key:a", "1").await.unwrap().as_deref(), Some("{\"id\":\"1\"}"));
        assert!(store.answer("key:b", "1").await.unwrap().is_none() && !store.remove_response("key:b", "1").await.unwrap());
        store.add_response(&response("old", "key:a", None, 1)).await.unwrap();
        assert_eq!(store.forget_responses(&BOUNDS).await.unwrap(), 1, "what is too old, but for what something newer goes on from");
        assert!(store.answer("key:a", "old").await.unwrap().is_none(), "the answer goes with its response");
        assert_eq!(store.responses("key:a", "3", 9, 999).await.unwrap().before, None);
        assert!(store.remove_response("key:a", "2").await.unwrap() && !store.remove_response("key:a", "2").await.unwrap());
        assert_eq!(store.responses("key:a", "3", 9, 999).await.unwrap(), chain(&["[\"3\"]"], Some("2")), "what is gone is missed");
    }

    #[tokio::test]
    async fn what_is_too_old_goes_a_few_at_a_time_the_ends_of_conversations_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("a.db"), Seal::random()).await.unwrap();
        for at in 0..150 {
            store.add_response(&response(&format!("old{at}"), "key:a", None, 1)).await.unwrap();
        }
        for (id, previous) in [("a", None), ("b", Some("a")), ("c", Some("b"))] {
            store.add_response(&response(id, "key:a", previous, 2)).await.unwrap();
        }
        let mut gone = Vec::new();
        while gone.last() != Some(&0) {
            gone.push(store.forget_responses(&BOUNDS).await.unwrap());
        }
        assert_eq!(gone, [64, 64, 23, 1, 1, 0]);
    }

    #[tokio::test]
    async fn who_has_too_much_loses_the_own_oldest_and_nobody_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("a.db"), Seal::random()).await.unwrap();
        store.add_response(&response("b0", "key:b", None, 6)).await.unwrap();
        let mut holding = Holding { responses: 0, bytes: 0 };
        for at in 0..6 {
            holding = store.add_response(&response(&format!("a{at}"), "key:a", None, 7 + at)).await.unwrap();
        }
        let each = i64::try_from(r#"["a0"]{"id":"a0"}"#.len()).unwrap();
        assert_eq!(holding, Holding { responses: 6, bytes: 6 * each });
        let left = async || {
            let rows = query("SELECT id FROM responses ORDER BY id").fetch_all(&store.readers).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect::<Vec<String>>().join(" ")
        };
        let forget = async |bounds: Bounds| while store.forget_responses(&bounds).await.unwrap() > 0 {};
        forget(Bounds { of_one: Holding { responses: 5, ..BOUNDS.of_one }, ..BOUNDS }).await;
        assert_eq!(left().await, "a1 a2 a3 a4 a5 b0", "too many");
        forget(Bounds { of_one: Holding { bytes: 3 * each + 1, ..BOUNDS.of_one }, ..BOUNDS }).await;
        assert_eq!(left().await, "a3 a4 a5 b0", "too large");
        forget(Bounds { of_all: 2, ..BOUNDS }).await;
        assert_eq!(left().await, "a5 b0", "all together too many: who has the most gives way");
    }

    #[tokio::test]
    async fn a_response_that_a_provider_keeps_is_the_beginning_of_what_is_kept_here() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("a.db"), Seal::random()).await.unwrap();
        let theirs = ResponseRow { items: String::new(), target: Some("oa/m".into()), ..response("2", "key:a", Some("1"), 9) };
        store.add_response(&theirs).await.unwrap();
        store.add_response(&response("3", "key:a", Some("2"), 9)).await.unwrap();
        let elsewhere = Some(Elsewhere { id: "2".into(), target: Some("oa/m".into()) });
        for (id, items) in [("2", vec![]), ("3", vec!["[\"3\"]".to_owned()])] {
            assert_eq!(store.responses("key:a", id, 9, 99).await.unwrap(), Chain { items, before: None, elsewhere: elsewhere.clone() });
        }
    }

    #[tokio::test]
    async fn a_server_of_an_older_version_is_sealed_and_read_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let store = Sqlite::open(&path, Seal::random()).await.unwrap();
        query("INSERT INTO servers (name, spec, enabled) VALUES ('old', 'CANARY-SPEC', 1)").execute(&store.writer).await.unwrap();
        store.seal_servers().await.unwrap();
        assert_eq!(store.servers().await.unwrap()[0].spec, "CANARY-SPEC");
        store.writer.close().await;
        store.readers.close().await;
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(memchr::memmem::find(&bytes, b"CANARY-SPEC").is_none());
        }
        let error = Sqlite::open(&path, Seal::random()).await.unwrap().servers().await.unwrap_err();
        assert!(error.to_string().contains("seal.key") && error.to_string().contains("`old`"), "{error}");
    }

    #[tokio::test]
    async fn a_name_can_be_added_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("a.db"), Seal::random()).await.unwrap();
        let row = ServerRow { name: "time".into(), spec: "{}".into(), enabled: true };
        store.add_server(&row).await.unwrap();
        assert!(matches!(store.add_server(&row).await, Err(Error::Exists)));
    }
}
