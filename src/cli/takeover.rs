//! The servers that another program knows, taken over: as the gateway's configuration spells them, and each secret by reference.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use url::Url;

use crate::domain::ServerName;

/// What is taken over.
#[derive(Default)]
pub(super) struct Taken {
    /// The members of each server, as they are written.
    pub(super) servers: BTreeMap<String, Vec<String>>,
    /// The variables that must be set, and what for.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) notes: Vec<String>,
}

impl Taken {
    /// All but the gateway itself, which the client may know already.
    pub(super) fn of(servers: &Map<String, Value>, gateway: &str) -> Self {
        let mut taken = Self::default();
        for (name, server) in servers {
            taken.take(name, server, gateway);
        }
        taken
    }

    fn take(&mut self, theirs: &str, server: &Value, gateway: &str) {
        let text = |key: &str| server.get(key).and_then(Value::as_str);
        if server.get("disabled") == Some(&Value::Bool(true)) || server.get("enabled") == Some(&Value::Bool(false)) {
            self.notes.push(format!("`{theirs}` is switched off there and was left out"));
            return;
        }
        let Some(name) = self.named(theirs) else {
            self.notes.push(format!("`{theirs}` was left out: no name can be made of it"));
            return;
        };
        let mut members = Vec::new();
        let url = text("httpUrl").or_else(|| text("url")).or_else(|| text("serverUrl"));
        let words = |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
        // Zed once had the program below `command`; opencode has it with its arguments in one list.
        let command = match server.get("command") {
            Some(Value::String(program)) => Some([vec![program.clone()], server.get("args").map(words).unwrap_or_default()].concat()),
            Some(Value::Object(command)) => {
                let program = command.get("path").and_then(Value::as_str).unwrap_or_default();
                Some([vec![program.to_owned()], command.get("args").map(words).unwrap_or_default()].concat())
            }
            Some(list @ Value::Array(_)) => Some(words(list)),
            _ => None,
        };
        if command.as_deref().is_some_and(is_bridge) || url.is_some_and(|url| leads_to(url, gateway)) {
            self.notes.push(format!("`{theirs}` is this gateway itself and was left out"));
            return;
        }
        match (command, url) {
            (Some(command), _) if command.first().is_some_and(|program| !program.is_empty()) => {
                let own = upper(&name);
                let words = self.arguments(&own, &command);
                self.expect(&words.join(" "), &theirs_of(theirs));
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                members.push(format!("command: [{}]", words.join(", ")));
                let env = server.get("env").or_else(|| server.get("environment"));
                members.extend(self.pairs("env", &own, env, &theirs_of(theirs)));
            }
            (_, Some(url)) => {
                if text("type") == Some("sse") || url.trim_end_matches('/').ends_with("/sse") {
                    self.notes.push(format!("`{theirs}` speaks the old transport HTTP+SSE, which is not supported yet; it was left out"));
                    return;
                }
                let own = upper(&name);
                let url = self.address(&own, url);
                self.expect(&url, &theirs_of(theirs));
                members.push(format!("url: {}", quoted(&url)));
                let headers = server.get("headers").or_else(|| server.get("http_headers"));
                members.extend(self.pairs("headers", &own, headers, &theirs_of(theirs)));
                if let Some(variable) = text("bearer_token_env_var") {
                    self.variables.insert(variable.to_owned(), format!("the token of `{theirs}`"));
                    members.push(format!("headers: {{ Authorization: {} }}", quoted(&format!("Bearer ${{{variable}}}"))));
                }
            }
            _ => {
                self.notes.push(format!("`{theirs}` has neither a command nor a URL and was left out"));
                return;
            }
        }
        if name != theirs {
            self.notes.push(format!("`{theirs}` is called `{name}` here"));
        }
        self.servers.insert(name, members);
    }

    /// A name that the gateway takes, and that is not taken yet.
    fn named(&self, theirs: &str) -> Option<String> {
        let plain: String = theirs.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let plain = plain.trim_matches(|c: char| c == '-' || c.is_ascii_digit()).to_owned();
        let free = |name: &String| name.parse::<ServerName>().is_ok() && !self.servers.contains_key(name);
        let more = (2..100).map(|n| format!("{plain}-{n}"));
        std::iter::once(plain.clone()).chain(more).find(free)
    }

