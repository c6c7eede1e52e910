//! How many tokens a request has, for providers that do not count them.
//!
//! Every provider counts in its own way; this is the count of one widely used vocabulary, with what a
//! provider adds for the frame of each message and tool. It errs by some per cent, and rather upwards.

use std::fmt::Write as _;

use super::error::Error;
use crate::context;
use crate::llm::{Part, Request};

/// Tokens of the frame of a message, of a tool, and of an image of middling size.
const MESSAGE: usize = 4;
const TOOL: usize = 12;
const IMAGE: usize = 1_500;

/// The tokens of a request.
pub(super) async fn tokens(request: &Request) -> Result<usize, Error> {
    let conversation = request.conversation()?;
    let mut text = String::new();
    let mut frame = 0;
    for part in &conversation.system {
        add(part, &mut text, &mut frame);
    }
    for turn in &conversation.turns {
        frame += MESSAGE;
        for part in &turn.parts {
            add(part, &mut text, &mut frame);
        }
    }
    for function in &conversation.functions {
        frame += TOOL;
        let schema = function.schema.as_ref().map_or("", |schema| schema.get());
        let _ = writeln!(text, "{} {} {schema}", function.name, function.description.as_deref().unwrap_or_default());
    }
    Ok(frame + context::tokens(text).await)
}

fn add(part: &Part, text: &mut String, frame: &mut usize) {
    match part {
        Part::Text(words, _) | Part::Refusal(words) | Part::Thinking(words, _) => {
            text.push_str(words);
            text.push('\n');
        }
        Part::Call(call) => {
            *frame += MESSAGE;
            let _ = writeln!(text, "{} {}", call.name, call.arguments);
        }
        Part::Result { parts, .. } => {
            *frame += MESSAGE;
            for part in parts {
                add(part, text, frame);
            }
        }
        Part::Image(_) | Part::File(..) => *frame += IMAGE,
        Part::Native(_, raw) => text.push_str(raw.get()),
        Part::Redacted(_) | Part::Runs(_) | Part::Ran(_) | Part::Listed(_) => {}
    }
}
