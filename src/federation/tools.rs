//! Tools: **the one road to every tool**. Name, grant, release, arguments, connection, result.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::ask::Ask;
use super::caller::Caller;
use super::calls::{Calls, Verdict};
use super::compat;
use super::name::public_uri;
use super::upstreams::{Errand, Road, refusal};
use super::view::Found;
use crate::domain::{Check, Needle, RawObject, clip, hides_keys, raw};
use crate::journal::{Entry, Open, Outcome};
use crate::protocol::{Era, Params, RpcError, is_tool_error};
use crate::registry::{Kind, Outgrown, Refused, Release, Tool, Unkept};
use crate::schema::Misfit;

impl Road {
    /// `tools/call`. Arguments that do not fit are a result with `isError`, so that a model can mend its call.
    pub(super) async fn call(&self, ask: Ask<'_>, mut params: Params) -> Result<Box<RawValue>, RpcError> {
        let Ask { view, caller, scope } = ask;
        let start = std::time::Instant::now();
        let name = params.string("name").ok_or_else(|| RpcError::params("`params.name` must name a tool"))?;
        let unknown = || {
            view.blocked(caller.principal, scope, &name)
                .map_or_else(|| RpcError::params(format!("there is no tool `{}`", clip(&name, 80))), |blocked| refusal(&blocked))
        };
        let may = |found: &Found<'_>| caller.principal.grants().tool(&found.shown.server, &found.shown.public);
        let Some(Found { entry, release, shown, guard, retiring }) = view.find(Kind::Tool, scope, &name).filter(may) else {
            return Err(self.missed(caller, &name, unknown()));
        };
        let mut open = self.journal.open(|| Entry {
            request: caller.request.clone(),
            target: Some(shown.record.clone()),
            ..Entry::new("tool", caller.principal, &shown.public)
        });
        let refuse = |mut open: Open, why: &str| {
            open.add(|entry| entry.detail = Some(why.to_owned()));
            open.close(Outcome::Refused);
        };
        if let Err(why) = self.journal.admit() {
            refuse(open, "unwritable");
            return Err(RpcError::new(RpcError::INTERNAL, why.to_string()));
        }
        if retiring.is_some_and(|retiring| retiring.is_over()) {
            refuse(open, "release_ended");
            return Err(RpcError::params(format!("the release {} has ended", release.label())));
        }
        let calls = shown.calls.get_or_init(|| Calls::of(release.server.as_str(), &shown.public));
        let (review, validators) = (self.registry.review(&entry.spec), self.registry.validators());
        let note = |open: &mut Open| {
            calls.strays.increment(1);
            open.add(|entry| entry.detail = Some("arguments_misfit".to_owned()));
        };
        let Some(tool) = release.tool(&shown.own) else { return Err(unknown()) };
        let arguments = match self.arguments(tool, &params, review.arguments(), || note(&mut open)) {
            Ok(arguments) => arguments,
            Err(refused) => {
                calls.note(Verdict::Misfit, start);
                refuse(open, "invalid_arguments");
                return Ok(misfit(&name, release, &refused));
            }
        };
        open.add(|entry| entry.shape = shown.shapes.fresh(caller.principal.id(), &arguments, tool.names()));
        if let Some(guard) = guard
            && let Err(outgrown) = guard.takes(&shown.own, &arguments, validators)
        {
            calls.note(Verdict::Misfit, start);
            refuse(open, "outgrown");
            return Ok(outgrown_by(&name, release, &outgrown));
        }
        let rules = guard.and_then(|guard| guard.header_rules(&shown.own)).unwrap_or_else(|| tool.headers());
        let headers = rules.values(&arguments).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        params.set("name", raw(&shown.own));
        if caller.session.is_some() {
            // No client was told that there are tasks, and who asks for one nevertheless is answered as usual (2025-11-25 §basic/utilities/tasks).
            params.remove("task");
        }
        let (public, definition) = (Some(shown.public.as_str()), Some(&*shown.record));
        let errand = Errand { tool: public, definition, headers, ..Errand::new("tools/call", &params, scope) };
        let mut outcome = self.send(entry, caller, errand).await;
        if review.results() != Check::Off
            && let Ok(result) = &outcome
            && let Err(unkept) = tool.check_result(result, validators)
        {
            calls.unkept.increment(1);
            open.add(|entry| entry.detail = Some("result_misfit".to_owned()));
            if review.results() == Check::Enforce {
                outcome = Ok(broken(&name, release, &unkept));
            }
        }
        let verdict = match &outcome {
            Ok(result) if is_tool_error(result) => Verdict::ToolError,
            Ok(_) => Verdict::Ok,
            Err(_) => Verdict::Error,
        };
        calls.note(verdict, start);
        if let Err(error) = &outcome {
            open.add(|entry| entry.detail = Some(word(error).map_or_else(|| clip(&error.message, 200), str::to_owned)));
        }
        open.close(match verdict {
            Verdict::Ok => Outcome::Ok,
            Verdict::ToolError => Outcome::ToolError,
            Verdict::Error if outcome.as_ref().is_err_and(|error| word(error).is_some()) => Outcome::Cancelled,
            Verdict::Error | Verdict::Misfit => Outcome::Failed,
        });
        let result = match outcome {
            // To whom the code says nothing, a model can.
            Err(error) if error.code == RpcError::MISSING_CAPABILITY && !caller.in_rounds => incapable(&error),
            outcome => outcome?,
        };
        // Only a stateless server has structured content that sessions do not know.
        let plain = view.is_compat(scope) || (caller.session.is_some() && entry.era == Some(Era::Modern));
        let result = compat::with_content(result);
        let result = if plain { compat::result(result)? } else { result };
        Ok(if scope.is_joined() { rewrite_content(release.server.as_str(), result)? } else { result })
    }
}

