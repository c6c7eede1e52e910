//! A question that a server asks in a session, on its way to the caller and back.

use tokio_util::sync::CancellationToken;

use crate::protocol::{Id, Outgoing, Question, RpcError};
use crate::upstream::Listener;
use crate::upstream::patience::Pause;

/// A question of a server's that a caller must answer.
pub(super) struct Inquiry {
    pub(super) id: Id,
    pub(super) question: Question,
    pub(super) listener: Listener,
    /// The time of the requests for which it may be asked stands still until there is an answer.
    pub(super) pauses: Vec<Pause>,
    /// Cancelled when the server takes the question back.
    pub(super) taken_back: CancellationToken,
    /// Cancelled when the request is over for whose sake it was asked.
    pub(super) over: CancellationToken,
}

impl Inquiry {
    /// Asks the caller, and gives the message to send back; none when the server has taken the question back.
    pub(super) async fn reply(self) -> Option<String> {
        let Self { id, question, listener, pauses: _pauses, taken_back, over } = self;
        let method = question.method();
        let answer = tokio::select! {
            answer = listener.ask(question.clone()) => answer,
            () = taken_back.cancelled() => return None,
            () = over.cancelled() => Err(RpcError::new(RpcError::INVALID_REQUEST, "the request is over for which this was asked")),
        };
        Some(match answer {
            Ok(answer) => Outgoing::result(&id, answer.get()),
            Err(error) if error.code == RpcError::MISSING_CAPABILITY => nobody(&id, method, Some(&question)),
            Err(error) => Outgoing::error(Some(&id), &error),
        })
    }
}

/// What a server hears where there is nobody who could be asked.
pub(super) fn nobody(id: &Id, method: &str, question: Option<&Question>) -> String {
    match question.and_then(Question::nobody) {
        Some(answer) => Outgoing::result(id, answer.get()),
        None if question.is_some() => {
            Outgoing::error(Some(id), &RpcError::new(RpcError::INVALID_REQUEST, "the client of this request cannot be asked that"))
        }
        None => Outgoing::error(Some(id), &RpcError::method(method)),
    }
}
