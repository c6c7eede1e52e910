//! What the calls of a tool look like, put on record now and then: so that a change of the tool can be held up to them.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::domain::lock;
use crate::schema::{hash_shape, shape};

/// How long the same shape of the same caller is not put on record again.
const PAUSE: Duration = Duration::from_secs(3600);
/// Most shapes of a tool that are remembered; beyond them all is forgotten, and put on record again.
const MOST: usize = 1024;

/// The shapes of a tool's calls that were put on record lately.
#[derive(Default)]
pub(super) struct Shapes(Mutex<HashMap<u64, Instant>>);

impl Shapes {
    /// The shape of a caller's arguments, where it is to be put on record.
    pub(super) fn fresh(&self, principal: &str, arguments: &Value, names: &BTreeSet<String>) -> Option<String> {
        let mut hasher = DefaultHasher::new();
        principal.hash(&mut hasher);
        hash_shape(arguments, names, &mut hasher);
        let (key, now) = (hasher.finish(), Instant::now());
        let mut noted = lock(&self.0);
        if noted.get(&key).is_some_and(|at| now.duration_since(*at) < PAUSE) {
            return None;
        }
        if noted.len() >= MOST {
            noted.clear();
        }
        noted.insert(key, now);
        drop(noted);
        Some(shape(arguments, names))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_shape_of_each_caller_is_put_on_record_once() {
        let (shapes, names) = (Shapes::default(), ["q".to_owned()].into());
        let fresh = |who: &str, arguments: Value| shapes.fresh(who, &arguments, &names);
        assert_eq!(fresh("a", json!({ "q": "x" })).as_deref(), Some(r#"{"q":"string"}"#));
        assert_eq!(fresh("a", json!({ "q": "y" })), None);
        assert!(fresh("b", json!({ "q": "y" })).is_some() && fresh("a", json!({ "q": 1 })).is_some());
    }
}