impl Road {
    /// Puts on record that there is no such tool for a caller.
    fn missed(&self, caller: &Caller<'_>, name: &str, error: RpcError) -> RpcError {
        let mut open = self.journal.open(|| Entry { request: caller.request.clone(), ..Entry::new("tool", caller.principal, name) });
        open.add(|entry| entry.detail = Some(word(&error).unwrap_or("no_such_tool").to_owned()));
        open.close(Outcome::Refused);
        error
    }

    /// A call's arguments, held up to the release as strictly as is wanted; `strays` is told of those that do not fit and go on.
    fn arguments(&self, tool: &Tool, params: &Params, check: Check, strays: impl FnOnce()) -> Result<Value, Refused> {
        let arguments = Tool::read_arguments(params.get("arguments"))?;
        if check == Check::Off {
            return Ok(arguments);
        }
        match tool.check_arguments(&arguments, self.registry.validators()) {
            Err(Refused::Misfits(_)) if check == Check::Warn => strays(),
            checked => checked?,
        }
        Ok(arguments)
    }
}

/// The journal's word for an error, where it has one.
fn word(error: &RpcError) -> Option<&'static str> {
    (error.code == RpcError::FORBIDDEN).then_some("blocked")
}

/// The result that tells a model what is wrong with its arguments, and by which release.
fn misfit(tool: &str, release: &Release, refused: &Refused) -> Box<RawValue> {
    let lines = match refused {
        Refused::Misfits(misfits) => lines(misfits),
        Refused::Unreadable(why) => format!("- (arguments): {why}"),
    };
    let text = format!("The arguments do not fit the input schema of `{tool}` ({}):\n{lines}", release.label());
    raw(&json!({ "content": [{ "type": "text", "text": text }], "isError": true }))
}

/// The result that stands in for one that is not what the release promises.
fn broken(tool: &str, release: &Release, unkept: &Unkept) -> Box<RawValue> {
    let why = match unkept {
        Unkept::Missing => "it has no structured content".to_owned(),
        Unkept::Unreadable(why) => why.clone(),
        Unkept::Misfits(misfits) => format!("\n{}", lines(misfits)),
    };
    let text = format!("`{tool}` was called, but its result does not fit its output schema ({}), and is not shown: {why}", release.label());
    raw(&json!({ "content": [{ "type": "text", "text": text }], "isError": true }))
}

