//! Which release on record a person means.

use crate::domain::ReleasePin;

/// The place of the release that is meant by its version, its digest, or a beginning of that which no other has; none where there is none.
///
/// What is known is given as versions with digests. A version is written whole: whoever decides on a release must not get a newer one.
pub(super) fn on_record<'k>(text: &str, known: impl Iterator<Item = (&'k str, &'k str)> + Clone) -> Option<usize> {
    let whole = known.clone().position(|(version, digest)| text == digest || (text == version && !version.is_empty()));
    whole.or_else(|| {
        let pin: ReleasePin = text.parse().ok()?;
        let mut places = known.enumerate().filter(|(_, (_, digest))| pin.takes_digest(digest)).map(|(at, _)| at);
        places.next().filter(|_| places.next().is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_meant_by_its_version_or_by_a_digest_whose_beginning_no_other_has() {
        let known = [("1.0.0", "sha256:aaaaaaaa11"), ("", "sha256:aaaaaaaa22"), ("1.1.0", "sha256:bbbbbbbb33")];
        let cases = [
            ("1.1.0", Some(2)),
            ("sha256:aaaaaaaa22", Some(1)),
            ("sha256:bbbbbbbb", Some(2)),
            ("sha256:aaaaaaaa", None),
            ("sha256:bbbb", None),
            ("1.1", None),
            ("", None),
        ];
        for (text, place) in cases {
            assert_eq!(on_record(text, known.into_iter()), place, "{text}");
        }
    }
}
