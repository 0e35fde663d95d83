use hosting::server_abstractions::{
    App, BoxFuture, FeatureCollection, HttpRequestIdentifierFeature, Lifetime, Running, Server, StartError,
};
use hosting::{Body, BoxError, Request, RequestFeatures};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, stdout};
use tokio::sync::mpsc;

/// Serves one request per line of the standard input, one after the other, and ends with it.
#[derive(Default)]
pub(crate) struct StdinServer {
    features: FeatureCollection,
}

impl Server for StdinServer {
    fn features(&self) -> &FeatureCollection {
        &self.features
    }

    fn start(self: Box<Self>, app: App) -> BoxFuture<'static, Result<Running, StartError>> {
        let (lifetime, guard) = Lifetime::new();
        let work = tokio::spawn({
            let (lifetime, features) = (lifetime.clone(), self.features.clone());
            async move {
                let result = tokio::select! {
                    result = serve_lines(app, &features, &lifetime) => result,
                    () = lifetime.aborting() => Ok(()),
                };
                drop(guard);
                result
            }
        });
        let finished = async move { work.await? };
        Box::pin(async move { Ok(Running::new(self.features, lifetime, finished)) })
    }
}

async fn serve_lines(app: App, features: &FeatureCollection, lifetime: &Lifetime) -> Result<(), BoxError> {
    let (mut lines, mut output) = (lines_of_stdin(), stdout());
    for number in 1.. {
        let line = tokio::select! {
            line = lines.recv() => line.transpose()?,
            () = lifetime.draining() => None,
        };
        let Some(line) = line else { break };
        let answer = match parse(&line) {
            Some(mut request) => {
                *request.features_mut() = FeatureCollection::inheriting(features);
                let id = Arc::new(LineNumber(number));
                request.features_mut().set::<dyn HttpRequestIdentifierFeature>(id);
                let response = app.handle(request).await;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                format!("{status}\n{}\n", String::from_utf8_lossy(&body))
            }
            None => "400 Bad Request\na line is a method and a path, such as: GET /\n".to_owned(),
        };
        output.write_all(answer.as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}

/// The lines of the standard input, from a thread of its own: a read of it cannot be cancelled, and the runtime would
/// wait for one of its own threads at the end.
fn lines_of_stdin() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let _ = std::io::stdin().lines().try_for_each(|line| sender.blocking_send(line));
    });
    lines
}

fn parse(line: &str) -> Option<Request<Body>> {
    let (method, path) = line.trim().split_once(' ')?;
    Request::builder().method(method).uri(path).body(Body::empty()).ok()
}

/// The id of a request is the number of its line.
struct LineNumber(u64);

impl HttpRequestIdentifierFeature for LineNumber {
    fn trace_identifier(&self) -> String {
        format!("stdin:{:08X}", self.0)
    }
}
