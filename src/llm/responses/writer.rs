//! Writes a stream of Responses: typed events, numbered in order, items one after the other.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::output::{Frame, custom_input, item_as, item_of, output_text, status};
use super::unfold::{id_of, new_turn};
use crate::domain::{Usage, raw};
use crate::llm::answer::{Answer, Piece};
use crate::llm::conversation::{Part, Ran};

/// A writer of one stream.
pub struct Writer {
    frame: Frame,
    begun: bool,
    sequence: u64,
    answer: Answer,
    /// The items that are not done: which part each is, by its place in the output.
    open: BTreeMap<usize, Open>,
    done: BTreeMap<usize, Box<RawValue>>,
    next: usize,
    /// Calls that the gateway runs: their place in the output, by the call's id.
    running: HashMap<String, (usize, String)>,
    /// The turn that they are of.
    turn: String,
    /// Where each call stands in the output.
    calls: Vec<usize>,
}

struct Open {
    id: String,
    part: usize,
}

impl Writer {
    pub(in crate::llm) fn new(frame: Frame) -> Self {
        let (answer, open, done) = (Answer::default(), BTreeMap::new(), BTreeMap::new());
        Self {
            frame,
            begun: false,
            sequence: 0,
            answer,
            open,
            done,
            next: 0,
            running: HashMap::new(),
            turn: String::new(),
            calls: Vec::new(),
        }
    }

    /// The number of the next event.
    pub(in crate::llm) fn next_number(&self) -> u64 {
        self.sequence
    }

    /// The items that are done, in order.
    pub(in crate::llm) fn output(&self) -> Vec<Box<RawValue>> {
        self.done.values().cloned().collect()
    }

    /// Writes what a piece is to the client.
    pub(in crate::llm) fn piece(&mut self, piece: Piece, out: &mut String) {
        if !matches!(piece, Piece::Usage(_) | Piece::Finish(..) | Piece::Beat) {
            if let Piece::Begin { .. } = &piece {
                self.answer.take(&piece);
            }
            self.begin(out);
        }
        let before = self.answer.parts.len();
        // What only another dialect has is not shown here, and must not move the places of what is.
        if !matches!(piece, Piece::Native(..)) {
            self.answer.take(&piece);
        }
        let began = self.answer.parts.len() > before;
        match piece {
            Piece::Runs(ran) if ran.shown => self.runs(&ran, out),
            Piece::Ran(ran) if ran.shown => self.ran(&ran, out),
            Piece::Listed(_) => self.listed(before, out),
            piece @ (Piece::Text(_)
            | Piece::Refusal(_)
            | Piece::Thinking(_)
            | Piece::Signature(_)
            | Piece::Redacted(_)
            | Piece::Call { .. }
            | Piece::Arguments(..)) => {
                if began {
                    self.close(false, out);
                    self.start(before, out);
                }
                self.grow(&piece, out);
            }
            _ => {}
        }
    }

    fn begin(&mut self, out: &mut String) {
        if !std::mem::replace(&mut self.begun, true) {
            for name in ["response.created", "response.in_progress"] {
                let response = self.frame.response(&self.answer.model, "in_progress", &[], None);
                self.event(name, &[("response", response.to_raw())], out);
            }
        }
    }

