//! What clients carry for us: sealed, so that it comes back as it was given out or not at all.
//!
//! A session's id, the state of a round trip or a task's id says all there is to know, so that nothing of it must be kept here and a
//! restart loses none of it. Whoever takes one back checks whose it is and for how long.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::contract::Error;
use super::seal::Seal;

/// Gives handles out and takes them back. Cheap to clone.
#[derive(Clone)]
pub struct Handles(Arc<Seal>);

impl Handles {
    /// Handles under a key of their own, which comes from the data directory's: what callers make by the million must not wear out the
    /// key of what lies in the database.
    pub fn new(seal: &Seal) -> Result<Self, Error> {
        Ok(Self(Arc::new(seal.below("portolan/handles")?)))
    }

    /// Seals what a handle of a kind says: visible ASCII, fit for a header, a query or a path.
    pub fn give<T: Serialize>(&self, kind: &str, what: &T) -> Option<String> {
        self.0.seal_short(&place(kind), &serde_json::to_vec(what).ok()?)
    }

    /// What a handle says; none when it was not given out here for that kind.
    pub fn take<T: DeserializeOwned>(&self, kind: &str, handle: &str) -> Option<T> {
        serde_json::from_slice(&self.0.unseal_short(&place(kind), handle)?).ok()
    }
}

fn place(kind: &str) -> String {
    format!("handle {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_of_one_kind_and_no_bit_of_it_can_be_changed() {
        let handles = Handles::new(&Seal::random()).unwrap();
        let handle = handles.give("session", &("a", 7)).unwrap();
        assert!(handle.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        assert_eq!(handles.take::<(String, u8)>("session", &handle), Some(("a".to_owned(), 7)));
        assert_eq!(handles.take::<(String, u8)>("task", &handle), None);
        for at in 0..handle.len() {
            let mut bytes = handle.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(handles.take::<(String, u8)>("session", &String::from_utf8(bytes).unwrap()), None, "{at}");
        }
        for other in ["", "A", &handle[1..], &format!("{handle}A"), "é"] {
            assert_eq!(handles.take::<(String, u8)>("session", other), None, "{other}");
        }
    }
}
