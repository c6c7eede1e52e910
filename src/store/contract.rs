//! What every storage engine keeps, and in which words.
//!
//! A call that changes something returns only when the change is on disk.

use async_trait::async_trait;

use crate::domain::Secret;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database could not be opened or used.
    #[error("the database cannot be used: {0}")]
    Unavailable(String),
    /// A row that this version cannot read.
    #[error("the database holds a row that cannot be read: {0}")]
    Corrupt(String),
    /// It would be more than is kept, and what to do about it.
    #[error("{0}")]
    Full(String),
    /// The gateway stops, and what was begun did not come to its end.
    #[error("the gateway is stopping")]
    Stopping,
    /// Something of that name is there already.
    #[error("it exists already")]
    Exists,
}

/// A server added at run time.
#[derive(Clone, Debug)]
pub struct ServerRow {
    /// Its name.
    pub name: String,
    /// Its `ServerSpec` as JSON.
    pub spec: String,
    /// Whether it is used.
    pub enabled: bool,
}

/// Where a release stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseState {
    /// Served, or once served.
    Approved,
    /// Seen upstream and waiting for a person.
    Held,
    /// Seen upstream and refused.
    Rejected,
}

/// What is known of a release beside its definitions.
#[derive(Clone, Debug)]
pub struct ReleaseHead {
    /// The server.
    pub server: String,
    /// Digest of the set.
    pub digest: String,
    /// Semantic version; empty until approved.
    pub version: String,
    /// Where it stands.
    pub state: ReleaseState,
    /// The era in which the server spoke.
    pub era: Option<String>,
    /// When it was seen, in milliseconds since the epoch.
    pub captured_ms: i64,
    /// Who had the server looked at; nobody where the gateway did by itself.
    pub captured_by: Option<String>,
    /// When a decision was taken.
    pub decided_ms: Option<i64>,
    /// Who took it.
    pub decided_by: Option<String>,
    /// Since when those who pin it are told to go on.
    pub deprecated_ms: Option<i64>,
    /// Until when they may pin it.
    pub sunset_ms: Option<i64>,
    /// Whether it is no release by itself, but what only some callers are offered.
    pub variant: bool,
}

/// One release of a server's definitions. The definitions themselves never change.
#[derive(Clone, Debug)]
pub struct ReleaseRow {
    /// What is known of it.
    pub head: ReleaseHead,
    /// The definitions and how the server presented itself, as JSON.
    pub manifest: String,
}

/// What the arguments of somebody's calls of a tool look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeRow {
    /// The tool, as `server/tool`.
    pub tool: String,
    /// Who called it.
    pub principal: String,
    /// The names and kinds of arguments.
    pub shape: String,
    /// When such a call was put on record last, in milliseconds since the epoch.
    pub seen_ms: i64,
}

/// An API key, without the key.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// The public part of the key.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// HMAC-SHA-256 of the whole key under the pepper, in hexadecimal.
    pub hash: String,
    /// Its `Grants` as JSON.
    pub grants: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: i64,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
}

/// Something that the operator has blocked.
#[derive(Clone, Debug)]
pub struct BlockRow {
    /// What, as it is written.
    pub target: String,
    /// Who blocked it.
    pub by: String,
    /// Since when, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Why.
    pub reason: String,
}

/// A login of the gateway at an upstream server.
#[derive(Clone, Debug)]
pub struct LoginRow {
    /// The server.
    pub server: String,
    /// What was got there, as JSON: a secret as a whole.
    pub secret: Secret,
    /// Who logged in.
    pub by: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// An entry of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalRow {
    /// Its number; later entries have higher ones.
    pub id: i64,
    /// When it began, in milliseconds since the epoch.
    pub at_ms: i64,
    /// What kind of thing it is of.
    pub kind: String,
    /// Who asked.
    pub principal: String,
    /// The request's id.
    pub request: Option<String>,
    /// What was asked for.
    pub subject: String,
    /// Who did it.
    pub target: Option<String>,
    /// What the arguments of a call look like, where that is put on record with it; never read back with the entry.
    pub shape: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// Why it did not end well.
    pub detail: Option<String>,
    /// Tokens of the request.
    pub input: Option<i64>,
    /// Tokens of the answer.
    pub output: Option<i64>,
    /// Tokens of the request that were read from a cache.
    pub cached: Option<i64>,
    /// Its cost, in billionths of a US dollar.
    pub cost_nano: Option<i64>,
    /// How long it took, in milliseconds.
    pub ms: i64,
}

