//! What a server wants to know before it goes on, where it asks in round trips: by way of the caller's own, or by asking on its stream.

use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::caller::Caller;
use super::upstreams::{Errand, Road, public};
use crate::domain::{RawObject, now_ms, raw};
use crate::protocol::{ClientCapabilities, Era, InputRequired, Params, Question, ResultKind, RpcError, TASKS, is_complete, request_digest};
use crate::registry::Entry;
use crate::upstream::{Error, Listener};

/// Most round trips of one request.
const ROUNDS: usize = 10;
/// How long a caller may take from one round trip to the next, in milliseconds.
const LASTS: i64 = 3_600_000;
/// The kind of handle that a `requestState` is.
const HANDLE: &str = "round";
/// What a server of 2025-11-25 answers with when somebody must go to an address first.
const URL_FIRST: i64 = -32042;

/// What a `requestState` says: which request of whose it continues, at which server (2026-07-28 §basic/patterns/mrtr, on integrity).
#[derive(Serialize, Deserialize)]
struct State {
    server: String,
    principal: String,
    /// Of the method and the params.
    request: String,
    /// When it ends, in milliseconds since the Unix epoch.
    ends: i64,
    /// The server's own; none where the request is sent again as it was.
    inner: Option<Box<RawValue>>,
}

impl Road {
    /// Sends a request, and sees to it that the server learns what it wants to know.
    ///
    /// In a box, since most servers want to know nothing.
    pub(super) fn rounds<'r>(
        &'r self,
        entry: &'r Entry,
        caller: &'r Caller<'_>,
        errand: &'r Errand<'_>,
    ) -> Pin<Box<dyn Future<Output = Result<Box<RawValue>, RpcError>> + Send + 'r>> {
        Box::pin(async move {
            let mut continued = self.continued(entry, caller, errand)?;
            for _ in 0..ROUNDS {
                // As the server wrote it.
                let mut written = None;
                let again = Errand { params: continued.as_ref().unwrap_or(errand.params), ..errand.clone() };
                let wanted = match self.attempts(entry, caller, &again).await? {
                    Ok(result) if is_complete(result.get()) => return Ok(result),
                    Ok(result) => match ResultKind::of(&result) {
                        Some(ResultKind::Complete) => return Ok(result),
                        Some(ResultKind::InputRequired) => {
                            let wanted = InputRequired::read(&result).map_err(|why| nonsense(entry, why))?;
                            written = Some(result);
                            wanted
                        }
                        // Only who declared the extension knows what it means.
                        Some(ResultKind::Task) if caller.knows(|able| able.knows(TASKS)) => {
                            return self.begun(entry, caller, errand.tool, &result);
                        }
                        Some(ResultKind::Other) if errand.alone && caller.knows(ClientCapabilities::is_extended) => return Ok(result),
                        Some(_) => return Err(nonsense(entry, "it answers with what no client of ours declared")),
                        None => return Err(RpcError::unreadable()),
                    },
                    Err(Error::Rpc(error)) if error.code == URL_FIRST && caller.in_rounds => match urls(&error) {
                        Some(questions) => InputRequired { questions, state: None },
                        None => return Err(public(entry, &Error::Rpc(error))),
                    },
                    Err(error) => return Err(public(entry, &error)),
                };
                // Where somebody answers for the client what that cannot, nobody else needs to be asked.
                let answered = caller.stood_in && wanted.questions.iter().all(|(_, question)| question.of_sampling().is_some());
                if caller.in_rounds && !answered {
                    return self.handed_on(entry, caller, errand, wanted, written.filter(|_| errand.alone));
                }
                continued = Some(self.asked(entry, caller, errand, wanted).await?);
            }
            Err(nonsense(entry, "it wants to know something again and again"))
        })
    }

    /// The params of a request that continues another one, with the server's own state; none where it is a first one.
    fn continued(&self, entry: &Entry, caller: &Caller<'_>, errand: &Errand<'_>) -> Result<Option<Params>, RpcError> {
        let mut params = match (errand.params.get("requestState"), errand.params.get("inputResponses")) {
            (None, None) => return Ok(None),
            _ => errand.params.clone(),
        };
        if !caller.in_rounds {
            // Whoever has a session was given no state; one of their own making would be taken for the server's.
            if !is_of_session(entry) {
                params.remove("requestState");
                params.remove("inputResponses");
            }
            return Ok(Some(params));
        }
        let Some(state) = params.remove("requestState") else {
            if is_of_session(entry) {
                params.remove("inputResponses");
            }
            return Ok(Some(params));
        };
        let wrong = || RpcError::params("`params.requestState` was not given out for this request, or not to you, or too long ago");
        let state: String = serde_json::from_str(state.get()).map_err(|_| wrong())?;
        let state: State = self.handles.take(HANDLE, &state).ok_or_else(wrong)?;
        let same = state.server == entry.spec.name.as_str()
            && state.principal == caller.principal.id()
            && state.ends > now_ms()
            && state.request == request_digest(errand.method, errand.params);
        if !same {
            return Err(wrong());
        }
        match state.inner {
            Some(inner) => params.set("requestState", inner),
            None if is_of_session(entry) => {
                let answers = params.remove("inputResponses");
                if !answers.is_some_and(|answers| all_accepted(&answers)) {
                    return Err(RpcError::params("the server goes on only when its address was gone to"));
                }
            }
            None => {}
        }
        Ok(Some(params))
    }

    /// What a caller of round trips hears: the server's questions, with a state that only this caller can come back with.
    fn handed_on(
        &self,
        entry: &Entry,
        caller: &Caller<'_>,
        errand: &Errand<'_>,
        wanted: InputRequired,
        written: Option<Box<RawValue>>,
    ) -> Result<Box<RawValue>, RpcError> {
        let InputRequired { questions, state } = wanted;
        let able = caller.listener.as_ref().map(Listener::capabilities).or(caller.capabilities.as_ref());
        let cannot = |question: &Question| !able.is_some_and(|able| able.allow(question));
        if let Some((_, question)) = questions.iter().find(|(_, question)| cannot(question)) {
            return Err(missing(question));
        }
        let named = |question: Question| if errand.alone { question } else { question.asked_by(entry.spec.name.as_str()) };
        let questions = questions.into_iter().map(|(key, question)| (key, named(question))).collect();
        let state = State {
            server: entry.spec.name.to_string(),
            principal: caller.principal.id().to_owned(),
            request: request_digest(errand.method, errand.params),
            ends: now_ms() + LASTS,
            inner: state,
        };
        let state = self.handles.give(HANDLE, &state).ok_or_else(|| RpcError::new(RpcError::INTERNAL, "a state cannot be sealed"))?;
        let state = raw(&state);
        let written = written.and_then(|written| {
            let mut result = RawObject::parse(written.get()).ok()?;
            result.set("requestState", state.clone());
            Some(result.to_raw())
        });
        Ok(written.unwrap_or_else(|| InputRequired { questions, state: Some(state) }.result()))
    }

    /// The params to send again, with the answers that a caller with a stream gave.
    async fn asked(&self, entry: &Entry, caller: &Caller<'_>, errand: &Errand<'_>, wanted: InputRequired) -> Result<Params, RpcError> {
        let listener = caller.listener.as_ref();
        let named = listener.map(|listener| if errand.alone { listener.clone() } else { listener.asked_by(entry.spec.name.as_str()) });
        let Some(listener) = &named else { return Err(nonsense(entry, "it asks a caller who cannot be asked")) };
        let InputRequired { questions, state } = wanted;
        let answers = futures::future::join_all(questions.into_iter().map(|(key, question)| answer(listener, key, question)));
        let answers: Vec<(String, Box<RawValue>)> = answers.await.into_iter().collect::<Result<_, _>>()?;
        let mut params = errand.params.clone();
        params.remove("inputResponses");
        params.remove("requestState");
        if !answers.is_empty() {
            let mut all = RawObject::default();
            for (key, answer) in answers {
                all.put(&key, answer);
            }
            params.set("inputResponses", all.to_raw());
        }
        if let Some(state) = state {
            params.set("requestState", state);
        }
        Ok(params)
    }
}

