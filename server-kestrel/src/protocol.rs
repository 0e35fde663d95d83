//! One connection from its bytes to its end: the last service of the connection pipeline.

use std::io;
use std::sync::Arc;

use http::Version;
use server_abstractions::{App, BoxConnectionService, BoxError, Connection, HttpSchemeFeature};

use crate::activity::Activity;
use crate::connection::Accepted;
use crate::detect::{Protocol, detect};
use crate::driver::Driver;
use crate::end_reason::EndReason;
use crate::frames::Frames;
use crate::http1::Http1;
use crate::http2::Http2;
use crate::io::{ConnectionIo, Follower};
use crate::request::ConnectionContext;
use crate::request::rates::Rates;
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
    let detected = detect(&mut *io, &features, options.protocols, limits, &accepted).await;
    let Some((protocol, prefix)) = detected.inspect_err(|error| {
        accepted.ends_with(reason_of(error));
    })?
    else {
        return Ok(());
    };
    let activity = Arc::new(Activity::default());
    accepted.shows(&activity);
    let is_http1 = protocol == Protocol::Http1;
    if let Some(observation) = accepted.observation() {
        observation.http_started(&features, if is_http1 { Version::HTTP_11 } else { Version::HTTP_2 });
    }
    let follower = match protocol {
        Protocol::Http1 => Follower::Http1(Scanner::new(limits.head())),
        Protocol::Http2 => Follower::Http2(Frames::new()),
    };
    let io = ConnectionIo::new(io, prefix, Arc::clone(&activity), follower, &accepted);
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
        window: limits.http2.initial_connection_window_size,
        head: limits.head(),
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

/// What a connection ends with that failed in this way.
pub(crate) fn reason_of(error: &(dyn std::error::Error + 'static)) -> EndReason {
    let is_parse = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
    let causes = || std::iter::successors(Some(error), |error| error.source());
    if is_disconnect(error) {
        EndReason::ConnectionReset
    } else if is_parse {
        EndReason::InvalidRequestHeaders
    } else if let Some(error) = causes().find_map(|cause| cause.downcast_ref::<h2::Error>()) {
        of_http2(error)
    } else if causes().any(|cause| cause.is::<io::Error>()) {
        EndReason::IoError
    } else {
        EndReason::OtherError
    }
}

fn of_http2(error: &h2::Error) -> EndReason {
    if error.is_remote() {
        // What it says is of what the server has done.
        return EndReason::OtherError;
    }
    // What h2 adds to its GOAWAY tells apart what the code does not.
    let detail = format!("{error:?}");
    let is_of_head = ["header_list_way_too_large", "too_many_continuations"];
    match error.reason().unwrap_or(h2::Reason::NO_ERROR) {
        _ if is_of_head.iter().any(|head| detail.contains(head)) => {
            EndReason::MaxRequestHeadersTotalSizeExceeded
        }
        h2::Reason::ENHANCE_YOUR_CALM if detail.contains("too_many_data_frames") => {
            EndReason::ControlFrameLimitExceeded
        }
        h2::Reason::ENHANCE_YOUR_CALM => EndReason::StreamResetLimitExceeded,
        h2::Reason::FLOW_CONTROL_ERROR => EndReason::FlowControlWindowExceeded,
        h2::Reason::FRAME_SIZE_ERROR => EndReason::InvalidFrameLength,
        h2::Reason::COMPRESSION_ERROR => EndReason::ErrorReadingHeaders,
        h2::Reason::PROTOCOL_ERROR => EndReason::UnexpectedFrame,
        _ => EndReason::OtherError,
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
