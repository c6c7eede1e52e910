//! How a trace travels between processes: the three texts of W3C Trace Context and Baggage.
//!
//! What others send is read with care and believed in nothing but its shape: a text that is wrong or too long is as good as
//! none, and never an error.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Longest `tracestate` that is taken, in bytes.
const MAX_STATE: usize = 512;
/// Longest `baggage` that is taken, in bytes.
const MAX_BAGGAGE: usize = 8_192;

/// The names of the three, as headers and as members of `_meta`.
pub(super) const PARENT: &str = "traceparent";
pub(super) const STATE: &str = "tracestate";
pub(super) const BAGGAGE: &str = "baggage";

/// What a peer says of the trace that its request is part of, as it came.
#[derive(Clone, Debug, Default)]
pub struct Told<'t> {
    /// Which trace, and which span of it.
    pub traceparent: Option<Cow<'t, str>>,
    /// What tracing systems add to it.
    pub tracestate: Option<Cow<'t, str>>,
    /// What applications hand on along the trace.
    pub baggage: Option<Cow<'t, str>>,
}

impl Told<'_> {
    fn context(&self) -> Option<SpanContext> {
        let (trace, span, sampled) = parse(self.traceparent.as_deref()?)?;
        let state = self.tracestate.as_deref().filter(|state| is_plain(state, MAX_STATE));
        let state = state.and_then(|state| state.parse().ok()).unwrap_or(TraceState::NONE);
        let flags = TraceFlags::default().with_sampled(sampled);
        Some(SpanContext::new(trace, span, flags, true, state))
    }

    fn baggage(&self) -> Option<Arc<str>> {
        self.baggage.as_deref().filter(|baggage| is_plain(baggage, MAX_BAGGAGE)).map(Into::into)
    }
}

/// Whether a text is no longer than is taken, and can stand in a header.
fn is_plain(text: &str, most: usize) -> bool {
    text.len() <= most && text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

/// Reads a `traceparent` (W3C Trace Context §3.2). Later versions may say more behind what is known of this one.
fn parse(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let plain = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = text.splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let fits = version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
    let known = version != "ff" && (version != "00" || parts.next().is_none());
    if !(fits && known && [version, trace, span, flags].into_iter().all(plain)) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some((trace, span, sampled))
}

/// Where a request's trace comes from: its parent, and what else it belongs to.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub(super) parent: Option<SpanContext>,
    /// The HTTP request that carried it, where the message itself names another parent.
    pub(super) link: Option<SpanContext>,
    pub(super) baggage: Option<Arc<str>>,
}

impl Origin {
    /// The origin of an HTTP request. Its baggage stays here: it was meant for the gateway, and is sent on to nobody.
    pub fn of_http(told: &Told<'_>) -> Self {
        Self { parent: told.context(), ..Self::default() }
    }

    /// The origin of an MCP message: what its `_meta` says, else what the HTTP request says that carried it.
    pub fn of_message(meta: &Told<'_>, http: &Told<'_>) -> Self {
        let (own, carried, baggage) = (meta.context(), http.context(), meta.baggage());
        match own {
            Some(own) => Self { link: carried.filter(|carried| carried.span_id() != own.span_id()), parent: Some(own), baggage },
            None => Self { parent: carried, link: None, baggage },
        }
    }
}

/// The same three texts on their way to a peer.
#[derive(Clone, Debug)]
pub struct Carrier {
    parent: String,
    state: Option<String>,
    baggage: Option<Arc<str>>,
}

impl Carrier {
    pub(super) fn of(context: &SpanContext, baggage: Option<Arc<str>>) -> Self {
        let mut parent = String::with_capacity(55);
        let flags = context.trace_flags() & TraceFlags::SAMPLED;
        let _ = write!(parent, "00-{}-{}-{:02x}", context.trace_id(), context.span_id(), flags);
        Self { parent, state: Some(context.trace_state().header()).filter(|state| !state.is_empty()), baggage }
    }

    /// What goes into the headers of a request; baggage is not part of it.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [(PARENT, self.parent.as_str())].into_iter().chain(self.state.as_deref().map(|state| (STATE, state)))
    }

    /// What goes into the `_meta` of an MCP request.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.headers().chain(self.baggage.as_deref().map(|baggage| (BAGGAGE, baggage)))
    }

    /// Whether a member of `_meta` is one of those that are written here.
    pub fn writes(member: &str) -> bool {
        matches!(member, PARENT | STATE | BAGGAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn told<'t>(parent: &'t str, state: &'t str, baggage: &'t str) -> Told<'t> {
        let text = |text: &'t str| Some(text.into());
        Told { traceparent: text(parent), tracestate: text(state), baggage: text(baggage) }
    }

    #[test]
    fn what_is_not_a_parent_is_as_good_as_none() {
        assert!(parse(GOOD).is_some_and(|(.., sampled)| sampled));
        assert!(parse(&GOOD.replace("-01", "-00")).is_some_and(|(.., sampled)| !sampled));
        assert!(parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").is_some(), "a later version may say more");
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_state_or_baggage_that_is_wrong_or_too_long_is_left_out_and_the_parent_stays() {
        let state = |state: &str| told(GOOD, state, "").context().unwrap().trace_state().header();
        assert_eq!(state("a=1, b=2"), "a=1,b=2");
        assert_eq!(state("no pair"), "");
        assert_eq!(state("a=1\r\nx: y"), "");
        let long = format!("a={}", "x".repeat(200));
        assert_eq!(state(&[long.as_str(); 3].join(",").replace("a=", "b=")), "");
        assert_eq!(told(GOOD, "", "user=7").baggage().as_deref(), Some("user=7"));
        assert_eq!(told(GOOD, "", "user=7\r\nx: y").baggage(), None);
        assert_eq!(told(GOOD, "", &format!("user={}", "7".repeat(MAX_BAGGAGE))).baggage(), None);
    }

    #[test]
    fn a_message_s_own_parent_goes_before_that_of_the_request_which_becomes_a_link() {
        let http = told("00-11111111111111111111111111111111-2222222222222222-01", "", "");
        let both = Origin::of_message(&told(GOOD, "", "a=b"), &http);
        assert_eq!(both.parent.unwrap().span_id().to_string(), "b7ad6b7169203331");
        assert_eq!((both.link.unwrap().span_id().to_string(), both.baggage.as_deref()), ("2222222222222222".to_owned(), Some("a=b")));
        let fallen = Origin::of_message(&told("nonsense", "", ""), &http);
        assert_eq!(fallen.parent.unwrap().span_id().to_string(), "2222222222222222");
        assert!(fallen.link.is_none());
    }

    #[test]
    fn what_is_sent_can_be_read_again() {
        let context = told(GOOD, "a=1", "").context().unwrap();
        let carrier = Carrier::of(&context, Some("user=7".into()));
        let members: Vec<_> = carrier.members().collect();
        assert_eq!(members, [(PARENT, GOOD), (STATE, "a=1"), (BAGGAGE, "user=7")]);
        assert_eq!(carrier.headers().count(), 2, "baggage is not sent in headers");
    }
}