/// The result that says why a call that was approved is not made: the server is not what it was.
fn outgrown_by(tool: &str, release: &Release, outgrown: &Outgrown) -> Box<RawValue> {
    let label = release.label();
    let text = match outgrown {
        Outgrown::Gone => {
            format!(
                "`{tool}` is approved ({label}), but its server does not offer it any more. Ask an administrator to look at the server's releases."
            )
        }
        Outgrown::Misfits(misfits) => format!(
            "The arguments fit `{tool}` as it is approved ({label}), but its server has changed and does not take them any more. Ask an administrator to look at the server's releases.\n{}",
            lines(misfits)
        ),
    };
    raw(&json!({ "content": [{ "type": "text", "text": text }], "isError": true }))
}

/// What does not fit, place by place.
fn lines(misfits: &[Misfit]) -> String {
    let line = |misfit: &Misfit| format!("- {}: {}", if misfit.path.is_empty() { "(arguments)" } else { &misfit.path }, misfit.why);
    misfits.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The result that says what the client would have to be able to do.
fn incapable(error: &RpcError) -> Box<RawValue> {
    let needed = error.data.as_deref().and_then(|data| RawObject::parse(data.get()).ok()?.remove("requiredCapabilities"));
    let needed = needed.map_or_else(String::new, |needed| format!(" It would need: {}", clip(needed.get(), 200)));
    let text = format!("The tool asks its client something that this client cannot be asked.{needed}");
    raw(&json!({ "content": [{ "type": "text", "text": text }], "isError": true }))
}

/// On the aggregate, resources in a result carry the URI by which they can be read there.
pub(super) fn rewrite_content(server: &str, result: Box<RawValue>) -> Result<Box<RawValue>, RpcError> {
    static KEY: Needle = Needle::new("\"uri\"");
    if !KEY.is_in(result.get()) && !hides_keys(result.get()) {
        return Ok(result);
    }
    let rewritten = || -> serde_json::Result<Box<RawValue>> {
        let mut object = RawObject::forgiving(result.get())?;
        for member in ["content", "contents", "messages"] {
            let Some(list) = object.get(member).filter(|list| list.get().starts_with('[')) else { continue };
            let items: Vec<&RawValue> = serde_json::from_str(list.get())?;
            let items = items.into_iter().map(|item| rewrite_item(server, item, 2)).collect::<Result<Vec<_>, _>>()?;
            let items = raw(&items);
            object.set(member, items);
        }
        Ok(object.to_raw())
    };
    rewritten().map_err(|_| RpcError::unreadable())
}

/// An item holds its resource directly, or a message holds the item: two levels, whatever else is sent.
fn rewrite_item(server: &str, item: &RawValue, levels: u8) -> serde_json::Result<Box<RawValue>> {
    if !item.get().starts_with('{') {
        return Ok(item.to_owned());
    }
    let mut object = RawObject::forgiving(item.get())?;
    if let Some(uri) = object.string("uri") {
        object.set("uri", raw(&public_uri(server, &uri)));
    }
    let Some(below) = levels.checked_sub(1) else { return Ok(object.to_raw()) };
    for member in ["resource", "content"] {
        if let Some(inner) = object.get(member).filter(|inner| inner.get().starts_with('{')) {
            let inner = rewrite_item(server, inner, below)?;
            object.set(member, inner);
        }
    }
    Ok(object.to_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::raw_string;

    #[test]
    fn no_spelling_of_an_address_escapes_its_server() {
        let rewritten = |text: &str| rewrite_content("wiki", raw_string(text.to_owned()).unwrap()).map(|result| result.get().to_owned());
        for uri in [r#""uri":"other+file:///a""#, r#""\u0075ri":"other+file:///a""#, r#""uri":"file:///b","uri":"other+file:///a""#] {
            for text in [
                format!(r#"{{"contents":[{{{uri}}}]}}"#),
                format!(r#"{{"content":[{{"type":"resource","resource":{{{uri}}}}}]}}"#),
                format!(r#"{{"messages":[{{"content":{{"resource":{{{uri}}}}}}}]}}"#),
            ] {
                let rewritten = rewritten(&text).unwrap();
                assert!(rewritten.contains("wiki+other+file:///a") && !rewritten.contains("\"other+"), "{text}: {rewritten}");
            }
        }
        assert!(rewritten(r#"{"contents":[{"\ud800":1,"uri":"other+file:///a"}]}"#).is_err());
        assert_eq!(rewritten(r#"{"contents":[{"text":"\u00e9"}]}"#).unwrap(), r#"{"contents":[{"text":"\u00e9"}]}"#);
    }
}
