//! Waiting: always for something, and never for ever.

use std::time::{Duration, Instant};

/// The longest anything is waited for, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The same for what is only true or not.
pub async fn settles(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    until(what, async || ask().await.then_some(())).await;
}

/// What a future comes to, if it does so in time.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("{what} took longer than {limit:?}"))
}
