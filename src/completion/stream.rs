//! A completion as one stream: one or many model turns, one end.

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Error;
use super::tool_loop::{Loop, Whose};
use crate::domain::{RawObject, Usage, raw};
use crate::llm::{ChatRequest, Endpoint, Events, Reply, Route, ToolCall};
use crate::net::Event;

const DONE: &[u8] = b"data: [DONE]\n\n";

impl Loop {
    /// Relays events; where the loop has tools, runs them between turns. Dropping the stream ends
    /// the provider's answer and the tools.
    pub(super) fn stream(mut self, route: Route, mut request: ChatRequest, mut events: Events) -> BoxStream<'static, Result<Bytes, Error>> {
        let most = self.targets.limits.tool_turns.get();
        let limit = self.targets.limits.completion.0;
        let deadline = tokio::time::Instant::from_std(self.deadline);
        Box::pin(async_stream::stream! {
            let mut relay = Relay::default();
            let mut number = 1;
            loop {
                relay.begin_turn();
                loop {
                    match tokio::time::timeout_at(deadline, events.next()).await {
                        Err(_) => {
                            yield Err(Error::Deadline(limit));
                            return;
                        }
                        Ok(None) => break,
                        Ok(Some(Err(error))) => {
                            yield Err(Error::Provider(error));
                            return;
                        }
                        Ok(Some(Ok(batch))) => {
                            let mut out = BytesMut::new();
                            for event in batch {
                                relay.take(&event, self.has_tools(), &|name, whole| self.whose(name, whole), &mut out);
                            }
                            if !out.is_empty() {
                                yield Ok(out.freeze());
                            }
                        }
                    }
                }
                let late = relay.decide(&|name, whole| self.whose(name, whole));
                if !late.is_empty() {
                    let choice = json!({ "index": 0, "delta": { "tool_calls": late }, "finish_reason": null });
                    let chunk = json!({ "id": relay.id, "object": "chat.completion.chunk", "choices": [choice] });
                    yield Ok(Bytes::from(format!("data: {chunk}\n\n")));
                }
                let calls = relay.calls();
                if !self.all_ours(&calls) {
                    let mut out = BytesMut::new();
                    relay.end(&mut out);
                    if let Some(report) = self.report.body() {
                        let chunk = json!({ "id": relay.id, "object": "chat.completion.chunk", "choices": [], "portolan": report });
                        out.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
                    }
                    out.extend_from_slice(DONE);
                    yield Ok(out.freeze());
                    return;
                }
                if number >= most {
                    yield Err(Error::Turns(most));
                    return;
                }
                number += 1;
                let Ok(results) = tokio::time::timeout_at(deadline, self.execute(&calls)).await else {
                    yield Err(Error::Deadline(limit));
                    return;
                };
                let next = async {
                    Self::extend(&mut request, relay.message(), results)?;
                    self.prepare(&mut request, number == most);
                    self.targets.first_answer(&route, Endpoint::Chat, &request).await
                };
                events = match tokio::time::timeout_at(deadline, next).await {
                    Ok(Ok((_, Reply::Stream(first, rest), _))) => futures::stream::iter([Ok(first)]).chain(rest).boxed(),
                    Ok(Ok((_, Reply::Json(_), _))) => {
                        yield Err(Error::Provider(crate::llm::Error::Protocol("a stream was asked for and none came")));
                        return;
                    }
                    Ok(Err(error)) => {
                        yield Err(error);
                        return;
                    }
                    Err(_) => {
                        yield Err(Error::Deadline(limit));
                        return;
                    }
                };
            }
        })
    }
}

/// What one chunk says, as far as the loop must know.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    choices: Vec<Choice<'a>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    content: Option<String>,
    #[serde(default, borrow)]
    tool_calls: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    index: usize,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

/// A call that is still being written.
struct Partial {
    index: usize,
    call: ToolCall,
    whose: Whose,
    /// What came before it was clear whose it is.
    held: Vec<Box<RawValue>>,
    /// Its place among the calls the client sees.
    shown: Option<usize>,
}

impl Partial {
    /// What the client sees of what was held back; `seen` is how many calls it sees so far.
    fn release(&mut self, seen: usize) -> Vec<Box<RawValue>> {
        if self.whose == Whose::Open {
            return Vec::new();
        }
        let held = std::mem::take(&mut self.held);
        if self.whose == Whose::Ours {
            return Vec::new();
        }
        let place = *self.shown.get_or_insert(seen);
        let renumbered = |delta: Box<RawValue>| {
            let mut object = RawObject::parse(delta.get()).ok()?;
            object.set("index", raw(&place));
            Some(object.to_raw())
        };
        held.into_iter().filter_map(renumbered).collect()
    }
}

/// Says whose call a name means; `whole` when it will not grow any more.
type Judge<'a> = dyn Fn(&str, bool) -> Whose + 'a;

