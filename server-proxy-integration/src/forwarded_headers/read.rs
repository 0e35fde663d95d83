//! What the fields say, and how much of it is believed.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderValue;
use http::uri::Scheme;
use server_abstractions::decode_path;

use super::chain::{Chain, Mark, without_quotes};
use super::found::Found;
use super::{ForwardedFields, Settled, address, element};
use crate::host::split_host;
use crate::peer::Peer;

/// What one proxy says.
#[derive(Debug, Default)]
pub(super) struct Entry<'h> {
    pub(super) node: Node,
    pub(super) proto: Option<Cow<'h, [u8]>>,
    pub(super) host: Option<Cow<'h, [u8]>>,
    pub(super) prefix: Option<Cow<'h, [u8]>>,
}

/// Whom a proxy had the request from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Node {
    #[default]
    Missing,
    Address(SocketAddr),
    /// The proxy does not tell.
    Hidden,
    Unparsable,
}

/// What is believed.
#[derive(Debug, Default)]
pub(super) struct Believed<'h> {
    /// The client, if an entry has named it.
    pub(super) remote: Option<SocketAddr>,
    pub(super) proto: Option<Scheme>,
    pub(super) host: Option<HeaderValue>,
    pub(super) prefix: Option<String>,
    /// Whether the last proxy does not tell whom it had the request from, so that nobody knows who has written what is left.
    pub(super) is_writer_unknown: bool,
    /// How far the chains were taken.
    pub(super) left: Marks<'h>,
}

impl Believed<'_> {
    pub(super) fn is_something(&self) -> bool {
        self.remote.is_some() || self.proto.is_some() || self.host.is_some() || self.prefix.is_some()
    }
}

/// The lists of a request.
#[derive(Debug)]
pub(super) enum Lists<'h> {
    /// Node, proto, host, prefix.
    XForwarded([Option<Chain<'h>>; 4]),
    Forwarded(Chain<'h>),
}

/// How far lists were taken; the one of `Forwarded` is the first.
pub(super) type Marks<'h> = [Mark<'h>; 4];

impl<'h> Lists<'h> {
    pub(super) fn of(settled: &Settled, found: &Found<'h>, headers: &'h HeaderMap) -> Option<Self> {
        if found.forwarded.is_present() {
            if found.has_x_forwarded() {
                tracing::debug!("a request has both Forwarded and X-Forwarded fields; neither is believed");
                return None;
            }
            let chain = found.forwarded.chain(headers, &http::header::FORWARDED)?;
            return Some(Self::Forwarded(chain.with_escapes()));
        }
        let names = &settled.names;
        found.has_x_forwarded().then(|| {
            Self::XForwarded([
                found.node.chain(headers, &names.node),
                found.proto.chain(headers, &names.proto),
                found.host.chain(headers, &names.host),
                found.prefix.chain(headers, &names.prefix),
            ])
        })
    }

    fn marks(&self) -> Marks<'h> {
        match self {
            Self::XForwarded(chains) => {
                [0, 1, 2, 3].map(|at: usize| chains[at].as_ref().map(Chain::mark).unwrap_or_default())
            }
            Self::Forwarded(chain) => [chain.mark(), Mark::default(), Mark::default(), Mark::default()],
        }
    }

    /// Whether all lists that are read have the same length; one `Forwarded` list always has.
    fn are_symmetric(&self, fields: ForwardedFields) -> bool {
        let Self::XForwarded(chains) = self else { return true };
        let flags =
            [ForwardedFields::FOR, ForwardedFields::PROTO, ForwardedFields::HOST, ForwardedFields::PREFIX];
        let mut counts = flags
            .iter()
            .zip(chains)
            .filter(|(flag, _)| fields.contains(**flag))
            .map(|(_, chain)| chain.as_ref().map_or(0, Chain::count_left));
        let first = counts.next();
        counts.all(|count| Some(count) == first)
    }

    /// The entry of the next proxy, not looked into.
    fn take(&mut self) -> Option<Raw<'h>> {
        match self {
            Self::Forwarded(chain) => chain.next().map(Raw::Element),
            Self::XForwarded(chains) => {
                let values = chains.each_mut().map(|chain| chain.as_mut().and_then(Iterator::next));
                values.iter().any(Option::is_some).then_some(Raw::Values(values))
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Raw<'h> {
    Values([Option<&'h [u8]>; 4]),
    Element(&'h [u8]),
}

impl<'h> Raw<'h> {
    /// Where the address stands.
    fn node(self) -> Option<&'h [u8]> {
        match self {
            Self::Element(text) => Some(text),
            Self::Values([node, ..]) => node,
        }
    }

    fn read(self) -> Option<Entry<'h>> {
        match self {
            Self::Element(text) => element::parse(text),
            Self::Values([node, proto, host, prefix]) => Some(Entry {
                node: match node.map(without_quotes) {
                    None => Node::Missing,
                    Some(text) if text.is_empty() => Node::Missing,
                    Some(text) => address::parse(&text).map_or(Node::Unparsable, Node::Address),
                },
                proto: proto.map(without_quotes),
                host: host.map(without_quotes),
                prefix: prefix.map(without_quotes),
            }),
        }
    }
}

impl Settled {
    /// Goes through the entries from the right, as long as the one who wrote them is known. None: there is nothing to
    /// believe, since an entry is not as it must be.
    pub(super) fn believe<'h>(&self, lists: &mut Lists<'h>, peer: Peer) -> Option<Believed<'h>> {
        if self.symmetry && !lists.are_symmetric(self.fields) {
            tracing::warn!("the forwarded fields have different numbers of entries; none is believed");
            return None;
        }
        let mut believed = Believed { left: lists.marks(), ..Believed::default() };
        let mut writer = peer;
        for taken in 0..self.limit {
            let Some(raw) = lists.take() else { break };
            if !self.known.include(writer) {
                if taken == 0 {
                    self.stranger.tell(writer);
                } else {
                    tracing::debug!(
                        proxy = writer.address.map(tracing::field::display),
                        "a forwarded entry comes from an unknown proxy; the rest of the list is not believed"
                    );
                }
                break;
            }
            let Some(entry) = raw.read() else {
                tracing::debug!("an element of Forwarded does not follow the grammar");
                break;
            };
            let may_go_on = match entry.node {
                Node::Address(address) => {
                    writer = Peer::at(address);
                    if self.fields.contains(ForwardedFields::FOR) {
                        believed.remote = Some(address);
                    }
                    true
                }
                Node::Unparsable => {
                    pass_over(
                        "entry",
                        raw.node(),
                        "its address is none; nor is the rest of the list believed",
                    );
                    break;
                }
                Node::Missing if self.symmetry && self.fields.contains(ForwardedFields::FOR) => {
                    return refuse_asymmetry("address");
                }
                // Who stands before is known by the address only; without one, the lists of their own go on.
                Node::Missing => matches!(lists, Lists::XForwarded(_)),
                Node::Hidden => false,
            };
            self.take_values(&entry, &mut believed)?;
            believed.left = lists.marks();
            if !may_go_on {
                believed.is_writer_unknown = true;
                break;
            }
        }
        Some(believed)
    }

    fn take_values(&self, entry: &Entry<'_>, believed: &mut Believed<'_>) -> Option<()> {
        if self.fields.contains(ForwardedFields::PROTO) {
            match entry.proto.as_deref().and_then(parse_scheme) {
                Some(scheme) => believed.proto = Some(scheme),
                None if self.symmetry => return refuse_asymmetry("scheme"),
                None => pass_over("scheme", entry.proto.as_deref(), "it is none"),
            }
        }
        if self.fields.contains(ForwardedFields::HOST) {
            match entry.host.as_deref().and_then(|host| self.parse_host(host)) {
                Some(host) => believed.host = Some(host),
                None if self.symmetry => return refuse_asymmetry("host"),
                None => pass_over("host", entry.host.as_deref(), why_no_host(entry.host.as_deref())),
            }
        }
        if self.fields.contains(ForwardedFields::PREFIX) {
            match entry.prefix.as_deref().and_then(parse_prefix) {
                Some(prefix) => believed.prefix = Some(prefix),
                None if self.symmetry => return refuse_asymmetry("prefix"),
                None => pass_over("prefix", entry.prefix.as_deref(), "it is no path from / on"),
            }
        }
        Some(())
    }

    fn parse_host(&self, host: &[u8]) -> Option<HeaderValue> {
        split_host(host)?;
        if !self.hosts.allow(host) {
            return None;
        }
        HeaderValue::from_bytes(host).ok()
    }
}

/// Why a host is not taken.
fn why_no_host(host: Option<&[u8]>) -> &'static str {
    match host.and_then(split_host) {
        Some(_) => "it is not among allowed_hosts of ForwardedHeadersOptions",
        None => "it is none",
    }
}

