//! One expression: compiled once, asked often.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cel::{ParseErrors, Program, Value};

use super::bounds::{self, Found, MAX_SOURCE};
use super::kind;
use super::scope::{ENV, Scope};
use crate::domain::{clip, printable};

/// The stack an expression is read on. The engine reads by recursion, and a stack that is full ends the process.
const STACK: usize = 64 << 20;

/// A question in CEL. Cheap to clone.
#[derive(Clone)]
pub struct Expression(Arc<Inner>);

struct Inner {
    source: String,
    program: Program,
    found: Found,
    /// Whether it was told that this expression failed. Once is enough: it fails for each request alike.
    told: AtomicBool,
}

/// What an expression says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It could not be answered, which counts as no.
    Failed(String),
}

impl Verdict {
    /// Whether it is a plain yes.
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }
}

impl Expression {
    /// Compiles a source; the error says what is wrong with it and how to mend it.
    pub fn compile(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("the expression is longer than {MAX_SOURCE} bytes; make it simpler"));
        }
        let shown = printable(&clip(source.trim(), 120));
        let text = source.to_owned();
        // On a thread of its own, so that neither a panic of the engine nor its recursion reaches us.
        let reading = std::thread::Builder::new().name("expression".to_owned()).stack_size(STACK).spawn(move || {
            let program = ENV.compile(&text).map_err(|errors| syntax(&errors))?;
            let found = bounds::check(program.expression())?;
            kind::check(program.expression())?;
            Ok::<_, String>((program, found))
        });
        let read = reading.map_err(|error| format!("the expression `{shown}` cannot be read now: {error}"))?.join();
        match read {
            Ok(Ok((program, found))) => {
                Ok(Self(Arc::new(Inner { source: source.trim().to_owned(), program, found, told: AtomicBool::new(false) })))
            }
            Ok(Err(why)) => Err(format!("the expression `{shown}` {why}")),
            Err(_) => Err(format!("the expression `{shown}` cannot be read; write it another way")),
        }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether the answer hangs on the request, and not on the caller alone.
    pub fn asks_of_request(&self) -> bool {
        self.0.found.request
    }

    /// What it says of a caller and a request.
    pub fn verdict(&self, scope: &Scope) -> Verdict {
        let Some(context) = &scope.context else { return Verdict::Failed("the tags are too many or too long".to_owned()) };
        match catch_unwind(AssertUnwindSafe(|| self.0.program.execute(context))) {
            Ok(Ok(Value::Bool(true))) => Verdict::Yes,
            Ok(Ok(Value::Bool(false))) => Verdict::No,
            Ok(Ok(other)) => Verdict::Failed(format!("it is a {}, neither true nor false", other.type_of())),
            Ok(Err(error)) => Verdict::Failed(printable(&clip(&error.to_string(), 200))),
            Err(_) => Verdict::Failed("the engine failed on it".to_owned()),
        }
    }

    /// Whether it says yes. The first time that it fails, the log says why; `place` is where it stands.
    pub fn holds(&self, scope: &Scope, place: impl FnOnce() -> String) -> bool {
        let verdict = self.verdict(scope);
        if let Verdict::Failed(why) = &verdict
            && !self.0.told.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("{}: `{}` fails and so says no: {why}; this is told once", place(), self.source());
        }
        verdict.is_yes()
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.source()).finish()
    }
}

