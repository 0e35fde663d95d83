//! The `Kestrel` section of the configuration.

mod certificate;
mod connection_log;
pub mod endpoints;
mod https;
mod limits;
mod proxy_protocol;
mod sessions;
mod sockets;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use server_kestrel::{Endpoint, HttpProtocols, HttpsOptions, KestrelOptions, Limits};

use self::certificate::CertificateSection;
use self::connection_log::ConnectionLogSection;
use self::https::{ModeSection, Reader, SniSection, SslProtocol};
use self::limits::{LimitsSection, set};
pub(crate) use self::limits::{present, required_duration};
#[cfg(feature = "schema")]
pub(crate) use self::proxy_protocol::Network;
pub(crate) use self::proxy_protocol::Networks;
use self::proxy_protocol::ProxyProtocolSection;
use self::sessions::SessionsSection;
use self::sockets::{SocketOptionsSection, ThreadsSection};
use crate::{Configuration, ConfigurationError, HostEnvironment};

/// The path of the section.
const ROOT: &str = "Kestrel";

/// The server. A key that is not understood is refused with its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(crate) struct KestrelSection {
    /// Whether responses name the server in `Server`. Default is true.
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    add_server_header: Option<bool>,
    /// Whether a request may have another scheme than its connection, as behind a proxy that ends TLS. Default is
    /// false.
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    allow_alternate_schemes: Option<bool>,
    /// Whether sockets that a parent process hands over are taken. Default is true.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "bool", extend("default" = true)))]
    inherit_listeners: Option<bool>,
    /// Where connections are served: `Shared` with the runtime, `PerCore`, or a number of threads of the server's own.
    /// Default is `Shared`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "ThreadsSection", extend("default" = "Shared")))]
    threads: Option<ThreadsSection>,
    /// Certificates by name, for the `Name` of others; the one called `Default` is for every https address that has
    /// no other. Default is none; in the environment Development one is made for `Default`.
    certificates: BTreeMap<String, CertificateSection>,
    /// What connections and requests may take. Default is what each key says.
    limits: LimitsSection,
    /// For endpoints that do not say otherwise, and for `urls`. Default is what each key says.
    endpoint_defaults: EndpointDefaultsSection,
    /// Where the server listens, by names of your own, instead of at `urls`. Default is none.
    endpoints: BTreeMap<String, EndpointSection>,
}

/// For endpoints that do not say otherwise, and for `urls`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
struct EndpointDefaultsSection {
    /// The versions of HTTP. Default is `Http1AndHttp2`.
    #[cfg_attr(feature = "schema", schemars(extend("default" = "Http1AndHttp2")))]
    protocols: Option<ProtocolsSection>,
    /// The versions of TLS, one at least. Default is both.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("default" = ["Tls12", "Tls13"])))]
    ssl_protocols: Option<Vec<SslProtocol>>,
    /// Whether clients are asked for a certificate. Default is `NoCertificate`.
    #[cfg_attr(feature = "schema", schemars(extend("default" = "NoCertificate")))]
    client_certificate_mode: Option<ModeSection>,
    /// A file in PEM with the authorities that clients' certificates are believed by; a relative path starts from the
    /// content root. Default is those of the system.
    client_certificate_roots: Option<PathBuf>,
    /// Files with lists of the certificates that those authorities have revoked; relative paths start from the content
    /// root. Default is none.
    client_certificate_revocation_lists: Option<Vec<PathBuf>>,
    /// How long a handshake of TLS may take. Default is 10 seconds.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("exclusiveMinimum" = 0, "default" = "00:00:10")))]
    handshake_timeout: Option<Duration>,
    /// How many handshakes an endpoint has at the same time; others wait. Default is `null`: any number.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", range(min = 1), extend("default" = null)))]
    max_concurrent_handshakes: Option<Option<usize>>,
    /// What the system is told about sockets. Default is as each key says.
    socket_options: SocketOptionsSection,
    /// How TLS sessions go on when a client comes again. Default is as each key says.
    sessions: SessionsSection,
}

