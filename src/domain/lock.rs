//! Locks that no panic closes.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks it, also where somebody panicked who had it: for what is whole between any two statements.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
