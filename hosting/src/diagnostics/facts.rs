//! What an application tells of itself: where it listens, within which limits, and where its configuration comes from.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use server_abstractions::{Address, FeatureCollection, MinDataRate, ServerAddressesFeature};
use server_kestrel::{Http2Limits, HttpProtocols, KestrelOptions, Limits, ServerCertificate};
use tokio::sync::watch;

use super::requests::shortened;
use crate::{ConfigurationMonitor, ConfigurationSection, HostEnvironment, certificates};

/// How the source of a key begins that comes from a variable.
const VARIABLE: &str = "environment variable";

/// As many keys of the configuration are shown.
const SHOWN_KEYS: usize = 2000;

/// Where the facts are found.
pub(super) struct Facts {
    pub(super) environment: HostEnvironment,
    pub(super) monitor: ConfigurationMonitor,
    /// None for a server of the application's own.
    pub(super) options: Option<watch::Receiver<KestrelOptions>>,
    pub(super) server: FeatureCollection,
}

/// An endpoint.
#[derive(Debug, Serialize)]
pub(super) struct EndpointRow {
    pub(super) name: String,
    pub(super) address: String,
    protocols: &'static str,
    tls: bool,
    pub(super) connections: usize,
}

/// A setting with its value.
#[derive(Debug, Serialize)]
pub(super) struct LimitRow {
    name: &'static str,
    value: String,
}

/// A key of the configuration; the value is nobody's business.
#[derive(Debug, Serialize)]
pub(super) struct KeyRow {
    key: String,
    source: String,
}

impl Facts {
    pub(super) fn endpoints(&self) -> Vec<EndpointRow> {
        let addresses = self.server.get::<dyn ServerAddressesFeature>();
        let addresses = addresses.map(|addresses| addresses.addresses()).unwrap_or_default();
        let options = self.options.as_ref().map(|options| options.borrow().clone());
        let row = |address: &Address, index: usize| {
            let configured = options.as_ref().and_then(|options| {
                // Bound in the order in which they were configured; a port that the system chose is another one.
                let at = options.endpoints.get(index)?;
                let is_same =
                    options.endpoints.len() == addresses.len() || at.target() == Some(address.target());
                is_same.then_some(at)
            });
            let protocols = configured.map(|endpoint| endpoint.protocols);
            let default = options.as_ref().map(|options| options.default_protocols);
            EndpointRow {
                name: configured.and_then(|endpoint| endpoint.name.clone()).unwrap_or_default(),
                address: address.to_string(),
                protocols: protocols.or(default).map_or("", protocol_names),
                tls: address.is_https(),
                connections: 0,
            }
        };
        addresses.iter().enumerate().map(|(index, address)| row(address, index)).collect()
    }

    pub(super) fn limits(&self) -> Vec<LimitRow> {
        self.options.as_ref().map(|options| limits(&options.borrow().limits)).unwrap_or_default()
    }

    /// The certificates of the endpoints, by what they are for.
    pub(super) fn certificates(&self) -> Vec<(String, ServerCertificate)> {
        self.options.as_ref().map(|options| certificates::of_options(&options.borrow())).unwrap_or_default()
    }

    pub(super) fn keys(&self) -> Vec<KeyRow> {
        let mut rows = Vec::new();
        collect(&self.monitor.current().section(""), &mut rows);
        // Most variables have nothing to do with the application.
        rows.sort_by_key(|row| row.source.starts_with(VARIABLE));
        rows
    }

    /// The names that may be told of endpoints, for connections that name them.
    pub(super) fn application(&self) -> (String, String) {
        (shortened(&self.environment.application_name), shortened(&self.environment.name))
    }
}

fn collect(section: &ConfigurationSection, rows: &mut Vec<KeyRow>) {
    if rows.len() >= SHOWN_KEYS {
        return;
    }
    if section.value().is_some() && !section.path().is_empty() {
        rows.push(KeyRow {
            key: shortened(section.path()),
            source: shortened(section.source().unwrap_or_default()),
        });
    }
    let mut seen = BTreeSet::new();
    for child in section.children() {
        // An empty name would lead to the section itself.
        if child.path() != section.path() && seen.insert(child.path().to_owned()) {
            collect(&child, rows);
        }
    }
}

