//! The resources of a connection that somebody follows. One subscription at the server serves all who follow the same.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast;

/// Updates that may wait for one who follows; of more, the last ones are told.
const QUEUE: usize = 64;

/// What is followed, and by how many.
#[derive(Default)]
pub(super) struct Topics(Mutex<HashMap<String, Topic>>);

struct Topic {
    followers: usize,
    updates: broadcast::Sender<Box<str>>,
}

impl Topics {
    /// Follows a resource; true when nobody did before.
    pub(super) fn add(&self, uri: &str) -> (broadcast::Receiver<Box<str>>, bool) {
        let mut topics = self.lock();
        let new = || Topic { followers: 0, updates: broadcast::channel(QUEUE).0 };
        let topic = topics.entry(uri.to_owned()).or_insert_with(new);
        topic.followers += 1;
        (topic.updates.subscribe(), topic.followers == 1)
    }

    /// Follows it no more; true when nobody does.
    pub(super) fn remove(&self, uri: &str) -> bool {
        let mut topics = self.lock();
        let Some(topic) = topics.get_mut(uri) else { return false };
        topic.followers -= 1;
        let last = topic.followers == 0;
        if last {
            topics.remove(uri);
        }
        last
    }

    /// All that is followed.
    pub(super) fn all(&self) -> BTreeSet<String> {
        self.lock().keys().cloned().collect()
    }

    /// Tells that a resource may say something else now: to those who follow it, or something that it is part of.
    pub(super) fn tell(&self, uri: &str) {
        let concerned =
            |topic: &str| uri.strip_prefix(topic).is_some_and(|rest| rest.is_empty() || topic.ends_with('/') || rest.starts_with('/'));
        for (_, topic) in self.lock().iter().filter(|(name, _)| concerned(name)) {
            let _ = topic.updates.send(uri.into());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Topic>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_follows_something_hears_of_it_and_of_its_parts_and_of_nothing_else() {
        let topics = Topics::default();
        let (mut one, first) = topics.add("file:///a");
        let (mut two, second) = topics.add("file:///a");
        assert_eq!((first, second), (true, false));
        for uri in ["file:///ab", "file:///a", "file:///a/b", "file:///"] {
            topics.tell(uri);
        }
        let mut heard = || std::iter::from_fn(|| one.try_recv().ok()).collect::<Vec<_>>();
        assert_eq!(heard(), ["file:///a".into(), "file:///a/b".into()] as [Box<str>; 2]);
        assert!(!topics.remove("file:///a"));
        assert!(topics.remove("file:///a") && topics.all().is_empty());
        assert!(two.try_recv().is_ok());
    }
}
