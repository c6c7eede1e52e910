//! What models cost: the operator's word, else a table that is part of the program.
//!
//! `prices.json` is made by `src/llm/routing/prices.py`; `prices.LICENSE` says of what. A provider is known by the host
//! it is called at and not by its name, for anyone may call a model what another sells. What is not known
//! is never taken for free.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::config::{self, BUILT_IN, Price};
use crate::domain::Usage;

#[derive(Deserialize)]
struct Table {
    models: HashMap<String, HashMap<String, Row>>,
}

/// US dollars per million tokens.
#[derive(Deserialize)]
struct Row {
    input: f64,
    output: Option<f64>,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
}

/// Read when the first one asks.
static TABLE: LazyLock<Option<Table>> = LazyLock::new(|| serde_json::from_str(include_str!("prices.json")).ok());

/// Hosts, and what the table calls whom one meets there.
const SELLERS: [(&str, &str); 9] = [
    ("api.anthropic.com", "anthropic"),
    ("api.cohere.ai", "cohere"),
    ("api.deepseek.com", "deepseek"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral"),
    ("api.openai.com", "openai"),
    ("api.together.xyz", "together"),
    ("api.x.ai", "xai"),
];

/// Whose prices are a provider's.
pub(super) fn seller(provider: &config::Provider) -> Option<&'static str> {
    let url = url::Url::parse(provider.base()).ok()?;
    SELLERS.iter().find(|(host, _)| url.host_str() == Some(*host)).map(|(_, seller)| *seller)
}

/// What an answer cost, in billionths of a US dollar; `own` is the operator's word, which knows nothing of caches.
pub(super) fn cost(seller: Option<&str>, model: &str, own: Option<Price>, usage: &Usage) -> Option<i64> {
    let row = || TABLE.as_ref()?.models.get(seller?)?.get(model.strip_prefix("models/").unwrap_or(model));
    let price = own.or_else(|| of(seller?, model))?;
    let (read, write) = match own {
        Some(_) => (None, None),
        None => row().map_or((None, None), |row| (row.cache_read, row.cache_write)),
    };
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // Counts stay far below 2^53, and what they cost below 2^63.
    let nano = |tokens: u64, per_million: f64| (tokens as f64 * per_million * 1_000.0).round() as i64;
    let input = nano(usage.uncached(), price.input)
        .saturating_add(nano(usage.cached, read.unwrap_or(price.input)))
        .saturating_add(nano(usage.cache_write, write.unwrap_or(price.input)));
    Some(input.saturating_add(nano(usage.output, price.output)))
}

/// What a seller takes for a model.
pub(super) fn of(seller: &str, model: &str) -> Option<Price> {
    if seller == BUILT_IN {
        return Some(Price { input: 0.0, output: 0.0 });
    }
    // Gemini lists its models below a folder.
    let model = model.strip_prefix("models/").unwrap_or(model);
    let row = TABLE.as_ref()?.models.get(seller)?.get(model)?;
    Some(Price { input: row.input, output: row.output? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_and_is_small() {
        let table = TABLE.as_ref().expect("prices.json fits");
        for (_, seller) in SELLERS {
            let rows = table.models.get(seller).unwrap_or_else(|| panic!("{seller} is in the table"));
            assert!(rows.values().all(|row| row.input >= 0.0 && row.output.is_none_or(|cost| cost >= 0.0)), "{seller}");
        }
        assert!(include_str!("prices.json").len() < 200 << 10);
    }

    #[test]
    fn a_model_is_priced_by_its_seller_and_never_by_its_name_alone() {
        assert!(of("openai", "gpt-5-mini").is_some_and(|price| price.input > 0.0 && price.output > price.input));
        assert!(of("gemini", "models/gemini-2.5-flash").is_some());
        assert_eq!(of("mistral", "gpt-5-mini"), None);
        assert_eq!(of("openai", "no-such-model"), None);
    }
}
