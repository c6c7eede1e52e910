//! Which release of a server a caller wants, where that is not the one that is served.

use std::fmt;
use std::str::FromStr;

use semver::Version;

use super::text::clip;

/// The least of a digest that names a release.
const SHORTEST: usize = 8;

/// A release by its version, or the beginning of it, or by its digest: `1`, `1.4`, `1.4.2`, `sha256:6f1c…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReleasePin {
    /// The newest of those whose version begins so: major, minor, patch.
    Version(u64, Option<u64>, Option<u64>),
    /// The one whose digest begins so; hexadecimal, without `sha256:`.
    Digest(String),
}

impl ReleasePin {
    /// Whether it means a release.
    pub fn takes(&self, version: &Version, digest: &str) -> bool {
        match self {
            Self::Version(major, minor, patch) => {
                version.major == *major
                    && minor.is_none_or(|minor| version.minor == minor)
                    && patch.is_none_or(|patch| version.patch == patch)
            }
            Self::Digest(_) => self.takes_digest(digest),
        }
    }

    /// Whether it means a digest by the beginning of that.
    pub fn takes_digest(&self, digest: &str) -> bool {
        match self {
            Self::Version(..) => false,
            Self::Digest(start) => digest.strip_prefix("sha256:").is_some_and(|digest| digest.starts_with(start.as_str())),
        }
    }

    /// A name that is a server's alone, or with a release behind an `@`.
    pub fn split(name: &str) -> Result<(&str, Option<Self>), String> {
        match name.split_once('@') {
            None => Ok((name, None)),
            Some((name, pin)) => Ok((name, Some(pin.parse()?))),
        }
    }
}

impl FromStr for ReleasePin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is no release; write `1`, `1.4`, `1.4.2`, or a digest as `sha256:6f1c2a90`", clip(text, 80));
        if let Some(digest) = text.strip_prefix("sha256:") {
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let fits = (SHORTEST..=64).contains(&digest.len()) && digest.bytes().all(hex);
            return fits.then(|| Self::Digest(digest.to_owned())).ok_or_else(wrong);
        }
        // One spelling for each: sessions and lists that are kept know a pin by its text.
        let number = |part: &str| {
            let plain = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            part.parse::<u64>().ok().filter(|_| plain).ok_or_else(wrong)
        };
        let mut parts = text.split('.');
        let major = number(parts.next().unwrap_or_default())?;
        let (minor, patch) = (parts.next().map(number).transpose()?, parts.next().map(number).transpose()?);
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self::Version(major, minor, patch)) }
    }
}

impl fmt::Display for ReleasePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(major, minor, patch) => {
                write!(f, "{major}")?;
                minor.iter().chain(patch).try_for_each(|number| write!(f, ".{number}"))
            }
            Self::Digest(start) => write!(f, "sha256:{start}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_meant_by_the_beginning_of_its_version_or_of_its_digest() {
        let version = Version::new(1, 4, 2);
        let digest = "sha256:6f1c2a90ffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
        for (text, means) in [("1", true), ("1.4", true), ("1.4.2", true), ("1.40", false), ("2", false), ("sha256:6f1c2a90", true)] {
            let pin: ReleasePin = text.parse().unwrap();
            assert_eq!((pin.takes(&version, digest), pin.to_string().as_str()), (means, text));
        }
        for text in ["", "v1", "1.", "1.4.2.1", "01", "+1", "latest", "sha256:6f1c", "sha256:6F1C2A90", "1@2"] {
            assert!(text.parse::<ReleasePin>().is_err(), "{text}");
        }
    }
}