    /// Variables or headers, each secret by reference.
    fn pairs(&mut self, member: &str, own: &str, pairs: Option<&Value>, of: &str) -> Option<String> {
        let pairs = pairs?.as_object().filter(|pairs| !pairs.is_empty())?;
        let mut written = Vec::new();
        for (key, value) in pairs {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let reference = referenced(&value);
            let safe = reference != value.replace('$', "$$") || !is_secret(key, &value);
            let value = if safe {
                self.expect(&reference, of);
                reference
            } else {
                let variable = if member == "env" { upper(key) } else { format!("{own}_{}", upper(key)) };
                self.variables.insert(variable.clone(), format!("`{key}` of {of}"));
                by_reference(&variable, &value)
            };
            written.push(format!("{}: {}", quoted(key), quoted(&value)));
        }
        Some(format!("{member}: {{ {} }}", written.join(", ")))
    }

    /// The words of a command, each secret by reference: behind an equals sign, behind an option, in a header, or by its looks.
    fn arguments(&mut self, own: &str, words: &[String]) -> Vec<String> {
        let mut option = "";
        let mut written = Vec::new();
        for word in words {
            let (start, key, value) = match (word.split_once('='), word.split_once(": ")) {
                (Some((key, value)), _) if key.starts_with('-') => (format!("{}=", referenced(key)), key, value),
                (_, Some((key, value))) => (format!("{}: ", referenced(key)), key, value),
                (Some((key, value)), _) => (format!("{}=", referenced(key)), key, value),
                (None, None) => (String::new(), option, word.as_str()),
            };
            let called = !value.starts_with('-') && names_secret(key) && !value.is_empty();
            let secret = (called || is_token(value) || with_password(value)) && !value.starts_with(['$', '{']);
            let name = if names_secret(key) { key.trim_start_matches('-') } else { "secret" };
            written.push(if secret { start + &self.moved(own, name, value) } else { referenced(word) });
            option = if word.starts_with('-') && !word.contains('=') { word } else { "" };
        }
        written
    }

    /// An address, with secrets in its path, its query and before its host by reference.
    fn address(&mut self, own: &str, url: &str) -> String {
        let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
        let (start, place) = place.split_once("://").map_or(("", place), |(scheme, place)| (scheme, place));
        let mut parts = place.split('/').map(str::to_owned).collect::<Vec<_>>();
        for (at, part) in parts.iter_mut().enumerate() {
            match part.split_once('@') {
                Some((user, host)) if at == 0 && user.contains(':') => {
                    let (name, password) = user.split_once(':').unwrap_or_default();
                    *part = format!("{}:{}@{}", referenced(name), self.moved(own, "password", password), referenced(host));
                }
                _ if at > 0 && looks_random(part) => *part = self.moved(own, "path", part),
                _ => *part = referenced(part),
            }
        }
        let scheme = if start.is_empty() { String::new() } else { format!("{start}://") };
        let pairs = query.map(|query| {
            let pair = |pair: &str| match pair.split_once('=') {
                Some((key, value)) if is_secret(key, value) && !value.starts_with(['$', '{']) => {
                    format!("{}={}", referenced(key), self.moved(own, key, value))
                }
                _ => referenced(pair),
            };
            format!("?{}", query.split('&').map(pair).collect::<Vec<_>>().join("&"))
        });
        format!("{scheme}{}{}", parts.join("/"), pairs.unwrap_or_default())
    }

    /// The reference that stands for a secret, behind what says how it is meant.
    fn moved(&mut self, own: &str, key: &str, value: &str) -> String {
        let variable = format!("{own}_{}", upper(key));
        let more = (2..100).map(|n| format!("{variable}_{n}"));
        let variable = std::iter::once(variable.clone()).chain(more).find(|name| !self.variables.contains_key(name)).unwrap_or(variable);
        self.variables.insert(variable.clone(), format!("`{key}` of `{}`", own.to_ascii_lowercase()));
        by_reference(&variable, value)
    }

