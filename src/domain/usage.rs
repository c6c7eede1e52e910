//! Tokens that a completion cost.

use serde::Deserialize;

/// Token counts, read from any provider's words. Input includes what was read from and written to a
/// prompt cache, as OpenAI counts; Anthropic counts those apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Usage {
    /// Tokens of the request, cached ones included.
    pub input: u64,
    /// Tokens of the answer, those of reasoning included.
    pub output: u64,
    /// Input tokens that were read from a prompt cache.
    pub cached: u64,
    /// Input tokens that were written to one.
    pub cache_write: u64,
    /// Output tokens that nobody sees.
    pub reasoning: u64,
}

impl Usage {
    /// Input and output together.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Counts come in parts: what is said later holds, what is not said stays.
    #[must_use]
    pub fn after(self, before: Option<Self>) -> Self {
        match before {
            Some(before) if self.input == 0 => Self { output: self.output, reasoning: self.reasoning, ..before },
            _ => self,
        }
    }

    /// Input tokens that had nothing to do with a cache: what Anthropic calls `input_tokens`.
    pub fn uncached(&self) -> u64 {
        self.input.saturating_sub(self.cached).saturating_sub(self.cache_write)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.input, other.input);
        add(&mut self.output, other.output);
        add(&mut self.cached, other.cached);
        add(&mut self.cache_write, other.cache_write);
        add(&mut self.reasoning, other.reasoning);
    }
}

/// The names of all dialects. Those of one never stand in another's object, but for `input_tokens`
/// and `output_tokens`, where the cache counts tell whose they are.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Wire {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    #[serde(alias = "input_tokens_details")]
    prompt_tokens_details: Option<InputDetails>,
    #[serde(alias = "output_tokens_details")]
    completion_tokens_details: Option<OutputDetails>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    /// What `DeepSeek` says it read from a cache.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
    thinking_tokens: Option<u64>,
}

impl From<Wire> for Usage {
    fn from(wire: Wire) -> Self {
        let input = wire.prompt_tokens_details.unwrap_or_default();
        let output = wire.completion_tokens_details.unwrap_or_default();
        let (read, written) = (wire.cache_read_input_tokens.unwrap_or(0), wire.cache_creation_input_tokens.unwrap_or(0));
        let apart = wire.input_tokens.map(|tokens| tokens.saturating_add(read).saturating_add(written));
        Self {
            input: wire.prompt_tokens.or(apart).unwrap_or(0),
            output: wire.completion_tokens.or(wire.output_tokens).unwrap_or(0),
            cached: input.cached_tokens.or(wire.prompt_cache_hit_tokens).unwrap_or(read),
            cache_write: input.cache_write_tokens.unwrap_or(written),
            reasoning: output.reasoning_tokens.or(output.thinking_tokens).unwrap_or(0),
        }
    }
}

/// Billionths of a dollar as dollars.
#[allow(clippy::cast_precision_loss)] // It is for people to read; what counts is added up in whole numbers.
pub fn dollars(nano: i64) -> f64 {
    nano as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Usage {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn cached_tokens_are_part_of_the_input_whoever_counts() {
        let openai = r#"{"prompt_tokens":100,"completion_tokens":7,"total_tokens":107,"prompt_tokens_details":{"cached_tokens":80},"completion_tokens_details":{"reasoning_tokens":3}}"#;
        let responses = r#"{"input_tokens":100,"output_tokens":7,"input_tokens_details":{"cached_tokens":80},"output_tokens_details":{"reasoning_tokens":3}}"#;
        let anthropic = r#"{"input_tokens":15,"cache_creation_input_tokens":5,"cache_read_input_tokens":80,"output_tokens":7}"#;
        let same = Usage { input: 100, output: 7, cached: 80, cache_write: 0, reasoning: 3 };
        assert_eq!(read(openai), same);
        assert_eq!(read(responses), same);
        assert_eq!(read(anthropic), Usage { cache_write: 5, reasoning: 0, ..same });
        assert_eq!(read(anthropic).uncached(), 15);
    }

    #[test]
    fn counts_that_are_null_or_missing_are_none() {
        assert_eq!(read(r#"{"prompt_tokens":3,"prompt_tokens_details":null,"total_tokens":3}"#), Usage { input: 3, ..Usage::default() });
    }
}
