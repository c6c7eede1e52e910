//! What somebody does, as far as blocks ask.

use crate::domain::Principal;

/// What somebody does, as far as blocks ask.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// Who does it.
    pub principal: &'a Principal,
    /// The MCP server it is done at.
    pub server: Option<&'a str>,
    /// The tool, by its public name.
    pub tool: Option<&'a str>,
    /// The model, by the name it was called by.
    pub model: Option<&'a str>,
    /// The provider's model that answers, as `provider/model`.
    pub target: Option<&'a str>,
}

impl<'a> Act<'a> {
    /// Something of a caller's, of which nothing more is known.
    pub fn of(principal: &'a Principal) -> Self {
        Self { principal, server: None, tool: None, model: None, target: None }
    }
}