    /// Notes the variables that a text refers to.
    fn expect(&mut self, text: &str, of: &str) {
        for variable in text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next()) {
            self.variables.entry(variable.to_owned()).or_insert_with(|| format!("used by {of}"));
        }
    }

    pub(super) fn yaml(&self) -> String {
        if self.servers.is_empty() {
            return String::new();
        }
        let server = |(name, members): (&String, &Vec<String>)| {
            format!("    {name}:\n{}", members.iter().map(|member| format!("      {member}\n")).collect::<String>())
        };
        format!("\nmcp:\n  servers:\n{}", self.servers.iter().map(server).collect::<String>())
    }
}

fn theirs_of(name: &str) -> String {
    format!("`{name}`")
}

/// A text with the variables of clients (`${env:X}`, `${input:x}`, `{env:X}`, `$X`) as the gateway writes them, and all other dollars doubled.
fn referenced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '{']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let inside = found.strip_prefix("${").or_else(|| found.strip_prefix('{').filter(|inside| inside.starts_with("env:")));
        if let Some((name, after)) = inside.and_then(|inside| inside.split_once('}')) {
            let (name, default) = name.split_once(":-").map_or((name, None), |(name, default)| (name, Some(default)));
            let name = name.strip_prefix("env:").or_else(|| name.strip_prefix("input:")).unwrap_or(name);
            let default = default.map(|default| format!(":-{default}")).unwrap_or_default();
            out.extend(["${", &upper(name), &default, "}"]);
            rest = after;
            continue;
        }
        let bare =
            found.strip_prefix('$').map(|name| name.len() - name.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len());
        match bare.filter(|length| *length > 0).and_then(|length| found.get(1..=length)) {
            Some(name) => {
                out.extend(["${", name, "}"]);
                rest = found.get(name.len() + 1..).unwrap_or_default();
            }
            None => {
                out.push_str(if found.starts_with('$') { "$$" } else { "{" });
                rest = found.get(1..).unwrap_or_default();
            }
        }
    }
    out + rest
}

/// A reference in place of a secret. What says how it is meant is none itself.
fn by_reference(variable: &str, value: &str) -> String {
    let scheme = value.split_once(' ').map(|(scheme, _)| scheme).filter(|scheme| matches!(*scheme, "Bearer" | "Basic" | "Token"));
    scheme.map_or_else(|| format!("${{{variable}}}"), |scheme| format!("{scheme} ${{{variable}}}"))
}

/// Whether a value is one that must not be copied: by what it is called, or by how it looks.
fn is_secret(key: &str, value: &str) -> bool {
    !value.is_empty() && (names_secret(key) || looks_random(value) || is_token(value) || with_password(value))
}

/// Whether something of that name is a secret, and not where one lies.
fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let called = ["key", "token", "secret", "passw", "auth", "credential", "cookie", "bearer"].iter().any(|word| key.contains(word));
    called && !["file", "path", "dir", "url", "mode", "type"].iter().any(|word| key.ends_with(word))
}

/// Whether a value is nothing that a person would write.
fn looks_random(value: &str) -> bool {
    value.len() >= 24
        && value.chars().any(|c| c.is_ascii_digit())
        && value.chars().any(char::is_alphabetic)
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '='))
}

/// Whether a value begins as the tokens of well-known services do.
fn is_token(value: &str) -> bool {
    const BEGIN: [&str; 16] = [
        "ghp_",
        "gho_",
        "ghs_",
        "ghu_",
        "github_pat_",
        "glpat-",
        "sk-",
        "sk_",
        "pk_",
        "xoxb-",
        "xoxp-",
        "AKIA",
        "eyJ",
        "hf_",
        "npm_",
        "ptl_",
    ];
    let value = value.strip_prefix("Bearer ").unwrap_or(value);
    value.len() >= 12 && BEGIN.iter().any(|begin| value.starts_with(begin))
}

fn with_password(value: &str) -> bool {
    Url::parse(value).is_ok_and(|url| url.password().is_some())
}

