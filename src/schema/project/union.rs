//! What a value may be, way by way: a form of schemas in which each way has one type, for readers that know little else.
//!
//! Whatever is put together here may come out wider than what was said, and never narrower.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::unfit::Unfit;

/// Most ways of one value; past that, the second half of what is said of it is passed over.
const MOST_WAYS: usize = 64;

/// All that a value may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Union {
    /// What it is for.
    pub(super) about: Option<String>,
    /// Whether it may be null.
    pub(super) null: bool,
    /// What else it may be; none where it may be anything.
    pub(super) ways: Option<Vec<Way>>,
}

/// One thing that a value may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Way {
    pub(super) kind: Kind,
    pub(super) about: Option<String>,
    /// The only values there are.
    pub(super) values: Option<Vec<Value>>,
    /// Keywords that bound it, of this kind.
    pub(super) bounds: Map<String, Value>,
    pub(super) properties: Vec<(String, Rc<Union>)>,
    pub(super) required: BTreeSet<String>,
    pub(super) rest: Rest,
    /// What is in a list; none where that may be anything.
    pub(super) items: Option<Rc<Union>>,
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    Truth,
    List,
    Object,
    /// What a reference leads to.
    Named(String),
}

/// What members an object may have beside those that are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rest {
    /// Nothing is said of them.
    Unsaid,
    /// Some of whatever name.
    Open,
    /// None.
    Closed,
}

/// How much may still be done.
pub(super) struct Budget(pub(super) usize);

impl Budget {
    pub(super) fn take(&mut self, steps: usize) -> Result<(), Unfit> {
        self.0 = self.0.checked_sub(steps).ok_or_else(Unfit::large)?;
        Ok(())
    }
}

impl Kind {
    /// The name of the type.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Truth => "boolean",
            Self::List => "array",
            Self::Object | Self::Named(_) => "object",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::Text,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Truth,
            "array" => Self::List,
            "object" => Self::Object,
            _ => return None,
        })
    }

    /// The type of a value; null has none.
    pub(super) fn of_value(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::String(_) => Self::Text,
            Value::Bool(_) => Self::Truth,
            value @ Value::Number(_) if is_integer(value) => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        })
    }
}

/// The types of all that is not null.
pub(super) const KINDS: [Kind; 5] = [Kind::Text, Kind::Number, Kind::Truth, Kind::Object, Kind::List];

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one))
}

impl Way {
    pub(super) fn new(kind: Kind) -> Self {
        let (bounds, properties, required) = (Map::new(), Vec::new(), BTreeSet::new());
        Self { kind, about: None, values: None, bounds, properties, required, rest: Rest::Unsaid, items: None }
    }

    /// What is both.
    fn meet(&self, other: &Self, budget: &mut Budget) -> Result<Option<Self>, Unfit> {
        budget.take(1 + self.properties.len() + other.properties.len())?;
        let kind = match (&self.kind, &other.kind) {
            // What it leads to is not looked into.
            (Kind::Named(_), _) => return Ok(Some(self.clone())),
            (_, Kind::Named(_)) => return Ok(Some(other.clone())),
            (Kind::Integer, Kind::Number) | (Kind::Number, Kind::Integer) => Kind::Integer,
            (one, other) if one == other => one.clone(),
            _ => return Ok(None),
        };
        let values = match (&self.values, &other.values) {
            (Some(one), Some(two)) => Some(one.iter().filter(|value| two.iter().any(|other| same(value, other))).cloned().collect()),
            (one, two) => one.clone().or_else(|| two.clone()),
        };
        let values =
            values.map(|all: Vec<Value>| all.into_iter().filter(|one| kind != Kind::Integer || is_integer(one)).collect::<Vec<_>>());
        if values.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let mut bounds = self.bounds.clone();
        for (word, bound) in &other.bounds {
            bounds.entry(word).or_insert_with(|| bound.clone());
        }
        let more: HashMap<&str, &Rc<Union>> = other.properties.iter().map(|(name, member)| (name.as_str(), member)).collect();
        let mut properties = Vec::with_capacity(self.properties.len());
        for (name, member) in &self.properties {
            let member = match more.get(name.as_str()) {
                Some(other) => Rc::new(member.meet(other, budget)?),
                None => member.clone(),
            };
            properties.push((name.clone(), member));
        }
        let own: BTreeSet<&str> = self.properties.iter().map(|(name, _)| name.as_str()).collect();
        properties.extend(other.properties.iter().filter(|(name, _)| !own.contains(name.as_str())).cloned());
        let items = match (&self.items, &other.items) {
            (Some(one), Some(two)) => Some(Rc::new(one.meet(two, budget)?)),
            (one, two) => one.clone().or_else(|| two.clone()),
        };
        let required = self.required.union(&other.required).cloned().collect();
        let about = self.about.clone().or_else(|| other.about.clone());
        Ok(Some(Self { kind, about, values, bounds, properties, required, rest: self.rest.max(other.rest), items }))
    }
}

impl Union {
    pub(super) fn anything() -> Self {
        Self { about: None, null: true, ways: None }
    }

    pub(super) fn of(null: bool, ways: Vec<Way>) -> Self {
        Self { about: None, null, ways: Some(ways) }
    }

    /// Whether there is no such value.
    pub(super) fn is_never(&self) -> bool {
        !self.null && self.ways.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether some of it is what a reference leads to.
    pub(super) fn is_named(&self) -> bool {
        self.ways.iter().flatten().any(|way| matches!(way.kind, Kind::Named(_)))
    }

    /// What is both.
    pub(super) fn meet(&self, other: &Self, budget: &mut Budget) -> Result<Self, Unfit> {
        let about = self.about.clone().or_else(|| other.about.clone());
        let (ones, others) = match (&self.ways, &other.ways) {
            (None, _) => return Ok(Self { about, ..other.clone() }),
            (_, None) => return Ok(Self { about, ..self.clone() }),
            (Some(ones), Some(others)) => (ones, others),
        };
        let mut ways: Vec<Way> = Vec::new();
        for one in ones {
            for other in others {
                if let Some(way) = one.meet(other, budget)?
                    && !ways.contains(&way)
                {
                    ways.push(way);
                }
            }
        }
        let null = self.null && other.null;
        let ways = if ways.len() > MOST_WAYS { ones.clone() } else { ways };
        Ok(Self { about, null, ways: Some(ways) })
    }

    /// What is one of them. What each is for stays with it.
    pub(super) fn join(parts: Vec<Self>) -> Self {
        if parts.iter().all(|part| part.ways.is_none()) && !parts.is_empty() {
            let about = parts.into_iter().find_map(|part| part.about);
            return Self { about, ..Self::anything() };
        }
        let single = parts.len() == 1;
        let mut union = Self::of(false, Vec::new());
        for part in parts {
            union.null |= part.null;
            if single {
                union.about.clone_from(&part.about);
            }
            let ways = part.ways.unwrap_or_else(|| KINDS.map(Way::new).into());
            for mut way in ways {
                if !single {
                    way.about = way.about.or_else(|| part.about.clone());
                }
                let all = union.ways.get_or_insert_default();
                if !all.contains(&way) {
                    all.push(way);
                }
            }
        }
        if union.ways.as_ref().is_some_and(|ways| ways.len() > MOST_WAYS) {
            return Self { about: union.about, ..Self::anything() };
        }
        union
    }
}