/// Which entries of the journal are wished for.
#[derive(Clone, Debug, Default)]
pub struct JournalWish {
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this caller.
    pub principal: Option<String>,
    /// About this.
    pub subject: Option<String>,
    /// That ended so.
    pub outcome: Option<String>,
    /// Of this request.
    pub request: Option<String>,
    /// Not older than this, in milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// Later than the one of this number.
    pub after: Option<i64>,
    /// Earlier than the one of this number.
    pub before: Option<i64>,
    /// At most so many, the newest.
    pub limit: i64,
}

/// What spending is added up by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpentBy {
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

/// Which spending is wished for.
#[derive(Clone, Debug, Default)]
pub struct SpentWish {
    /// Since then, in milliseconds since the epoch.
    pub since_ms: i64,
    /// By what it is added up.
    pub by: SpentBy,
    /// Of this caller alone.
    pub principal: Option<String>,
}

/// What was spent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// By whom, or on what.
    pub name: String,
    /// How many answers.
    pub answers: i64,
    /// Tokens of requests.
    pub input: i64,
    /// Tokens of answers.
    pub output: i64,
    /// Tokens of requests that were read from caches.
    pub cached: i64,
    /// Their cost, in billionths of a US dollar, as far as prices are known.
    pub cost_nano: i64,
    /// Answers whose price is not known.
    pub unpriced: i64,
    /// Answers whose tokens are not known.
    pub uncounted: i64,
}

/// A response that a client may go on from.
#[derive(Clone, Debug)]
pub struct ResponseRow {
    /// Its id.
    pub id: String,
    /// Whose it is; nobody else can go on from it.
    pub caller: String,
    /// The response it went on from.
    pub previous: Option<String>,
    /// The items it added, what was asked and what was said, as a JSON list; empty where a provider keeps them.
    pub items: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: i64,
    /// The whole answer, as the client got it.
    pub answer: Option<String>,
    /// The target that keeps it itself, as `provider/model`.
    pub target: Option<String>,
}

/// A response, with those that it went on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The items of each, the oldest first.
    pub items: Vec<String>,
    /// What the oldest of them went on from, where that is not here.
    pub before: Option<String>,
    /// The response that the oldest of them went on from, or that was asked for, where a provider keeps it.
    pub elsewhere: Option<Elsewhere>,
}

/// A response that a provider keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its id.
    pub id: String,
    /// The target that keeps it, as `provider/model`; older rows do not say.
    pub target: Option<String>,
}

/// How much is kept for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// How many responses.
    pub responses: i64,
    /// Their bytes, items and answers together.
    pub bytes: i64,
}

impl Holding {
    /// Whether it is more than a bound.
    pub fn exceeds(&self, bound: &Self) -> bool {
        self.responses > bound.responses || self.bytes > bound.bytes
    }
}

/// How long and how much is kept of responses.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// What was made before this time goes, in milliseconds since the epoch, but for what something else goes on from.
    /// Without one, age is not looked at, which is quicker.
    pub before_ms: Option<i64>,
    /// Most of one caller, whose own oldest go first.
    pub of_one: Holding,
    /// Most responses of all callers together; the oldest of whoever has the most go first.
    pub of_all: i64,
}

/// A storage engine.
#[async_trait]
pub trait Contract: Send + Sync {
    /// Servers added at run time, by name.
    async fn servers(&self) -> Result<Vec<ServerRow>, Error>;
    /// Adds a server, and forgets what is known of an earlier one of that name; [`Error::Exists`] when the name is taken.
    async fn add_server(&self, row: &ServerRow) -> Result<(), Error>;
    /// Enables or disables a server; false when there is none of that name.
    async fn enable_server(&self, name: &str, enabled: bool) -> Result<bool, Error>;
    /// Removes a server with its releases and what is known of it; false when there is none.
    async fn remove_server(&self, name: &str) -> Result<bool, Error>;

