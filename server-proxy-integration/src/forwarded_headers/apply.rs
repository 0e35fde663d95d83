//! Gives a request what is believed.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{Entry, FORWARDED, HOST};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use server_abstractions::{
    FeatureCollection, HttpConnectionFeature, HttpRequestFeature, HttpSchemeFeature, PathBase,
    RequestFeatures, address_value,
};

use super::read::{Believed, Lists};
use super::{Effective, ForwardedFields, Settled};
use crate::peer::{Peer, connect_info, replace_connect_info};

/// What a path base does not have as it is (RFC 3986, section 3.3). `%` stays: it belongs to an escape.
const NO_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What becomes of a request, free of references into it.
struct Changes {
    remote: Option<SocketAddr>,
    proto: Option<Scheme>,
    host: Option<HeaderValue>,
    prefix: Option<String>,
    is_writer_unknown: bool,
    fields: Fields,
    /// The connection as it is, and whom it comes from.
    connection: Option<Arc<dyn HttpConnectionFeature>>,
    peer: Peer,
}

/// The lines that are left of the fields that entries were taken from.
enum Fields {
    /// Node, proto, host, prefix; none leaves the field as it is.
    XForwarded([Option<Vec<HeaderValue>>; 4]),
    Forwarded(Vec<HeaderValue>),
}

impl Settled {
    /// Reads the fields and changes the request, if there are any.
    #[inline(never)]
    pub(crate) fn apply<B>(&self, request: &mut Request<B>) {
        if let Some(found) = self.collect(request.headers()) {
            let has_unread = found.has_unread || self.remove_untrusted;
            let changes =
                Lists::of(self, &found, request.headers()).and_then(|lists| self.changes(request, lists));
            if has_unread {
                remove(request.headers_mut(), self.originals.iter());
            }
            if let Some(changes) = changes {
                self.write(request, changes);
            }
            if has_unread {
                remove(request.headers_mut(), self.names.iter().chain([&FORWARDED]));
            }
        }
    }

    fn changes<B>(&self, request: &Request<B>, mut lists: Lists<'_>) -> Option<Changes> {
        let connection = request.features().get::<dyn HttpConnectionFeature>();
        let peer = Peer::effective(request, connection.as_ref());
        let believed = self.believe(&mut lists, peer).filter(Believed::is_something)?;
        let fields = match &lists {
            Lists::Forwarded(chain) => Fields::Forwarded(chain.left(believed.left[0])),
            Lists::XForwarded(chains) => {
                // The list of addresses is taken with the others even if it had none, as long as there is a peer.
                let takes_node = self.fields.contains(ForwardedFields::FOR)
                    && (peer.address.is_some() || believed.remote.is_some());
                let takes = [
                    takes_node,
                    believed.proto.is_some(),
                    believed.host.is_some(),
                    believed.prefix.is_some(),
                ];
                Fields::XForwarded([0, 1, 2, 3].map(|at: usize| {
                    chains[at].as_ref().filter(|_| takes[at]).map(|chain| chain.left(believed.left[at]))
                }))
            }
        };
        let Believed { remote, proto, host, prefix, is_writer_unknown, .. } = believed;
        Some(Changes { remote, proto, host, prefix, is_writer_unknown, fields, connection, peer })
    }

    fn write<B>(&self, request: &mut Request<B>, changes: Changes) {
        let connect_info = connect_info(request.extensions());
        let scheme = changes.proto.is_some().then(|| scheme(request));
        let path_base = path_base(request, &changes);
        let old_base = changes.prefix.is_some().then(|| request.path_base()).filter(|base| !base.is_empty());

        let headers = request.headers_mut();
        self.shrink(headers, changes.fields);
        // What a client says of these would look like what this layer says.
        if headers.keys().any(|name| self.originals.iter().any(|original| original == name)) {
            remove(headers, self.originals.iter());
        }
        if self.fields.contains(ForwardedFields::FOR)
            && let Some(address) = changes.peer.address
        {
            headers.insert(self.originals.node.clone(), address_value(address));
        }
        if let Some(scheme) = scheme.as_ref().and_then(scheme_value) {
            headers.insert(self.originals.proto.clone(), scheme);
        }
        if let Some(base) = old_base {
            insert(headers, &self.originals.prefix, &utf8_percent_encode(&base, NO_PATH).to_string());
        }
        if let Some(host) = &changes.host {
            self.write_host(request, host.clone());
        }
        if let Some(proto) = &changes.proto {
            change_uri(request.uri_mut(), Some(proto), None);
        }
        if let Some(remote) = changes.remote {
            replace_connect_info(request.extensions_mut(), remote);
        }
        let features = request.features_mut();
        let outer = std::mem::take(features);
        *features = FeatureCollection::from_source(Arc::new(Effective {
            outer,
            connect_info,
            connection: changes.connection,
            is_writer_unknown: changes.is_writer_unknown,
            remote: changes.remote,
            scheme: changes.proto,
            path_base,
        }));
    }

