//! A page that shows what the server does.

mod access;
mod board;
mod certificates;
mod facts;
mod hosted;
mod layer;
mod numbers;
mod page;
mod refusals;
mod requests;
pub(crate) mod section;
mod snapshot;

pub use board::Diagnostics;
pub(crate) use hosted::HostedDiagnostics;
pub use layer::{DiagnosticsFuture, DiagnosticsLayer, WithDiagnostics};

/// Where a [`Diagnostics`] page is, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagnosticsOptions {
    /// The path of the page. It begins with `/`, does not end with it, and has no query. Default is `/_diagnostics`.
    pub path: String,
    /// Whether everyone sees the page who can reach it. Default is false: only programs on this machine that connect
    /// themselves and ask for the page by a name of loopback. A proxy on this machine connects itself as well, and its
    /// requests are everybody's. They are told by the fields that proxies add, but nginx, HAProxy and stunnel add none unless
    /// they are told to; where there is one, [`endpoint`](Self::endpoint) is what keeps the page to operators.
    pub allow_remote: bool,
    /// The name of the endpoint through which the page is seen; requests of others go to the application. It is meant to be
    /// one that no proxy leads to. Default is any.
    pub endpoint: Option<String>,
}

impl Default for DiagnosticsOptions {
    fn default() -> Self {
        Self { path: "/_diagnostics".to_owned(), allow_remote: false, endpoint: None }
    }
}

impl DiagnosticsOptions {
    /// Why the path cannot be one, if it cannot.
    fn check(&self) -> Result<(), &'static str> {
        let path = &self.path;
        let is_path = path.len() > 1
            && path.starts_with('/')
            && !path.ends_with('/')
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
        if is_path {
            Ok(())
        } else {
            Err("expected a path of letters, digits and -._~, such as /_diagnostics")
        }
    }
}