fn nonsense(entry: &Entry, why: &str) -> RpcError {
    public(entry, &Error::NotMcp(why.to_owned()))
}

/// Whether a server knows nothing of round trips.
fn is_of_session(entry: &Entry) -> bool {
    entry.era != Some(Era::Modern)
}

async fn answer(listener: &Listener, key: String, question: Question) -> Result<(String, Box<RawValue>), RpcError> {
    match listener.ask(question.clone()).await {
        Ok(answer) => Ok((key, answer)),
        Err(error) if error.code == RpcError::MISSING_CAPABILITY => Err(missing(&question)),
        Err(error) => question.nobody().map(|answer| (key, answer)).ok_or(error),
    }
}

/// The error that says what a client must be able to do for a request (2026-07-28 §basic/index: -32021).
fn missing(question: &Question) -> RpcError {
    let needed = json!({ "requiredCapabilities": ClientCapabilities::required(question) });
    RpcError::new(RpcError::MISSING_CAPABILITY, "the server asks the client something that it did not say it can answer").with_data(&needed)
}

/// The addresses that somebody must go to first, as questions (2025-11-25 §client/elicitation: -32042).
fn urls(error: &RpcError) -> Option<Vec<(String, Question)>> {
    let data = RawObject::parse(error.data.as_deref()?.get()).ok()?;
    let asked: Vec<&RawValue> = data.read_raw("elicitations")?;
    let read = |(at, params): (usize, &RawValue)| {
        let question = Question::read("elicitation/create", Params::read(params).ok()?.with("mode", "url"))?;
        Some((format!("url-{}", at + 1), question))
    };
    asked.into_iter().enumerate().map(read).collect::<Option<Vec<_>>>().filter(|asked| !asked.is_empty())
}

fn all_accepted(answers: &RawValue) -> bool {
    let answers: serde_json::Map<String, serde_json::Value> = serde_json::from_str(answers.get()).unwrap_or_default();
    !answers.is_empty() && answers.values().all(|answer| answer.get("action") == Some(&"accept".into()))
}
