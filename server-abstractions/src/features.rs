mod body;
mod collection;
mod connection;
mod lifetime;
mod proxy;
mod request;
mod server;
mod upgrade;

pub use body::{
    HttpMaxRequestBodySizeFeature, HttpMinRequestBodyDataRateFeature, HttpMinResponseDataRateFeature,
    HttpRequestBodyDetectionFeature, HttpRequestTrailersFeature, HttpResponseTrailersFeature, MinDataRate,
    TooLate,
};
pub use collection::{FeatureCollection, FeatureQuery, FeatureSource, RequestFeatures};
pub use connection::{
    ConnectionEndFeature, ConnectionItemsFeature, ConnectionPhase, ConnectionStatisticsFeature,
    EndpointFeature, HttpConnectionFeature, HttpSchemeFeature, TlsConnectionFeature, TlsHandshakeFeature,
    TlsProtocol,
};
pub use lifetime::{
    ConnectionLifetimeFeature, Http2StreamIdFeature, HttpRequestIdentifierFeature,
    HttpRequestLifetimeFeature, HttpResetFeature,
};
pub use proxy::{ProxiedTls, ProxyProtocolFeature};
pub use request::{HttpPathBaseFeature, HttpRequestFeature, HttpResponseFeature, PathBase};
pub use server::{
    AddressesFixed, ServerAddresses, ServerAddressesFeature, ServerDrainFeature, ServerLivenessFeature,
};
pub use upgrade::{HttpExtendedConnectFeature, HttpUpgradeFeature, Upgrade, UpgradeError};
