//! The features of a request whose client was told by a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::Scheme;
use server_abstractions::{
    FeatureCollection, FeatureQuery, FeatureSource, HttpConnectionFeature, HttpPathBaseFeature,
    HttpSchemeFeature, PathBase,
};

use crate::peer::Peer;

/// What was believed, in one allocation, before what was known already.
///
/// It answers for itself too, so that whoever comes later finds the peer of the socket.
pub(crate) struct Effective {
    pub(super) outer: FeatureCollection,
    /// What axum was told of the peer, before this.
    pub(super) connect_info: Option<SocketAddr>,
    pub(super) connection: Option<Arc<dyn HttpConnectionFeature>>,
    /// Whether nobody knows who has written what is left of the fields.
    pub(super) is_writer_unknown: bool,
    pub(super) remote: Option<SocketAddr>,
    pub(super) scheme: Option<Scheme>,
    pub(super) path_base: Option<PathBase>,
}

impl Effective {
    pub(crate) fn is_writer_unknown(&self) -> bool {
        self.is_writer_unknown
    }

    /// Who has sent the request over the connection.
    pub(crate) fn socket_peer(&self) -> Peer {
        Peer::behind(&self.outer, self.connect_info)
    }
}

impl FeatureSource for Effective {
    fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>) {
        query
            .offer_if::<dyn HttpConnectionFeature>(|| self.remote.is_some().then(|| self.clone() as _))
            .offer_if::<dyn HttpSchemeFeature>(|| self.scheme.is_some().then(|| self.clone() as _))
            .offer_if::<dyn HttpPathBaseFeature>(|| self.path_base.is_some().then(|| self.clone() as _))
            .offer::<Self>(|| self.clone())
            .otherwise(&self.outer);
    }
}

impl HttpConnectionFeature for Effective {
    fn connection_id(&self) -> &str {
        self.connection.as_ref().map_or("", |connection| connection.connection_id())
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.connection.as_ref().and_then(|connection| connection.local_address())
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        self.remote
    }
}

impl HttpSchemeFeature for Effective {
    fn scheme(&self) -> Scheme {
        self.scheme.clone().unwrap_or(Scheme::HTTP)
    }
}

impl HttpPathBaseFeature for Effective {
    fn path_base(&self) -> &str {
        self.path_base.as_ref().map_or("", |path_base| &path_base.path_base)
    }

    fn raw_target(&self) -> &str {
        self.path_base.as_ref().map_or("", |path_base| &path_base.raw_target)
    }
}
