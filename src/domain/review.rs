//! What is done with a change of what a server offers.

use serde::{Deserialize, Serialize};

/// How much a change matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nothing a caller or a model notices.
    Patch,
    /// More is possible than before, and all that was possible still is.
    Minor,
    /// Calls that worked may no longer work, or mean something else.
    Breaking,
    /// Words that sway a model and that nobody has approved yet.
    Steering,
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is served at once, as a release of its own.
    Accept,
    /// It waits for somebody's approval; what was approved before goes on being served.
    Hold,
    /// It waits for somebody's approval, and what changed is not served meanwhile.
    Block,
}

/// A verdict on each class of change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Accepts what hides nothing and promises no more harm than before, and says so.
    Laptop,
    /// Accepts what only adds, and holds what breaks calls or has new words.
    #[default]
    Team,
    /// Holds everything.
    Locked,
    /// Accepts what hides nothing, for a server whose tools come and go; all of it is on record.
    Observe,
}

/// Verdicts that differ from the profile's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OnChange {
    /// Nothing a caller or a model notices.
    pub patch: Option<Verdict>,
    /// More is possible than before.
    pub minor: Option<Verdict>,
    /// Calls that worked may no longer work.
    pub breaking: Option<Verdict>,
    /// New words for models.
    pub steering: Option<Verdict>,
}

/// How strictly values are held up to a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Not at all.
    Off,
    /// What does not fit is noted, and passes.
    Warn,
    /// What does not fit is refused.
    Enforce,
}

/// How strictly calls are held up to the release that the caller was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// The arguments of calls; `enforce` where it is not said.
    pub arguments: Option<Check>,
    /// The structured content of results; `warn` where it is not said.
    pub results: Option<Check>,
}

/// How changes are judged, and calls are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Review {
    /// A verdict on each class.
    pub profile: Option<Profile>,
    /// Verdicts that differ from it.
    pub on_change: OnChange,
    /// How strictly calls are checked.
    pub validate: Checks,
}

impl Review {
    /// The same, with what is not said here as another one says it. A profile of its own stands before the other's single verdicts.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let validate = Checks {
            arguments: self.validate.arguments.or(other.validate.arguments),
            results: self.validate.results.or(other.validate.results),
        };
        if self.profile.is_some() {
            return Self { validate, ..self };
        }
        let (own, all) = (self.on_change, other.on_change);
        let on_change = OnChange {
            patch: own.patch.or(all.patch),
            minor: own.minor.or(all.minor),
            breaking: own.breaking.or(all.breaking),
            steering: own.steering.or(all.steering),
        };
        Self { profile: other.profile, on_change, validate }
    }

    /// How strictly arguments are checked.
    pub fn arguments(self) -> Check {
        self.validate.arguments.unwrap_or(Check::Enforce)
    }

    /// How strictly results are checked.
    pub fn results(self) -> Check {
        self.validate.results.unwrap_or(Check::Warn)
    }

    /// The verdict on a change of a class; a `risky` one hides something, or promises less than before.
    pub fn verdict(self, class: Class, risky: bool) -> Verdict {
        let own = match class {
            Class::Patch => self.on_change.patch,
            Class::Minor => self.on_change.minor,
            Class::Breaking => self.on_change.breaking,
            Class::Steering => self.on_change.steering,
        };
        let standard = match (self.profile.unwrap_or_default(), class) {
            (Profile::Laptop, _) if risky => Verdict::Hold,
            (Profile::Laptop | Profile::Observe, _) | (Profile::Team, Class::Patch | Class::Minor) => Verdict::Accept,
            (Profile::Team | Profile::Locked, _) => Verdict::Hold,
        };
        own.unwrap_or(standard)
    }
}
