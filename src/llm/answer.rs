//! An answer in nobody's words: the pieces it comes in, and what they come to.

use serde_json::value::RawValue;

use super::conversation::{Call, Listed, Part, Ran};
use super::dialect::Dialect;
use super::messages;
use crate::domain::Usage;

/// What an answer grows by.
#[derive(Clone, Debug)]
pub enum Piece {
    /// It begins: its id and the model as the provider names it.
    Begin {
        /// The answer's id.
        id: String,
        /// The model.
        model: String,
    },
    /// More text.
    Text(String),
    /// More of a refusal.
    Refusal(String),
    /// More of what the model thinks.
    Thinking(String),
    /// The seal of what it thought; a later thought is another one.
    Signature(String),
    /// A thought that is sealed as a whole.
    Redacted(String),
    /// What comes next does not belong to the text before it, though it is text as well.
    Break,
    /// A call begins: its id and its whole name. Calls are counted from 0.
    Call {
        /// The id its result must name.
        id: String,
        /// The function.
        name: String,
    },
    /// More of a call's arguments.
    Arguments(usize, String),
    /// A call that the gateway runs itself begins to run.
    Runs(Ran),
    /// It has run; what came of it.
    Ran(Ran),
    /// The tools of a server that the client named.
    Listed(Listed),
    /// What only this dialect has, in its own words.
    Native(Dialect, Box<RawValue>),
    /// What it cost so far: the last one counts.
    Usage(Usage),
    /// Why it ends, and in the provider's own word.
    Finish(Finish, String),
    /// The provider is alive.
    Beat,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// All was said.
    #[default]
    Stop,
    /// A text that was given ended it.
    Sequence,
    /// There was no more room.
    Length,
    /// Functions are to be called.
    Calls,
    /// A filter kept it back.
    Filter,
    /// The model refused.
    Refusal,
    /// The provider wants to be asked to go on.
    Pause,
}

/// What an answer came to.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The answer's id.
    pub id: String,
    /// The model as the provider names it.
    pub model: String,
    /// What was said, in order.
    pub parts: Vec<Part>,
    /// Why it ended, and in the provider's own word; none when it did not.
    pub finish: Option<(Finish, String)>,
    /// What it cost.
    pub usage: Option<Usage>,
    broken: bool,
    /// Arguments of the newest part, where it is a call of the provider's own that is still being written.
    arguments: String,
}

impl Answer {
    /// An answer of pieces.
    pub fn of(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut answer = Self::default();
        for piece in pieces {
            answer.take(&piece);
        }
        answer
    }

    /// Grows by a piece.
    pub fn take(&mut self, piece: &Piece) {
        if let Piece::Native(Dialect::Messages, native) = piece
            && let Some(more) = messages::piece(native)
        {
            messages::grow(&mut self.parts, std::mem::take(&mut self.broken), &mut self.arguments, &more);
            return;
        }
        if let (false, Some(Part::Native(_, block))) = (self.arguments.is_empty(), self.parts.last_mut()) {
            *block = messages::with_input(block, &std::mem::take(&mut self.arguments));
        }
        let broken = std::mem::take(&mut self.broken);
        let last = self.parts.last_mut().filter(|_| !broken);
        match (piece, last) {
            (Piece::Text(more), Some(Part::Text(text, _)))
            | (Piece::Refusal(more), Some(Part::Refusal(text)))
            | (Piece::Thinking(more), Some(Part::Thinking(text, None))) => text.push_str(more),
            (Piece::Signature(seal), Some(Part::Thinking(_, signature))) => {
                signature.get_or_insert_default().push_str(seal);
            }
            (Piece::Text(text), _) => self.parts.push(Part::text(text.as_str())),
            (Piece::Refusal(text), _) => self.parts.push(Part::Refusal(text.clone())),
            (Piece::Thinking(text), _) => self.parts.push(Part::Thinking(text.clone(), None)),
            (Piece::Signature(seal), _) => self.parts.push(Part::Thinking(String::new(), Some(seal.clone()))),
            (Piece::Redacted(data), _) => self.parts.push(Part::Redacted(data.clone())),
            (Piece::Call { id, name }, _) => {
                self.parts.push(Part::Call(Call { id: id.clone(), name: name.clone(), arguments: String::new() }));
            }
            (Piece::Arguments(at, more), _) => {
                if let Some(call) = self.calls_mut().nth(*at) {
                    call.arguments.push_str(more);
                }
            }
            // Beside what is said, not between: the text goes on growing.
            (Piece::Native(Dialect::Chat, raw), Some(Part::Text(..) | Part::Thinking(..) | Part::Refusal(_))) => {
                self.parts.insert(self.parts.len().saturating_sub(1), Part::Native(Dialect::Chat, raw.clone()));
            }
            (Piece::Native(dialect, raw), _) => self.parts.push(Part::Native(*dialect, raw.clone())),
            (Piece::Begin { id, model }, _) => {
                if self.id.is_empty() {
                    (self.id, self.model) = (id.clone(), model.clone());
                }
            }
            (Piece::Usage(usage), _) => self.usage = Some(*usage),
            (Piece::Finish(finish, native), _) => self.finish = Some((*finish, native.clone())),
            (Piece::Break, _) => self.broken = true,
            (Piece::Ran(ran), _) => self.parts.push(Part::Ran(Box::new(ran.clone()))),
            (Piece::Listed(listed), _) => self.parts.push(Part::Listed(Box::new(listed.clone()))),
            (Piece::Beat | Piece::Runs(_), _) => self.broken = broken,
        }
    }

    fn calls_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.parts.iter_mut().filter_map(|part| match part {
            Part::Call(call) => Some(call),
            _ => None,
        })
    }

    /// The calls, in order.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.parts.iter().filter_map(|part| match part {
            Part::Call(call) => Some(call),
            _ => None,
        })
    }
}
