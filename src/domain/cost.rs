//! How long work takes, for the tests that measure it.

use std::time::{Duration, Instant};

/// The shortest of several means: what others do on the machine only ever adds to it.
pub fn cost(times: u32, mut work: impl FnMut()) -> Duration {
    let round = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..times).for_each(|_| work());
        start.elapsed() / times
    };
    (0..40).map(|_| round(&mut work)).min().unwrap_or_default()
}
