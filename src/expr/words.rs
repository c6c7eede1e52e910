//! The vocabulary: what an expression may speak of, and the functions it may call.
//!
//! A word that is not here is an error of the file, and not a surprise on the first request that meets it.

use cel::common::ast::operators;

/// What is known of the caller.
pub(super) const CALLER: [&str; 3] = ["id", "kind", "tags"];
/// What is known of the request.
pub(super) const REQUEST: [&str; 4] = ["endpoint", "model", "stream", "tags"];

/// Variables that are one of a few words.
pub(super) const ONE_OF: [(&str, &[&str]); 2] =
    [("caller.kind", &["key", "subject", "owner", "local"]), ("request.endpoint", &["chat", "messages", "responses", "embeddings"])];

/// The variables, with what each has.
pub(super) const VARIABLES: [(&str, &[&str]); 2] = [("caller", &CALLER), ("request", &REQUEST)];

/// Names of types, as `type(x) == string` has them.
pub(super) const TYPES: [&str; 8] = ["bool", "double", "int", "list", "map", "null_type", "string", "uint"];

/// Functions, beside the operators.
pub(super) const FUNCTIONS: [&str; 10] = ["bool", "contains", "double", "endsWith", "int", "size", "startsWith", "string", "type", "uint"];

const OPERATORS: [&str; 18] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];

/// Whether a call is one that may be made.
pub(super) fn callable(name: &str) -> bool {
    // What the macros write stands under a name that nobody can write.
    FUNCTIONS.contains(&name) || OPERATORS.contains(&name) || name == operators::NOT_STRICTLY_FALSE
}

/// All that can be asked about, for error messages.
pub(super) fn all() -> String {
    let fields = VARIABLES.iter().flat_map(|(variable, fields)| fields.iter().map(move |field| format!("{variable}.{field}")));
    fields.collect::<Vec<_>>().join(", ")
}
