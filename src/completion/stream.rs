//! A completion as one stream: one or many model turns, one end.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use tokio::time::{Instant, Sleep, timeout_at};

use super::answer::{Answer, Meta, Sent};
use super::error::Error;
use super::tool_loop::{Loop, Whole, say};
use super::turn;
use crate::domain::{RawObject, Usage, raw};
use crate::llm::{self, Call, Dialect, Endpoint, Events, Piece, Ran, Reply, Request, Route, Target};
use crate::net::Event;
use crate::policy::Blocked;

/// How long a client waits for the status of a stream. Until then a refusal is a status of its own;
/// after it, the stream begins with a sign of life, and a refusal is its last event.
const PATIENCE: Duration = Duration::from_secs(10);

type Stream = BoxStream<'static, Result<Sent, Error>>;

/// What comes to an end when the stream is blocked.
type Ban = BoxFuture<'static, Blocked>;

impl Loop {
    /// Begins a stream with the first thing the model says.
    pub(super) async fn begin_stream(self: Box<Self>, route: Route, mut request: Request) -> Result<Answer, Error> {
        self.prepare(&mut request, self.targets.limits.tool_turns.get() == 1);
        let counts = count_for_us(&mut request);
        let limit = self.targets.limits.completion.0;
        let deadline = Instant::from_std(self.deadline);
        let asking = {
            let (targets, route, request) = (self.targets.clone(), route.clone(), request.clone());
            async move { targets.first_answer(&route, Endpoint::Completion, &request).await }
        };
        let mut asking = Box::pin(asking);
        tokio::select! {
            first = &mut asking => {
                let (target, reply, provider) = first?;
                let meta = self.meta(&target, &reply, provider);
                let mut route = route;
                route.prefer(&target);
                let events = self.go_on(route, request, counts, &target, reply)?;
                Ok(Answer::Stream(meta, events))
            }
            () = tokio::time::sleep_until(deadline.min(Instant::now() + PATIENCE)) => {
                let meta = Meta { context: self.report.header(), memo: self.report.memo(), ..Meta::default() };
                let late = async_stream::stream! {
                    yield Ok(Sent { bytes: Bytes::from_static(b": thinking\n\n"), ..Sent::default() });
                    let (target, reply, _) = match timeout_at(deadline, asking).await {
                        Ok(Ok(first)) => first,
                        Ok(Err(error)) => { yield Err(error); return; }
                        Err(_) => { yield Err(Error::Deadline(limit)); return; }
                    };
                    yield Ok(Sent { model: Some(target.name().clone()), ..Sent::default() });
                    let mut route = route;
                    route.prefer(&target);
                    match self.go_on(route, request, counts, &target, reply) {
                        Ok(mut events) => while let Some(sent) = events.next().await { yield sent; },
                        Err(error) => yield Err(error),
                    }
                };
                Ok(Answer::Stream(meta, late.boxed()))
            }
        }
    }

    /// The rest of a stream that has begun.
    fn go_on(self: Box<Self>, route: Route, request: Request, counts: bool, target: &Target, reply: Reply) -> Result<Stream, Error> {
        let (dialect, events) = turn::stream(reply)?;
        // A report stands in an event of ours; only Chat Completions has one to add behind the last.
        let reported = self.report.wanted() && dialect == Dialect::Messages;
        let blocked = self.targets.until(&request, target);
        Ok(if self.tools.is_empty() && dialect == request.dialect() && !reported {
            self.pass(route, dialect, events, counts, blocked)
        } else {
            self.speak(route, request, dialect, events, blocked)
        })
    }

    /// Passes events on as they came; only an end that never came is added.
    fn pass(mut self: Box<Self>, route: Route, dialect: Dialect, mut events: Events, counts: bool, mut blocked: Ban) -> Stream {
        let limit = self.targets.limits.completion.0;
        let deadline = Instant::from_std(self.deadline);
        Box::pin(async_stream::stream! {
            let mut counted = None;
            let mut numbers = Numbers::default();
            let mut alarm = std::pin::pin!(tokio::time::sleep_until(deadline));
            loop {
                let batch = match next_of(&mut events, alarm.as_mut(), limit, &mut blocked).await {
                    None => break,
                    Some(Err(error)) => {
                        yield Ok(Sent { place: numbers.place(), ..Sent::default() });
                        yield Err(error);
                        return;
                    }
                    Some(Ok(batch)) => batch,
                };
                if dialect == Dialect::Responses {
                    numbers.see(&batch);
                    // Before the last event, so that whoever has it can go on from it.
                    // Who answers stands first in the route by now.
                    if let (Some(id), Some(target)) = (numbers.ended(), route.targets.first()) {
                        self.after.note(&id, target).await;
                    }
                }
                let mut out = BytesMut::new();
                for event in &batch {
                    let Some(data) = &event.data else { continue };
                    if let Some(usage) = turn::last_usage(data.as_bytes()) {
                        counted = Some(usage.after(counted));
                        if counts && only_counts(data) {
                            continue;
                        }
                    }
                    out.extend_from_slice(&event.raw);
                    if !event.raw.ends_with(b"\n\n") && !event.raw.ends_with(b"\r\n\r\n") && !event.raw.ends_with(b"\r\r") {
                        out.extend_from_slice(b"\n\n");
                    }
                }
                if !out.is_empty() {
                    yield Ok(Sent { bytes: out.freeze(), usage: counted, ..Sent::default() });
                }
            }
            let mut end = String::new();
            if dialect == Dialect::Chat {
                // Who answers stands first in the route by now.
                if let Some(report) = self.report.body(&self.targets.router, route.targets.first(), counted.as_ref()) {
                    let chunk = json!({ "object": "chat.completion.chunk", "choices": [], "portolan": report });
                    end = format!("data: {chunk}\n\n");
                }
                end.push_str("data: [DONE]\n\n");
            }
            yield Ok(Sent { bytes: end.into(), usage: counted, ..Sent::default() });
        })
    }

