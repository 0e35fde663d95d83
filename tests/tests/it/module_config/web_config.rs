//! The file as a whole: where the element stands, what stands beside it, and what is wrong all at once.

use proptest::prelude::*;
use server_module::WebConfig;

use super::{parse, problems};
use crate::program::Folder;

/// As `dotnet publish` writes it.
const PUBLISHED: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <location path="." inheritInChildApplications="false">
    <system.webServer>
      <handlers>
        <add name="aspNetCore" path="*" verb="*" modules="AspNetCoreModuleV2" resourceType="Unspecified" />
      </handlers>
      <aspNetCore processPath="dotnet" arguments=".\Shop.dll" stdoutLogEnabled="false" stdoutLogFile=".\logs\stdout" hostingModel="inprocess" />
    </system.webServer>
  </location>
</configuration>
<!--ProjectGuid: 6e4f0d3c-->
"#;

#[test]
fn a_published_file_is_read_below_its_location() {
    for text in [PUBLISHED.to_owned(), format!("\u{feff}{PUBLISHED}"), PUBLISHED.replace('\n', "\r\n")] {
        let config = WebConfig::parse("web.config", &text).unwrap();
        assert_eq!(config.asp_net_core.process_path, "dotnet");
        assert_eq!(config.asp_net_core.arguments, r".\Shop.dll");
        assert_eq!(config.max_allowed_content_length, 30_000_000);
        assert_eq!(
            config.notes,
            ["web.config:5:7: handlers is not applied: every request of the application goes to its process"]
        );
    }
    let without_path = PUBLISHED.replace("path=\".\" ", "");
    assert_eq!(WebConfig::parse("w", &without_path).unwrap().asp_net_core.process_path, "dotnet");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let text = r#"<configuration>
  <system.webServer>
    <aspNetCore processPath="app" shutdownTimeLimit="900"
                startUpTimeLimit="5"
                requestTimeout="10" colour="red">
      <environmentVariables>
        <environmentVariable name="" value="x" />
        <environmentVariable name="A" />
        <environmentVariabel name="B" value="b" />
        <environmentVariable name="C" value="1" />
        <environmentVariable name="c" value="2" />
        <environmentVariable name="D=" value="2" />
      </environmentVariables>
      <handlerSettings>
        <handlerSetting name="stackSise" value="1" />
        <handlerSetting name="setCurrentDirectory" value="2" />
      </handlerSettings>
      words
    </aspNetCore>
    <securty />
  </system.webServer>
  <sytem.web />
</configuration>"#;
    assert_eq!(
        problems(WebConfig::parse("/srv/shop/web.config", text)),
        [
            "/srv/shop/web.config:4:17: aspNetCore has no attribute startUpTimeLimit; did you mean startupTimeLimit?",
            "/srv/shop/web.config:5:37: aspNetCore has no attribute colour; the known ones are processPath, arguments, hostingModel, startupTimeLimit, shutdownTimeLimit, rapidFailsPerMinute, requestTimeout, processesPerApplication, stdoutLogEnabled, stdoutLogFile, forwardWindowsAuthToken, disableStartUpErrorPage",
            "/srv/shop/web.config:3:35: shutdownTimeLimit=\"900\" is above 600 (seconds); expected a whole number from 0 to 600",
            "/srv/shop/web.config:5:17: requestTimeout=\"10\" is no time; expected hh:mm:ss in whole seconds, such as 00:02:00",
            "/srv/shop/web.config:17:25: aspNetCore has text, where only elements can be",
            "/srv/shop/web.config:7:30: name=\"\" is empty, which it must not be",
            "/srv/shop/web.config:8:9: environmentVariable has no value, which it must have",
            "/srv/shop/web.config:9:9: environmentVariables has no element environmentVariabel; did you mean environmentVariable?",
            "/srv/shop/web.config:11:9: environmentVariable name=\"c\" is given twice",
            "/srv/shop/web.config:12:9: environmentVariable name=\"D=\" is no name of a variable: it has a character that cannot be in one",
            "/srv/shop/web.config:15:9: handlerSetting name=\"stackSise\" is not known; did you mean stackSize?",
            "/srv/shop/web.config:16:9: setCurrentDirectory value=\"2\" is no switch; expected true or false",
            "/srv/shop/web.config:20:5: system.webServer has no element securty; did you mean security?",
            "/srv/shop/web.config:22:3: configuration has no element sytem.web; did you mean system.web?",
        ]
    );
}

