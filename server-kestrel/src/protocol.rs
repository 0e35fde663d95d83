//! One connection from its bytes to its end: the last service of the connection pipeline.

use std::io;
use std::sync::Arc;

use server_abstractions::{App, BoxConnectionService, BoxError, Connection, HttpSchemeFeature};

use crate::connection::{Accepted, Activity};
use crate::detect::{Protocol, detect};
use crate::driver::Driver;
use crate::http1::Http1;
use crate::http2::Http2;
use crate::io::ConnectionIo;
use crate::request::{ConnectionContext, Rates};
use crate::scanner::Scanner;
use crate::{HttpProtocols, Limits};

/// What the HTTP of one endpoint is served with.
pub(crate) struct HttpServerOptions {
    pub(crate) app: App,
    pub(crate) protocols: HttpProtocols,
    pub(crate) limits: Limits,
    pub(crate) add_server_header: bool,
    pub(crate) allow_alternate_schemes: bool,
}

/// The end of the connection pipeline: HTTP.
pub(crate) fn http_server(options: HttpServerOptions) -> BoxConnectionService {
    let options = Arc::new(options);
    BoxConnectionService::terminal(move |connection| Box::pin(serve(Arc::clone(&options), connection)))
}

async fn serve(options: Arc<HttpServerOptions>, connection: Connection) -> Result<(), BoxError> {
    let Connection { mut io, features } = connection;
    let accepted =
        features.get::<Accepted>().ok_or("the connection layers lost the features of the connection")?;
    let limits = &options.limits;
    let Some((protocol, prefix)) =
        detect(&mut *io, &features, options.protocols, limits, &accepted.lifetime).await?
    else {
        return Ok(());
    };
    let activity = Arc::new(Activity::default());
    let is_http1 = protocol == Protocol::Http1;
    let scanner = is_http1.then(|| Scanner::new(limits.head()));
    let io = ConnectionIo::new(io, prefix, Arc::clone(&activity), scanner, &accepted);
    let scheme = features.get::<dyn HttpSchemeFeature>().map(|feature| feature.scheme());
    let context = Arc::new(ConnectionContext {
        required_scheme: (!options.allow_alternate_schemes).then_some(scheme).flatten(),
        features,
        accepted,
        activity,
        is_http1,
        add_server_header: options.add_server_header,
        max_request_body_size: limits.max_request_body_size,
        max_requests: limits.max_requests_per_connection,
        max_upgraded: limits.max_concurrent_upgraded_connections,
        rates: Rates::new(limits.min_request_body_data_rate, limits.min_response_data_rate),
    });
    match protocol {
        Protocol::Http1 => {
            let engine = Http1::new(io, Arc::clone(&options), Arc::clone(&context));
            Driver::new(engine, context, limits).await
        }
        Protocol::Http2 => {
            let engine = Http2::new(io, &options, &context);
            Box::pin(Driver::new(engine, context, limits)).await
        }
    }
}

/// What an HTTP engine failed with, told apart for the log: a peer that has gone is no fault of anybody's.
pub(crate) fn is_disconnect(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::UnexpectedEof
            );
        }
        cause = error.source();
    }
    false
}
