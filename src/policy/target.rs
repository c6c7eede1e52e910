//! What a block is of.

use std::fmt;
use std::str::FromStr;

/// What a block is of, written `all` or `KIND:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub(super) kind: Kind,
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Every completion and every use of MCP.
    All,
    /// A server, with its tools, prompts, and resources.
    Server,
    /// A tool, by its public name.
    Tool,
    /// A provider of models.
    Provider,
    /// A model, by the name it is called by, or by `provider/model`.
    Model,
    /// An API key, by its id.
    Key,
    /// The subject of access tokens: of every issuer, or of one as `SUBJECT@ISSUER`.
    Subject,
}

/// The kinds that have names.
const NAMED: [(&str, Kind); 6] = [
    ("server", Kind::Server),
    ("tool", Kind::Tool),
    ("provider", Kind::Provider),
    ("model", Kind::Model),
    ("key", Kind::Key),
    ("subject", Kind::Subject),
];
/// Longest name, in bytes.
const MAX_NAME: usize = 512;

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self { kind: Kind::All, name: String::new() });
        }
        let wrong = || {
            let kinds = NAMED.map(|(kind, _)| format!("`{kind}:NAME`")).join(", ");
            format!("`{}` is nothing that can be blocked; write `all`, {kinds}", crate::domain::clip(text, 80))
        };
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        let (_, kind) = NAMED.into_iter().find(|(known, _)| *known == kind).ok_or_else(wrong)?;
        if name.contains(['*', '?', '[', '{']) && kind != Kind::Subject && kind != Kind::Model {
            return Err(format!(
                "`{}` is a pattern, and a block names one thing; block each by itself, or the whole server or provider",
                crate::domain::clip(text, 80)
            ));
        }
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(wrong());
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

/// What a target names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'t> {
    /// Everything.
    All,
    /// A server.
    Server(&'t str),
    /// A tool, by its public name.
    Tool(&'t str),
    /// A provider.
    Provider(&'t str),
    /// A model.
    Model(&'t str),
    /// A key, by its id.
    Key(&'t str),
    /// A subject.
    Subject(&'t str),
}

impl Target {
    /// What it names.
    pub fn named(&self) -> Named<'_> {
        match self.kind {
            Kind::All => Named::All,
            Kind::Server => Named::Server(&self.name),
            Kind::Tool => Named::Tool(&self.name),
            Kind::Provider => Named::Provider(&self.name),
            Kind::Model => Named::Model(&self.name),
            Kind::Key => Named::Key(&self.name),
            Kind::Subject => Named::Subject(&self.name),
        }
    }

    /// Whether it is something whose words may have been put into conversations.
    pub fn speaks(&self) -> bool {
        matches!(self.kind, Kind::All | Kind::Server | Kind::Tool)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMED.iter().find(|(_, kind)| *kind == self.kind) {
            Some((kind, _)) => write!(f, "{kind}:{}", self.name),
            None => f.write_str("all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_blocked_is_written_as_it_is_read_and_all_else_is_refused() {
        for text in ["all", "server:github", "tool:github__get_issue", "model:openai/gpt-5-mini", "key:k1", "subject:a@https://b.test:1/x"]
        {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in ["tool:demo__*", "", "ALL", "github", "server:", "servers:a", "tool:a\nb"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