#[test]
fn what_only_iis_does_is_accepted_and_noted() {
    let text = r#"<configuration>
  <configSections><section name="mine" type="x" /></configSections>
  <appSettings><add key="a" value="b" /></appSettings>
  <mine />
  <location path="admin"><system.webServer><httpErrors /></system.webServer></location>
  <system.webServer>
    <httpProtocol><customHeaders><remove name="X-Powered-By" /></customHeaders></httpProtocol>
    <rewrite><rules /></rewrite>
    <security>
      <ipSecurity />
      <requestFiltering removeServerHeader="true">
        <hiddenSegments />
        <requestLimits maxAllowedContentLength="1073741824" maxUrl="10"><headerLimits /></requestLimits>
      </requestFiltering>
    </security>
    <aspNetCore processPath="app" forwardWindowsAuthToken="true" lockItem="true">
      <recycleOnFileChange><file path="x" /></recycleOnFileChange>
      <handlerSettings>
        <handlerSetting name="ENABLESHADOWCOPY" value="true" />
        <handlerSetting name="forwardResponseConnectionHeader" value="TRUE" />
        <handlerSetting name="SetCurrentDirectory" value="false" />
      </handlerSettings>
    </aspNetCore>
  </system.webServer>
</configuration>"#;
    let config = WebConfig::parse("w", text).unwrap();
    assert_eq!(config.max_allowed_content_length, 1_073_741_824);
    let settings = config.asp_net_core.handler_settings;
    assert!(settings.forward_response_connection_header && !settings.set_current_directory);
    assert!(settings.enable_out_of_process_console_redirection);
    let noted: Vec<_> =
        config.notes.iter().map(|note| note.split(" is not applied").next().unwrap()).collect();
    assert_eq!(
        noted,
        [
            "w:2:3: configSections",
            "w:3:3: appSettings",
            "w:4:3: mine",
            "w:5:3: location",
            "w:7:5: httpProtocol",
            "w:8:5: rewrite",
            "w:10:7: ipSecurity",
            "w:11:7: removeServerHeader of requestFiltering",
            "w:12:9: hiddenSegments",
            "w:13:9: maxUrl",
            "w:13:73: headerLimits",
            "w:16:66: lockItem",
            "w:16:5: forwardWindowsAuthToken",
            "w:17:7: recycleOnFileChange",
            "w:19:9: the handler setting enableShadowCopy",
        ]
    );
}

#[test]
fn the_size_of_bodies_has_its_range() {
    let limits = |value: &str| {
        let text = format!(
            "<configuration>\n  <system.webServer>\n    <security><requestFiltering><requestLimits maxAllowedContentLength=\"{value}\" /></requestFiltering></security>\n    <aspNetCore processPath=\"a\" />\n  </system.webServer>\n</configuration>"
        );
        WebConfig::parse("w", &text)
    };
    for value in [0, 1, 30_000_000, u32::MAX] {
        assert_eq!(limits(&value.to_string()).unwrap().max_allowed_content_length, value);
    }
    assert_eq!(
        problems(limits("4294967296")),
        [
            "w:3:48: maxAllowedContentLength=\"4294967296\" is above 4294967295 (bytes); expected a whole number from 0 to 4294967295"
        ]
    );
    assert_eq!(
        problems(limits("-1")),
        [
            "w:3:48: maxAllowedContentLength=\"-1\" is below 0 (bytes); expected a whole number from 0 to 4294967295"
        ]
    );
    assert_eq!(
        problems(limits("30MB")),
        [
            "w:3:48: maxAllowedContentLength=\"30MB\" is no whole number of bytes; expected one from 0 to 4294967295"
        ]
    );
}

