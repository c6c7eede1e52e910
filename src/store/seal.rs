//! What must not be read in the database is sealed there: AES-256-GCM under a key that lies beside it and not in it.
//!
//! The place that a text is for is sealed with it, so that one row's secret cannot be put into another row.

use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use sha2::Sha256;

use super::contract::Error;
use super::secret_file::secret_file;

/// The key's file, in the data directory.
const FILE: &str = "seal.key";
/// What a sealed text begins with: the form, and which key it is.
const MARK: &str = "sealed:1:";
const NONCE: usize = 12;

/// A key that texts are sealed with, and the root of keys for other ends.
pub struct Seal {
    key: RandomizedNonceKey,
    root: Hmac<Sha256>,
}

impl Seal {
    /// Reads the key of a data directory, or makes it when there is none.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        let unusable = |why: String| Error::Unavailable(format!("the secret file {} cannot be used: {why}", path.display()));
        let (text, _) =
            secret_file(&path, || hex::encode(rand::rng().random::<[u8; 32]>())).map_err(|error| unusable(error.to_string()))?;
        let key = hex::decode(&text).map_err(|_| unusable("it holds no key of 64 hexadecimal digits".to_owned()))?;
        Self::new(&key).map_err(|_| unusable("it holds no key of 64 hexadecimal digits".to_owned()))
    }

    fn new(key: &[u8]) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let root = Hmac::new_from_slice(key).map_err(|_| aws_lc_rs::error::Unspecified)?;
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM, key)?, root })
    }

    /// A key for one end, of which nothing leads back to this one. It is the same after a restart.
    pub fn derived(&self, end: &str) -> [u8; 32] {
        let mut mac = self.root.clone();
        mac.update(end.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// The same for another end, under a key derived from this one.
    pub(super) fn below(&self, end: &str) -> Result<Self, Error> {
        Self::new(&self.derived(end)).map_err(|_| Error::Unavailable("no key could be derived".to_owned()))
    }

    /// A key for tests, which nobody else has.
    #[cfg(test)]
    pub(super) fn random() -> Self {
        Self::new(&rand::rng().random::<[u8; 32]>()).unwrap()
    }

    /// Seals a text for a place.
    pub(super) fn seal(&self, place: &str, text: &str) -> Result<String, Error> {
        let mut sealed = text.as_bytes().to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(place), &mut sealed);
        let nonce = nonce.map_err(|_| Error::Unavailable("a secret could not be sealed".to_owned()))?;
        Ok(format!("{MARK}{}", STANDARD_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat())))
    }

    /// The text that was sealed for a place. What was never sealed is handed back as it is.
    pub(super) fn unseal(&self, place: &str, text: String) -> Result<String, Error> {
        let Some(sealed) = text.strip_prefix(MARK) else { return Ok(text) };
        let wrong = || Error::Corrupt(format!("{place} was sealed with another key than that in {FILE}, or was changed"));
        let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| wrong())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut sealed = sealed.to_vec();
        let text = self.key.open_in_place(nonce, Aad::from(place), &mut sealed).map_err(|_| wrong())?;
        String::from_utf8(text.to_vec()).map_err(|_| wrong())
    }

    /// Seals bytes for a place, for somebody else to keep.
    pub(super) fn seal_short(&self, place: &str, bytes: &[u8]) -> Option<String> {
        let mut sealed = bytes.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(place), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    /// What was sealed so.
    pub(super) fn unseal_short(&self, place: &str, text: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        self.key.open_in_place(nonce, Aad::from(place), &mut sealed).ok().map(|bytes| bytes.to_vec())
    }

    /// Whether a text was sealed.
    pub(super) fn is_sealed(text: &str) -> bool {
        text.starts_with(MARK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_is_for_its_own_place_and_key_and_no_bit_of_it_can_be_changed() {
        let (seal, other) = (Seal::random(), Seal::random());
        let sealed = seal.seal("server a", "Bearer CANARY").unwrap();
        assert!(Seal::is_sealed(&sealed) && !sealed.contains("CANARY"));
        assert_ne!(sealed, seal.seal("server a", "Bearer CANARY").unwrap(), "the same is never sealed alike");
        assert_eq!(seal.unseal("server a", sealed.clone()).unwrap(), "Bearer CANARY");
        assert!(seal.unseal("server b", sealed.clone()).is_err());
        assert!(other.unseal("server a", sealed.clone()).is_err());
        for at in MARK.len()..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(seal.unseal("server a", String::from_utf8(bytes).unwrap()).is_err(), "{at}");
        }
        assert!(seal.unseal("server a", MARK.to_owned()).is_err());
    }
}
