//! The lines of the log under systemd.

use super::*;

/// The program with a standard output that is, or is not, what the variable says.
fn under_journal(stream: &str) -> Launch {
    let script = format!(r#"JOURNAL_STREAM={stream} exec "$0" "$@""#);
    Launch::in_folder(Folder::new(), "/bin/sh")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(["-c", &script])
        .args([crate::program::binary("hello").display().to_string()])
        .args(["--urls", "http://127.0.0.1:0"])
}

#[tokio::test]
async fn they_have_a_priority_and_no_time() {
    let program =
        under_journal("$(stat -Lc %d:%i /proc/$$/fd/1)").env("RUST_LOG", "nonsense=very").start().await;
    let url = program.url("");
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.stdout[1], format!("<6>hosting::lifetime: Now listening on: {url}"), "{end:?}");
    assert!(end.stdout[0].starts_with("<4>hosting::logging: RUST_LOG cannot be used"), "{end:?}");
    assert!(end.stdout.iter().all(|line| line.starts_with('<') && !line.contains('\x1b')), "{end:?}");
}

#[tokio::test]
async fn another_stream_than_the_standard_output_changes_nothing() {
    for stream in ["1:1", "", "nonsense"] {
        let end = under_journal(stream).start().await.stop().await;
        assert!(end.stdout.iter().all(|line| !line.starts_with('<')), "{end:?}");
    }
}

#[tokio::test]
async fn why_a_start_fails_has_a_priority_too() {
    let stderr = "$(stat -Lc %d:%i /proc/$$/fd/2)";
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    for (arguments, expected) in [
        (
            ["--shutdownTimeoutSeconds", "soon"],
            "<3>the configuration cannot be used: shutdownTimeoutSeconds = ",
        ),
        (["--urls", &url], "<3>the server did not start: "),
    ] {
        let end = under_journal(stderr).args(arguments).spawn().end().await;
        assert_eq!(end.code, Some(1), "{end:?}");
        let lines: Vec<_> = end.stderr.lines().collect();
        let [line, of_main] = lines[..] else { panic!("{end:?}") };
        assert!(line.starts_with(expected), "{line}");
        assert_eq!(of_main, format!("Error: {}", line.trim_start_matches("<3>")));
    }
}