    /// Takes the entries out of the fields.
    fn shrink(&self, headers: &mut HeaderMap, fields: Fields) {
        match fields {
            Fields::Forwarded(left) => replace(headers, &FORWARDED, left),
            Fields::XForwarded(fields) => {
                for (name, left) in self.names.iter().zip(fields) {
                    if let Some(left) = left {
                        replace(headers, name, left);
                    }
                }
            }
        }
    }

    /// Gives the request another host, and keeps the one that it had.
    fn write_host<B>(&self, request: &mut Request<B>, host: HeaderValue) {
        let authority = request.uri().authority().and_then(|old| HeaderValue::from_str(old.as_str()).ok());
        if authority.is_some() {
            change_uri(request.uri_mut(), None, Some(&host));
        }
        let headers = request.headers_mut();
        let in_field = match headers.entry(HOST) {
            Entry::Occupied(mut entry) => Some(entry.insert(host)),
            // The authority stands in the place of the field.
            Entry::Vacant(_) if authority.is_some() => None,
            Entry::Vacant(entry) => {
                entry.insert(host);
                None
            }
        };
        if let Some(old) = authority.or(in_field).filter(|old| !old.is_empty()) {
            headers.insert(self.originals.host.clone(), old);
        }
    }
}

/// The scheme that the request has had so far.
fn scheme<B>(request: &Request<B>) -> Scheme {
    match request.features().get::<dyn HttpSchemeFeature>() {
        Some(feature) => feature.scheme(),
        None => request.uri().scheme().cloned().unwrap_or(Scheme::HTTP),
    }
}

/// The path base that the request gets. It also keeps the target as it arrived, if another host changes that.
fn path_base<B>(request: &Request<B>, changes: &Changes) -> Option<PathBase> {
    let changes_target = (changes.host.is_some() || changes.proto.is_some())
        && request.version() != Version::HTTP_2
        && request.uri().authority().is_some();
    if changes.prefix.is_none() && !changes_target {
        return None;
    }
    let path_base = changes.prefix.clone().unwrap_or_else(|| request.path_base());
    Some(PathBase { path_base, raw_target: request.raw_target() })
}

/// Another scheme or authority for a target that has both. One that cannot be written so stays.
fn change_uri(uri: &mut Uri, scheme: Option<&Scheme>, host: Option<&HeaderValue>) {
    if uri.authority().is_none() {
        return;
    }
    let mut parts = uri.clone().into_parts();
    if let Some(scheme) = scheme
        && parts.scheme.is_some()
    {
        parts.scheme = Some(scheme.clone());
    }
    if let Some(host) = host {
        match Authority::try_from(host.as_bytes()) {
            Ok(authority) => parts.authority = Some(authority),
            Err(_) => return,
        }
    }
    if let Ok(changed) = Uri::from_parts(parts) {
        *uri = changed;
    }
}

fn remove<'n>(headers: &mut HeaderMap, names: impl Iterator<Item = &'n HeaderName>) {
    for name in names {
        headers.remove(name);
    }
}

fn insert(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name.clone(), value);
    }
}

fn replace(headers: &mut HeaderMap, name: &HeaderName, lines: Vec<HeaderValue>) {
    headers.remove(name);
    for line in lines {
        headers.append(name.clone(), line);
    }
}

/// A scheme as a field.
fn scheme_value(scheme: &Scheme) -> Option<HeaderValue> {
    match scheme.as_str() {
        "http" => Some(HeaderValue::from_static("http")),
        "https" => Some(HeaderValue::from_static("https")),
        other => HeaderValue::from_str(other).ok(),
    }
}
