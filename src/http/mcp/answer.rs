//! The answer to a stateless client: one JSON body, or a stream when something is told before it. What a server asks meanwhile ends
//! the answer, and the client's next request goes on from there.

use std::collections::HashMap;
use std::time::Duration;

use axum::response::Response;
use futures::StreamExt as _;
use serde_json::value::RawValue;

use super::reply::json;
use crate::domain::raw;
use crate::http::exchange::{Exchange, Step};
use crate::http::parks::{Parked, Parks, Whose};
use crate::http::sse;
use crate::protocol::{InputRequired, Outgoing, Params, RpcError, request_digest};
use crate::upstream::Asked;

/// How long questions are gathered that come together.
const TOGETHER: Duration = Duration::from_millis(20);

/// Where a request may be parked, and what it is. It is digested only then.
pub(super) struct Yard {
    pub(super) parks: Parks,
    pub(super) principal: String,
    pub(super) endpoint: String,
    pub(super) method: String,
    pub(super) params: Params,
}

impl Yard {
    fn whose(&self) -> Whose {
        let request = request_digest(&self.method, &self.params);
        Whose { principal: self.principal.clone(), endpoint: self.endpoint.clone(), request }
    }

    /// The work that a request goes on with; none when it is a request of its own.
    pub(super) fn parked(&self) -> Option<Result<Parked, RpcError>> {
        let params = &self.params;
        let state: String = params.read_member("requestState")?;
        let mut answers: HashMap<String, Box<RawValue>> = match params.get("inputResponses") {
            Some(answers) => match serde_json::from_str(answers.get()) {
                Ok(answers) => answers,
                Err(_) => return Some(Err(RpcError::params("`params.inputResponses` must be an object of answers"))),
            },
            None => HashMap::new(),
        };
        if let Some((key, _)) = answers.iter().find(|(_, answer)| !answer.get().starts_with('{')) {
            let key = crate::domain::clip(key, 80);
            return Some(Err(RpcError::params(format!("`params.inputResponses.{key}` must be an object"))));
        }
        let taken = self.parks.take(&self.whose(), &state)?;
        Some(taken.map(|mut parked| {
            // Those that are missing are asked for again, and those that nobody asked for are left aside.
            for (key, asked) in std::mem::take(&mut parked.asked) {
                match answers.remove(&key) {
                    Some(answer) => asked.answer(Ok(answer)),
                    None => parked.asked.push((key, asked)),
                }
            }
            parked
        }))
    }
}

/// Answers a request.
pub(super) async fn deliver(yard: Option<Yard>, mut exchange: Exchange) -> Response {
    match exchange.step().await {
        Step::Done(outcome) => {
            let (status, text) = exchange.answer(&outcome);
            json(status, text)
        }
        step => go_on(yard, Parked { exchange, asked: Vec::new(), count: 0 }, Some(step)).await,
    }
}

/// Goes on with a request, from its next step.
pub(super) async fn go_on(yard: Option<Yard>, parked: Parked, first: Option<Step>) -> Response {
    let mut next = Next { yard, parked: Some(Box::new(parked)), step: first };
    // What stands alone needs no stream.
    let (text, last) = next.message().await;
    if let Some(status) = last {
        return json(status, text);
    }
    // A client that reads slowly holds up what it is told, and never what ends the work.
    next.parked = next.parked.map(|parked| Box::new(parked.apart()));
    let events = async_stream::stream! {
        yield sse::message(text);
        loop {
            let (text, last) = next.message().await;
            yield sse::message(text);
            if last.is_some() {
                return;
            }
        }
    };
    sse::response(events.boxed())
}

/// What a client is told next of its request.
struct Next {
    /// Where it may be parked; nowhere when the client cannot be asked anything.
    yard: Option<Yard>,
    parked: Option<Box<Parked>>,
    step: Option<Step>,
}

impl Next {
    /// The next message; with a status where it is the last one.
    async fn message(&mut self) -> (String, Option<u16>) {
        let Some(mut parked) = self.parked.take() else { return (String::new(), Some(200)) };
        loop {
            let step = match self.step.take() {
                Some(step) => step,
                None if parked.asked.is_empty() => parked.exchange.step().await,
                // Questions that come at the same time are asked at the same time.
                None => match tokio::time::timeout(TOGETHER, parked.exchange.step()).await {
                    Ok(step) => step,
                    Err(_) => match self.park(parked) {
                        Ok(text) => return (text, Some(200)),
                        Err(back) => {
                            parked = back;
                            continue;
                        }
                    },
                },
            };
            match step {
                Step::Note(note) => {
                    if let Some(text) = parked.exchange.note(note) {
                        self.parked = Some(parked);
                        return (text, None);
                    }
                }
                Step::Asked(asked) => {
                    parked.count += 1;
                    parked.asked.push((format!("ask-{}", parked.count), asked));
                }
                Step::Done(outcome) => {
                    let (status, text) = parked.exchange.answer(&outcome);
                    return (text, Some(status));
                }
            }
        }
    }

    /// Parks the work, and asks the client; gives it back where that cannot be.
    fn park(&self, mut parked: Box<Parked>) -> Result<String, Box<Parked>> {
        parked.asked.retain(|(_, asked)| !asked.is_over());
        if parked.asked.is_empty() {
            return Err(parked);
        }
        let refuse = |asked: Vec<(String, Asked)>| {
            for (_, asked) in asked {
                asked.answer(Err(RpcError::new(RpcError::INTERNAL, "too many requests of this client wait for an answer")));
            }
        };
        let Some(yard) = self.yard.as_ref().filter(|yard| yard.parks.has_room(&yard.principal)) else {
            refuse(std::mem::take(&mut parked.asked));
            return Err(parked);
        };
        let questions = parked.asked.iter().map(|(key, asked)| (key.clone(), asked.question.clone())).collect();
        let id = parked.exchange.id.clone();
        // It goes on by itself: whoever blocks it ends it at once.
        let parked = parked.apart();
        // Without a state the client would begin anew what is under way.
        let Some(state) = yard.parks.put(yard.whose(), parked) else {
            return Ok(Outgoing::error(Some(&id), &RpcError::new(RpcError::INTERNAL, "the request could not be parked")));
        };
        let wanted = InputRequired { questions, state: Some(raw(&state)) };
        Ok(Outgoing::result(&id, wanted.result().get()))
    }
}