/// Whether a command is how clients that know only stdio reach the gateway.
fn is_bridge(command: &[String]) -> bool {
    let named = |program: &String| Path::new(program).file_stem().is_some_and(|name| name == "portolan");
    command.first().is_some_and(named) && command.get(1).is_some_and(|word| word == "stdio")
}

/// Whether an address is of an endpoint of the gateway.
fn leads_to(url: &str, gateway: &str) -> bool {
    let (Ok(url), Ok(gateway)) = (Url::parse(url), Url::parse(gateway)) else { return false };
    let host = |url: &Url| url.host_str().map(|host| if host == "localhost" { "127.0.0.1".to_owned() } else { host.to_owned() });
    let same = host(&url) == host(&gateway) && url.port_or_known_default() == gateway.port_or_known_default();
    same && (url.path() == "/mcp" || url.path().starts_with("/mcp/"))
}

/// A name as variables are written.
fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// A text in quotation marks, as JSON and YAML both read it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_every_client_become_ours_and_other_dollars_are_doubled() {
        for (theirs, ours) in [
            ("${API_KEY}", "${API_KEY}"),
            ("${API_KEY:-none}", "${API_KEY:-none}"),
            ("Bearer ${env:TOKEN}", "Bearer ${TOKEN}"),
            ("${input:api-key}", "${API_KEY}"),
            ("{env:TOKEN}", "${TOKEN}"),
            ("$HOME/x", "${HOME}/x"),
            ("5$ {a} $$", "5$$ {a} $$$$"),
        ] {
            assert_eq!(referenced(theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn a_secret_in_a_command_or_an_address_is_moved_wherever_it_stands() {
        let words = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Taken::default().arguments("X", &words).join(" ")
        };
        assert_eq!(words(&["npx", "-y", "@x/files@1.2.3", "--token", "abc", "/srv"]), "npx -y @x/files@1.2.3 --token ${X_TOKEN} /srv");
        assert_eq!(words(&["a", "--api-key=abc", "--api-key", "def"]), "a --api-key=${X_API_KEY} --api-key ${X_API_KEY_2}");
        assert_eq!(words(&["a", "--header", "Authorization: Bearer abc"]), "a --header Authorization: Bearer ${X_AUTHORIZATION}");
        assert_eq!(words(&["a", "ghp_0123456789", "postgres://u:p@h/d"]), "a ${X_SECRET} ${X_SECRET_2}");
        assert_eq!(
            words(&["a", "--token", "$TOKEN", "--key-file", "/k", "--auth", "--verbose"]),
            "a --token ${TOKEN} --key-file /k --auth --verbose"
        );
        let address = |url: &str| Taken::default().address("X", url);
        assert_eq!(address("https://a.test/mcp?key=zzz&page=2"), "https://a.test/mcp?key=${X_KEY}&page=2");
        assert_eq!(address("https://a.test/s/0123456789abcdef0123456789abcdef/mcp"), "https://a.test/s/${X_PATH}/mcp");
        assert_eq!(address("https://u:p@a.test/mcp"), "https://u:${X_PASSWORD}@a.test/mcp");
        assert_eq!(address("https://a.test/mcp?token=${env:T}&x=$Y"), "https://a.test/mcp?token=${T}&x=${Y}");
        assert_eq!(address("http://127.0.0.1:8000/mcp/"), "http://127.0.0.1:8000/mcp/");
    }

    #[test]
    fn secrets_are_known_by_their_name_and_by_their_looks() {
        for (key, value) in
            [("API_KEY", "x"), ("Authorization", "Bearer x"), ("X", "ghp_0123456789abcdefghijABCDEFGHIJ"), ("DB", "postgres://a:b@c/d")]
        {
            assert!(is_secret(key, value), "{key}");
        }
        for (key, value) in [("TZ", "Europe/Lisbon"), ("LOG_LEVEL", "debug"), ("ROOT", "/srv/data/of/some/length/2026"), ("API_KEY", "")] {
            assert!(!is_secret(key, value), "{key}");
        }
    }
}
