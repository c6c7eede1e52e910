//! Model, tools, model again: until an answer, a call of the client's own tool, or a bound.
//!
//! A turn in which the model calls only our tools is run here; one in which it also calls the
//! client's is handed back with the client's calls alone. Running ours there would do things whose
//! results the model could never see, for the client does not know of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use serde_json::value::RawValue;

use super::answer::{Answer, Meta};
use super::error::Error;
use super::kept::Keeping;
use super::memo;
use super::memory::Memory;
use super::report::Report;
use super::targets::Targets;
use super::tools::Tools;
use super::turn::Turn;
use crate::domain::{RawObject, Usage, raw};
use crate::federation::Federation;
use crate::llm::{self, Call, Dialect, Endpoint, Part, Ran, Reply, Request, Role, Route, Target, Writer};

/// Calls that run at the same time, and calls of one turn that are run at all.
const PARALLEL: usize = 16;
const MAX_CALLS: usize = 64;

/// One completion with all it needs.
pub(super) struct Loop {
    pub(super) targets: Targets,
    pub(super) federation: Federation,
    pub(super) tools: Arc<Tools>,
    pub(super) report: Report,
    pub(super) deadline: Instant,
    /// Writes the answer in the words of the request as it came.
    pub(super) writer: Writer,
    pub(super) after: After,
}

/// What is remembered when the answer is complete.
pub(super) struct After {
    pub(super) turn: Option<memo::Turn>,
    pub(super) keeping: Option<Keeping>,
    pub(super) memory: Memory,
}

/// A response that is complete: its id, its items, and all of it.
pub(super) struct Whole<'w> {
    pub(super) id: &'w str,
    pub(super) output: Vec<Box<RawValue>>,
    pub(super) body: Box<RawValue>,
}

impl<'w> Whole<'w> {
    fn of(id: &'w str, body: &RawObject<'_>) -> Self {
        Self { id, output: body.read("output").unwrap_or_default(), body: body.to_raw() }
    }

    /// The response in the last event of a stream.
    pub(super) fn last(id: &'w str, output: Vec<Box<RawValue>>, events: &str) -> Option<Self> {
        // Only a line's beginning counts: the words may stand in what was said, but no JSON has them at a line's beginning.
        let (_, data) = events.rsplit_once("\ndata: ")?;
        let body = RawObject::parse(data.trim_end()).ok()?.get("response")?.to_owned();
        Some(Self { id, output, body })
    }
}

impl After {
    fn remembers(&self) -> bool {
        self.turn.is_some() || self.keeping.is_some()
    }

    /// Remembers what was done before the answer, and the answer where the client may go on from it.
    /// `said` is what the client saw, `last` are the parts of the last turn alone, and `shown` says that the
    /// client was told of the calls that the gateway ran.
    pub(super) async fn remember(self, request: &Request, said: &llm::Answer, last: &[Part], shown: bool, response: Option<Whole<'_>>) {
        if let Some(turn) = self.turn {
            turn.done(request, said, last, shown);
        }
        match (self.keeping, response) {
            (Some(keeping), Some(Whole { id, output, body })) => self.memory.responses.keep(keeping, id, &output, &body).await,
            (Some(_), None) => tracing::error!("a response could not be kept: its last event cannot be read"),
            (None, _) => {}
        }
    }

    /// Remembers whose a response is that its provider keeps, and where.
    pub(super) async fn note(&mut self, id: &str, target: &Target) {
        if let Some(keeping) = self.keeping.take() {
            self.memory.responses.note(keeping, id, target).await;
        }
    }
}

impl Loop {
    /// Runs to the answer, or to the beginning of its stream.
    pub(super) async fn run(self: Box<Self>, route: Route, mut request: Request) -> Result<Answer, Error> {
        let limit = self.targets.limits.completion.0;
        let deadline = tokio::time::Instant::from_std(self.deadline);
        let late = |_| Error::Deadline(limit);
        if !self.tools.is_empty() && request.get("n").is_some_and(|n| n != "1") {
            return Err(Error::invalid("with tools of the gateway joined in, `n` must be 1", "n"));
        }
        if request.stream() {
            return Box::pin(self.begin_stream(route, request)).await;
        }
        if self.tools.is_empty() {
            return tokio::time::timeout_at(deadline, self.relay(&route, &request)).await.map_err(late)?;
        }
        tokio::time::timeout_at(deadline, Box::pin(self.turns(route, &mut request))).await.map_err(late)?
    }

