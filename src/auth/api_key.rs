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
    use std::time::Instant;

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

    /// Welch's t of how long an act takes with each of two values, in turns, without the slowest tenth, which is the machine's and
    /// not the code's; and the ratio of the medians.
    fn told_apart<T: Copy>(pairs: usize, values: [T; 2], act: impl Fn(&T)) -> (f64, f64) {
        let mut times = [Vec::with_capacity(pairs), Vec::with_capacity(pairs)];
        for _ in 0..pairs {
            // In no order that anything of the machine has.
            let first = rand::rng().random_range(0..2_usize);
            for at in [first, 1 - first] {
                // Both lie in one place, for that is seen by the clock, too.
                let place = std::hint::black_box(values[at]);
                let start = Instant::now();
                act(std::hint::black_box(&place));
                times[at].push(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX));
            }
        }
        let mut all: Vec<u32> = times.concat();
        all.sort_unstable();
        let slowest = all[all.len() * 9 / 10];
        let median = |times: &[u32]| {
            let mut sorted = times.to_vec();
            sorted.sort_unstable();
            f64::from(sorted[sorted.len() / 2])
        };
        let ratio = median(&times[0]) / median(&times[1]);
        let moments = times.map(|times| {
            let kept: Vec<f64> = times.into_iter().filter(|time| *time <= slowest).map(f64::from).collect();
            let count = f64::from(u32::try_from(kept.len()).unwrap());
            let mean = kept.iter().sum::<f64>() / count;
            (mean, kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0) / count)
        });
        ((moments[0].0 - moments[1].0) / (moments[0].1 + moments[1].1).sqrt(), ratio)
    }

    /// A digest, and two others: one with another first byte, one with another last.
    fn digests() -> ([u8; 32], [[u8; 32]; 2]) {
        let digest = Pepper::generate().hash("a");
        let (mut first, mut last) = (digest, digest);
        first[0] ^= 1;
        last[31] ^= 1;
        (digest, [first, last])
    }

    /// Compares often enough for a clock to see it.
    fn often(compare: impl Fn() -> bool) {
        for _ in 0..20 {
            assert!(!std::hint::black_box(compare()));
        }
    }

    #[test]
    fn where_a_digest_differs_cannot_be_told_by_the_clock() {
        let (digest, others) = digests();
        let hasty = |a: &[u8; 32], b: &[u8; 32]| a.iter().zip(b).all(|(a, b)| a == b);
        // A machine that is busy may deceive for once, and hide for once what can be seen.
        let seen: Vec<_> = (0..5).map(|_| told_apart(5_000, others, |other| often(|| hasty(&digest, other)))).collect();
        assert!(seen.iter().any(|(t, _)| t.abs() > 4.5), "the clock sees a comparison that ends early: {seen:?}");
        let tries: Vec<_> = (0..5).map(|_| told_apart(5_000, others, |other| often(|| same(&digest, other)))).collect();
        assert!(tries.iter().any(|(t, _)| t.abs() < 4.5), "{tries:?}");
    }

    #[test]
    #[ignore = "takes half a minute; `make test-full` runs it"]
    fn where_a_key_differs_cannot_be_told_by_the_clock() {
        const LENGTH: usize = PREFIX.len() + ID + 1 + SECRET + CHECKSUM;
        let good = |(t, ratio): &(f64, f64)| t.abs() < 4.5 && (0.98..=1.02).contains(ratio);
        let (digest, others) = digests();
        let tries: Vec<_> = (0..3).map(|_| told_apart(100_000, others, |other| often(|| same(&digest, other)))).collect();
        assert!(tries.iter().any(good), "digests: {tries:?}");
        let (pepper, key) = (Pepper::generate(), ApiKey::generate());
        let stored = pepper.hash(key.reveal());
        // Another first or last character of the secret, with the checksum that fits.
        let other = |at: usize| -> [u8; LENGTH] {
            let mut body = key.reveal()[..LENGTH - CHECKSUM].to_owned();
            let another = if body[at..].starts_with('A') { "B" } else { "A" };
            body.replace_range(at..=at, another);
            let text = format!("{body}{}", checksum(&body));
            assert_eq!(ApiKey::id_of(&text), Some(key.id()));
            text.into_bytes().try_into().unwrap()
        };
        let others = [other(LENGTH - CHECKSUM - SECRET), other(LENGTH - CHECKSUM - 1)];
        let judge = |credential: &[u8; LENGTH]| {
            let credential = std::str::from_utf8(credential).unwrap();
            assert!(!std::hint::black_box(same(&pepper.hash(credential), &stored)));
        };
        let tries: Vec<_> = (0..3).map(|_| told_apart(100_000, others, judge)).collect();
        assert!(tries.iter().any(good), "keys: {tries:?}");
    }
}
