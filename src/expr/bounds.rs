//! What an expression may be: of known words, small, and without a loop inside a loop.
//!
//! The engine has no limit on cost. The size of the source, of its tree and of the values bounds the work of
//! everything but loops within loops, and so those are refused.

use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr};

use super::words;
use crate::domain::{clip, meant};

/// Longest source, in bytes.
pub(super) const MAX_SOURCE: usize = 4 << 10;
/// Deepest nesting of its tree.
const MAX_DEPTH: usize = 48;
/// Most nodes of its tree.
const MAX_NODES: usize = 512;

/// Looks through a tree; the error says what is wrong with it.
pub(super) fn check(tree: &IdedExpr) -> Result<Found, String> {
    let mut walk = Walk { nodes: 0, bound: Vec::new(), found: Found::default() };
    walk.node(tree, 0)?;
    Ok(walk.found)
}

/// What an expression speaks of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Whether it asks about the request.
    pub(super) request: bool,
}

struct Walk<'t> {
    nodes: usize,
    /// The names that the loop around us gives its items.
    bound: Vec<&'t str>,
    found: Found,
}

impl<'t> Walk<'t> {
    fn node(&mut self, node: &'t IdedExpr, depth: usize) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("has more than {MAX_NODES} parts; make it simpler"));
        }
        if depth > MAX_DEPTH {
            return Err(format!("is nested deeper than {MAX_DEPTH}; make it simpler"));
        }
        let depth = depth + 1;
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                self.node(&select.operand, depth)?;
                match &select.operand.expr {
                    Expr::Ident(variable) if !self.bound.contains(&variable.as_str()) => field(variable, &select.field),
                    _ => Ok(()),
                }
            }
            Expr::Call(call) => {
                if !words::callable(&call.func_name) {
                    return Err(unknown("function", &call.func_name, &words::FUNCTIONS, &words::FUNCTIONS.join(", ")));
                }
                call.target.iter().map(AsRef::as_ref).chain(&call.args).try_for_each(|part| self.node(part, depth))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.node(element, depth)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::StructField(field) => self.node(&field.value, depth),
                EntryExpr::MapEntry(entry) => self.node(&entry.key, depth).and_then(|()| self.node(&entry.value, depth)),
            }),
            Expr::Struct(built) => Err(format!("makes a `{}`, and there are no such types here", clip(&built.type_name, 40))),
            Expr::Comprehension(each) => self.each(each, depth),
        }
    }

    fn each(&mut self, each: &'t ComprehensionExpr, depth: usize) -> Result<(), String> {
        if !self.bound.is_empty() {
            return Err("goes through a list within a list (`exists`, `all`, `map`, `filter`), which could run away".to_owned());
        }
        self.bound =
            [Some(&each.iter_var), each.iter_var2.as_ref(), Some(&each.accu_var)].into_iter().flatten().map(String::as_str).collect();
        let parts = [&each.iter_range, &each.accu_init, &each.loop_cond, &each.loop_step, &each.result];
        parts.into_iter().try_for_each(|part| self.node(part, depth))?;
        self.bound.clear();
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<(), String> {
        self.found.request |= name == "request";
        let known = |(variable, _): &(&str, _)| *variable == name;
        if self.bound.contains(&name) || words::TYPES.contains(&name) || words::VARIABLES.iter().any(known) {
            return Ok(());
        }
        Err(unknown("variable", name, &words::VARIABLES.map(|(variable, _)| variable), &words::all()))
    }
}

fn field(variable: &str, field: &str) -> Result<(), String> {
    match words::VARIABLES.iter().find(|(name, _)| *name == variable) {
        Some((_, fields)) if !fields.contains(&field) => {
            let all: Vec<String> = fields.iter().map(|field| format!("{variable}.{field}")).collect();
            let names: Vec<&str> = all.iter().map(String::as_str).collect();
            Err(unknown("variable", &format!("{variable}.{field}"), &names, &all.join(", ")))
        }
        _ => Ok(()),
    }
}

fn unknown(what: &str, name: &str, names: &[&str], all: &str) -> String {
    let name = clip(name, 80);
    format!("asks for the unknown {what} `{name}`; there are {all}{}", meant(&name, names.iter().copied()))
}