    pub(super) fn meta(&self, target: &Target, reply: &Reply, provider: Duration) -> Meta {
        Meta {
            model: target.name().clone(),
            context: self.report.header(),
            memo: self.report.memo(),
            dropped: reply.lost.join(", "),
            provider,
        }
    }

    /// One turn; nobody opens its answer where the client speaks the provider's dialect.
    async fn relay(mut self: Box<Self>, route: &Route, request: &Request) -> Result<Answer, Error> {
        let (target, reply, provider) = self.targets.first_answer(route, Endpoint::Completion, request).await?;
        let meta = self.meta(&target, &reply, provider);
        let turn = Turn::of(reply)?;
        let usage = turn.usage();
        if request.dialect() == Dialect::Responses && turn.as_it_is(Dialect::Responses).is_some() {
            let id = turn.members().ok().and_then(|body| body.string("id"));
            Box::pin(self.after.note(&id.unwrap_or_default(), &target)).await;
        }
        let report = self.report.body(&self.targets.router, Some(&target), usage.as_ref());
        match (turn.as_it_is(request.dialect()), report) {
            (Some(body), None) => Ok(Answer::Json(meta, body.clone(), usage)),
            (Some(_), Some(report)) => {
                let mut body = turn.members()?;
                body.set("portolan", raw(&report));
                Ok(Answer::Json(meta, bytes(&body), usage))
            }
            (None, report) => {
                let said = turn.answer()?;
                let mut body = self.writer.whole(&said);
                if let Some(report) = report {
                    body.set("portolan", raw(&report));
                }
                if self.after.remembers() {
                    let kept = self.after.keeping.is_some();
                    let response = self.writer.response_id().filter(|_| kept).map(|id| Whole::of(id, &body));
                    Box::pin(self.after.remember(request, &said, &said.parts, false, response)).await;
                }
                Ok(Answer::Json(meta, bytes(&body), usage))
            }
        }
    }

    async fn turns(mut self: Box<Self>, mut route: Route, request: &mut Request) -> Result<Answer, Error> {
        let dialect = request.dialect();
        let most = self.targets.limits.tool_turns.get();
        let mut total = Usage::default();
        let mut waited = Duration::ZERO;
        // What the client is told of the turns before the last one.
        let mut told: Vec<Part> = self.tools.listed().iter().map(|listed| Part::Listed(Box::new(listed.clone()))).collect();
        for number in 1..=most {
            self.prepare(request, number == most);
            let (target, reply, provider) = self.targets.first_answer(&route, Endpoint::Completion, request).await?;
            route.prefer(&target);
            waited += provider;
            let meta = self.meta(&target, &reply, waited);
            let turn = Turn::of(reply)?;
            // Several answers at once, or none that can be read, go to the caller as they are.
            let Some(mut answer) = readable(&turn, dialect)? else {
                let body = turn.as_it_is(dialect).cloned().unwrap_or_default();
                return Ok(Answer::Json(meta, body, turn.usage()));
            };
            total += answer.usage.unwrap_or_default();
            let calls: Vec<Call> = answer.calls().cloned().collect();
            if self.all_ours(&calls) {
                if number < most {
                    let blocked = self.targets.until(request, &target);
                    let ran = tokio::select! {
                        ran = self.execute(&calls) => ran,
                        why = blocked => return Err(Error::Blocked(why)),
                    };
                    say(request, &answer, &ran)?;
                    told.extend(shown(answer, ran));
                }
                continue;
            }
            let withheld = calls.iter().any(|call| self.tools.runs(&call.name));
            if withheld {
                answer.parts.retain(|part| !matches!(part, Part::Call(call) if self.tools.runs(&call.name)));
            }
            let changed = withheld || !told.is_empty();
            let last = answer.parts.clone();
            answer.parts.splice(0..0, told);
            answer.usage = Some(total);
            let ours = self.writer.whole(&answer);
            let mut body = match turn.as_it_is(dialect) {
                // What the provider alone says of its answer stays.
                Some(_) => {
                    let mut body = turn.members()?.into_owned();
                    if let (true, Some(said)) = (changed, ours.get(dialect.said())) {
                        body.set(dialect.said(), said.to_owned());
                    }
                    if number > 1 {
                        body.set("usage", dialect.usage(&total));
                    }
                    body
                }
                None => ours,
            };
            if let Some(report) = self.report.body(&self.targets.router, Some(&target), Some(&total)) {
                body.set("portolan", raw(&report));
            }
            let kept = self.after.keeping.is_some();
            let response = self.writer.response_id().filter(|_| kept).map(|id| Whole::of(id, &body));
            let shown = answer.parts.iter().any(|part| matches!(part, Part::Ran(_)));
            self.after.remember(request, &answer, &last, shown, response).await;
            return Ok(Answer::Json(meta, bytes(&body), Some(total)));
        }
        Err(Error::Turns(most))
    }