fn protocol_names(protocols: HttpProtocols) -> &'static str {
    match protocols {
        HttpProtocols::Http1 => "HTTP/1.1",
        HttpProtocols::Http2 => "HTTP/2",
        _ => "HTTP/1.1, HTTP/2",
    }
}

/// Every limit, so that one that is added does not go unnoticed.
fn limits(limits: &Limits) -> Vec<LimitRow> {
    let Limits {
        keep_alive_timeout,
        request_headers_timeout,
        max_request_line_size,
        max_request_headers_total_size,
        max_request_header_count,
        max_request_body_size,
        max_request_buffer_size,
        max_response_buffer_size,
        min_request_body_data_rate,
        min_response_data_rate,
        max_concurrent_connections,
        max_concurrent_upgraded_connections,
        max_connections_per_address,
        max_connection_age,
        max_requests_per_connection,
        http2,
    } = limits;
    let mut rows = vec![
        row("MaxConcurrentConnections", number(*max_concurrent_connections)),
        row("MaxConcurrentUpgradedConnections", number(*max_concurrent_upgraded_connections)),
        row("MaxConnectionsPerAddress", number(*max_connections_per_address)),
        row("MaxConnectionAge", max_connection_age.map_or_else(none, time)),
        row("MaxRequestsPerConnection", number(*max_requests_per_connection)),
        row("KeepAliveTimeout", time(*keep_alive_timeout)),
        row("RequestHeadersTimeout", time(*request_headers_timeout)),
        row("MaxRequestLineSize", bytes((*max_request_line_size).into())),
        row("MaxRequestHeadersTotalSize", bytes((*max_request_headers_total_size).into())),
        row("MaxRequestHeaderCount", max_request_header_count.to_string()),
        row("MaxRequestBodySize", max_request_body_size.map_or_else(none, bytes)),
        row("MaxRequestBufferSize", max_request_buffer_size.map_or_else(none, bytes)),
        row("MaxResponseBufferSize", max_response_buffer_size.map_or_else(none, bytes)),
        row("MinRequestBodyDataRate", min_request_body_data_rate.map_or_else(none, rate)),
        row("MinResponseDataRate", min_response_data_rate.map_or_else(none, rate)),
    ];
    rows.extend(http2_limits(http2));
    rows
}

fn http2_limits(limits: &Http2Limits) -> [LimitRow; 7] {
    let Http2Limits {
        max_streams_per_connection,
        header_table_size,
        max_frame_size,
        initial_connection_window_size,
        initial_stream_window_size,
        keep_alive_ping_delay,
        keep_alive_ping_timeout,
    } = limits;
    [
        row("Http2:MaxStreamsPerConnection", max_streams_per_connection.to_string()),
        row("Http2:HeaderTableSize", bytes((*header_table_size).into())),
        row("Http2:MaxFrameSize", bytes((*max_frame_size).into())),
        row("Http2:InitialConnectionWindowSize", bytes((*initial_connection_window_size).into())),
        row("Http2:InitialStreamWindowSize", bytes((*initial_stream_window_size).into())),
        row("Http2:KeepAlivePingDelay", keep_alive_ping_delay.map_or_else(none, time)),
        row("Http2:KeepAlivePingTimeout", time(*keep_alive_ping_timeout)),
    ]
}

fn row(name: &'static str, value: String) -> LimitRow {
    LimitRow { name, value }
}

fn none() -> String {
    "none".to_owned()
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(none, |number| number.to_string())
}

fn bytes(bytes: u64) -> String {
    format!("{bytes} bytes")
}

fn time(time: Duration) -> String {
    format!("{time:?}")
}

fn rate(rate: MinDataRate) -> String {
    format!("{} bytes per second after {:?}", rate.bytes_per_second, rate.grace_period)
}
