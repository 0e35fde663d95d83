//! The sample `custom-server`, whose requests come from its standard input.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::program::{Launch, Program};

async fn start() -> Program {
    let mut program = Launch::of("custom-server").spawn_with_input();
    program.line("Content root path").await;
    program
}

async fn write(program: &mut Program, lines: &str) {
    let stdin = program.stdin.as_mut().expect("a pipe");
    stdin.write_all(lines.as_bytes()).await.expect("the program reads");
    stdin.flush().await.expect("the program reads");
}

#[tokio::test]
async fn every_line_is_answered_and_the_end_of_the_input_is_the_end() {
    let mut program = start().await;
    assert!(program.urls().is_empty());
    let folder = program.folder().path().display().to_string();
    assert!(program.seen().last().is_some_and(|line| line.ends_with(&folder)), "{:?}", program.seen());
    write(&mut program, "GET /a\nPOST /b?c\n").await;
    program.line("POST /b").await;
    write(&mut program, "nonsense\nGET /after").await;
    drop(program.stdin.take());
    let end = program.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
    let answers: Vec<_> = end.stdout.iter().filter(|line| !line.contains("hosting::lifetime")).collect();
    assert_eq!(
        answers,
        [
            "200 OK",
            "GET /a",
            "200 OK",
            "POST /b",
            "400 Bad Request",
            "a line is a method and a path, such as: GET /",
            "200 OK",
            "GET /after"
        ]
    );
    assert!(end.stdout.iter().any(|line| line.contains("Application is shutting down")));
}

#[tokio::test]
async fn a_signal_ends_it_while_it_waits_for_input() {
    let program = start().await;
    let stopping = Instant::now();
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(stopping.elapsed() < Duration::from_secs(1), "{:?}", stopping.elapsed());
}
