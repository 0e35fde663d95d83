use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::BitOr;

use http::HeaderName;
use ipnet::IpNet;

/// Which facts are taken from proxies.
///
/// ```
/// use server_proxy_integration::ForwardedFields;
/// let fields = ForwardedFields::FOR | ForwardedFields::PROTO;
/// assert!(fields.contains(ForwardedFields::FOR) && !fields.contains(ForwardedFields::HOST));
/// ```
#[doc(alias = "ForwardedHeaders")]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ForwardedFields(u8);

impl ForwardedFields {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The address of the client: `X-Forwarded-For`, or `for`.
    #[doc(alias = "XForwardedFor")]
    pub const FOR: Self = Self(1);
    /// The host that the client asked for: `X-Forwarded-Host`, or `host`.
    #[doc(alias = "XForwardedHost")]
    pub const HOST: Self = Self(2);
    /// The scheme that the client used: `X-Forwarded-Proto`, or `proto`.
    #[doc(alias = "XForwardedProto")]
    pub const PROTO: Self = Self(4);
    /// The part of the path that the proxy took away: `X-Forwarded-Prefix`.
    #[doc(alias = "XForwardedPrefix")]
    pub const PREFIX: Self = Self(8);
    /// All of them.
    pub const ALL: Self = Self(15);

    /// Whether all of these are among them.
    #[inline]
    pub const fn contains(self, fields: Self) -> bool {
        self.0 & fields.0 == fields.0
    }
}

impl BitOr for ForwardedFields {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for ForwardedFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            [(Self::FOR, "FOR"), (Self::HOST, "HOST"), (Self::PROTO, "PROTO"), (Self::PREFIX, "PREFIX")];
        f.debug_set()
            .entries(names.iter().filter(|(field, _)| self.contains(*field)).map(|(_, name)| name))
            .finish()
    }
}

/// Where the facts stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardedSource {
    /// In `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`. `Forwarded` is not read.
    #[default]
    XForwarded,
    /// In `Forwarded` (RFC 7239). The others are not read. It knows no prefix.
    Forwarded,
    /// In whichever a request has. If it has both, neither is believed: one of them may be the client's own, passed on by
    /// a proxy that writes the other. A client can so hide behind the proxy's address, but not choose one.
    Either,
}

/// Whom a [`ForwardedHeadersLayer`](crate::ForwardedHeadersLayer) believes, and what.
///
/// | option | default |
/// |---|---|
/// | `fields` | none |
/// | `source` | `X-Forwarded-*` |
/// | `forward_limit` | 1 |
/// | `known_proxies` | `::1` |
/// | `known_networks` | `127.0.0.0/8` |
/// | `trust_unix_sockets` | false |
/// | `allowed_hosts` | every host |
/// | `require_header_symmetry` | false |
/// | `remove_untrusted` | false |
/// | the names of the fields | `X-Forwarded-*`, `X-Original-*` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedHeadersOptions {
    /// Which facts are taken. Default is [`ForwardedFields::NONE`].
    #[doc(alias = "ForwardedHeaders")]
    pub fields: ForwardedFields,
    /// Where they stand. Default is [`ForwardedSource::XForwarded`].
    pub source: ForwardedSource,
    /// How many entries are taken at the most: as many as there are proxies in a row. `None` is as many as there are. 0
    /// takes nothing. Default is 1.
    pub forward_limit: Option<u32>,
    /// The addresses of the proxies that are believed. With both lists empty and `trust_unix_sockets` false **everyone is
    /// believed**, and any client can say who it is; that is for networks that nobody but the proxy can reach. Default is
    /// `::1`.
    pub known_proxies: Vec<IpAddr>,
    /// The networks of the proxies that are believed. A list takes the place of the default, which is `127.0.0.0/8`: put that
    /// in as well if there may be a proxy on the machine itself.
    #[doc(alias = "KnownIPNetworks")]
    pub known_networks: Vec<IpNet>,
    /// Whether the peers of Unix sockets are believed: whoever may write to the socket's file. It is known of requests
    /// that come through an [`EndpointFeature`](server_abstractions::EndpointFeature). Default is false.
    pub trust_unix_sockets: bool,
    /// The hosts that are believed: names, `*.` and the end of names, without ports; see
    /// [`HostFilteringOptions::allowed_hosts`](crate::HostFilteringOptions::allowed_hosts). An entry with another host
    /// counts, and its host is passed over. What judges the field `Host`, as the key `AllowedHosts` of `hosting` does, stands
    /// outside this layer and sees none of these: give both the same hosts. Default is empty, which allows every host.
    pub allowed_hosts: Vec<String>,
    /// Whether the fields must have the same number of entries, and each entry must be good; otherwise nothing is taken
    /// at all. Default is false.
    pub require_header_symmetry: bool,
    /// Whether the fields named here, and `Forwarded`, are removed from a request as far as they were not believed,
    /// those of facts that are not taken too. For applications whose parts read such fields themselves. Default is
    /// false.
    pub remove_untrusted: bool,
    /// Default is `X-Forwarded-For`.
    pub forwarded_for_header_name: HeaderName,
    /// Default is `X-Forwarded-Host`.
    pub forwarded_host_header_name: HeaderName,
    /// Default is `X-Forwarded-Proto`.
    pub forwarded_proto_header_name: HeaderName,
    /// Default is `X-Forwarded-Prefix`.
    pub forwarded_prefix_header_name: HeaderName,
    /// Gets the address of the peer. Default is `X-Original-For`.
    pub original_for_header_name: HeaderName,
    /// Gets the host of the request as it arrived. Default is `X-Original-Host`.
    pub original_host_header_name: HeaderName,
    /// Gets the scheme of the request as it arrived. Default is `X-Original-Proto`.
    pub original_proto_header_name: HeaderName,
    /// Gets the path base from before, percent-encoded, if there was one. Default is `X-Original-Prefix`.
    pub original_prefix_header_name: HeaderName,
}

impl Default for ForwardedHeadersOptions {
    fn default() -> Self {
        Self {
            fields: ForwardedFields::NONE,
            source: ForwardedSource::XForwarded,
            forward_limit: Some(1),
            known_proxies: vec![Ipv6Addr::LOCALHOST.into()],
            known_networks: vec![IpNet::new_assert([127, 0, 0, 0].into(), 8)],
            trust_unix_sockets: false,
            allowed_hosts: Vec::new(),
            require_header_symmetry: false,
            remove_untrusted: false,
            forwarded_for_header_name: HeaderName::from_static("x-forwarded-for"),
            forwarded_host_header_name: HeaderName::from_static("x-forwarded-host"),
            forwarded_proto_header_name: HeaderName::from_static("x-forwarded-proto"),
            forwarded_prefix_header_name: HeaderName::from_static("x-forwarded-prefix"),
            original_for_header_name: HeaderName::from_static("x-original-for"),
            original_host_header_name: HeaderName::from_static("x-original-host"),
            original_proto_header_name: HeaderName::from_static("x-original-proto"),
            original_prefix_header_name: HeaderName::from_static("x-original-prefix"),
        }
    }
}
