//! What is on its way to a client of a session: kept for a while, so that a connection that breaks loses nothing
//! (2025-11-25 §basic/transports: resumability and redelivery).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::watch;

use crate::domain::one_line;

/// Most events of one stream that are kept, and most bytes of them; of more, the last ones.
const EVENTS: usize = 1_000;
const BYTES: usize = 4 << 20;
/// Most bytes of all streams together. Beyond that, what has ended is kept for a short time only, and of each other stream what nobody
/// was handed yet.
const ALL: usize = 256 << 20;

/// How long a stream is kept that has ended: long enough for a client that comes back.
const LINGERS: Duration = Duration::from_secs(300);
/// The same where too much is kept already.
const BRIEFLY: Duration = Duration::from_secs(5);

/// The events of one stream.
#[derive(Debug)]
pub(in crate::http) struct Outbox {
    /// What the ids of its events begin with: they are told apart from those of all other streams.
    name: String,
    queue: Mutex<Queue>,
    /// Told of each new event, and of the end.
    changed: watch::Sender<()>,
    /// The bytes that are kept in all of them together.
    all: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Queue {
    /// The number of the first event that is kept.
    first: u64,
    events: VecDeque<Bytes>,
    bytes: usize,
    /// The number behind the last event that somebody was handed.
    handed: u64,
    /// Since when nothing comes any more.
    closed: Option<Instant>,
    /// Whether somebody has read it to its end.
    read: bool,
}

impl Outbox {
    pub(super) fn new(name: String, all: Arc<AtomicUsize>) -> Self {
        Self { name, queue: Mutex::default(), changed: watch::Sender::default(), all }
    }

    /// Whether so much is kept in all of them together that what has ended cannot be kept any longer.
    fn is_crowded(&self) -> bool {
        self.all.load(Ordering::Relaxed) > ALL
    }

    /// An event without a message, from which a client that was told nothing yet can go on.
    pub(in crate::http) fn prime(&self) {
        self.put(|id| Bytes::from(format!("id: {id}\ndata:\n\n")));
    }

    /// A message.
    pub(in crate::http) fn push(&self, message: String) {
        let message = one_line(message);
        self.put(|id| Bytes::from(format!("event: message\nid: {id}\ndata: {message}\n\n")));
    }

    fn put(&self, event: impl FnOnce(&str) -> Bytes) {
        let mut queue = self.lock();
        let number = queue.first + queue.events.len() as u64;
        let event = event(&format!("{}-{number}", self.name));
        queue.bytes += event.len();
        self.all.fetch_add(event.len(), Ordering::Relaxed);
        queue.events.push_back(event);
        let seen = |queue: &Queue| self.is_crowded() && queue.first < queue.handed;
        while queue.events.len() > 1 && (queue.events.len() > EVENTS || queue.bytes > BYTES || seen(&queue)) {
            let gone = queue.events.pop_front().map_or(0, |event| event.len());
            queue.bytes -= gone;
            self.all.fetch_sub(gone, Ordering::Relaxed);
            queue.first += 1;
        }
        drop(queue);
        self.changed.send_replace(());
    }

    /// Says that nothing comes any more.
    pub(in crate::http) fn close(&self) {
        self.lock().closed.get_or_insert_with(Instant::now);
        self.changed.send_replace(());
    }

    /// For how long it is kept on; none while something may still come.
    pub(super) fn lasts(&self) -> Option<Duration> {
        let lingers = if self.is_crowded() { BRIEFLY } else { LINGERS };
        let closed = self.lock().closed?;
        Some(lingers.saturating_sub(closed.elapsed()))
    }

    /// How many bytes are kept, and whether all was said and read.
    pub(super) fn state(&self) -> (usize, bool) {
        let queue = self.lock();
        (queue.bytes, queue.closed.is_some() && queue.read)
    }

    /// The number of the event of that id; none when it is not of this stream.
    pub(super) fn number(&self, id: &str) -> Option<u64> {
        id.strip_prefix(&self.name)?.strip_prefix('-')?.parse().ok()
    }

    /// The events from a number on, as they come, to the end.
    pub(in crate::http) fn read(self: Arc<Self>, from: u64) -> impl Stream<Item = Bytes> + Send + 'static {
        let mut changed = self.changed.subscribe();
        async_stream::stream! {
            let mut next = from;
            loop {
                changed.borrow_and_update();
                let (events, closed) = {
                    let mut queue = self.lock();
                    let skipped = usize::try_from(next.saturating_sub(queue.first)).unwrap_or(usize::MAX);
                    let events: Vec<Bytes> = queue.events.iter().skip(skipped).cloned().collect();
                    next = queue.first + queue.events.len() as u64;
                    queue.handed = next;
                    let closed = queue.closed.is_some();
                    queue.read |= closed;
                    (events, closed)
                };
                for event in events {
                    yield event;
                }
                if closed || changed.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let bytes = self.lock().bytes;
        self.all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    async fn all(outbox: &Arc<Outbox>, from: u64) -> Vec<String> {
        outbox.clone().read(from).map(|event| String::from_utf8_lossy(&event).into_owned()).collect().await
    }

    #[tokio::test]
    async fn who_comes_back_hears_what_came_after_the_last_event_it_saw() {
        let outbox = Arc::new(Outbox::new("a-1".to_owned(), Arc::default()));
        outbox.prime();
        for text in ["one", "two"] {
            outbox.push(text.to_owned());
        }
        outbox.close();
        assert_eq!(all(&outbox, 0).await.first().map(String::as_str), Some("id: a-1-0\ndata:\n\n"));
        assert_eq!(outbox.number("a-1-1"), Some(1));
        assert_eq!(outbox.number("a-2-1"), None);
        assert_eq!(all(&outbox, 2).await, ["event: message\nid: a-1-2\ndata: two\n\n"]);
        assert!(outbox.state().1);
    }

    #[tokio::test]
    async fn where_too_much_is_kept_nothing_is_lost_that_nobody_was_handed_yet() {
        let kept = Arc::new(AtomicUsize::new(ALL + 1));
        let outbox = Arc::new(Outbox::new("a".to_owned(), kept));
        let mut reading = Box::pin(outbox.clone().read(0));
        for text in ["one", "two", "three"] {
            outbox.push(text.to_owned());
        }
        for text in ["one", "two", "three"] {
            let event = String::from_utf8(reading.next().await.unwrap().to_vec()).unwrap();
            assert!(event.contains(text), "{event}");
        }
        outbox.push("four".to_owned());
        assert_eq!(outbox.lock().events.len(), 1, "what was handed over is let go");
        outbox.close();
        assert!(outbox.lasts().unwrap() <= BRIEFLY);
        assert!(reading.next().await.unwrap().ends_with(b"four\n\n"));
    }

    #[tokio::test]
    async fn a_stream_without_end_keeps_its_last_events_with_the_numbers_they_had() {
        let outbox = Arc::new(Outbox::new("a".to_owned(), Arc::default()));
        for number in 0..EVENTS + 5 {
            outbox.push(number.to_string());
        }
        outbox.close();
        let kept = all(&outbox, 0).await;
        assert_eq!((kept.len(), kept[0].as_str()), (EVENTS, "event: message\nid: a-5\ndata: 5\n\n"));
        assert!(all(&outbox, 2_000).await.is_empty());
    }
}
