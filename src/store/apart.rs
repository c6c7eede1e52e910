//! Work that is done to its end once it was begun.

use super::contract::Error;

/// Does work in a task of its own: what was begun comes to its end, whether or not the caller waits for it. It fails where the
/// gateway stops meanwhile.
pub async fn apart<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    tokio::spawn(work).await.unwrap_or_else(|_| Err(Error::Stopping.into()))
}
