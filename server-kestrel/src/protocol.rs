//! One connection from its bytes to its end: the last service of the connection pipeline.

use std::io;
use std::sync::Arc;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use server_abstractions::{App, BoxConnectionService, BoxError, Connection, HttpSchemeFeature};

use crate::connection::{Accepted, Activity};
use crate::detect::{Protocol, detect};
use crate::driver::Driver;
use crate::http1::Http1;
use crate::io::ConnectionIo;
use crate::request::{ConnectionContext, RequestService};
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
    let io = ConnectionIo::new(io, prefix, Arc::clone(&activity), is_http1, &accepted);
    let scheme = features.get::<dyn HttpSchemeFeature>().map(|feature| feature.scheme());
    let context = Arc::new(ConnectionContext {
        required_scheme: (!options.allow_alternate_schemes).then_some(scheme).flatten(),
        features,
        accepted,
        activity,
        is_http1,
        add_server_header: options.add_server_header,
        max_request_body_size: limits.max_request_body_size,
    });
    match protocol {
        Protocol::Http1 => {
            let engine = Http1::new(io, Arc::clone(&options), Arc::clone(&context));
            Driver::new(engine, context, limits).await
        }
        Protocol::Http2 => {
            let streams = StreamExecutor(Arc::clone(&context));
            let service = RequestService::new(options.app.clone(), Arc::clone(&context));
            let engine = http2_engine(streams, limits).serve_connection(TokioIo::new(io), service);
            Box::pin(Driver::new(engine, context, limits)).await
        }
    }
}

fn http2_engine(streams: StreamExecutor, limits: &Limits) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(limits.max_streams_per_connection)
        .max_header_list_size(limits.max_request_head_size)
        .initial_stream_window_size(768 * 1024)
        .initial_connection_window_size(1024 * 1024);
    builder
}

/// Runs the streams of HTTP/2, each in a task that counts as activity of the connection and that the server's end
/// waits for: requests, and the writing side of extended CONNECT. They end with their connection.
#[derive(Clone)]
pub(crate) struct StreamExecutor(Arc<ConnectionContext>);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for StreamExecutor {
    fn execute(&self, future: F) {
        let guard = self.0.accepted.lifetime.guard();
        let activity = Arc::clone(&self.0.activity);
        activity.stream_begins();
        tokio::spawn(async move {
            let _ended = StreamEnd(activity);
            future.await;
            drop(guard);
        });
    }
}

struct StreamEnd(Arc<Activity>);

impl Drop for StreamEnd {
    fn drop(&mut self) {
        self.0.request_ends();
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
