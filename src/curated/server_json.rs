//! `server.json` (schema 2025-12-11), as far as it says how a package is started.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::Error;
use crate::domain::clip;

/// What a server's publisher says of it. Members that are not named here are kept where the text is kept.
#[derive(Clone, Debug, Deserialize)]
pub struct ServerJson {
    /// Its name in the official registry: a namespace, `/`, and its own.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its version.
    pub version: String,
    #[serde(default)]
    packages: Vec<Package>,
}

/// A package that a runner fetches.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    registry_type: String,
    /// Its name in its registry.
    pub identifier: String,
    /// The version that is meant.
    #[serde(default)]
    pub version: String,
    runtime_hint: Option<String>,
    #[serde(default)]
    runtime_arguments: Vec<Argument>,
    #[serde(default, rename = "packageArguments")]
    own_arguments: Vec<Argument>,
    #[serde(default)]
    environment_variables: Vec<Variable>,
    transport: Kind,
}

#[derive(Clone, Debug, Deserialize)]
struct Kind {
    r#type: String,
}

/// An argument of the program.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    /// `positional` or `named`.
    r#type: String,
    name: Option<String>,
    value: Option<String>,
    value_hint: Option<String>,
    description: Option<String>,
    #[serde(default)]
    is_required: bool,
}

/// A variable of the program's environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variable {
    name: String,
    value: Option<String>,
    description: Option<String>,
    #[serde(default)]
    is_required: bool,
}

impl ServerJson {
    /// Reads a text, and holds it up to what can be curated: one package of npm or `PyPI` that speaks over standard streams.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let unfit = |why: String| Error::Unfit(why);
        let read: Self = serde_json::from_str(text).map_err(|error| unfit(format!("it is no server.json: {error}")))?;
        let plain = |part: &str, more: &[u8]| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || more.contains(&byte);
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(fits)
        };
        // They become the path of a file.
        if !read.name.split_once('/').is_some_and(|(namespace, own)| plain(namespace, b"") && plain(own, b"_")) {
            return Err(unfit(format!("`name`: `{}` is not a namespace, `/` and a name", clip(&read.name, 80))));
        }
        if !plain(&read.version, b"_+!") {
            return Err(unfit(format!("`version`: `{}` is no version", clip(&read.version, 80))));
        }
        let package = read.package()?;
        if package.version.is_empty() || package.runner().is_none() || package.transport.r#type != "stdio" {
            let why = "`packages/0` must be of `npm` or `pypi`, name its version, and have `stdio` for its transport";
            return Err(unfit(why.to_owned()));
        }
        if package.runtime_hint.as_deref().is_some_and(|hint| Some(hint) != package.runner()) || !package.runtime_arguments.is_empty() {
            return Err(unfit("`packages/0` must be run by `npx` or `uvx` as they are, without `runtimeArguments`".to_owned()));
        }
        Ok(read)
    }

    /// The package that is run.
    pub fn package(&self) -> Result<&Package, Error> {
        self.packages.first().ok_or_else(|| Error::Unfit("`packages` is empty".to_owned()))
    }

    /// What people call it: the last part of its name, without what all servers are called.
    pub fn short(&self) -> &str {
        let own = self.name.rsplit('/').next().unwrap_or_default();
        let own = ["mcp-server-", "server-"].iter().find_map(|start| own.strip_prefix(start)).unwrap_or(own);
        ["-mcp-server", "-mcp"].iter().find_map(|end| own.strip_suffix(end)).unwrap_or(own)
    }
}

impl Package {
    /// The program that fetches and runs it.
    pub fn runner(&self) -> Option<&'static str> {
        match self.registry_type.as_str() {
            "npm" => Some("npx"),
            "pypi" => Some("uvx"),
            _ => None,
        }
    }

    /// The command that runs it with arguments of its own, at its version where it is `pinned`.
    pub fn command(&self, pinned: bool, own: &[String]) -> Vec<String> {
        let version = if pinned { format!("@{}", self.version) } else { String::new() };
        let runner: &[&str] = if self.registry_type == "npm" { &["npx", "-y"] } else { &["uvx"] };
        let mut command: Vec<String> = runner.iter().map(|word| (*word).to_owned()).collect();
        command.push(format!("{}{version}", self.identifier));
        command.extend(self.own_arguments.iter().filter_map(Argument::word));
        command.extend_from_slice(own);
        command
    }

    /// The variables that go with it, beside those that are given.
    pub fn variables(&self) -> BTreeMap<String, String> {
        self.environment_variables.iter().filter_map(|one| Some((one.name.clone(), one.value.clone()?))).collect()
    }

    /// What is needed and not given, each in words.
    pub fn missing(&self, own: &[String], env: &BTreeMap<String, String>) -> Vec<String> {
        let mut words = self.positional(own);
        let mut missing = Vec::new();
        for argument in self.own_arguments.iter().filter(|one| one.is_required && one.value.is_none()) {
            let given = match &argument.name {
                Some(name) => {
                    own.iter().any(|word| word.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
                }
                None => words > 0,
            };
            if argument.name.is_none() {
                words = words.saturating_sub(1);
            }
            if !given {
                missing.push(format!("the argument {}", argument.shown()));
            }
        }
        let absent = self.environment_variables.iter().filter(|one| one.is_required && one.value.is_none() && !env.contains_key(&one.name));
        missing.extend(absent.map(|one| format!("the variable `{}`{}", one.name, said(one.description.as_deref()))));
        missing
    }

    /// How many words stand for themselves: none that is an option, or the value of one that is known.
    fn positional(&self, own: &[String]) -> usize {
        let takes_a_value = |word: &String| self.own_arguments.iter().any(|one| one.r#type == "named" && one.name.as_ref() == Some(word));
        let mut count = 0;
        let mut left = own.iter();
        while let Some(word) = left.next() {
            if takes_a_value(word) {
                left.next();
            } else if !word.starts_with('-') {
                count += 1;
            }
        }
        count
    }

    /// What must be given, each as it is written in a command.
    pub fn needs(&self) -> Vec<String> {
        let arguments = self.own_arguments.iter().filter(|one| one.is_required && one.value.is_none()).map(Argument::shape);
        let variables = self.environment_variables.iter().filter(|one| one.is_required && one.value.is_none());
        arguments.chain(variables.map(|one| format!("{}=…", one.name))).collect()
    }
}

impl Argument {
    /// The word that always stands there.
    fn word(&self) -> Option<String> {
        let value = self.value.as_ref()?;
        Some(match self.name.as_ref().filter(|_| self.r#type == "named") {
            Some(name) => format!("{name}={value}"),
            None => value.clone(),
        })
    }

    fn shape(&self) -> String {
        let hint = self.value_hint.as_deref().unwrap_or("value").to_uppercase();
        self.name.as_ref().map_or_else(|| hint.clone(), |name| format!("{name}={hint}"))
    }

    fn shown(&self) -> String {
        format!("{}{}", self.shape(), said(self.description.as_deref()))
    }
}

/// A description in brackets.
fn said(description: Option<&str>) -> String {
    description.map(|text| format!(" ({})", clip(text, 120))).unwrap_or_default()
}
