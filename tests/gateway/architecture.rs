//! The house keeps its floors: a folder imports the floors below it, never one above nor one beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each folder or file of `src/` with what it may import of the others.
const MAY_IMPORT: [(&str, &[&str]); 23] = [
    // Ground.
    ("domain", &[]),
    ("expr", &["domain"]),
    ("curated", &["domain"]),
    ("config", &["curated", "expr", "domain"]),
    ("trace", &["domain"]),
    // Floor 1.
    ("net", &["config", "expr", "domain"]),
    // Floor 2.
    ("store", &["net", "config", "expr", "domain"]),
    ("schema", &["net", "config", "expr", "domain"]),
    ("llm", &["net", "config", "expr", "trace", "domain"]),
    // Floor 3.
    ("auth", &["store", "schema", "llm", "net", "config", "expr", "domain"]),
    ("journal", &["store", "schema", "llm", "net", "config", "expr", "domain"]),
    ("policy", &["store", "schema", "llm", "net", "config", "expr", "domain"]),
    ("protocol", &["store", "schema", "llm", "net", "config", "expr", "trace", "domain"]),
    // Floor 4.
    ("upstream", &["auth", "journal", "policy", "protocol", "store", "schema", "llm", "net", "config", "expr", "trace", "domain"]),
    // Floor 5.
    (
        "registry",
        &[
            "upstream", "auth", "journal", "policy", "protocol", "store", "schema", "llm", "net", "config", "curated", "expr", "trace",
            "domain",
        ],
    ),
    // Floor 6.
    (
        "federation",
        &[
            "registry", "upstream", "auth", "journal", "policy", "protocol", "store", "schema", "llm", "net", "config", "expr", "trace",
            "domain",
        ],
    ),
    // Floor 7.
    (
        "context",
        &[
            "federation",
            "registry",
            "upstream",
            "auth",
            "journal",
            "policy",
            "protocol",
            "store",
            "schema",
            "llm",
            "net",
            "config",
            "expr",
            "trace",
            "domain",
        ],
    ),
    // Floor 8.
    (
        "completion",
        &[
            "context",
            "federation",
            "registry",
            "upstream",
            "auth",
            "journal",
            "policy",
            "protocol",
            "store",
            "schema",
            "llm",
            "net",
            "config",
            "expr",
            "trace",
            "domain",
        ],
    ),
    (
        "control",
        &[
            "completion",
            "context",
            "federation",
            "registry",
            "upstream",
            "auth",
            "journal",
            "policy",
            "protocol",
            "store",
            "schema",
            "llm",
            "net",
            "config",
            "curated",
            "expr",
            "trace",
            "domain",
        ],
    ),
    // Floor 9.
    (
        "http",
        &[
            "control",
            "completion",
            "context",
            "federation",
            "registry",
            "upstream",
            "auth",
            "journal",
            "policy",
            "protocol",
            "store",
            "schema",
            "llm",
            "net",
            "config",
            "curated",
            "expr",
            "trace",
            "domain",
        ],
    ),
    // Beside the house: a client like any other.
    ("cli", &["protocol", "config", "curated", "domain", "net"]),
    ("telemetry", &["net", "config", "trace", "domain"]),
    ("demo", &[]),
];

/// The top, which joins everything.
const TOP: [&str; 3] = ["app", "lib", "main"];

const MOST_LINES: usize = 500;

struct Source {
    path: PathBuf,
    /// The folder or file right below `src/`.
    part: String,
    text: String,
}

fn sources() -> Vec<Source> {
    fn walk(directory: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    assert!(paths.len() > 50, "the house was found");
    let read = |path: PathBuf| {
        let own = path.strip_prefix(&root).unwrap().to_owned();
        let first = own.components().next().unwrap().as_os_str().to_str().unwrap();
        Source { part: first.trim_end_matches(".rs").to_owned(), text: std::fs::read_to_string(&path).unwrap(), path: own }
    };
    paths.into_iter().map(read).collect()
}

/// A file's text without comments and without its unit tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first word of a path, or of each path of a group: `b` of `b::c`, `a` and `b` of `{a, b::{c, d}}`.
fn heads(path: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut found, mut depth, mut start) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && !c.is_whitespace() => {
                found.push(word(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    found
}

/// The parts of the crate that a text names as `crate::part`, also in `use crate::{a, b::c}`.
fn imports(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        found.extend(heads(&code[at + "crate::".len()..]));
    }
    // Names that the library's face re-exports belong to the top.
    found.retain(|part| part.chars().next().is_some_and(char::is_lowercase));
    found
}

#[test]
fn a_folder_imports_only_the_floors_below_it() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = MAY_IMPORT.iter().map(|(part, below)| (*part, below.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !TOP.contains(&source.part.as_str())) {
        let Some(allowed) = allowed.get(source.part.as_str()) else {
            wrong.push(format!("{} stands on no floor", source.path.display()));
            continue;
        };
        for import in imports(&source.text) {
            if import != source.part && !allowed.contains(import.as_str()) {
                wrong.push(format!("{} imports crate::{import}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_floors_themselves_have_no_circle_and_no_neighbours() {
    let order: Vec<&str> = MAY_IMPORT.iter().map(|(part, _)| *part).collect();
    for (at, (part, below)) in MAY_IMPORT.iter().enumerate() {
        for import in *below {
            let stands = order.iter().position(|name| name == import).unwrap();
            assert!(stands < at, "{part} may import {import}, which does not stand below it");
        }
    }
}

#[test]
fn a_child_never_imports_the_items_of_its_own_face() {
    let all = sources();
    // What a face declares itself; what it only re-exports or holds as a module is a sibling's.
    let declared = |folder: &Path| -> BTreeSet<String> {
        let faces = [folder.join("mod.rs"), folder.with_extension("rs")];
        let Some(face) = all.iter().find(|source| faces.contains(&source.path)) else { return BTreeSet::new() };
        let code = code(&face.text);
        let items = code.lines().filter(|line| !line.starts_with(char::is_whitespace)).filter_map(|line| {
            let line = line.trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let line = line.trim_start_matches("async ").trim_start_matches("const fn ");
            let rest =
                ["struct ", "enum ", "trait ", "fn ", "const ", "static ", "type "].iter().find_map(|kind| line.strip_prefix(kind))?;
            Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        });
        items.collect()
    };
    let mut wrong = Vec::new();
    for source in &all {
        let name = source.path.file_name().unwrap();
        let folder = source.path.parent().unwrap();
        if name == "mod.rs" || folder == Path::new("") {
            continue;
        }
        let face = declared(folder);
        let code = code(&source.text);
        for (at, _) in code.match_indices("super::") {
            let rest = &code[at + "super::".len()..];
            if code[..at].ends_with("super::") || rest.starts_with("super::") {
                continue;
            }
            for name in heads(rest).iter().filter(|name| face.contains(*name)) {
                wrong.push(format!("{} imports `{name}` of its own face", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_has_two_subjects() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (source.path.display().to_string(), source.text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("{path} has {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn imports_are_read_as_they_are_written() {
    let text = "use crate::domain::{A, B};\nuse crate::{net, llm::{X, Y}, store};\n// use crate::comment;\nfn f() { crate::auth::g() }\npub(crate) fn h() {}\n#[cfg(test)]\nmod tests { use crate::http; }";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["auth", "domain", "llm", "net", "store"]);
}
