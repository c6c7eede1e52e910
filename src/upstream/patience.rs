//! How long a request may take, not counting the time in which the server waits for the caller.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When the time stands still. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pauses(Arc<Mutex<Clock>>);

#[derive(Debug, Default)]
struct Clock {
    /// How many pauses are under way, and since when there is one.
    open: u32,
    since: Option<Instant>,
    /// How long all earlier ones were together.
    past: Duration,
}

/// One pause; over when dropped.
#[derive(Debug)]
pub(super) struct Pause(Pauses);

impl Pauses {
    pub(super) fn begin(&self) -> Pause {
        let mut clock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clock.open += 1;
        clock.since.get_or_insert_with(Instant::now);
        Pause(self.clone())
    }

    fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open > 0
    }

    /// How long the time stood still so far.
    fn so_far(&self) -> Duration {
        let clock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clock.past + clock.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        let mut clock = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        clock.open = clock.open.saturating_sub(1);
        if clock.open == 0
            && let Some(since) = clock.since.take()
        {
            clock.past += since.elapsed();
        }
    }
}

/// The work's outcome; none when it took longer than `timeout` without its pauses.
pub(super) async fn within<W: Future>(timeout: Duration, pauses: Option<&Pauses>, work: W) -> Option<W::Output> {
    let Some(pauses) = pauses else { return tokio::time::timeout(timeout, work).await.ok() };
    let (mut work, began, before) = (pin!(work), Instant::now(), pauses.so_far());
    loop {
        let spent = began.elapsed().saturating_sub(pauses.so_far().saturating_sub(before));
        let left = timeout.checked_sub(spent).filter(|left| !left.is_zero())?;
        // While the time stands still, what is left of it does not say when to look again.
        let left = if pauses.is_open() { left.max(Duration::from_millis(500)) } else { left };
        if let Ok(outcome) = tokio::time::timeout(left, &mut work).await {
            return Some(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_pause_does_not_count() {
        let pauses = Pauses::default();
        let work = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            let (first, second) = (pauses.begin(), pauses.begin());
            tokio::time::sleep(Duration::from_secs(300)).await;
            drop(first);
            tokio::time::sleep(Duration::from_secs(300)).await;
            drop(second);
            tokio::time::sleep(Duration::from_secs(4)).await;
        };
        assert!(within(Duration::from_secs(10), Some(&pauses), work).await.is_some());
        let slow = tokio::time::sleep(Duration::from_secs(11));
        assert!(within(Duration::from_secs(10), Some(&pauses), slow).await.is_none());
    }
}
