//! Other clients: h2load and openssl.

use super::features::start;
use crate::program::{Launch, output_of, tool};

#[tokio::test]
async fn h2load_has_no_failures() {
    let (_program, ways) = start().await;
    for way in &ways {
        let version = if way.version == "HTTP/1.1" { "--h1" } else { "--npn-list=h2" };
        let url = format!("{}/plaintext", way.base);
        let text = output_of("h2load", ["-n1000", "-c8", "-m10", version, &url]).await;
        let requests = "1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(
            text.contains(requests) && text.contains("status codes: 1000 2xx"),
            "{version} {url}: {text}"
        );
    }
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_with_alpn() {
    let launch = Launch::of("hello").args(["--urls", "https://127.0.0.1:0"]);
    let program = launch.env("ASPNETCORE_ENVIRONMENT", "Development").start().await;
    let address = program.address().to_string();
    let trusted = program.folder().path().join("data/server-kestrel/dev-certs/localhost.crt");
    let trusted = trusted.display().to_string();
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        for (offered, chosen) in [
            ("h2,http/1.1", "ALPN protocol: h2"),
            ("http/1.1,h2", "ALPN protocol: h2"),
            ("http/1.1", "ALPN protocol: http/1.1"),
        ] {
            let arguments =
                ["s_client", "-connect", &address, "-CAfile", &trusted, version, "-alpn", offered];
            let text = output_of("openssl", arguments).await;
            assert!(text.contains(chosen) && text.contains(name), "{version} {offered}: {text}");
            assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        }
        let text = output_of("openssl", ["s_client", "-connect", &address, version]).await;
        assert!(text.contains("No ALPN negotiated"), "{text}");
    }
    for refused in [["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], ["-tls1_3", "-alpn", "spdy/1"]] {
        let output = tool("openssl", ["s_client", "-connect", &address].iter().chain(&refused)).await;
        assert!(!output.status.success(), "{refused:?}: {output:?}");
    }
}
