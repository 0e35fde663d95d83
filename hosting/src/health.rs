//! Whether the application lives, and whether it is ready for requests, as orchestrators and load balancers ask.

mod accept;
mod checks;
mod layer;
mod options;
mod report;
mod rounds;
#[cfg(feature = "kestrel")]
pub(crate) mod section;

pub use checks::{HealthCheckOptions, HealthChecks};
pub use layer::{Health, HealthFuture, HealthLayer};
pub use options::HealthOptions;
pub use report::HealthStatus;
