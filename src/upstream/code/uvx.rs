//! `uvx`: the package of its command, and what uv says of it.

use super::package::Package;

/// Flags that change nothing about which package is run, and those of them that take a value.
const FLAGS: [&str; 6] = ["-q", "--quiet", "--isolated", "--offline", "--native-tls", "--no-progress"];
const WITH_VALUE: [&str; 2] = ["--python", "-p"];

/// The package that a command runs; none where it is none of an index, or where more is installed beside it.
pub(super) fn package(command: &[String]) -> Option<Package> {
    let mut from: Option<Package> = None;
    let mut words = command.iter().enumerate().skip(1);
    while let Some((at, word)) = words.next() {
        if let Some(requirement) = word.strip_prefix("--from=") {
            from = Some(read(at, "--from=", requirement)?);
        } else if word == "--from" {
            let (at, requirement) = words.next()?;
            from = Some(read(at, "", requirement)?);
        } else if WITH_VALUE.contains(&word.as_str()) {
            words.next()?;
        } else if FLAGS.contains(&word.as_str()) {
        } else if word.starts_with('-') {
            return None;
        } else {
            return from.or_else(|| command_of(at, word));
        }
    }
    None
}

/// `name`, `name@1.2.3`, `name@latest`.
fn command_of(at: usize, word: &str) -> Option<Package> {
    let (name, version) = word.split_once('@').unwrap_or((word, ""));
    let wanted = if version.is_empty() || version == "latest" { String::new() } else { format!("=={version}") };
    let package = read(at, "", name)?;
    package.wanted.is_empty().then(|| Package { before: "@".to_owned(), wanted, ..package })
}

/// A requirement of an index (PEP 508), without markers.
fn read(at: usize, before: &str, requirement: &str) -> Option<Package> {
    let end = requirement.find(['[', '=', '<', '>', '!', '~', ' ']).unwrap_or(requirement.len());
    let (name, rest) = requirement.split_at(end);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.bytes().all(plain) {
        return None;
    }
    let (extras, wanted) = match rest.find(']') {
        Some(end) if rest.starts_with('[') => rest.split_at(end + 1),
        _ => ("", rest),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"=<>!~.,*+- ".contains(&byte);
    let before = before.to_owned();
    let of_an_index = !extras.contains(['@', ':', '/']) && wanted.bytes().all(fits);
    of_an_index.then(|| Package { at, before, name: name.to_owned(), extras: extras.to_owned(), wanted: wanted.to_owned() })
}

/// What uv is asked: it reads the same settings as `uvx`, so it is the same index. The requirement is what it is told.
pub(super) fn question() -> Vec<String> {
    let words = ["uv", "pip", "compile", "--no-deps", "--generate-hashes", "--no-header", "--no-annotate", "--quiet", "-"];
    words.map(str::to_owned).to_vec()
}

pub(super) fn requirement(package: &Package) -> String {
    format!("{}{}\n", package.name, package.wanted)
}

/// The version that uv would take, with the digests of its files.
pub(super) fn answer(said: &str) -> Result<(String, Vec<String>), String> {
    let mut words = said.split_whitespace().filter(|word| *word != "\\");
    let version = words.next().and_then(|word| Some(word.split_once("==")?.1.to_owned()));
    let version = version.ok_or_else(|| "uv knows no such version".to_owned())?;
    let mut hashes: Vec<String> = words.filter_map(|word| word.strip_prefix("--hash=")).map(str::to_owned).collect();
    hashes.sort_unstable();
    Ok((version, hashes))
}

/// A command of its own name takes the version behind an `@`, a requirement behind `==`.
pub(super) fn pinned(package: &Package, version: &str) -> String {
    let Package { before, name, extras, .. } = package;
    if before == "@" { format!("{name}{extras}@{version}") } else { format!("{before}{name}{extras}=={version}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_with_the_digests_of_all_its_files() {
        let said = "mcp-server-time==2026.10.19 \\\n    --hash=sha256:b \\\n    --hash=sha256:a\n";
        assert_eq!(answer(said), Ok(("2026.10.19".to_owned(), vec!["sha256:a".to_owned(), "sha256:b".to_owned()])));
        assert!(answer("").is_err());
    }
}
