//! What an expression comes to, as far as its words alone can tell.
//!
//! The engine finds out only when it is asked, and a condition that fails says no. So one that can never be true or
//! false would hide its model from everybody, and one that waits for a word nobody says would never hold.

use cel::IdedExpr;
use cel::common::ast::operators::{
    ADD, CONDITIONAL, DIVIDE, EQUALS, GREATER, GREATER_EQUALS, IN, INDEX, LESS, LESS_EQUALS, LOGICAL_AND, LOGICAL_NOT, LOGICAL_OR, MODULO,
    MULTIPLY, NEGATE, NOT_EQUALS, SUBSTRACT,
};
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr};

use super::words;
use crate::domain::{clip, meant};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// True or false.
    Bool,
    /// Something else, by its name for people.
    Other(&'static str),
    /// It hangs on what is asked about.
    Open,
}

const TEXT: Kind = Kind::Other("a text");
const NUMBER: Kind = Kind::Other("a number");
const LIST: Kind = Kind::Other("a list");
const MAP: Kind = Kind::Other("a map");

/// Refuses a tree that cannot come to true or false, or that compares with what nothing ever is.
pub(super) fn check(tree: &IdedExpr) -> Result<(), String> {
    condition(tree)?;
    compared(tree)
}

/// Refuses what cannot be true or false, and looks into what joins conditions.
fn condition(node: &IdedExpr) -> Result<(), String> {
    if let Kind::Other(what) = kind(node) {
        return Err(format!("is {what}, where true or false is needed; compare it with something, as in `caller.id == \"key:ci\"`"));
    }
    match &node.expr {
        Expr::Call(call) if [LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT, CONDITIONAL].contains(&call.func_name.as_str()) => {
            call.args.iter().try_for_each(condition)
        }
        _ => Ok(()),
    }
}

fn kind(node: &IdedExpr) -> Kind {
    match &node.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => Kind::Bool,
        Expr::Literal(LiteralValue::String(_)) => TEXT,
        Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_)) => NUMBER,
        Expr::Literal(LiteralValue::Bytes(_)) => Kind::Other("bytes"),
        Expr::Literal(LiteralValue::Null) => Kind::Other("null"),
        Expr::Ident(name) if words::VARIABLES.iter().any(|(variable, _)| variable == name) => MAP,
        Expr::Ident(name) if words::TYPES.contains(&name.as_str()) => Kind::Other("a type"),
        Expr::List(_) => LIST,
        Expr::Map(_) => MAP,
        Expr::Select(select) => selected(select),
        Expr::Call(call) => called(call),
        Expr::Ident(_) | Expr::Comprehension(_) | Expr::Struct(_) | Expr::Unspecified => Kind::Open,
    }
}

fn selected(select: &SelectExpr) -> Kind {
    if select.test {
        return Kind::Bool;
    }
    match &select.operand.expr {
        Expr::Ident(variable) => match (variable.as_str(), select.field.as_str()) {
            ("request", "stream") => Kind::Bool,
            ("caller" | "request", "tags") => MAP,
            ("caller" | "request", _) => TEXT,
            _ => Kind::Open,
        },
        _ if is_tags(&select.operand) => TEXT,
        _ => Kind::Open,
    }
}

/// Whether it is one of the two maps of tags, whose values are texts.
fn is_tags(node: &IdedExpr) -> bool {
    let Expr::Select(select) = &node.expr else { return false };
    select.field == "tags" && matches!(&select.operand.expr, Expr::Ident(name) if name == "caller" || name == "request")
}

fn called(call: &CallExpr) -> Kind {
    match call.func_name.as_str() {
        EQUALS | NOT_EQUALS | GREATER | GREATER_EQUALS | LESS | LESS_EQUALS | IN | LOGICAL_AND | LOGICAL_OR | LOGICAL_NOT | "bool"
        | "contains" | "endsWith" | "startsWith" => Kind::Bool,
        "string" => TEXT,
        "type" => Kind::Other("a type"),
        "double" | "int" | "size" | "uint" | SUBSTRACT | MULTIPLY | DIVIDE | MODULO | NEGATE => NUMBER,
        ADD => match call.args.first().map(kind) {
            Some(one @ Kind::Other(_)) => one,
            _ => Kind::Other("a sum"),
        },
        INDEX if call.args.first().is_some_and(is_tags) => TEXT,
        _ => Kind::Open,
    }
}

/// Refuses comparisons of a word with one that it never is.
fn compared(node: &IdedExpr) -> Result<(), String> {
    let Expr::Call(call) = &node.expr else { return Ok(()) };
    if let [left, right] = call.args.as_slice() {
        match call.func_name.as_str() {
            EQUALS | NOT_EQUALS => {
                known(left, right)?;
                known(right, left)?;
            }
            IN => {
                if let Expr::List(list) = &right.expr {
                    list.elements.iter().try_for_each(|element| known(left, element))?;
                }
            }
            _ => {}
        }
    }
    call.target.iter().map(AsRef::as_ref).chain(&call.args).try_for_each(compared)
}

/// Whether a text can be what a variable of few words is.
fn known(variable: &IdedExpr, text: &IdedExpr) -> Result<(), String> {
    let (Expr::Select(select), Expr::Literal(LiteralValue::String(text))) = (&variable.expr, &text.expr) else { return Ok(()) };
    let Expr::Ident(of) = &select.operand.expr else { return Ok(()) };
    let name = format!("{of}.{}", select.field);
    let Some((_, all)) = words::ONE_OF.iter().find(|(variable, _)| *variable == name) else { return Ok(()) };
    let text = text.inner();
    if all.contains(&text) {
        return Ok(());
    }
    let near = meant(text, all.iter().copied());
    Err(format!("compares `{name}` with `{}`, which it never is; it is one of {}{near}", clip(text, 40), all.join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::expr::Expression;

    #[test]
    fn what_can_be_neither_true_nor_false_is_refused_with_what_it_is() {
        for (source, word) in [
            ("caller.id", "is a text, where true or false is needed"),
            ("'caller.id == 1'", "is a text"),
            ("caller.tags", "is a map"),
            ("caller.tags.team", "is a text"),
            ("caller.tags['team'] && true", "is a text"),
            ("!caller.kind", "is a text"),
            ("request.stream ? 'yes' : 'no'", "is a text"),
            ("size(caller.tags)", "is a number"),
            ("1 + 1", "is a number"),
            ("[true]", "is a list"),
        ] {
            let refused = Expression::compile(source).expect_err(source);
            assert!(refused.contains(word), "{source}: {refused}");
        }
        for source in ["true", "request.stream", "!request.stream", "caller.tags.exists(t, t == 'a')", "has(caller.tags.a)", "bool('true')"]
        {
            Expression::compile(source).unwrap_or_else(|why| panic!("{why}"));
        }
    }

    #[test]
    fn a_word_that_an_endpoint_or_a_kind_of_caller_never_is_is_refused_with_those_there_are() {
        for (source, word) in [
            ("request.endpoint == 'chatt'", "did you mean `chat`?"),
            ("true && !('embedding' != request.endpoint)", "did you mean `embeddings`?"),
            ("request.endpoint in ['chat', 'response']", "did you mean `responses`?"),
            ("caller.kind == 'admin'", "one of key, subject, owner, local"),
        ] {
            let refused = Expression::compile(source).expect_err(source);
            assert!(refused.contains(word), "{source}: {refused}");
        }
        for source in ["request.endpoint == 'chat'", "request.model == 'chatt'", "caller.kind in ['key', 'owner', 'local']"] {
            Expression::compile(source).unwrap_or_else(|why| panic!("{why}"));
        }
    }
}
