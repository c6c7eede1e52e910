//! Versions of releases, by what their changes mean.

use semver::Version;

use super::drift::Difference;
use crate::domain::Class;
use crate::store::ReleaseHead;

/// That of a server's first release.
pub(super) const FIRST: Version = Version::new(1, 0, 0);

/// The versions that other releases of a server have, or had before they were taken back.
pub(super) fn taken<'h>(heads: &'h [ReleaseHead], digest: &str) -> Vec<&'h str> {
    heads.iter().filter(|head| head.digest != digest).map(|head| head.version.as_str()).collect()
}

/// The version of the next release: a change that breaks callers raises the major number, one that adds the minor, any other the patch.
/// What is served may be an earlier release; what came after it keeps its version, for others know it by that.
pub(super) fn next(current: &Version, differences: &[Difference], taken: &[&str]) -> Version {
    let any = |class: Class| differences.iter().flat_map(|one| &one.changes).any(|change| change.class == class);
    let after = |version: &Version| match (any(Class::Breaking), any(Class::Minor)) {
        (true, _) => Version::new(version.major + 1, 0, 0),
        (false, true) => Version::new(version.major, version.minor + 1, 0),
        (false, false) => Version::new(version.major, version.minor, version.patch + 1),
    };
    let mut next = after(current);
    while taken.contains(&next.to_string().as_str()) {
        next = after(&next);
    }
    next
}

pub(super) fn version(text: &str) -> Version {
    Version::parse(text).unwrap_or(FIRST)
}