    /// What was written so far.
    fn sent(&self, out: &mut String) -> Sent {
        Sent { bytes: std::mem::take(out).into(), place: self.writer.place(), ..Sent::default() }
    }

    /// Reads what a provider says and writes it in the client's words; where the loop has tools, runs
    /// them between turns. Dropping the stream ends the provider's answer and the tools.
    fn speak(
        mut self: Box<Self>,
        route: Route,
        mut request: Request,
        mut dialect: Dialect,
        mut events: Events,
        mut blocked: Ban,
    ) -> Stream {
        let most = self.targets.limits.tool_turns.get();
        let limit = self.targets.limits.completion.0;
        let deadline = Instant::from_std(self.deadline);
        Box::pin(async_stream::stream! {
            let mut total = Usage::default();
            let mut shown = false;
            // What the client saw of all turns.
            let mut seen = llm::Answer::default();
            let mut filter = Filter::default();
            let mut out = String::new();
            let mut alarm = std::pin::pin!(tokio::time::sleep_until(deadline));
            for listed in self.tools.listed() {
                self.writer.piece(Piece::Listed(listed.clone()), &mut out);
            }
            for number in 1..=most {
                let Some(mut reader) = dialect.reader() else {
                    yield Err(Error::Provider(llm::Error::Protocol("it came in a dialect that is only passed on")));
                    return;
                };
                let mut answer = llm::Answer::default();
                filter.begin_turn();
                let mut pieces = Vec::new();
                loop {
                    let batch = match next_of(&mut events, alarm.as_mut(), limit, &mut blocked).await {
                        None => break,
                        Some(Err(error)) => { yield Err(error); return; }
                        Some(Ok(batch)) => batch,
                    };
                    let read = batch.iter().filter_map(|event| event.data.as_deref()).try_for_each(|data| reader.event(data, &mut pieces));
                    for piece in pieces.drain(..) {
                        answer.take(&piece);
                        if let Some(piece) = filter.pass(piece, &|name| self.tools.runs(name)) {
                            seen.take(&piece);
                            self.writer.piece(piece, &mut out);
                        }
                    }
                    if !out.is_empty() {
                        yield Ok(self.sent(&mut out));
                    }
                    // What was said before it is the client's.
                    if let Err(error) = read {
                        yield Err(Error::Provider(error));
                        return;
                    }
                }
                total += answer.usage.unwrap_or_default();
                let Some((finish, native)) = answer.finish.take() else {
                    yield Err(Error::Provider(llm::Error::Protocol("the answer does not say why it ended")));
                    return;
                };
                let calls: Vec<Call> = answer.calls().cloned().collect();
                if !self.all_ours(&calls) {
                    self.writer.piece(Piece::Finish(finish, native), &mut out);
                    let report = self.report.body(&self.targets.router, route.targets.first(), Some(&total));
                    self.writer.end(Some(total), report.as_ref(), &mut out);
                    // Before the last event, so that whoever has it can go on from it.
                    let kept = self.after.keeping.is_some();
                    let response = self.writer.response_id().filter(|_| kept).and_then(|id| Whole::last(id, self.writer.output(), &out));
                    self.after.remember(&request, &seen, &answer.parts, shown, response).await;
                    yield Ok(Sent { bytes: out.into(), usage: Some(total), ..Sent::default() });
                    return;
                }
                if number >= most {
                    break;
                }
                for call in &calls {
                    self.writer.piece(Piece::Runs(self.tools.begin(call)), &mut out);
                }
                if !out.is_empty() {
                    yield Ok(self.sent(&mut out));
                }
                let mut running = self.running(&calls);
                let mut ran = Vec::with_capacity(calls.len());
                loop {
                    match next_ran(&mut running, deadline, limit, &mut blocked).await {
                        Err(error) => { yield Err(error); return; }
                        Ok(None) => break,
                        Ok(Some((one, ms))) => {
                            self.report.ran(&one.call.name, ms, one.outcome.is_ok());
                            shown |= one.shown;
                            self.writer.piece(Piece::Ran(one.clone()), &mut out);
                            ran.push(one);
                        }
                    }
                    if !out.is_empty() {
                        yield Ok(self.sent(&mut out));
                    }
                }
                let next = async {
                    say(&mut request, &answer, &ran)?;
                    self.prepare(&mut request, number + 1 == most);
                    let (target, reply, _): (Target, Reply, _) = self.targets.first_answer(&route, Endpoint::Completion, &request).await?;
                    let (dialect, events) = turn::stream(reply)?;
                    Ok::<_, Error>((dialect, events, self.targets.until(&request, &target)))
                };
                (dialect, events, blocked) = match timeout_at(deadline, next).await {
                    Ok(Ok(next)) => next,
                    Ok(Err(error)) => { yield Err(error); return; }
                    Err(_) => { yield Err(Error::Deadline(limit)); return; }
                };
            }
            yield Err(Error::Turns(most));
        })
    }
}

