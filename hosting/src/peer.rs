//! Who is at the other end of the socket that a request came on.

use std::net::SocketAddr;

use http::{Extensions, Request};
use server_abstractions::{
    AddressTarget, EndpointFeature, HttpConnectionFeature, ProxyProtocolFeature, RequestFeatures,
};

/// The other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Ip(SocketAddr),
    Unix,
    /// A transport without addresses, or a server that does not tell.
    Unknown,
}

impl Peer {
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::Unix | Self::Unknown => None,
        }
    }
}

/// The peer of the socket, whatever layers for proxies and the PROXY protocol say about the client.
pub(crate) fn of_the_socket<B>(request: &Request<B>) -> Peer {
    let features = request.features();
    let address = match features.get::<dyn ProxyProtocolFeature>() {
        Some(proxy) => proxy.proxy_address(),
        None => behind_layers(request),
    };
    match address {
        Some(address) => Peer::Ip(address),
        None if came_through_unix_socket(request) => Peer::Unix,
        None => Peer::Unknown,
    }
}

#[cfg(feature = "proxy-integration")]
fn behind_layers<B>(request: &Request<B>) -> Option<SocketAddr> {
    server_proxy_integration::socket_address(request).or_else(|| connect_info(request.extensions()))
}

#[cfg(not(feature = "proxy-integration"))]
fn behind_layers<B>(request: &Request<B>) -> Option<SocketAddr> {
    let connection = request.features().get_outer::<dyn HttpConnectionFeature>();
    let address = connection.and_then(|connection| connection.remote_address());
    address.or_else(|| connect_info(request.extensions()))
}

/// Who the client is as far as the layers before this one know.
pub(crate) fn client<B>(request: &Request<B>) -> Option<SocketAddr> {
    let connection = request.features().get::<dyn HttpConnectionFeature>();
    let address = connection.and_then(|connection| connection.remote_address());
    address.or_else(|| connect_info(request.extensions()))
}

fn came_through_unix_socket<B>(request: &Request<B>) -> bool {
    request.features().get::<dyn EndpointFeature>().is_some_and(|endpoint| {
        matches!(endpoint.address().target(), AddressTarget::Unix(_) | AddressTarget::Abstract(_))
    })
}

/// What axum was told of the peer.
#[cfg(feature = "axum")]
fn connect_info(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<axum::extract::ConnectInfo<SocketAddr>>().map(|info| info.0)
}

#[cfg(not(feature = "axum"))]
fn connect_info(_: &Extensions) -> Option<SocketAddr> {
    None
}