/// Where the server listens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
struct EndpointSection {
    /// One address, such as `https://*:443`, `http://localhost:5000` or `http://unix:/run/app.sock`. It must be there.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[^/]"), extend("patternErrorMessage" = "expected an address such as https://*:443")))]
    url: String,
    /// The versions of HTTP. Default is that of `EndpointDefaults`.
    protocols: Option<ProtocolsSection>,
    /// The versions of TLS, one at least; for https only. Default is that of `EndpointDefaults`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    ssl_protocols: Option<Vec<SslProtocol>>,
    /// Whether clients are asked for a certificate; for https only. Default is that of `EndpointDefaults`.
    client_certificate_mode: Option<ModeSection>,
    /// A file in PEM with the authorities that clients' certificates are believed by; for https only. Default is that of
    /// `EndpointDefaults`.
    client_certificate_roots: Option<PathBuf>,
    /// Files with lists of the certificates that those authorities have revoked; for https only. Default is those of
    /// `EndpointDefaults`.
    client_certificate_revocation_lists: Option<Vec<PathBuf>>,
    /// How long a handshake of TLS may take; for https only. Default is that of `EndpointDefaults`.
    #[serde(default, deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("exclusiveMinimum" = 0)))]
    handshake_timeout: Option<Duration>,
    /// How many handshakes there are at the same time, `null` for any number; for https only. Default is that of
    /// `EndpointDefaults`.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", range(min = 1)))]
    max_concurrent_handshakes: Option<Option<usize>>,
    /// What the system is told about its sockets. Default is that of `EndpointDefaults`.
    #[serde(default)]
    socket_options: SocketOptionsSection,
    /// The certificate of the endpoint; for https only. Default is `Kestrel:Certificates:Default`.
    certificate: Option<CertificateSection>,
    /// That connections begin with a header of the PROXY protocol, `{}` for its defaults. Default is none: they do not.
    proxy_protocol: Option<ProxyProtocolSection>,
    /// That the bytes of connections are shown as events of level trace, `{}` for its defaults; for debugging, since it shows
    /// passwords and cookies. Default is none: they are not.
    connection_log: Option<ConnectionLogSection>,
    /// How sessions go on when a client comes again; for https only. Default is that of `EndpointDefaults`.
    sessions: Option<SessionsSection>,
    /// What is different for server names that clients ask for: a name, `*.` and the end of names, or `*`; for https
    /// only. Default is none.
    #[serde(default)]
    sni: BTreeMap<String, SniSection>,
}

/// Versions of HTTP.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum ProtocolsSection {
    Http1,
    Http2,
    #[default]
    Http1AndHttp2,
}

impl From<ProtocolsSection> for HttpProtocols {
    fn from(section: ProtocolsSection) -> Self {
        match section {
            ProtocolsSection::Http1 => Self::Http1,
            ProtocolsSection::Http2 => Self::Http2,
            ProtocolsSection::Http1AndHttp2 => Self::Http1AndHttp2,
        }
    }
}

/// Puts the section on top of the options of the code; endpoints are added to those of the code.
pub(crate) fn apply(
    configuration: &Configuration,
    environment: &HostEnvironment,
    options: &mut KestrelOptions,
) -> Result<(), ConfigurationError> {
    let section = configuration.bind::<KestrelSection>(ROOT)?;
    if let Some(add) = section.add_server_header {
        options.add_server_header = add;
    }
    if let Some(allow) = section.allow_alternate_schemes {
        options.allow_alternate_schemes = allow;
    }
    set(&mut options.inherit_listeners, section.inherit_listeners);
    set(&mut options.threads, section.threads);
    apply_limits(configuration, ROOT, section.limits, &mut options.limits)?;
    let reader = Reader { configuration, environment, root: ROOT, certificates: &section.certificates };
    apply_defaults(&reader, &section.endpoint_defaults, options)?;
    for (name, endpoint) in &section.endpoints {
        options.endpoints.push(listen(&reader, name, endpoint, options)?);
    }
    Ok(())
}

fn apply_limits(
    configuration: &Configuration,
    root: &str,
    section: LimitsSection,
    limits: &mut Limits,
) -> Result<(), ConfigurationError> {
    section.apply(limits);
    limits.check().map_err(|error| {
        let path = format!("{root}:Limits:{}", limits::key(error.name()));
        configuration.invalid(&path, format_args!("it must be {}", error.wanted()))
    })
}