    /// Whether the gateway goes on by itself after these calls.
    pub(super) fn all_ours(&self, calls: &[Call]) -> bool {
        !calls.is_empty() && calls.iter().all(|call| self.tools.runs(&call.name))
    }

    /// The last turn that is allowed must be an answer.
    pub(super) fn prepare(&self, request: &mut Request, last: bool) {
        if last && !self.tools.is_empty() {
            request.forbid_calls();
        }
    }

    /// Runs calls side by side; what came of them is in the order of the calls.
    async fn execute(&mut self, calls: &[Call]) -> Vec<Ran> {
        let mut running = self.running(calls);
        let mut all = Vec::with_capacity(calls.len());
        while let Some((ran, ms)) = running.next().await {
            self.report.ran(&ran.call.name, ms, ran.outcome.is_ok());
            all.push(ran);
        }
        all
    }

    /// Runs calls side by side, each with the milliseconds it took.
    pub(super) fn running(&self, calls: &[Call]) -> BoxStream<'static, (Ran, u128)> {
        let running: Vec<_> = calls
            .iter()
            .enumerate()
            .map(|(at, call)| {
                let (tools, federation, mut ran) = (self.tools.clone(), self.federation.clone(), self.tools.begin(call));
                async move {
                    let start = Instant::now();
                    ran.outcome = match at {
                        0..MAX_CALLS => tools.run(&federation, &ran.call).await,
                        _ => Err(format!("at most {MAX_CALLS} calls are run in one turn")),
                    };
                    (ran, start.elapsed().as_millis())
                }
            })
            .collect();
        futures::stream::iter(running).buffered(PARALLEL).boxed()
    }
}

/// What an answer says. None where it is in the client's own dialect and has not exactly one choice.
fn readable(turn: &Turn, dialect: Dialect) -> Result<Option<llm::Answer>, Error> {
    let several = |body: &RawObject<'_>| body.read_raw("choices").is_none_or(|choices| choices.len() != 1);
    if dialect == Dialect::Chat && turn.as_it_is(dialect).is_some() && several(&turn.members()?) {
        return Ok(None);
    }
    turn.answer().map(Some)
}

/// Adds what the model said and what its tools answered. A forced choice holds for the first turn only.
pub(super) fn say(request: &mut Request, answer: &llm::Answer, ran: &[Ran]) -> Result<(), Error> {
    let result = |ran: &Ran| {
        let (text, failed) = match &ran.outcome {
            Ok(text) => (text, false),
            Err(text) => (text, true),
        };
        Part::Result { call: ran.call.id.clone(), parts: vec![Part::text(text.as_str())], failed, cache: None }
    };
    let said = llm::Turn { role: Role::Assistant, parts: answer.parts.clone() };
    let answered = llm::Turn { role: Role::User, parts: ran.iter().map(result).collect() };
    request.say(&[said, answered])?;
    request.free_choice();
    Ok(())
}

/// What the client is told of a turn that the gateway went on from by itself: nothing, unless it named the servers.
fn shown(answer: llm::Answer, ran: Vec<Ran>) -> Vec<Part> {
    if !ran.iter().any(|ran| ran.shown) {
        return Vec::new();
    }
    let said = |part: &Part| matches!(part, Part::Text(..) | Part::Thinking(..) | Part::Redacted(_) | Part::Native(..));
    let mut told: Vec<Part> = answer.parts.into_iter().filter(said).collect();
    // First all calls, then what came of them, as the model made and was given them.
    let begun = |ran: &Ran| Ran {
        outcome: Ok(String::new()),
        call: ran.call.clone(),
        server: ran.server.clone(),
        tool: ran.tool.clone(),
        shown: ran.shown,
    };
    told.extend(ran.iter().map(|ran| Part::Runs(Box::new(begun(ran)))));
    told.extend(ran.into_iter().map(|ran| Part::Ran(Box::new(ran))));
    told
}

fn bytes(body: &RawObject<'_>) -> Bytes {
    body.to_text().into()
}
