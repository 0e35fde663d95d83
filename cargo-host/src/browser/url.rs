//! The few things that are done with addresses.

/// The first address in a text.
pub(super) fn find(text: &str) -> Option<&str> {
    let start = ["http://", "https://"].iter().filter_map(|scheme| text.find(scheme)).min()?;
    let url = &text[start..];
    let end = url.find(|c: char| c.is_whitespace() || c.is_control() || c == '"').unwrap_or(url.len());
    let url = &url[..end];
    (!url.contains("://unix:")).then_some(url)
}

/// The address as a browser on this machine opens it: `localhost` for every interface, no `/` at the end.
pub(super) fn browsable(url: &str) -> String {
    let Some((scheme, rest)) = url.trim_end_matches('/').split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    // A colon within brackets is the host's.
    let port = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
    let (host, port) = port.map_or((authority, ""), |colon| authority.split_at(colon));
    let host = match host {
        "[::]" | "0.0.0.0" | "*" | "+" => "localhost",
        host => host,
    };
    format!("{}://{}{port}{path}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase())
}

/// The address of a page: `page` itself if it is a whole address, else below `base`.
pub(super) fn join(base: &str, page: Option<&str>) -> String {
    match page {
        None => base.to_owned(),
        Some(page) if page.contains("://") => page.to_owned(),
        Some(page) => format!("{base}/{}", page.trim_start_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_become_localhost() {
        for (url, expected) in [
            ("http://*:5000", "http://localhost:5000"),
            ("https://+:5001/", "https://localhost:5001"),
            ("HTTP://0.0.0.0:80/base/", "http://localhost:80/base"),
            ("http://[::]:5000", "http://localhost:5000"),
            ("http://[::]", "http://localhost"),
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("http://[::1]", "http://[::1]"),
            ("http://Shop", "http://shop"),
            ("no address", "no address"),
        ] {
            assert_eq!(browsable(url), expected, "{url}");
        }
    }

    #[test]
    fn an_address_ends_where_no_address_goes_on() {
        assert_eq!(find(" http://localhost:5000"), Some("http://localhost:5000"));
        assert_eq!(find("=\"https://a:1\", b"), Some("https://a:1"));
        assert_eq!(find("\u{1b}[1mhttp://a\u{1b}[0m https://b"), Some("http://a"));
        assert_eq!(find("http://unix:/tmp/socket"), None);
        assert_eq!(find("nothing"), None);
    }

    #[test]
    fn a_page_is_below_the_base_unless_it_is_an_address() {
        assert_eq!(join("http://a", None), "http://a");
        assert_eq!(join("http://a", Some("/b?c=d")), "http://a/b?c=d");
        assert_eq!(join("http://a", Some("https://b/")), "https://b/");
    }
}
