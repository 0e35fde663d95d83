//! Traces: one span for each request, continued from who sent it and told to whom it leads.

mod believed;
mod context;
mod facts;
#[cfg(feature = "kestrel")]
pub(crate) mod hosted;
mod id;
mod layer;
mod parent;
#[cfg(feature = "kestrel")]
pub(crate) mod section;
mod span;
mod state;

pub use believed::{Believed, TrustedPeers};
pub use context::TraceContext;
pub use layer::{RequestTrace, RequestTraceFuture, RequestTraceLayer, RequestTraceOptions};

pub(crate) use id::random;
