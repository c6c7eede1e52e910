//! The views that were made, kept in moka: a tool's schema is the same for every request.

use std::sync::Arc;

use moka::sync::Cache;
use serde_json::value::RawValue;

use super::unfit::Unfit;
use super::view::View;
use crate::domain::{Digest, Flavours};

/// What a schema is to some providers: itself, a view of it, or nothing they could be told.
pub type Seen = Arc<Result<Option<View>, Unfit>>;

/// How many views are kept, by the bytes that they have.
const KEPT: u64 = 32 << 20;
/// What one takes beside its text.
const FRAME: usize = 256;

/// The views of schemas, by their digest and by who is to see them. Cheap to clone.
#[derive(Clone)]
pub struct Views(Cache<(Digest, Flavours), Seen>);

impl Default for Views {
    fn default() -> Self {
        let weigh = |_: &(Digest, Flavours), seen: &Seen| {
            let size = seen.as_ref().as_ref().map_or(0, |view| view.as_ref().map_or(0, View::size));
            u32::try_from(size.saturating_add(FRAME)).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().weigher(weigh).max_capacity(KEPT).build())
    }
}

impl Views {
    /// A schema of this digest as providers of these flavours take it, and whether that was found out just now.
    pub fn of(&self, digest: Digest, schema: &RawValue, flavours: Flavours) -> (Seen, bool) {
        let entry = self.0.entry((digest, flavours)).or_insert_with(|| Arc::new(View::of(schema, flavours)));
        let fresh = entry.is_fresh();
        (entry.into_value(), fresh)
    }
}