fn apply_defaults(
    reader: &Reader<'_>,
    section: &EndpointDefaultsSection,
    options: &mut KestrelOptions,
) -> Result<(), ConfigurationError> {
    let path = &format!("{}:EndpointDefaults", reader.root);
    if let Some(protocols) = section.protocols {
        options.default_protocols = protocols.into();
    }
    let mut https = options.https_defaults.clone().unwrap_or_default();
    https.certificate = reader.default_certificate(https.certificate.take())?;
    let tls = SniSection {
        ssl_protocols: section.ssl_protocols.clone(),
        client_certificate_mode: section.client_certificate_mode,
        client_certificate_roots: section.client_certificate_roots.clone(),
        client_certificate_revocation_lists: section.client_certificate_revocation_lists.clone(),
        ..SniSection::default()
    };
    reader.apply(&tls, &mut https, path)?;
    section.sessions.apply(reader, &mut https, path)?;
    let handshakes = (section.handshake_timeout, section.max_concurrent_handshakes);
    reader.handshakes(handshakes, &mut https, path)?;
    section.socket_options.apply_defaults(reader, &mut options.default_socket_options, path)?;
    if https != HttpsOptions::default() {
        options.https_defaults = Some(https);
    }
    Ok(())
}

/// The endpoint of this name.
fn listen(
    reader: &Reader<'_>,
    name: &str,
    section: &EndpointSection,
    options: &KestrelOptions,
) -> Result<Endpoint, ConfigurationError> {
    let path = format!("{}:Endpoints:{name}", reader.root);
    let protocols = section.protocols.map_or(options.default_protocols, HttpProtocols::from);
    let mut listen = Endpoint::url(&section.url)
        .map_err(|error| reader.configuration.invalid(&format!("{path}:Url"), error))?
        .protocols(protocols)
        .name(name.to_owned())
        .configured_at(format!("{path}:Url"));
    listen.connection_log = section.connection_log.as_ref().map(ConnectionLogSection::log);
    if let Some(proxies) = &section.proxy_protocol {
        listen.proxy_protocol = Some(proxies.options(reader, listen.target(), &path)?);
    }
    if let Some(target) = listen.target() {
        let mut sockets = options.default_socket_options.for_target(target);
        section.socket_options.apply(reader, &mut sockets, target, &path)?;
        listen.socket_options = sockets;
    }
    if listen.https.is_none() {
        return only_http(reader, section, &path).map(|()| listen);
    }
    let mut https = options.https_defaults.clone().unwrap_or_default();
    let tls = SniSection {
        certificate: section.certificate.clone(),
        ssl_protocols: section.ssl_protocols.clone(),
        client_certificate_mode: section.client_certificate_mode,
        client_certificate_roots: section.client_certificate_roots.clone(),
        client_certificate_revocation_lists: section.client_certificate_revocation_lists.clone(),
        protocols: None,
    };
    reader.apply(&tls, &mut https, &path)?;
    if let Some(sessions) = &section.sessions {
        sessions.apply(reader, &mut https, &path)?;
    }
    let handshakes = (section.handshake_timeout, section.max_concurrent_handshakes);
    reader.handshakes(handshakes, &mut https, &path)?;
    for (host, sni) in &section.sni {
        let different = reader.sni(sni, &https, &format!("{path}:Sni:{host}"))?;
        https.sni.insert(host.clone(), different);
    }
    listen.https = Some(https);
    Ok(listen)
}

/// Refuses the keys of TLS where there is none.
fn only_http(reader: &Reader<'_>, section: &EndpointSection, path: &str) -> Result<(), ConfigurationError> {
    let keys = [
        ("Certificate", section.certificate.is_some()),
        ("SslProtocols", section.ssl_protocols.is_some()),
        ("ClientCertificateMode", section.client_certificate_mode.is_some()),
        ("Sessions", section.sessions.is_some()),
        ("ClientCertificateRoots", section.client_certificate_roots.is_some()),
        ("ClientCertificateRevocationLists", section.client_certificate_revocation_lists.is_some()),
        ("HandshakeTimeout", section.handshake_timeout.is_some()),
        ("MaxConcurrentHandshakes", section.max_concurrent_handshakes.is_some()),
        ("Sni", !section.sni.is_empty()),
    ];
    match keys.iter().find(|(_, is_there)| *is_there) {
        Some((key, _)) => {
            let reason = "it needs an https url";
            Err(reader.configuration.invalid(&format!("{path}:{key}"), reason))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
