//! The layers for proxies that the configuration switches on, outermost.

#[cfg(not(feature = "proxy-integration"))]
mod absent;
#[cfg(feature = "proxy-integration")]
mod layers;

#[cfg(not(feature = "proxy-integration"))]
pub(crate) use absent::{addresses, surround};
#[cfg(feature = "proxy-integration")]
pub(crate) use layers::{addresses, surround};