    fn event(&mut self, name: &str, members: &[(&'static str, Box<RawValue>)], out: &mut String) {
        let _ = write!(out, "event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{}", self.sequence);
        self.sequence += 1;
        for (key, value) in members {
            let _ = write!(out, ",\"{key}\":{value}");
        }
        out.push_str("}\n\n");
    }

    /// Something about one item.
    fn about(&mut self, name: &str, at: usize, more: &[(&'static str, Box<RawValue>)], out: &mut String) {
        let id = self.open.get(&at).map(|open| open.id.clone()).unwrap_or_default();
        let mut members = vec![("item_id", raw(&id)), ("output_index", raw(&at))];
        members.extend(more.iter().cloned());
        self.event(name, &members, out);
    }

    /// The part at a place begins a new item.
    fn start(&mut self, part: usize, out: &mut String) {
        let Some(said) = self.answer.parts.get(part) else { return };
        // One that is sealed as a whole has no words.
        let in_words = matches!(said, Part::Thinking(text, _) if !text.is_empty());
        let empty = match said {
            Part::Text(..) => Part::text(""),
            Part::Refusal(_) => Part::Refusal(String::new()),
            Part::Thinking(..) => Part::Thinking(String::new(), None),
            other => other.clone(),
        };
        let Some((id, item)) = item_of(&self.frame, &empty, "in_progress") else { return };
        let item = match &empty {
            // A message begins without its part, which is added in a moment.
            Part::Text(..) | Part::Refusal(_) => {
                raw(&json!({ "id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": [] }))
            }
            _ => item,
        };
        let at = self.next;
        self.next += 1;
        self.open.insert(at, Open { id, part });
        self.event("response.output_item.added", &[("output_index", raw(&at)), ("item", item)], out);
        match empty {
            Part::Text(..) => {
                self.about("response.content_part.added", at, &[("content_index", raw(&0)), ("part", raw(&output_text("")))], out);
            }
            Part::Refusal(_) => {
                let part = raw(&json!({ "type": "refusal", "refusal": "" }));
                self.about("response.content_part.added", at, &[("content_index", raw(&0)), ("part", part)], out);
            }
            Part::Thinking(..) if in_words => {
                let part = raw(&json!({ "type": "summary_text", "text": "" }));
                self.about("response.reasoning_summary_part.added", at, &[("summary_index", raw(&0)), ("part", part)], out);
            }
            Part::Call(_) => self.calls.push(at),
            _ => {}
        }
    }

    /// The newest item grows, or the call that a piece names.
    fn grow(&mut self, piece: &Piece, out: &mut String) {
        let newest = self.next.saturating_sub(1);
        match piece {
            Piece::Text(text) => {
                let more = [("content_index", raw(&0)), ("delta", raw(text)), ("logprobs", raw(&json!([])))];
                self.about("response.output_text.delta", newest, &more, out);
            }
            Piece::Refusal(text) => self.about("response.refusal.delta", newest, &[("content_index", raw(&0)), ("delta", raw(text))], out),
            Piece::Thinking(text) => {
                self.about("response.reasoning_summary_text.delta", newest, &[("summary_index", raw(&0)), ("delta", raw(text))], out);
            }
            Piece::Arguments(call, text) => {
                let Some(at) = self.calls.get(*call).copied() else { return };
                let name = self.answer.calls().nth(*call).map(|call| call.name.clone()).unwrap_or_default();
                // The text of a custom tool is known only when its one argument is whole.
                if !self.frame.is_custom(&name) && !text.is_empty() {
                    self.about("response.function_call_arguments.delta", at, &[("delta", raw(text))], out);
                }
            }
            _ => {}
        }
    }

    /// Ends what is open. A call may grow on while others begin, until its arguments are whole.
    fn close(&mut self, ended: bool, out: &mut String) {
        let places: Vec<usize> = self.open.keys().copied().collect();
        for at in places {
            let Some(part) = self.open.get(&at).and_then(|open| self.answer.parts.get(open.part)).cloned() else { continue };
            if let Part::Call(call) = &part
                && !ended
                && serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_err()
            {
                continue;
            }
            self.finish(at, &part, out);
        }
    }

    fn finish(&mut self, at: usize, part: &Part, out: &mut String) {
        let index = ("content_index", raw(&0));
        match part {
            Part::Text(text, _) => {
                let done = [index.clone(), ("text", raw(text)), ("logprobs", raw(&json!([])))];
                self.about("response.output_text.done", at, &done, out);
                self.about("response.content_part.done", at, &[index, ("part", raw(&output_text(text)))], out);
            }
            Part::Refusal(text) => {
                self.about("response.refusal.done", at, &[index.clone(), ("refusal", raw(text))], out);
                let part = raw(&json!({ "type": "refusal", "refusal": text }));
                self.about("response.content_part.done", at, &[index, ("part", part)], out);
            }
            Part::Thinking(text, _) if !text.is_empty() => {
                let summary = ("summary_index", raw(&0));
                self.about("response.reasoning_summary_text.done", at, &[summary.clone(), ("text", raw(text))], out);
                let part = raw(&json!({ "type": "summary_text", "text": text }));
                self.about("response.reasoning_summary_part.done", at, &[summary, ("part", part)], out);
            }
            Part::Call(call) if self.frame.is_custom(&call.name) => {
                let input = custom_input(call);
                self.about("response.custom_tool_call_input.delta", at, &[("delta", raw(&input))], out);
                self.about("response.custom_tool_call_input.done", at, &[("input", raw(&input))], out);
            }
            Part::Call(call) => {
                let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
                let done = [("name", raw(self.frame.own_name(&call.name))), ("arguments", raw(arguments))];
                self.about("response.function_call_arguments.done", at, &done, out);
            }
            _ => {}
        }
        if let Some(open) = self.open.remove(&at) {
            let item = item_as(&self.frame, part, &open.id, "completed");
            self.end_item(at, item, out);
        }
    }

    fn end_item(&mut self, at: usize, item: Box<RawValue>, out: &mut String) {
        self.event("response.output_item.done", &[("output_index", raw(&at)), ("item", item.clone())], out);
        self.done.insert(at, item);
    }

    fn listed(&mut self, part: usize, out: &mut String) {
        self.start(part, out);
        let at = self.next.saturating_sub(1);
        self.about("response.mcp_list_tools.in_progress", at, &[], out);
        self.about("response.mcp_list_tools.completed", at, &[], out);
        if let Some(part) = self.answer.parts.get(part).cloned() {
            self.finish(at, &part, out);
        }
    }

    fn runs(&mut self, ran: &Ran, out: &mut String) {
        self.close(true, out);
        let part = Part::Ran(Box::new(ran.clone()));
        if self.running.is_empty() {
            self.turn = new_turn();
        }
        let id = id_of(&self.turn, &ran.call.id);
        let item = item_as(&self.frame, &part, &id, "in_progress");
        let at = self.next;
        self.next += 1;
        self.running.insert(ran.call.id.clone(), (at, id.clone()));
        self.event("response.output_item.added", &[("output_index", raw(&at)), ("item", item)], out);
        self.mcp("in_progress", at, &id, out);
        let arguments = if ran.call.arguments.is_empty() { "{}" } else { &ran.call.arguments };
        let place = [("item_id", raw(&id)), ("output_index", raw(&at))];
        for (name, key) in [("response.mcp_call_arguments.delta", "delta"), ("response.mcp_call_arguments.done", "arguments")] {
            let members = [place.as_slice(), &[(key, raw(arguments))]].concat();
            self.event(name, &members, out);
        }
    }

    fn mcp(&mut self, state: &str, at: usize, id: &str, out: &mut String) {
        self.event(&format!("response.mcp_call.{state}"), &[("item_id", raw(id)), ("output_index", raw(&at))], out);
    }

    fn ran(&mut self, ran: &Ran, out: &mut String) {
        let Some((at, id)) = self.running.remove(&ran.call.id) else { return };
        self.mcp(if ran.outcome.is_ok() { "completed" } else { "failed" }, at, &id, out);
        let item = item_as(&self.frame, &Part::Ran(Box::new(ran.clone())), &id, "completed");
        self.end_item(at, item, out);
    }

    /// Writes the end; `total` is the usage of all turns together.
    pub(in crate::llm) fn end(&mut self, total: Option<Usage>, report: Option<&Value>, out: &mut String) {
        self.begin(out);
        self.close(true, out);
        let (finish, _) = self.answer.finish.clone().unwrap_or_default();
        let counted = total.or(self.answer.usage).unwrap_or_default();
        let status = status(finish);
        let mut response = self.frame.response(&self.answer.model, status, &self.output(), Some((&counted, finish)));
        if let Some(report) = report {
            response.set("portolan", raw(report));
        }
        self.event(&format!("response.{status}"), &[("response", response.to_raw())], out);
    }
}
