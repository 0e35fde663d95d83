use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::parent::{Parent, RANDOM, SAMPLED};
use super::{id, state};

const TRACEPARENT: &str = "traceparent";

/// Where in a trace something happens: the ids of the trace and of the span, as `traceparent` and `tracestate` bring them
/// from one program to the next (W3C Trace Context).
///
/// A handler behind a [`RequestTraceLayer`](crate::RequestTraceLayer) finds the one of its request in the extensions of the
/// request, and tells it to other services:
///
/// ```
/// use hosting::{Body, HeaderMap, Request, TraceContext};
///
/// fn headers_for_the_warehouse(request: &Request<Body>) -> HeaderMap {
///     let mut headers = HeaderMap::new();
///     if let Some(trace) = request.extensions().get::<TraceContext>() {
///         trace.inject(&mut headers);
///     }
///     headers
/// }
///
/// let mut request = Request::new(Body::empty());
/// request.extensions_mut().insert(TraceContext::new_trace());
/// assert!(headers_for_the_warehouse(&request)["traceparent"].to_str().unwrap().starts_with("00-"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "ActivityContext")]
#[doc(alias = "DistributedContextPropagator")]
pub struct TraceContext {
    ids: Parent,
    parent_id: Option<u64>,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// The first span of a new trace, with random ids, which counts as recorded.
    #[must_use]
    pub fn new_trace() -> Self {
        let trace_id = u128::from(id::random()) << 64 | u128::from(id::random());
        let ids = Parent { trace_id, span_id: id::random(), flags: SAMPLED | RANDOM };
        Self { ids, parent_id: None, state: None }
    }

    /// A context of these ids, such as those that a tracer has chosen; none if one is 0, which no id may be. Of the flags
    /// only those that the recommendation knows are kept.
    #[must_use]
    pub fn of_ids(trace_id: u128, span_id: u64, flags: u8) -> Option<Self> {
        let ids = Parent { trace_id, span_id, flags: flags & (SAMPLED | RANDOM) };
        (trace_id != 0 && span_id != 0).then_some(Self { ids, parent_id: None, state: None })
    }

    /// A new span in the same trace, whose parent is this one.
    #[must_use]
    pub fn child(&self) -> Self {
        let ids = Parent { span_id: id::random(), ..self.ids };
        Self { ids, parent_id: Some(self.ids.span_id), state: self.state.clone() }
    }

    /// What the fields `traceparent` and `tracestate` tell. None if there is no `traceparent`, more than one, or one that is
    /// malformed; a `tracestate` that is malformed or has more than 32 members is left out.
    #[must_use]
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(TRACEPARENT).iter();
        let ids = Parent::parse(fields.next()?.as_bytes())?;
        let is_only = fields.next().is_none();
        is_only.then(|| Self { ids, parent_id: None, state: state::read(headers) })
    }

    /// Sets `traceparent` and `tracestate` of an outgoing request, in the place of those that it has.
    pub fn inject(&self, headers: &mut HeaderMap) {
        headers.remove(state::TRACESTATE);
        if let Ok(value) = HeaderValue::try_from(self.ids.to_string()) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(value) = self.state.as_deref().and_then(|state| HeaderValue::from_str(state).ok()) {
            headers.insert(state::TRACESTATE, value);
        }
    }

    /// The id of the trace; written with 32 digits in hexadecimal. It is not 0.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.ids.trace_id
    }

    /// The id of the span, which is what `traceparent` calls the parent; written with 16 digits in hexadecimal. It is not 0.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.ids.span_id
    }

    /// The id of the span that this one belongs to, if it is known.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<u64> {
        self.parent_id
    }

    /// The flags: 1 is sampled, 2 is a random trace id.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.ids.flags
    }

    /// Whether the span may have been recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.ids.flags & SAMPLED != 0
    }

    /// The members of `tracestate`, with commas between them.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The same with the `tracestate` and the parent of `parent`, for ids that a tracer has chosen.
    #[must_use]
    pub fn with_parent(mut self, parent: &Self) -> Self {
        self.parent_id = Some(parent.ids.span_id);
        self.state.clone_from(&parent.state);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_child_goes_on_with_trace_and_state() {
        let parent = TraceContext::extract(&headers(&[
            (TRACEPARENT, PARENT),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ]));
        let child = parent.unwrap().child();
        assert_eq!(child.parent_span_id(), Some(0xb7ad_6b71_6920_3331));
        assert_ne!(child.span_id(), 0xb7ad_6b71_6920_3331);
        let mut sent = headers(&[("tracestate", "old=1"), (TRACEPARENT, "old")]);
        child.inject(&mut sent);
        assert_eq!(
            TraceContext::extract(&sent).unwrap().trace_id(),
            0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c
        );
        assert_eq!(sent["tracestate"], "a=1,b=2");
        assert_eq!(sent.get_all("tracestate").iter().count(), 1);
    }

    #[test]
    fn what_cannot_be_believed_is_none() {
        assert_eq!(TraceContext::extract(&headers(&[("tracestate", "a=1")])), None);
        assert_eq!(TraceContext::extract(&headers(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)])), None);
        assert_eq!(TraceContext::of_ids(0, 1, 0), None);
        assert_eq!(TraceContext::of_ids(1, 0, 0), None);
        assert_eq!(TraceContext::of_ids(1, 1, 0xff).unwrap().flags(), 3);
        let bad_state = headers(&[(TRACEPARENT, PARENT), ("tracestate", "A=1")]);
        assert_eq!(TraceContext::extract(&bad_state).unwrap().state(), None);
    }

    #[test]
    fn ids_do_not_come_twice() {
        let contexts: std::collections::HashSet<_> = (0..10_000)
            .map(|_| TraceContext::new_trace())
            .map(|new| (new.trace_id(), new.span_id()))
            .collect();
        assert_eq!(contexts.len(), 10_000);
    }
}
