use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use server_abstractions::{Address, AddressTarget};
use tokio_util::sync::CancellationToken;

use super::IisIntegrationLayer;
use crate::OptionsError;

/// How an application that a module has started talks with it.
#[derive(Clone, PartialEq, Eq)]
pub struct IisIntegrationOptions {
    /// The port on 127.0.0.1 that the module forwards requests to.
    pub port: NonZeroU16,
    /// The Unix socket that the module would rather forward them to. Default of the variables is none.
    pub socket: Option<Address>,
    /// The path that the application lies below, such as `/shop`; `/` or empty is none.
    #[doc(alias = "APPL_PATH")]
    pub path_base: String,
    /// What every request must bring, so that nobody but the module is answered.
    pub token: String,
    /// Whether the module forwards WebSockets. Default of the variables is true.
    pub web_sockets: bool,
    /// Whether the client's certificate is taken from the module's field. Default of the variables is true.
    #[doc(alias = "ForwardClientCertificate")]
    pub forward_client_certificate: bool,
}

/// Without the token, which is a secret.
impl fmt::Debug for IisIntegrationOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IisIntegrationOptions")
            .field("port", &self.port)
            .field("socket", &self.socket)
            .field("path_base", &self.path_base)
            .field("web_sockets", &self.web_sockets)
            .field("forward_client_certificate", &self.forward_client_certificate)
            .finish_non_exhaustive()
    }
}

/// The settings under which a module has started the application: what to listen on, and the layer for its requests.
///
/// | variable | meaning |
/// |---|---|
/// | `ASPNETCORE_PORT` | the port to listen on |
/// | `ASPNETCORE_MODULE_SOCKET` | the address of a Unix socket to listen on as well, from a module that knows it |
/// | `ASPNETCORE_APPL_PATH` | the path base |
/// | `ASPNETCORE_TOKEN` | the pairing token |
/// | `ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED` | `true` or `false`; true if it is not there |
/// | `ASPNETCORE_IIS_HTTPAUTH` | the kinds of authentication, separated by `;` |
///
/// ```
/// use server_proxy_integration::IisIntegration;
/// use tokio_util::sync::CancellationToken;
/// use tower::Layer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(async |_: http::Request<()>| {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(()))
/// # });
/// if let Some(iis) = IisIntegration::from_env()? {
///     let shutdown = CancellationToken::new();
///     let service = iis.layer(shutdown.clone())?.layer(service);
///     println!("listen on {:?}, serve {service:?} and stop when {shutdown:?} fires", iis.addresses());
/// }
/// # Ok(()) }
/// ```
#[doc(alias = "UseIISIntegration")]
#[derive(Clone, Debug)]
pub struct IisIntegration {
    options: IisIntegrationOptions,
    has_windows_authentication: bool,
}

impl IisIntegration {
    /// With explicit options.
    ///
    /// # Errors
    /// The token is empty, or the path base does not begin with `/`.
    pub fn new(options: IisIntegrationOptions) -> Result<Self, OptionsError> {
        if options.token.is_empty() {
            return Err(OptionsError::new(
                "IisIntegrationOptions.token is empty, so that anybody could bring it; give the one of the module",
            ));
        }
        if !options.path_base.is_empty() && !options.path_base.starts_with('/') {
            return Err(OptionsError::new(format!(
                "IisIntegrationOptions.path_base {:?} cannot be used: it must begin with /, like /shop",
                options.path_base
            )));
        }
        Ok(Self { options, has_windows_authentication: false })
    }

    /// From the environment of the process; none if no module has started it, which is when port, path or token is not
    /// there or empty.
    ///
    /// # Errors
    /// A variable has a value that means nothing.
    pub fn from_env() -> Result<Option<Self>, OptionsError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), from variables that come from somewhere else.
    ///
    /// # Errors
    /// A variable has a value that means nothing.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, OptionsError> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let values = (given("ASPNETCORE_PORT"), given("ASPNETCORE_APPL_PATH"), given("ASPNETCORE_TOKEN"));
        let (Some(port), Some(path_base), Some(token)) = values else { return Ok(None) };
        let port =
            port.parse().map_err(|_| invalid("ASPNETCORE_PORT", &port, "a port between 1 and 65535"))?;
        let socket = match given("ASPNETCORE_MODULE_SOCKET") {
            None => None,
            Some(text) => Some(socket(&text).ok_or_else(|| {
                invalid("ASPNETCORE_MODULE_SOCKET", &text, "a Unix socket such as http://unix:@name")
            })?),
        };
        let web_sockets = match given("ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED") {
            None => true,
            Some(text) if text.eq_ignore_ascii_case("true") => true,
            Some(text) if text.eq_ignore_ascii_case("false") => false,
            Some(text) => {
                return Err(invalid("ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED", &text, "true or false"));
            }
        };
        if !path_base.starts_with('/') {
            return Err(invalid("ASPNETCORE_APPL_PATH", &path_base, "a path that begins with /"));
        }
        let options = IisIntegrationOptions {
            port,
            socket,
            path_base,
            token,
            web_sockets,
            forward_client_certificate: true,
        };
        let kinds = given("ASPNETCORE_IIS_HTTPAUTH").unwrap_or_default();
        let has_windows_authentication = kinds.split(';').any(|kind| kind.eq_ignore_ascii_case("windows"));
        Ok(Some(Self { has_windows_authentication, ..Self::new(options)? }))
    }

    /// The settings.
    pub fn options(&self) -> &IisIntegrationOptions {
        &self.options
    }

    /// What to listen on, in this order: the Unix socket if there is one, and `http://127.0.0.1:{port}`. The module knows
    /// no others, so they go before all that are configured.
    ///
    /// A module takes a process that listens on the port for ready, and looks then whether it listens on the socket.
    pub fn addresses(&self) -> Vec<Address> {
        let port = (Ipv4Addr::LOCALHOST, self.options.port.get()).into();
        let port = Address::new(false, AddressTarget::Ip(port));
        self.options.socket.iter().cloned().chain([port]).collect()
    }

    /// Whether the module authenticates by Windows' own means. Who the user is does not come through: requests are
    /// anonymous, and programs that rely on it should say so.
    pub fn has_windows_authentication(&self) -> bool {
        self.has_windows_authentication
    }

    /// The layer, outermost of all. `shutdown` fires when the module wants the application to stop.
    ///
    /// # Errors
    /// The path base does not begin with `/`.
    pub fn layer(&self, shutdown: CancellationToken) -> Result<IisIntegrationLayer, OptionsError> {
        IisIntegrationLayer::new(self.clone(), shutdown)
    }
}

fn socket(text: &str) -> Option<Address> {
    let address = text.parse::<Address>().ok()?;
    let is_unix = matches!(address.target(), AddressTarget::Unix(_) | AddressTarget::Abstract(_));
    (is_unix && !address.is_https()).then_some(address)
}

fn invalid(name: &str, value: &str, expected: &str) -> OptionsError {
    OptionsError::new(format!(
        "the environment variable {name} = {value:?} cannot be used: expected {expected}, as the module sets it"
    ))
}
