//! A stop that is announced.

use rustix::process::Signal;

use super::Sample;
use crate::program::curl_exit_code;
use crate::support::Client;

#[tokio::test]
async fn requests_go_on_while_load_balancers_learn_of_the_stop() {
    let mut running = Sample::new().args(["--shutdownDelaySeconds", "5"]).start().await;
    let address = ([127, 0, 0, 1], running.public).into();
    let mut client = Client::tcp(address).await;
    let answer = client.get("/orders/7").await;
    assert!(answer.status == 200 && !answer.closes(), "{answer:?}");
    running.program.signal(Signal::TERM);
    running.program.line("Application will shut down in 5s; it still takes requests.").await;
    let mut late = Client::tcp(address).await;
    for client in [&mut client, &mut late] {
        let answer = client.get("/orders/7").await;
        assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    }
    assert_eq!(running.private("/healthz/ready").await.status, 503);
    assert_eq!(running.private("/healthz/live").await.status, 200);
    running.program.line("Application is shutting down...").await;
    // Refused.
    assert_eq!(curl_exit_code([&format!("http://127.0.0.1:{}/", running.public)]).await, 7);
    let end = running.program.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
}
