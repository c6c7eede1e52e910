//! `npx`: the package of its command, and what npm says of it.

use semver::Version;
use serde_json::Value;

use super::package::Package;

/// Flags that change nothing about which package is run.
const FLAGS: [&str; 8] = ["-y", "--yes", "-q", "--quiet", "--silent", "--prefer-offline", "--prefer-online", "--offline"];

/// The package that a command runs; none where it is none of a registry, or more than one.
pub(super) fn package(command: &[String]) -> Option<Package> {
    let mut named: Option<Package> = None;
    let mut words = command.iter().enumerate().skip(1);
    while let Some((at, word)) = words.next() {
        let found = if let Some(requirement) = word.strip_prefix("--package=") {
            read(at, "--package=", requirement)?
        } else if word == "--package" || word == "-p" {
            let (at, requirement) = words.next()?;
            read(at, "", requirement)?
        } else if FLAGS.contains(&word.as_str()) {
            continue;
        } else if word.starts_with('-') {
            return None;
        } else {
            // The command: a package of its own name, unless one was named.
            return named.or_else(|| read(at, "", word));
        };
        // Of several packages none alone is the server's code.
        if named.replace(found).is_some() {
            return None;
        }
    }
    None
}

/// `name`, `@scope/name`, either with `@` and a version, a range or a tag (npm-package-arg).
fn read(at: usize, before: &str, requirement: &str) -> Option<Package> {
    let end = requirement.get(1..)?.find('@').map_or(requirement.len(), |at| at + 1);
    let (name, wanted) = requirement.split_at(end);
    let wanted = wanted.strip_prefix('@').unwrap_or(wanted);
    let (scope, bare) = match name.strip_prefix('@') {
        Some(rest) => rest.split_once('/').map(|(scope, bare)| (Some(scope), bare))?,
        None => (None, name),
    };
    let plain = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        !part.is_empty() && !part.starts_with(['.', '_', '-']) && part.bytes().all(fits)
    };
    let of_a_registry = plain(bare) && scope.is_none_or(plain) && !wanted.contains([':', '/']);
    of_a_registry.then(|| Package {
        at,
        before: before.to_owned(),
        name: name.to_owned(),
        extras: String::new(),
        wanted: wanted.to_owned(),
    })
}

/// What npm is asked: it reads the same settings as `npx`, so it is the same registry.
pub(super) fn question(package: &Package) -> Vec<String> {
    let wanted = if package.wanted.is_empty() { "latest" } else { &package.wanted };
    let words = ["npm", "view", &format!("{}@{wanted}", package.name), "version", "dist.integrity", "--json", "--fetch-retries=1"];
    words.map(str::to_owned).to_vec()
}

/// The newest version among those that npm names, with its integrity.
pub(super) fn answer(said: &str) -> Result<(String, Vec<String>), String> {
    let said: Value = serde_json::from_str(said).map_err(|_| "npm did not answer with JSON".to_owned())?;
    let all = match said {
        Value::Array(all) => all,
        one => vec![one],
    };
    let version = |one: &Value| Version::parse(one.get("version")?.as_str()?).ok();
    let newest = all.iter().filter_map(|one| Some((version(one)?, one))).max_by(|(a, _), (b, _)| a.cmp(b));
    let (version, one) = newest.ok_or_else(|| "npm knows no such version".to_owned())?;
    let integrity = one.get("dist.integrity").and_then(Value::as_str).map(str::to_owned);
    Ok((version.to_string(), integrity.into_iter().collect()))
}

pub(super) fn pinned(package: &Package, version: &str) -> String {
    format!("{}{}@{version}", package.before, package.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_several_versions_is_meant() {
        let one = r#"{"version":"1.10.0","dist.integrity":"sha512-a"}"#;
        let several = format!(r#"[{{"version":"1.9.0","dist.integrity":"sha512-b"}},{one},{{"version":"1.2.0"}}]"#);
        for said in [one, &several] {
            assert_eq!(answer(said), Ok(("1.10.0".to_owned(), vec!["sha512-a".to_owned()])));
        }
        for wrong in ["", "[]", "{}", r#""1.0.0""#, r#"{"error":{}}"#] {
            assert!(answer(wrong).is_err(), "{wrong}");
        }
    }
}