#[test]
fn environment_variables_keep_their_order_and_clear_takes_them_away() {
    let variable =
        |name: &str, value: &str| format!("<environmentVariable name=\"{name}\" value=\"{value}\" />");
    let of = |content: String| {
        let children = format!("<environmentVariables>{content}</environmentVariables>");
        parse("processPath=\"a\"", &children).unwrap().asp_net_core.environment_variables
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(of(variable("B", "1") + &variable("A", "")), [pair("B", "1"), pair("A", "")]);
    assert_eq!(of(variable("B", "1") + "<clear />" + &variable("b", "&lt;2&gt;")), [pair("b", "<2>")]);
    assert_eq!(of(String::new()), []);
}

#[test]
fn a_file_without_the_element_or_with_two_is_refused() {
    let missing = problems(WebConfig::parse("w", "<configuration>\n <system.webServer />\n</configuration>"));
    assert_eq!(missing.len(), 1);
    assert!(missing[0].starts_with("w:1:1: there is no element aspNetCore"), "{missing:?}");
    assert_eq!(
        problems(WebConfig::parse("w", "<config />")),
        ["w:1:1: the file begins with the element config; expected configuration"]
    );
    let twice = PUBLISHED.replace(
        "</configuration>",
        "<system.webServer><aspNetCore processPath=\"b\" /></system.webServer></configuration>",
    );
    assert_eq!(
        problems(WebConfig::parse("w", &twice)),
        ["w:11:19: aspNetCore is given twice, first at w:8:7"]
    );
    let elsewhere = problems(WebConfig::parse("w", &PUBLISHED.replace("path=\".\"", "path=\"admin\"")));
    assert!(elsewhere[0].starts_with("w:8:7: aspNetCore is for the path \"admin\" only"), "{elsewhere:?}");
}

#[test]
fn what_is_no_xml_is_refused_with_line_and_column() {
    let cases = [
        ("", "w:1:1: the file is no XML: "),
        ("{ \"Module\": {} }", "w:1:1: the file is no XML: "),
        ("<configuration>\n  <a>\n  </b>\n</configuration>", "w:3:3: the file is no XML: "),
        ("<configuration>\n  <a x='1' x='2' />\n</configuration>", "w:2:12: the file is no XML: "),
        (
            "<!DOCTYPE c [<!ENTITY a \"b\">]>\n<configuration>&a;</configuration>",
            "w:1:1: the file is no XML: a document type is not read",
        ),
    ];
    for (text, expected) in cases {
        let found = problems(WebConfig::parse("w", text));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text:?}: {found:?}");
    }
}

#[test]
fn a_file_that_is_too_large_too_deep_or_no_text_is_refused() {
    let folder = Folder::new();
    let large = folder.write("large/web.config", " ".repeat(250 * 1024 + 1));
    let found = problems(WebConfig::load(&large));
    assert!(
        found[0].contains("it has more than 250 KiB") && found[0].contains("large/web.config"),
        "{found:?}"
    );
    let fits = PUBLISHED.to_owned() + &" ".repeat(250 * 1024 - PUBLISHED.len());
    folder.write("web.config", fits);
    WebConfig::load_from(folder.path()).unwrap();
    let utf16: Vec<_> = PUBLISHED.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let found = problems(WebConfig::load(folder.write("utf16.config", [&[0xff, 0xfe][..], &utf16].concat())));
    assert!(found[0].contains("it is not text in UTF-8"), "{found:?}");
    let absent = problems(WebConfig::load(folder.path().join("absent.config")));
    assert!(absent[0].contains("could not read") && absent[0].contains("absent.config"), "{absent:?}");
    let deep = "<a>".repeat(80_000);
    assert_eq!(problems(WebConfig::parse("w", &deep)).len(), 1);
    let closed = "<a>".repeat(30_000) + &"</a>".repeat(30_000);
    assert_eq!(problems(WebConfig::parse("w", &closed)).len(), 1);
}

#[test]
fn of_very_many_faults_the_first_hundred_are_told() {
    let children = "<wrong />".repeat(10_000);
    let found = problems(parse("processPath=\"a\"", &children));
    assert_eq!(found.len(), 101);
    assert_eq!(found[100], "and 9900 more");
}

#[test]
fn a_location_within_a_location_is_refused() {
    let text = PUBLISHED.replace("<system.webServer>", "<location path=\"a\" /><system.webServer>");
    let found = problems(WebConfig::parse("w", &text));
    assert!(
        found.len() == 1 && found[0].starts_with("w:4:5: location has no element location; "),
        "{found:?}"
    );
}

proptest! {
    /// Whatever stands in the file, what is wrong has a place in it.
    #[test]
    fn every_fault_has_a_place(
        cuts in proptest::collection::vec((0..PUBLISHED.len(), 0..20_usize, "[<>/=\"&;a-zé .\\-]{0,6}"), 1..4),
    ) {
        let mut text = PUBLISHED.to_owned();
        for (start, length, new) in cuts {
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            if text.is_char_boundary(start) && text.is_char_boundary(end) {
                text.replace_range(start..end, &new);
            }
        }
        if let Err(error) = WebConfig::parse("w", &text) {
            prop_assert!(error.problems().len() > 0);
            for problem in error.problems() {
                let mut parts = problem.splitn(4, ':');
                prop_assert_eq!(parts.next(), Some("w"));
                let line: usize = parts.next().unwrap().parse().unwrap();
                let column: usize = parts.next().unwrap().parse().unwrap();
                let lines = text.split('\n').nth(line - 1);
                prop_assert!(lines.is_some_and(|text| column <= text.chars().count() + 1), "{}", problem);
            }
        }
    }
}