/// What the parser says, without what only its author understands.
fn syntax(errors: &ParseErrors) -> String {
    const MARK: &str = "Syntax error: ";
    let error = errors.errors.iter().find(|error| error.msg.starts_with(MARK)).or(errors.errors.first());
    let Some(error) = error else { return "is not CEL".to_owned() };
    let text = error.msg.strip_prefix(MARK).unwrap_or(&error.msg);
    let text = text.split(" expecting ").next().unwrap_or_default();
    let text = if text.contains("<EOF>") { "it ends too early" } else { text };
    let single = ["'=", "'= '"].iter().any(|sign| error.msg.contains(&format!("token recognition error at: {sign}")));
    let text = if single { "`=` is no operator; write `==`" } else { text };
    let (line, column) = error.pos;
    let line = if line > 1 { format!("line {line} ") } else { String::new() };
    format!("is not CEL: at {line}column {column}: {}", printable(&clip(text, 160)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{Grants, Principal};
    use crate::expr::Asking;

    fn ask(source: &str) -> Verdict {
        let tags = |text: &str| BTreeMap::from([(text.to_owned(), "yes".to_owned())]);
        let caller = Principal::key("ci", Grants::local(), tags("hipaa"));
        let request = tags("beta");
        let asking = Asking { model: "m", endpoint: "chat", stream: false, tags: &request };
        Expression::compile(source).unwrap_or_else(|why| panic!("{why}")).verdict(&Scope::new(&caller, &asking))
    }

    #[test]
    fn the_whole_vocabulary_can_be_asked_about() {
        for yes in [
            "'hipaa' in caller.tags",
            "caller.tags.hipaa == 'yes' && caller.tags['hipaa'].startsWith('y')",
            "caller.id == 'key:ci' && caller.kind == 'key'",
            "request.model == 'm' && request.endpoint in ['chat', 'responses'] && !request.stream",
            "'beta' in request.tags && !has(request.tags.alpha)",
            "caller.tags.exists(tag, tag.endsWith('paa'))",
            "size(caller.tags) == 1 && type(request.model) == string",
        ] {
            assert_eq!(ask(yes), Verdict::Yes, "{yes}");
        }
        assert_eq!(ask("!(\"hipaa\" in caller.tags)"), Verdict::No);
    }

    #[test]
    fn what_fails_or_is_neither_true_nor_false_is_no_yes() {
        for source in ["caller.tags.team == 'x'", "1 / 0 == 1", "[1][7] == 1", "9223372036854775807 + 1 > 0", "caller.id > 1"] {
            assert!(matches!(ask(source), Verdict::Failed(_)), "{source}: {:?}", ask(source));
        }
    }

    #[test]
    fn a_wrong_word_is_named_with_those_there_are() {
        let refused = |source: &str| Expression::compile(source).expect_err(source);
        for (source, word) in [
            ("calle.tags == 1", "did you mean `caller`?"),
            ("request.modle == 'a'", "did you mean `request.model`?"),
            ("caller.tags.matches('x')", "unknown function `matches`"),
            ("now() > 1", "unknown function `now`"),
            ("caller.tags[", "at column 13: it ends too early"),
            ("", "at column 1: it ends too early"),
            ("caller.id = 'x'", "at column 11: `=` is no operator; write `==`"),
            ("caller.id ='x'", "write `==`"),
            ("Thing{a: 1} == 1", "makes a `Thing`"),
        ] {
            assert!(refused(source).contains(word), "{source}: {}", refused(source));
        }
    }

    #[test]
    fn nothing_that_could_run_away_is_taken() {
        let nested = "[1].exists(a, [1].exists(b, a == b))";
        let long = format!("caller.id == '{}'", "x".repeat(5_000));
        let wide = format!("[{}].size() == 1", vec!["1"; 1_000].join(","));
        let deep = format!("{}true", "!(".repeat(60)) + &")".repeat(60);
        let bottomless = "[".repeat(4_000);
        for source in [nested, &long, &wide, &deep, &bottomless] {
            assert!(Expression::compile(source).is_err(), "{}", clip(source, 60));
        }
    }

    #[test]
    fn tags_without_end_are_looked_through_by_nobody() {
        let many: BTreeMap<String, String> = (0..1_000).map(|n| (n.to_string(), String::new())).collect();
        let asking = Asking { model: "m", endpoint: "chat", stream: false, tags: &many };
        let yes = Expression::compile("true").unwrap();
        assert!(matches!(yes.verdict(&Scope::new(&Principal::local(), &asking)), Verdict::Failed(_)));
    }
}
