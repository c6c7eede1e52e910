//! Curated manifests: well-known servers, each as it was read and reviewed, which ship with the binary and are added by name.
//!
//! Here is what everybody may know of them: their names, and how they are started. What was approved of each is the registry's to
//! read (`registry/curated.rs`). To add one, let `portolan registry curate` write its file below `registry/`, and name it in `shelf.rs`.

mod error;
mod server_json;
mod shelf;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

pub use error::Error;
pub use server_json::{Package, ServerJson};

use crate::domain::meant;

/// The file of one version, as the official registry's API answers for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The `server.json`.
    pub server: Box<RawValue>,
    /// What others add to it.
    #[serde(rename = "_meta")]
    pub meta: Meta,
}

/// What is added to a `server.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// What was approved, as a lock file holds it.
    #[serde(rename = "dev.portolan/release")]
    pub release: Box<RawValue>,
}

/// One curated server.
#[derive(Debug)]
pub struct Curated {
    /// What its `server.json` says.
    pub server: ServerJson,
    /// The same as it is written, and what was approved of it.
    pub written: Written,
}

static ALL: LazyLock<Vec<Curated>> = LazyLock::new(|| shelf::FILES.iter().filter_map(|text| Curated::parse(text).ok()).collect());

impl Curated {
    fn parse(text: &str) -> Result<Self, Error> {
        let written: Written = serde_json::from_str(text).map_err(|error| Error::Unfit(format!("it is no curated manifest: {error}")))?;
        let server = ServerJson::parse(written.server.get())?;
        Ok(Self { server, written })
    }

