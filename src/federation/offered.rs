//! Tools as agent loops offer them.

use serde_json::value::RawValue;

use crate::domain::RawObject;

/// A tool as an agent loop offers it to a model.
#[derive(Clone, Debug)]
pub struct OfferedTool {
    /// Its server.
    pub server: String,
    /// Its own name at that server.
    pub own: String,
    /// Its public name: the name of the function.
    pub public: String,
    /// What it does.
    pub description: Option<String>,
    /// Its input schema's own bytes.
    pub schema: Box<RawValue>,
}

impl OfferedTool {
    pub(super) fn read(server: &str, own: &str, public: &str, body: &str) -> Option<Self> {
        let object = RawObject::parse(body).ok()?;
        Some(Self {
            server: server.to_owned(),
            own: own.to_owned(),
            public: public.to_owned(),
            description: object.string("description"),
            schema: object.get("inputSchema")?.to_owned(),
        })
    }
}