/// What has been relayed so far.
#[derive(Default)]
pub(super) struct Relay {
    /// The id of the first turn's chunks; all later ones carry it too.
    pub(super) id: Option<Box<RawValue>>,
    turn: u32,
    /// Whether the client was told who speaks.
    begun: bool,
    content: String,
    partials: Vec<Partial>,
    /// The chunk that ends the turn: only shown when the turn is the last.
    finish: Option<Bytes>,
    /// What the turns before this one cost, and this one so far.
    usage: Usage,
    turn_usage: Usage,
    usage_chunk: Option<Box<RawValue>>,
}

impl Relay {
    fn begin_turn(&mut self) {
        self.turn += 1;
        self.usage += std::mem::take(&mut self.turn_usage);
        self.content.clear();
        self.partials.clear();
        self.finish = None;
        self.usage_chunk = None;
    }

    /// Takes one event and writes what the client sees of it.
    fn take(&mut self, event: &Event, has_tools: bool, whose: &Judge<'_>, out: &mut BytesMut) {
        let Some(data) = &event.data else { return };
        if !has_tools {
            // Bytes go through as they came; only an end that never came is added.
            out.extend_from_slice(&event.raw);
            if !event.raw.ends_with(b"\n\n") && !event.raw.ends_with(b"\r\n\r\n") && !event.raw.ends_with(b"\r\r") {
                out.extend_from_slice(b"\n\n");
            }
            return;
        }
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(data) else {
            write(out, data);
            return;
        };
        if self.id.is_none() {
            self.id = chunk.id.map(ToOwned::to_owned);
        }
        if let Some(usage) = chunk.usage {
            // Some providers tell what it came to so far with every chunk: the last one counts.
            self.turn_usage = usage;
            if chunk.choices.is_empty() {
                self.usage_chunk = RawValue::from_string(data.clone()).ok();
                return;
            }
        }
        let Some(choice) = chunk.choices.first().filter(|choice| choice.index == 0 && chunk.choices.len() == 1) else {
            write(out, data);
            return;
        };
        let delta: Option<Delta<'_>> = choice.delta.and_then(|delta| serde_json::from_str(delta.get()).ok());
        if let Some(content) = delta.as_ref().and_then(|delta| delta.content.as_deref()) {
            self.content.push_str(content);
        }
        let silent = delta.as_ref().is_some_and(|delta| delta.content.as_deref().is_none_or(str::is_empty) && delta.tool_calls.is_none());
        if self.begun && silent && choice.finish_reason.is_none() && only_role(choice) {
            // The one answer that the client sees has begun already.
            return;
        }
        let calls = delta.and_then(|delta| delta.tool_calls).filter(|calls| !calls.is_empty());
        let mut shown = calls.as_ref().map(|calls| self.call_deltas(calls, whose));
        if choice.finish_reason.is_some() {
            let late = self.decide(whose);
            if !late.is_empty() {
                shown.get_or_insert_default().extend(late);
            }
        }
        let changed = shown.is_some() || self.turn > 1;
        let text = if changed { self.rewritten(data, choice, shown.as_deref()) } else { Some(data.clone()) };
        match (text, &choice.finish_reason) {
            (Some(text), Some(_)) => self.finish = Some(Bytes::from(text)),
            (Some(text), None) => {
                self.begun = true;
                write(out, &text);
            }
            (None, _) => {}
        }
    }

    /// Notes what calls grew by; the result is what the client sees of it, renumbered.
    fn call_deltas(&mut self, deltas: &[&RawValue], whose: &Judge<'_>) -> Vec<Box<RawValue>> {
        let mut shown = Vec::new();
        for raw_delta in deltas {
            let Ok(delta) = serde_json::from_str::<CallDelta>(raw_delta.get()) else { continue };
            let name = delta.function.as_ref().and_then(|function| function.name.as_deref()).unwrap_or_default();
            // Some providers give every call the index 0; a new id with a name is a new call all the same.
            let same = |partial: &Partial| {
                let new_id = delta.id.as_deref().is_some_and(|id| !id.is_empty() && id != partial.call.id);
                partial.index == delta.index && (name.is_empty() || !new_id)
            };
            let at = match self.partials.iter().rposition(same) {
                Some(at) => at,
                None => {
                    let call = ToolCall { id: delta.id.clone().unwrap_or_default(), ..ToolCall::default() };
                    self.partials.push(Partial { index: delta.index, call, whose: Whose::Open, held: Vec::new(), shown: None });
                    self.partials.len() - 1
                }
            };
            let seen = self.seen();
            let Some(partial) = self.partials.get_mut(at) else { continue };
            if partial.call.id.is_empty() {
                partial.call.id = delta.id.clone().unwrap_or_default();
            }
            // Some providers say name and id again with every piece.
            if partial.call.arguments.is_empty() && partial.call.name != name {
                partial.call.name.push_str(name);
            }
            if let Some(arguments) = delta.function.as_ref().and_then(|function| function.arguments.as_deref()) {
                partial.call.arguments.push_str(arguments);
            }
            partial.held.push((*raw_delta).to_owned());
            if partial.whose == Whose::Open {
                // A name may come in pieces, but never after the arguments have begun.
                let begun = !partial.call.arguments.is_empty();
                partial.whose = whose(&partial.call.name, begun);
            }
            shown.extend(partial.release(seen));
        }
        shown
    }