/// The next events, until the alarm rings or the operator blocks them. There is one alarm for a whole stream: setting one for each event costs more than
/// passing it on.
async fn next_of(events: &mut Events, alarm: Pin<&mut Sleep>, limit: Duration, blocked: &mut Ban) -> Option<Result<Vec<Event>, Error>> {
    // Whoever is ready: a provider that has always more to say must not outlive either end.
    tokio::select! {
        next = events.next() => next.map(|next| next.map_err(Error::Provider)),
        () = alarm => Some(Err(Error::Deadline(limit))),
        blocked = blocked => Some(Err(Error::Blocked(blocked))),
    }
}

/// The next call of tools that has run, until the deadline or the operator ends them.
async fn next_ran(
    running: &mut BoxStream<'static, (Ran, u128)>,
    deadline: Instant,
    limit: Duration,
    blocked: &mut Ban,
) -> Result<Option<(Ran, u128)>, Error> {
    tokio::select! {
        ran = timeout_at(deadline, running.next()) => ran.map_err(|_| Error::Deadline(limit)),
        blocked = blocked => Err(Error::Blocked(blocked)),
    }
}

/// The first and the last of some numbered events that are passed on; they are read only when the stream breaks.
#[derive(Default)]
struct Numbers {
    first: Option<Event>,
    last: Option<Event>,
}

impl Numbers {
    fn see(&mut self, batch: &[Event]) {
        if self.first.is_none() {
            self.first = batch.first().cloned();
        }
        self.last = batch.last().cloned().or(self.last.take());
    }

    /// The response's id, and the number of the event that would come next.
    fn place(&self) -> Option<(String, u64)> {
        let last: Value = serde_json::from_str(self.last.as_ref()?.data.as_deref()?).ok()?;
        Some((self.id()?, last.get("sequence_number")?.as_u64()?.saturating_add(1)))
    }

    fn id(&self) -> Option<String> {
        let first: Value = serde_json::from_str(self.first.as_ref()?.data.as_deref()?).ok()?;
        Some(first.pointer("/response/id").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// The response's id, when it has come to its end.
    fn ended(&self) -> Option<String> {
        let last = self.last.as_ref()?.data.as_deref()?;
        // Most events have no such word, and one that has it may only quote it.
        if !last.contains("response.completed") && !last.contains("response.incomplete") {
            return None;
        }
        let kind = RawObject::parse(last).ok()?.string("type")?;
        if matches!(kind.as_str(), "response.completed" | "response.incomplete") { self.id() } else { None }
    }
}

/// Keeps back what is not the client's to see, and numbers the calls that are.
#[derive(Default)]
struct Filter {
    /// The client's number of each call of this turn; none for calls that the gateway runs.
    calls: Vec<Option<usize>>,
    shown: usize,
}

impl Filter {
    fn begin_turn(&mut self) {
        self.calls.clear();
    }

    fn pass(&mut self, piece: Piece, ours: &dyn Fn(&str) -> bool) -> Option<Piece> {
        match piece {
            Piece::Call { ref name, .. } if ours(name) => {
                self.calls.push(None);
                None
            }
            Piece::Call { .. } => {
                self.calls.push(Some(self.shown));
                self.shown += 1;
                Some(piece)
            }
            Piece::Arguments(at, text) => Some(Piece::Arguments(self.calls.get(at).copied().flatten()?, text)),
            // Whether this turn is the last, and what all came to, is known at its end.
            Piece::Finish(..) => None,
            other => Some(other),
        }
    }
}

/// Asks for the count of tokens where the client does not; whether it did so.
fn count_for_us(request: &mut Request) -> bool {
    if request.dialect() != Dialect::Chat {
        return false;
    }
    let options = request.get("stream_options").map(|options| RawObject::parse(options).map(RawObject::into_owned));
    let Some(mut options) = options.map_or_else(|| Some(RawObject::default()), Result::ok) else { return false };
    if options.get("include_usage").is_some_and(|wanted| wanted.get() == "true") {
        return false;
    }
    options.set("include_usage", raw(&true));
    request.set("stream_options", options.to_raw());
    true
}

/// Whether a chunk is there for its count alone.
fn only_counts(data: &str) -> bool {
    RawObject::parse(data).is_ok_and(|chunk| chunk.get("choices").is_none_or(|choices| choices.get() == "[]"))
}