    /// The era a server was last found to speak.
    async fn era(&self, server: &str) -> Result<Option<String>, Error>;
    /// Notes the era a server speaks.
    async fn set_era(&self, server: &str, era: &str) -> Result<(), Error>;

    /// What is known of all releases of a server, the latest decided first.
    async fn releases(&self, server: &str) -> Result<Vec<ReleaseHead>, Error>;
    /// What only some callers of a server are offered, the latest decided first.
    async fn variants(&self, server: &str) -> Result<Vec<ReleaseHead>, Error>;
    /// One release or variant of a server, by its digest.
    async fn release(&self, server: &str, digest: &str) -> Result<Option<ReleaseRow>, Error>;
    /// Writes a release, replacing the one of that server and digest; any other held release of the
    /// server is dropped in the same transaction, for a newer sight of the server takes its place. A variant leaves all others alone.
    async fn put_release(&self, row: &ReleaseRow) -> Result<(), Error>;
    /// Drops the held release of a server, if any.
    async fn drop_held(&self, server: &str) -> Result<(), Error>;

    /// All keys, newest first.
    async fn keys(&self) -> Result<Vec<KeyRow>, Error>;
    /// Adds a key.
    async fn add_key(&self, row: &KeyRow) -> Result<(), Error>;
    /// Revokes a key; false when there is none of that id that was still valid.
    async fn revoke_key(&self, id: &str, at_ms: i64) -> Result<bool, Error>;

    /// All blocks.
    async fn blocks(&self) -> Result<Vec<BlockRow>, Error>;
    /// Adds a block; one that is there stays as it is.
    async fn add_block(&self, row: &BlockRow) -> Result<(), Error>;
    /// Removes a block, if it is there.
    async fn remove_block(&self, target: &str) -> Result<(), Error>;

    /// The gateway's login at a server.
    async fn login(&self, server: &str) -> Result<Option<LoginRow>, Error>;
    /// Keeps a login, in place of the one before.
    async fn put_login(&self, row: &LoginRow) -> Result<(), Error>;
    /// Forgets a login; false when there is none.
    async fn remove_login(&self, server: &str) -> Result<bool, Error>;

    /// Adds entries to the journal, all of them or none.
    async fn add_entries(&self, rows: &[JournalRow]) -> Result<(), Error>;
    /// What calls of a server's tools look like, as far as that is on record, the latest first.
    async fn shapes(&self, server: &str) -> Result<Vec<ShapeRow>, Error>;
    /// Adds the entry of something that begins; its number.
    async fn begin_entry(&self, row: &JournalRow) -> Result<i64, Error>;
    /// Notes in an entry how it ended.
    async fn end_entry(&self, id: i64, row: &JournalRow) -> Result<(), Error>;
    /// Entries of the journal, the newest first.
    async fn entries(&self, wish: &JournalWish) -> Result<Vec<JournalRow>, Error>;
    /// What was spent, the most first.
    async fn spent(&self, wish: &SpentWish) -> Result<Vec<Spent>, Error>;
    /// Removes a few of the entries that are older than that, or more than so many; how many there were.
    async fn forget_entries(&self, before_ms: i64, most: i64) -> Result<u64, Error>;

    /// Adds a response; how much its caller has here now.
    async fn add_response(&self, row: &ResponseRow) -> Result<Holding, Error>;
    /// The items of a caller's response and of those it went on from, at most `most` of them and no more once
    /// they have more than so many `bytes`, the oldest first; nothing when the response is not there.
    async fn responses(&self, caller: &str, id: &str, most: u32, bytes: u32) -> Result<Chain, Error>;
    /// The whole answer of a caller's response.
    async fn answer(&self, caller: &str, id: &str) -> Result<Option<String>, Error>;
    /// Removes a caller's response; false when the caller has none of that id here.
    async fn remove_response(&self, caller: &str, id: &str) -> Result<bool, Error>;
    /// Forgets a few of the responses that are out of bounds; how many there were, and none when all are within.
    async fn forget_responses(&self, bounds: &Bounds) -> Result<u64, Error>;
}