    /// At the end of a turn no name grows any more: what is still open is decided.
    fn decide(&mut self, whose: &Judge<'_>) -> Vec<Box<RawValue>> {
        let mut seen = self.seen();
        let mut shown = Vec::new();
        for partial in self.partials.iter_mut().filter(|partial| partial.whose == Whose::Open) {
            partial.whose = whose(&partial.call.name, true);
            shown.extend(partial.release(seen));
            seen += usize::from(partial.whose == Whose::Theirs);
        }
        shown
    }

    /// How many calls the client sees.
    fn seen(&self) -> usize {
        self.partials.iter().filter(|partial| partial.whose == Whose::Theirs).count()
    }

    /// A chunk with the first turn's id and the calls the client sees; none when nothing is left to say.
    fn rewritten(&self, data: &str, choice: &Choice<'_>, calls: Option<&[Box<RawValue>]>) -> Option<String> {
        let mut chunk = RawObject::parse(data).ok()?;
        if let Some(id) = &self.id {
            chunk.set("id", id.clone());
        }
        if let Some(calls) = calls {
            let mut delta = RawObject::parse(choice.delta?.get()).ok()?;
            if calls.is_empty() {
                delta.remove("tool_calls");
                let says = |(key, value): (&str, &RawValue)| (key != "role" || !self.begun) && !matches!(value.get(), "null" | "\"\"");
                let speaks = delta.iter().any(says);
                if !speaks && choice.finish_reason.is_none() {
                    return None;
                }
            } else {
                delta.set("tool_calls", raw(calls));
            }
            let list: Vec<&RawValue> = serde_json::from_str(chunk.get("choices")?.get()).ok()?;
            let mut choice = RawObject::parse(list.first()?.get()).ok()?.into_owned();
            choice.set("delta", delta.to_raw());
            let choices = raw(&[choice.to_raw()]);
            chunk.set("choices", choices);
        }
        Some(chunk.to_raw().get().to_owned())
    }

    /// The calls of this turn, whole.
    fn calls(&self) -> Vec<ToolCall> {
        self.partials.iter().map(|partial| partial.call.clone()).collect()
    }

    /// What the model said in this turn, as the message it is told of in the next.
    fn message(&self) -> Box<RawValue> {
        let call = |partial: &Partial| {
            let arguments = if partial.call.arguments.trim().is_empty() { "{}" } else { &partial.call.arguments };
            json!({ "id": partial.call.id, "type": "function", "function": { "name": partial.call.name, "arguments": arguments } })
        };
        let calls: Vec<_> = self.partials.iter().map(call).collect();
        let content = (!self.content.is_empty()).then_some(&self.content);
        raw(&json!({ "role": "assistant", "content": content, "tool_calls": calls }))
    }

    /// Writes what was kept back until it was clear that this turn is the last.
    fn end(&mut self, out: &mut BytesMut) {
        let mut total = self.usage;
        total += self.turn_usage;
        if let Some(finish) = self.finish.take() {
            let text = String::from_utf8_lossy(&finish);
            let mut chunk = RawObject::parse(&text).unwrap_or_default();
            if self.turn > 1 && chunk.get("usage").is_some_and(|usage| usage.get() != "null") {
                chunk.set("usage", raw(&total));
                write(out, &chunk.to_string());
            } else {
                write(out, &text);
            }
        }
        let usage = self.usage_chunk.take();
        if let Some(mut chunk) = usage.as_ref().and_then(|chunk| RawObject::parse(chunk.get()).ok()) {
            if self.turn > 1 {
                chunk.set("usage", raw(&total));
                if let Some(id) = &self.id {
                    chunk.set("id", id.clone());
                }
            }
            write(out, chunk.to_raw().get());
        }
    }
}

/// Whether a delta says nothing but who speaks.
fn only_role(choice: &Choice<'_>) -> bool {
    let delta = choice.delta.and_then(|delta| RawObject::parse(delta.get()).ok()).unwrap_or_default();
    delta.iter().all(|(key, value)| key == "role" || matches!(value.get(), "null" | "\"\""))
}

fn write(out: &mut BytesMut, data: &str) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data.as_bytes());
    out.extend_from_slice(b"\n\n");
}
