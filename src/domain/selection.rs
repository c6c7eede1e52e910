//! Servers and tools by pattern, each perhaps at a release of its own.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::grants::{Globs, may_reach};
use super::name::ServerName;
use super::release_pin::ReleasePin;

/// Servers (`github`), globs on public names (`github__get_*`), and either at a release (`github@1`, `github__get_issue@1.4`).
///
/// What is named at a release goes before what is named without one. Without any pattern everything is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    patterns: Vec<String>,
    /// Those without a release; none where each has one.
    free: Option<Globs>,
    pinned: Vec<Pinned>,
}

/// A pattern with a release.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pinned {
    server: ServerName,
    /// Of its public names; none where the whole server is meant.
    tools: Option<Globs>,
    release: ReleasePin,
}

impl Selection {
    /// Reads patterns; the error names the one that is wrong.
    pub fn new(patterns: Vec<String>) -> Result<Self, String> {
        let (mut free, mut pinned) = (Vec::new(), Vec::new());
        for pattern in &patterns {
            match ReleasePin::split(pattern).map_err(|why| format!("`{pattern}`: {why}"))? {
                (_, None) => free.push(pattern.clone()),
                (glob, Some(release)) => pinned.push(Pinned::new(pattern, glob, release)?),
            }
        }
        let free = if free.is_empty() && !pinned.is_empty() { None } else { Some(Globs::new(free)?) };
        Ok(Self { patterns, free, pinned })
    }

    /// Whether a server or a tool is meant as it is served, by its name or public name.
    pub fn matches(&self, name: &str) -> bool {
        self.free.as_ref().is_some_and(|free| free.matches(name))
    }

    /// The release at which a tool is meant, where one is said.
    pub fn pin_of_tool(&self, server: &str, public: &str) -> Option<&ReleasePin> {
        let meant = |pinned: &&Pinned| pinned.tools.as_ref().is_none_or(|tools| tools.matches(public));
        self.of(server).find(meant).map(|pinned| &pinned.release)
    }

    /// The release at which a server is meant as a whole, where one is said.
    pub fn pin_of_server(&self, server: &str) -> Option<&ReleasePin> {
        self.of(server).find(|pinned| pinned.tools.is_none()).map(|pinned| &pinned.release)
    }

    fn of(&self, server: &str) -> impl Iterator<Item = &Pinned> {
        self.pinned.iter().filter(move |pinned| pinned.server.as_str() == server)
    }

    /// Every release that is said, with its server.
    pub fn pins(&self) -> impl Iterator<Item = (&ServerName, &ReleasePin)> {
        self.pinned.iter().map(|pinned| (&pinned.server, &pinned.release))
    }

    /// Whether anything of a server could be meant, whatever it may offer.
    pub fn may_reach(&self, server: &str) -> bool {
        let free = self.free.iter().flat_map(Globs::patterns);
        free.into_iter().any(|pattern| may_reach(pattern, server)) || self.of(server).next().is_some()
    }

    /// Whether everything is meant, since nothing is said.
    pub fn is_all(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The patterns without a release.
    pub fn free(&self) -> &[String] {
        self.free.as_ref().map(Globs::patterns).unwrap_or_default()
    }
}

impl Pinned {
    fn new(pattern: &str, glob: &str, release: ReleasePin) -> Result<Self, String> {
        let (server, tool) = glob.split_once("__").map_or((glob, None), |(server, tool)| (server, Some(tool)));
        let named = server.parse::<ServerName>();
        let server = named.map_err(|_| format!("`{pattern}`: a release belongs to one server; write its name, as in `github__get_*@1`"))?;
        let tools = tool.filter(|tool| *tool != "*").map(|_| Globs::new(vec![glob.to_owned()])).transpose()?;
        Ok(Self { server, tools, release })
    }
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Selection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.patterns.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(patterns: &[&str]) -> Result<Selection, String> {
        Selection::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
    }

    #[test]
    fn a_pattern_with_a_release_goes_before_one_without() {
        let all = of(&["github", "github__get_*@1.4", "wiki@2"]).unwrap();
        let pin = |server: &str, public: &str| all.pin_of_tool(server, public).map(ToString::to_string);
        assert_eq!(pin("github", "github__get_issue").as_deref(), Some("1.4"));
        assert_eq!(pin("github", "github__close_issue"), None);
        assert_eq!(pin("wiki", "wiki__search").as_deref(), Some("2"));
        assert_eq!((all.pin_of_server("wiki").is_some(), all.pin_of_server("github").is_some()), (true, false));
        assert!(all.matches("github") && !all.matches("wiki") && all.may_reach("wiki") && !all.may_reach("time"));
        let only = of(&["wiki__*@2"]).unwrap();
        assert!(!only.matches("anything") && only.pin_of_server("wiki").is_some(), "what is said is all that is meant");
    }

    #[test]
    fn a_release_of_many_servers_or_of_no_kind_is_refused_with_the_pattern() {
        for wrong in ["git*@1", "*__get@1", "github@latest", "github@"] {
            assert!(of(&[wrong]).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
