//! A request on its way: the work, and what is heard of it before its answer.

use std::pin::Pin;

use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::domain::{Given, raw};
use crate::protocol::{Era, Id, Outgoing, Question, RpcError};
use crate::upstream::{Asked, Heard, Listener, Note};

/// What may wait for a client that reads slowly.
const QUEUE: usize = 64;

/// What came of a request.
pub(super) type Outcome = Result<Given, RpcError>;
/// What a request comes to.
pub(super) type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What happens next.
pub(super) enum Step {
    /// Something to tell the client.
    Note(Note),
    /// Something to ask it.
    Asked(Asked),
    /// The end.
    Done(Outcome),
}

/// A request on its way.
pub(super) struct Exchange {
    pub(super) era: Era,
    pub(super) id: Id,
    pub(super) method: String,
    /// The client's own progress token.
    pub(super) token: Option<Box<RawValue>>,
    work: Work,
    heard: Option<mpsc::Receiver<Heard>>,
    /// What came of it, while there is still something to tell before that.
    outcome: Option<Outcome>,
}

/// What a listener says, and where it is heard.
pub(super) fn hearing(listener: impl FnOnce(mpsc::Sender<Heard>) -> Listener) -> (Listener, mpsc::Receiver<Heard>) {
    let (out, heard) = mpsc::channel(QUEUE);
    (listener(out), heard)
}

impl Exchange {
    pub(super) fn new(era: Era, id: Id, method: String, work: Work) -> Self {
        Self { era, id, method, token: None, work, heard: None, outcome: None }
    }

    /// The same, of which more is heard than the answer.
    pub(super) fn heard(self, token: Option<Box<RawValue>>, heard: Option<mpsc::Receiver<Heard>>) -> Self {
        Self { token, heard, ..self }
    }

    /// Goes on in a task of its own, which ends when this is dropped.
    pub(super) fn apart(mut self) -> Self {
        let task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(self.work));
        self.work = Box::pin(async move { task.await.unwrap_or_else(|_| Err(failed())) });
        self
    }

    /// What happens next. Not to be asked after the end.
    pub(super) async fn step(&mut self) -> Step {
        loop {
            if let Some(outcome) = self.outcome.take() {
                return match self.heard.as_mut().and_then(|heard| heard.try_recv().ok()) {
                    // What came together with the result came before it.
                    Some(Heard::Note(note)) => {
                        self.outcome = Some(outcome);
                        Step::Note(note)
                    }
                    // Whoever has answered asks nothing more.
                    Some(Heard::Asked(_)) => {
                        self.outcome = Some(outcome);
                        continue;
                    }
                    None => Step::Done(outcome),
                };
            }
            let Some(heard) = &mut self.heard else { return Step::Done((&mut self.work).await) };
            // Whoever is ready: a server that tells without end must not keep the work from coming to its end.
            tokio::select! {
                Some(heard) = heard.recv() => match heard {
                    Heard::Note(note) => return Step::Note(note),
                    Heard::Asked(asked) if asked.is_over() => {}
                    Heard::Asked(asked) => return Step::Asked(asked),
                },
                done = &mut self.work => self.outcome = Some(done),
            }
        }
    }

    /// A notification as a message, with the client's own token where it is of progress; none where the client gave no token.
    pub(super) fn note(&self, note: Note) -> Option<String> {
        let Note { method, mut params } = note;
        if method == "notifications/progress" {
            params.set("progressToken", self.token.clone()?);
        }
        Some(Outgoing::notification(&method, &params))
    }

    /// A question as a request of an id, which is JSON.
    pub(super) fn question(&self, id: &str, question: &Question) -> String {
        let (method, params) = (raw(question.method()), question.told(self.era));
        if params.is_empty() {
            return format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{}}}"#, method.get());
        }
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{},"params":{}}}"#, method.get(), raw(&params).get())
    }

    /// The answer as a message, and the status that goes with it where it is the first thing said.
    pub(super) fn answer(&self, outcome: &Outcome) -> (u16, String) {
        let dialect = self.era.dialect();
        let said = outcome.as_deref().map_err(Clone::clone).and_then(|result| dialect.result(&self.method, result));
        match said {
            Ok(said) => (200, Outgoing::answer(&self.id, said.pieces())),
            Err(error) => (dialect.status(&error), Outgoing::error(Some(&self.id), &dialect.error(error))),
        }
    }
}

/// What a client hears of work that panicked.
pub(super) fn failed() -> RpcError {
    RpcError::new(RpcError::INTERNAL, "the gateway failed on this request")
}