/// Tells of a value that a proxy has written and that is not taken. A field that is empty or not there says nothing.
fn pass_over(what: &'static str, value: Option<&[u8]>, why: &'static str) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        tracing::debug!(value = ?String::from_utf8_lossy(value), "a forwarded {what} is passed over: {why}");
    }
}

#[cold]
fn refuse_asymmetry<T>(what: &str) -> Option<T> {
    tracing::warn!("a forwarded entry has no good {what}; no entry of the request is believed");
    None
}

/// A scheme has letters, digits, `+`, `-` and `.`; the two of HTTP count regardless of case.
fn parse_scheme(scheme: &[u8]) -> Option<Scheme> {
    if scheme.eq_ignore_ascii_case(b"https") {
        return Some(Scheme::HTTPS);
    }
    if scheme.eq_ignore_ascii_case(b"http") {
        return Some(Scheme::HTTP);
    }
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let is_good = !scheme.is_empty() && scheme.iter().all(is_scheme);
    if is_good { Scheme::try_from(scheme).ok() } else { None }
}

/// A path base is decoded as a path is, and has no slash at its end. Links are made of it, so it is not taken if browsers would
/// read a host in it (`//`, `/\`), or a line break.
fn parse_prefix(prefix: &[u8]) -> Option<String> {
    let prefix = std::str::from_utf8(prefix).ok().filter(|prefix| prefix.starts_with('/'))?;
    let mut decoded = decode_path(prefix).into_owned();
    decoded.truncate(decoded.trim_end_matches('/').len());
    let leads_elsewhere = decoded.starts_with("//") || decoded.contains('\\');
    (!leads_elsewhere && !decoded.contains(char::is_control)).then_some(decoded)
}
