//! API keys: `ptl_<public part>_<secret><checksum>`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::domain::{Digest, Secret};

/// What every key begins with, so that scanners can find one that leaked.
const PREFIX: &str = "ptl_";
const ID: usize = 12;
const SECRET: usize = 32;
const CHECKSUM: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A freshly made key.
pub struct ApiKey {
    text: Secret,
    id: String,
}

impl ApiKey {
    /// A new random key: 190 bits of secret.
    pub fn generate() -> Self {
        let id = random(ID);
        let body = format!("{PREFIX}{id}_{}", random(SECRET));
        let text = format!("{body}{}", checksum(&body));
        Self { text: Secret::new(text), id }
    }

    /// The public part.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole key.
    pub fn reveal(&self) -> &str {
        self.text.reveal()
    }

    /// The public part of a text that has the form of a key and whose checksum is right.
    pub fn id_of(text: &str) -> Option<&str> {
        let body = text.get(..text.len().checked_sub(CHECKSUM)?)?;
        let id = body.strip_prefix(PREFIX)?.split_once('_')?.0;
        (id.len() == ID && text.ends_with(&checksum(body))).then_some(id)
    }
}

/// So many random letters and digits.
pub(super) fn random(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).filter_map(|_| ALPHABET.get(rng.random_range(0..ALPHABET.len())).map(|byte| char::from(*byte))).collect()
}

/// Six characters that catch a key that was cut or mistyped before anything is looked up.
fn checksum(body: &str) -> String {
    let mut hex = Digest::of("portolan/key", body.as_bytes()).hex();
    hex.truncate(CHECKSUM);
    hex
}

/// The secret that keys are hashed under.
pub struct Pepper {
    secret: Secret,
    /// The hash with the secret already in it.
    keyed: Option<Hmac<Sha256>>,
}

impl Pepper {
    pub(super) fn new(secret: Secret) -> Self {
        // HMAC takes a key of any length, so this never fails.
        let keyed = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).ok();
        Self { secret, keyed }
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// HMAC-SHA-256 of a credential.
    pub fn hash(&self, credential: &str) -> [u8; 32] {
        let Some(mut mac) = self.keyed.clone() else { return [0; 32] };
        mac.update(credential.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// A new random pepper.
    pub(super) fn generate() -> Self {
        Self::new(Secret::new(random(64)))
    }
}

/// Whether two hashes are the same, in a time that does not depend on where they differ.
pub(super) fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_carries_its_public_part_and_a_checksum_that_catches_a_typo() {
        let key = ApiKey::generate();
        assert_eq!(ApiKey::id_of(key.reveal()), Some(key.id()));
        let mut typo = key.reveal().to_owned();
        typo.pop();
        typo.push('!');
        assert_eq!(ApiKey::id_of(&typo), None);
        assert_eq!(ApiKey::id_of("sk-abc"), None);
        assert_eq!(ApiKey::id_of("é"), None);
    }

    #[test]
    fn another_pepper_gives_another_hash() {
        assert_ne!(Pepper::generate().hash("a"), Pepper::generate().hash("a"));
    }
}