    /// All of them, in the order of names; of the versions of one server, the newest stands last.
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// The one that is meant by a name: whole (`io.github.x/server-y`), or short (`y`); perhaps with `@` and a version, else the newest.
    pub fn find(wanted: &str) -> Result<&'static Self, Error> {
        // Names of packages begin with an `@`, names of servers do not.
        let (name, version) = wanted.split_once('@').map_or((wanted, None), |(name, version)| (name, Some(version)));
        let known = |one: &&Self| one.server.name == name || one.server.short() == name;
        let newest = Self::all().iter().rev().find(known).ok_or_else(|| {
            let names = Self::all().iter().map(|one| if name.contains('/') { one.server.name.as_str() } else { one.server.short() });
            Error::Unknown { name: name.to_owned(), meant: meant(name, names) }
        })?;
        let Some(version) = version else { return Ok(newest) };
        Self::all().iter().filter(known).find(|one| one.server.version == version).ok_or_else(|| Error::NoVersion {
            name: newest.server.name.clone(),
            version: version.to_owned(),
            there: newest.server.version.clone(),
        })
    }

    /// Its whole name and version.
    pub fn id(&self) -> String {
        format!("{}@{}", self.server.name, self.server.version)
    }

    /// The command and the variables that start it with arguments and variables of its own.
    pub fn start(&self, own: &[String], env: &BTreeMap<String, String>) -> Result<(Vec<String>, BTreeMap<String, String>), Error> {
        let package = self.server.package()?;
        let missing = package.missing(own, env);
        if !missing.is_empty() {
            return Err(Error::Missing { server: self.server.short().to_owned(), missing });
        }
        let mut variables = package.variables();
        variables.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok((package.command(false, own), variables))
    }

    /// How it is added on the command line.
    pub fn how(&self, name: &str) -> String {
        let needs = self.server.package().map(Package::needs).unwrap_or_default();
        let (variables, arguments): (Vec<String>, Vec<String>) = needs.into_iter().partition(|need| need.ends_with("=…"));
        let variables: String = variables.iter().map(|need| format!(" --env {need}")).collect();
        let arguments = if arguments.is_empty() { String::new() } else { format!(" -- {}", arguments.join(" ")) };
        format!("portolan server add {name} --curated {}{variables}{arguments}", self.server.short())
    }

    /// How its `server.json` says that it is had.
    pub fn packages(&self) -> Option<Value> {
        serde_json::from_str::<Value>(self.written.server.get()).ok()?.get("packages").cloned()
    }

    /// The names of its tools.
    pub fn tools(&self) -> Vec<String> {
        let release: Value = serde_json::from_str(self.written.meta.release.get()).unwrap_or_default();
        let definitions = release.get("definitions").and_then(Value::as_array).cloned().unwrap_or_default();
        let tool = |one: &Value| one.get("kind").and_then(Value::as_str) == Some("tool");
        definitions.iter().filter(|one| tool(one)).filter_map(|one| Some(one.get("name")?.as_str()?.to_owned())).collect()
    }

    /// Where the official registry tells of that version.
    pub fn upstream(&self) -> String {
        crate::domain::server_json("https://registry.modelcontextprotocol.io", &self.server.name, &self.server.version)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_file_is_read_and_no_two_have_one_short_name() {
        let all = Curated::all();
        assert_eq!(all.len(), shelf::FILES.len());
        let names: HashSet<&str> = all.iter().map(|one| one.server.name.as_str()).collect();
        let short: HashSet<&str> = all.iter().map(|one| one.server.short()).collect();
        assert_eq!(names.len(), short.len());
        assert!(short.contains("sequential-thinking") && short.contains("arxiv") && short.contains("context7"), "{short:?}");
    }

    #[test]
    fn every_file_is_what_the_official_registry_answers() {
        let described: Value = serde_json::from_str(include_str!("../../tests/interop/api/registry-openapi.json")).unwrap();
        let schema = json!({ "$ref": "#/components/schemas/ServerResponse", "components": described["components"] });
        let validator = jsonschema::validator_for(&schema).unwrap();
        for text in shelf::FILES {
            let file: Value = serde_json::from_str(text).unwrap();
            let wrong: Vec<String> = validator.iter_errors(&file).map(|error| format!("{} {error}", error.instance_path())).collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}", file["server"]["name"]);
            assert!(file["server"]["$schema"].as_str().unwrap().contains("/2025-12-11/"));
        }
    }

    #[test]
    fn a_server_is_found_by_its_whole_or_its_short_name_perhaps_at_a_version() {
        let found = |wanted: &str| Curated::find(wanted).map(Curated::id).map_err(|why| why.to_string());
        let git = "io.github.modelcontextprotocol/server-git@2026.10.19";
        for wanted in ["git", "git@2026.10.19", "io.github.modelcontextprotocol/server-git", git] {
            assert_eq!(found(wanted).as_deref(), Ok(git), "{wanted}");
        }
        assert!(found("filesytem").unwrap_err().contains("did you mean `filesystem`?"));
        assert!(found("git@1").unwrap_err().contains("there is 2026.10.19"));
    }

    #[test]
    fn what_is_needed_and_not_given_is_named() {
        let text = json!({
            "name": "com.example/wiki-mcp", "description": "A wiki.", "version": "1.2.3",
            "packages": [{
                "registryType": "npm", "identifier": "@x/wiki", "version": "1.2.3", "transport": { "type": "stdio" },
                "packageArguments": [
                    { "type": "positional", "value": "stdio" },
                    { "type": "positional", "valueHint": "folder", "description": "Where pages are", "isRequired": true },
                    { "type": "named", "name": "--space", "valueHint": "space", "isRequired": true },
                ],
                "environmentVariables": [{ "name": "WIKI_TOKEN", "isRequired": true }, { "name": "QUIET", "value": "1" }],
            }],
        });
        let server = ServerJson::parse(&text.to_string()).unwrap();
        let curated = Curated { written: Curated::find("git").unwrap().written.clone(), server };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let refused = curated.start(&words("--space=a"), &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(refused, "wiki needs the argument FOLDER (Where pages are), and the variable `WIKI_TOKEN`");
        let token = BTreeMap::from([("WIKI_TOKEN".to_owned(), "t".to_owned())]);
        let refused = curated.start(&words("--space a"), &token).unwrap_err().to_string();
        assert_eq!(refused, "wiki needs the argument FOLDER (Where pages are)", "the value of an option is no positional argument");
        assert!(curated.start(&words("--space a pages"), &token).is_ok() && curated.start(&words("pages --space a"), &token).is_ok());
        let (command, env) = curated.start(&words("--space a /pages"), &token).unwrap();
        assert_eq!(command.join(" "), "npx -y @x/wiki stdio --space a /pages");
        assert_eq!(env.keys().collect::<Vec<_>>(), ["QUIET", "WIKI_TOKEN"]);
        assert_eq!(curated.how("w"), "portolan server add w --curated wiki --env WIKI_TOKEN=… -- FOLDER --space=SPACE");
    }

    #[test]
    fn what_no_runner_starts_is_not_curated() {
        let text = |package: Value| json!({ "name": "a/b", "description": "B.", "version": "1.0.0", "packages": [package] }).to_string();
        let good = json!({ "registryType": "pypi", "identifier": "b", "version": "1.0.0", "transport": { "type": "stdio" } });
        assert!(ServerJson::parse(&text(good.clone())).is_ok());
        for (member, value) in [
            ("registryType", json!("oci")),
            ("version", json!("")),
            ("transport", json!({ "type": "sse", "url": "https://x.example" })),
            ("runtimeHint", json!("docker")),
            ("runtimeArguments", json!([{ "type": "positional", "value": "x" }])),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            assert!(ServerJson::parse(&text(bad)).is_err(), "{member}");
        }
        assert!(ServerJson::parse(&text(good).replace("a/b", "../b")).is_err());
    }
}
