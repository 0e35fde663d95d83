//! Opening a browser once the program listens.

mod url;

use hosting::LaunchProfile;

/// What the host logs for every address.
const LISTENING: &str = "Now listening on:";
/// What it logs after the last of them.
const STARTED: &str = "Application started";
/// What is kept of a line. The lines we look for are shorter.
const MAX_LINE: usize = 4096;

/// Reads a program's output and tells the address to open, once.
///
/// The host logs its addresses one after the other. The one to open is the first of the profile's
/// `applicationUrl` if the program listens there, else one with the same scheme, else the first; so it is
/// known when that address comes, when as many came as the profile lists, or when the program has started.
#[derive(Debug)]
pub(crate) struct Browser {
    /// The addresses of the profile.
    expected: Vec<String>,
    launch_url: Option<String>,
    /// The addresses logged so far that a browser can open.
    listening: Vec<String>,
    logged: usize,
    line: Vec<u8>,
    done: bool,
}

impl Browser {
    /// The browser of a profile that wants one, on a machine that has a desktop.
    pub(crate) fn new(profile: &LaunchProfile, lookup: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let is_set = |name| lookup(name).is_some_and(|value| !value.is_empty());
        let desktop =
            cfg!(any(windows, target_os = "macos")) || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
        (profile.launch_browser && desktop).then(|| Self {
            expected: profile.application_urls().map(url::browsable).collect(),
            launch_url: profile.launch_url.clone().filter(|url| !url.is_empty()),
            listening: Vec::new(),
            logged: 0,
            line: Vec::new(),
            done: false,
        })
    }

    /// The same for addresses that are not the profile's own.
    pub(crate) fn expecting(mut self, urls: &[String]) -> Self {
        self.expected = urls.iter().map(|url| url::browsable(url)).collect();
        self
    }

    /// Takes the next piece of output; returns the address to open when it is known.
    pub(crate) fn read(&mut self, output: &[u8]) -> Option<String> {
        for piece in output.split_inclusive(|byte| *byte == b'\n') {
            if self.done {
                break;
            }
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.line.extend(piece.iter().take(room));
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let url = self.read_line(&String::from_utf8_lossy(&line));
                self.done = url.is_some();
                if url.is_some() {
                    return url;
                }
            }
        }
        None
    }

    fn read_line(&mut self, line: &str) -> Option<String> {
        if let Some((_, after)) = line.split_once(LISTENING) {
            self.logged += 1;
            self.listening.extend(url::find(after).map(url::browsable));
            let expected_came = self.expected.first().is_none_or(|first| self.listening.contains(first));
            if !expected_came && self.logged < self.expected.len() {
                return None;
            }
        } else if !line.contains(STARTED) {
            return None;
        }
        Some(url::join(self.preferred()?, self.launch_url.as_deref()))
    }

    fn preferred(&self) -> Option<&str> {
        let first = self.expected.first();
        let same = first.and_then(|first| self.listening.iter().find(|url| *url == first));
        let scheme = |url: &str| url.split_once(':').map(|(scheme, _)| scheme.to_owned());
        let alike = || {
            let scheme_of_first = scheme(first?)?;
            self.listening.iter().find(|url| scheme(url).as_ref() == Some(&scheme_of_first))
        };
        same.or_else(alike).or(self.listening.first()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser(application_url: &str, launch_url: &str) -> Browser {
        let text = format!(
            r#"{{ "profiles": {{ "x": {{ "commandName": "Project", "launchBrowser": true,
                "applicationUrl": "{application_url}", "launchUrl": "{launch_url}" }} }} }}"#
        );
        let settings = hosting::LaunchSettings::parse("x", &text).unwrap();
        Browser::new(&settings.profiles[0], |name| (name == "DISPLAY").then(|| ":0".to_owned())).unwrap()
    }

    fn opened(application_url: &str, launch_url: &str, output: &str) -> Option<String> {
        browser(application_url, launch_url).read(output.as_bytes())
    }

    const BOTH: &str = "INFO Now listening on: http://localhost:5000\n\
                        INFO Now listening on: https://localhost:5001\n";

    #[test]
    fn the_first_address_of_the_profile_is_opened_wherever_it_comes() {
        let open = |urls| opened(urls, "", BOTH);
        assert_eq!(open("https://localhost:5001;http://localhost:5000").unwrap(), "https://localhost:5001");
        assert_eq!(open("http://localhost:5000;https://localhost:5001").unwrap(), "http://localhost:5000");
        assert_eq!(open("").unwrap(), "http://localhost:5000");
    }

    #[test]
    fn an_address_that_turned_out_different_is_matched_by_its_scheme() {
        let open = |urls| opened(urls, "", BOTH);
        assert_eq!(open("https://localhost:0;http://localhost:0").unwrap(), "https://localhost:5001");
        assert_eq!(open("ftp://localhost:0;http://x").unwrap(), "http://localhost:5000");
    }

    #[test]
    fn the_start_of_the_program_ends_the_wait_for_more_addresses() {
        let mut browser = browser("https://localhost:1;http://localhost:2;http://localhost:3", "");
        assert_eq!(browser.read(BOTH.as_bytes()), None);
        assert_eq!(
            browser.read(b"INFO Application started. Press Ctrl+C to shut down.\n").unwrap(),
            "https://localhost:5001"
        );
        assert_eq!(browser.read(BOTH.as_bytes()), None);
    }

    #[test]
    fn addresses_are_found_in_pieces_colours_and_long_lines() {
        let mut browser = browser("http://*:80", "");
        let long = "x".repeat(100_000) + "\nnoise\nNow list";
        assert_eq!(browser.read(long.as_bytes()), None);
        assert_eq!(browser.read(b"ening on: \x1b[4mhttp://[::]:80\x1b[0m"), None);
        assert_eq!(browser.read(b"\n").unwrap(), "http://localhost:80");
    }

    #[test]
    fn a_launch_url_is_appended_or_replaces_the_address() {
        let url = "http://localhost:5000";
        let open = |launch_url| opened(url, launch_url, BOTH).unwrap();
        assert_eq!(open("swagger/index.html"), "http://localhost:5000/swagger/index.html");
        assert_eq!(open("https://example.org/"), "https://example.org/");
    }

    #[test]
    fn a_socket_in_the_file_system_is_not_opened() {
        let output = "Now listening on: http://unix:/tmp/s\nApplication started\n";
        assert_eq!(opened("http://unix:/tmp/s", "", output), None);
    }

    #[test]
    fn there_is_no_browser_without_a_desktop_or_a_wish() {
        let wish = LaunchProfile::default();
        assert!(Browser::new(&wish, |_| Some(":0".to_owned())).is_none());
        let text = r#"{ "profiles": { "x": { "launchBrowser": true } } }"#;
        let profile = hosting::LaunchSettings::parse("x", text).unwrap().profiles.remove(0);
        let desktop = cfg!(any(windows, target_os = "macos"));
        assert_eq!(Browser::new(&profile, |_| None).is_some(), desktop);
        assert_eq!(Browser::new(&profile, |_| Some(String::new())).is_some(), desktop);
    }
}
