//! Puts a request into the dialect of the provider that shall answer it.

use super::chat::{self, Manner};
use super::conversation::Wrong;
use super::dialect::Dialect;
use super::messages;
use super::request::Request;

/// The request in another dialect, and the fields that it could not take along.
pub(super) fn translate(request: &Request, to: Dialect, model: &str, manner: Manner) -> Result<(Request, Vec<String>), Wrong> {
    let mut conversation = request.conversation()?;
    // What is said stands in a member of another name, depending on who asks.
    let own = |wrong: Wrong| match wrong.param.as_deref() {
        Some("messages") => Wrong { param: Some(request.dialect().list().to_owned()), ..wrong },
        _ => wrong,
    };
    let members = match to {
        Dialect::Chat => chat::write(&mut conversation, model, manner).map_err(own)?,
        Dialect::Messages => messages::write(&mut conversation, model).map_err(own)?,
        Dialect::Responses => return Err(Wrong { why: "this provider is not spoken to in that dialect".to_owned(), param: None }),
    };
    Ok((Request::of(to, &members, model.to_owned(), conversation.stream), conversation.lost))
}
