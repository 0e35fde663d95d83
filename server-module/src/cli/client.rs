//! Asks the module that runs.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hosting::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long an answer may take, other than to a recycle.
const ANSWER: Duration = Duration::from_secs(10);
/// How long somebody waits for new processes without being told for what.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a process is tried to be started.
const ATTEMPTS: u64 = 2;
/// How long an old process may take to end, at the most.
const END: u64 = 600;
/// How long the module may take to end.
const STOP: Duration = Duration::from_secs(700);
/// The longest answer.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

pub(super) struct Client {
    socket: PathBuf,
}

/// Why there is no answer, or a bad one.
#[derive(Debug)]
pub(super) enum ClientError {
    /// Nobody listens.
    Nobody {
        socket: PathBuf,
        error: io::Error,
    },
    /// The module refuses.
    Refused(String),
    Failed(String),
}

impl ClientError {
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self, Self::Nobody { .. })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody { socket, error } => {
                write!(f, "no module answers at {}: {error}; is it running, as this user?", socket.display())
            }
            Self::Refused(reason) | Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl Error for ClientError {}

impl Client {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(super) async fn status(&self) -> Result<Value, ClientError> {
        self.ask("GET", "/status", ANSWER).await
    }

    /// What has become of the application.
    pub(super) async fn recycle(&self, application: &str) -> Result<Value, ClientError> {
        // Any other name would be another path.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if application.is_empty() || !application.bytes().all(is_name) {
            return Err(ClientError::Refused(format!(
                "no application can have the name {application:?}; see 'server-module status' for those that there are"
            )));
        }
        let path = format!("/applications/{application}/recycle");
        let status = self.status().await?;
        let known = status["applications"].as_array().map_or(&[][..], Vec::as_slice);
        let now = known.iter().find(|known| known["name"] == application);
        let limit = now.map_or(ANSWER, recycle_limit);
        let asked = self.ask("POST", &path, limit);
        tokio::pin!(asked);
        tokio::select! {
            biased;
            answer = &mut asked => return answer,
            () = tokio::time::sleep(PATIENCE) => {}
        }
        let each = now.and_then(|now| now["startupTimeLimitSeconds"].as_u64()).unwrap_or_default();
        eprintln!(
            "server-module: waiting until the new processes of {application} are ready, each for {each} s at the most (StartupTimeLimit); without waiting it goes on as well"
        );
        asked.await
    }

    /// Done when the module has ended.
    pub(super) async fn stop(&self) -> Result<(), ClientError> {
        self.ask("POST", "/stop", ANSWER).await?;
        let ended = async {
            while UnixStream::connect(&self.socket).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(STOP, ended)
            .await
            .map_err(|_| ClientError::Failed(format!("it has not ended within {} s", STOP.as_secs())))
    }

    async fn ask(&self, method: &str, path: &str, limit: Duration) -> Result<Value, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| ClientError::Nobody { socket: self.socket.clone(), error })?;
        match timeout(limit, exchange(stream, method, path)).await {
            Ok(Ok((status, answer))) if status.is_success() => Ok(answer),
            Ok(Ok((_, answer))) => {
                let reason = answer["error"].as_str().map_or_else(|| answer.to_string(), str::to_owned);
                Err(ClientError::Refused(reason))
            }
            Ok(Err(error)) => Err(ClientError::Failed(format!("the module gives no answer: {error}"))),
            Err(_) => {
                Err(ClientError::Failed(format!("the module gives no answer within {} s", limit.as_secs())))
            }
        }
    }
}

/// How long the module may take to replace the processes of an application, one after the other.
fn recycle_limit(application: &Value) -> Duration {
    let processes = application["workers"].as_array().map_or(0, Vec::len).max(1) as u64;
    let start = application["startupTimeLimitSeconds"].as_u64().unwrap_or_default();
    ANSWER + Duration::from_secs(processes * (ATTEMPTS * start + END))
}

async fn exchange(
    stream: UnixStream,
    method: &str,
    path: &str,
) -> Result<(StatusCode, Value), Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder().method(method).uri(path).header("host", "server-module");
    let request = request.body(Empty::<bytes::Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&body)?))
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // A module that stops ends the connection together with its answer, which is there by then.
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_a_name_is_refused_before_anybody_is_asked() {
        let client = Client::new("/nowhere/at/all".into());
        for name in ["", "my shop", "../stop", "shop/x", "caf\u{e9}"] {
            let error = client.recycle(name).await.unwrap_err();
            assert!(!error.is_nobody() && error.to_string().contains(&format!("{name:?}")), "{error}");
        }
        assert!(client.recycle("shop-1.b_c").await.unwrap_err().is_nobody());
    }
}
