//! The section `Module` as a whole: endpoints, the control socket, and what has to hold between applications.

use std::path::Path;

use server_module::{ModuleOptions, SettingsError, Surroundings};

use super::{problems, program};
use crate::program::Folder;

pub(super) const WEB_CONFIG: &str = "<configuration>\n  <system.webServer>\n    <aspNetCore processPath=\".\\app.exe\" arguments=\"--from file\" />\n  </system.webServer>\n</configuration>\n";

/// A folder with the programs `app` and `shop/app`, of which the second has a `web.config`.
pub(super) fn folder() -> Folder {
    let folder = Folder::new();
    program(&folder, "app");
    program(&folder, "shop/app");
    folder.write("shop/web.config", WEB_CONFIG);
    folder
}

pub(super) fn surroundings(folder: &Folder) -> Surroundings {
    Surroundings { folder: folder.path().to_owned(), variables: Vec::new() }
}

/// Reads a file with this section.
pub(super) fn load(folder: &Folder, section: &str) -> Result<ModuleOptions, SettingsError> {
    folder.write("module.json", format!("{{ \"Module\": {section} }}"));
    ModuleOptions::load("module.json", &surroundings(folder))
}

/// What is wrong, with the folder's path as `DIR`.
pub(super) fn wrong(folder: &Folder, section: &str) -> Vec<String> {
    let shown = folder.path().display().to_string();
    problems(load(folder, section)).iter().map(|problem| problem.replace(&shown, "DIR")).collect()
}

#[test]
fn a_file_has_endpoints_a_socket_and_applications() {
    let folder = folder();
    let options = load(
        &folder,
        r#"{
          "Certificates": { "Default": { "Path": "site.pem", "KeyPath": "site.key" } },
          "Limits": { "MaxRequestLineSize": 5000 },
          "Endpoints": { "Web": { "Url": "http://*:80" }, "Secure": { "Url": "https://*:443", "Sni": { "*.shop.example": {} } } },
          "ControlSocket": "run/control.sock",
          "Applications": {
            "shop": { "Path": "shop", "Hosts": ["shop.example", "*.Shop.example"], "PathPrefix": "/shop/" },
            "api": { "Command": "./app", "Endpoints": ["secure"] }
        } }"#,
    )
    .unwrap();
    let urls: Vec<_> = options.kestrel.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["https://*:443", "http://*:80"]);
    assert_eq!(options.kestrel.limits.max_request_line_size, 5000);
    assert!(options.kestrel.https_defaults.as_ref().is_some_and(|https| !https.needs_certificate()));
    assert_eq!(options.control_socket.as_deref(), Some(folder.path().join("run/control.sock").as_path()));
    let [api, shop] = options.applications.as_slice() else { panic!("{:?}", options.applications) };
    assert_eq!((api.name.as_str(), api.endpoints.as_slice()), ("api", &["Secure".to_owned()][..]));
    assert_eq!(api.program, folder.path().join("app"));
    assert_eq!(api.folder, folder.path());
    assert_eq!(shop.program, folder.path().join("shop/app"));
    assert_eq!(shop.folder, folder.path().join("shop"));
    assert_eq!(shop.arguments, ["--from", "file"]);
    let hosts: Vec<_> = shop.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["shop.example", "*.shop.example"]);

    let web = options.routes(Some("Web")).unwrap();
    assert!(web.find("other", "/shop").is_none());
    assert_eq!(web.find("a.shop.example:80", "/Shop/x").unwrap().path_base.as_str(), "/shop");
    let secure = options.routes(Some("Secure")).unwrap();
    assert_eq!(secure.find("other", "/shop").map(|found| found.application), Some(0));
    assert_eq!(secure.find("shop.example", "/shop").map(|found| found.application), Some(1));
}

#[test]
fn variables_of_the_environment_go_before_the_file() {
    let folder = folder();
    folder.write(
        "module.json",
        r#"{ "Module": { "Applications": { "a": { "Command": "./app", "StartupTimeLimit": 5 } } } }"#,
    );
    let variables =
        [("Module__Applications__a__StartupTimeLimit", "00:00:07"), ("PATH", "/bin"), ("Other__X", "1")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut surroundings = Surroundings { variables, ..surroundings(&folder) };
    let options = ModuleOptions::load("module.json", &surroundings).unwrap();
    assert_eq!(options.applications[0].settings.startup_time_limit.as_secs(), 7);
    surroundings.variables.push(("Module__Aplications__a__Path".to_owned(), "secret".to_owned()));
    let found = problems(ModuleOptions::load("module.json", &surroundings));
    assert_eq!(
        found,
        [
            "Module:Aplications (environment variable Module__Aplications__a__Path): unknown key; did you mean Applications?"
        ]
    );
}

#[test]
fn one_program_needs_no_file() {
    let folder = folder();
    let options = ModuleOptions::for_program("app", ["--a", "b c"], &surroundings(&folder)).unwrap();
    let [application] = options.applications.as_slice() else { panic!() };
    assert_eq!(application.name, "app");
    assert_eq!(application.program, folder.path().join("app"));
    assert_eq!(application.arguments, ["--a", "b c"]);
    assert_eq!(application.folder, folder.path());
    assert!(options.kestrel.endpoints.is_empty());
    assert_eq!(options.routes(None).unwrap().find("any", "/x").unwrap().application, 0);

    let found = problems(ModuleOptions::for_program("absent", [""; 0], &surroundings(&folder)));
    assert!(
        found.len() == 1 && found[0].starts_with("there is no program ") && found[0].contains("absent"),
        "{found:?}"
    );
}

#[test]
fn a_program_is_served_at_the_addresses_that_are_given() {
    let folder = folder();
    let surroundings = surroundings(&folder);
    let options = || ModuleOptions::for_program("app", [""; 0], &surroundings).unwrap();
    let plain = options().at_urls(["http://*:80", "http://unix:/run/a.sock"], &surroundings).unwrap();
    let names: Vec<_> = plain.kestrel.endpoints.iter().map(|endpoint| endpoint.name.as_deref()).collect();
    assert_eq!(names, [Some("url0"), Some("url1")]);
    let urls: Vec<_> = plain.kestrel.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["http://*:80", "http://unix:/run/a.sock"]);
    assert_eq!(plain.routes(Some("url1")).unwrap().find("any", "/").unwrap().application, 0);

    let found = problems(options().at_urls(["http://a:b"], &surroundings));
    assert!(found.len() == 1 && found[0].contains("http://a:b") && found[0].contains("port"), "{found:?}");
    // A certificate is for development only, and nobody makes one in production.
    let secure = options().at_urls(["https://*:443"], &surroundings).unwrap();
    assert!(secure.kestrel.https_defaults.is_none());
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_key_and_place() {
    let folder = folder();
    folder.write("broken/web.config", WEB_CONFIG.replace("arguments", "argumets"));
    folder.write("empty/x", "");
    folder.write("gone/web.config", WEB_CONFIG);
    folder.write(
        "module.json",
        r#"{ "Module": {
  "ControlSockt": "x",
  "Endpoints": { "A": { "Url": "nope" }, "B": { "Url": "http://*:80", "Colour": 1 }, "C": { "Url": "https://*:443" } },
  "Limits": { "MaxRequestLineSize": 0 },
  "Applications": {
    "one": { "Path": "absent" },
    "two": { "Path": "empty" },
    "three": { "Path": "broken" },
    "four": { "Path": "gone" },
    "five": {},
    "six": "text",
    "7": { "Command": "app" },
    "eight": { "Command": "nope", "PathPrefix": "x", "Hosts": ["a:1", "b"], "Endpoints": ["Aa"], "Comand": 1 }
  }
}, "Modul": {} }"#,
    );
    let shown = folder.path().display().to_string();
    let found = problems(ModuleOptions::load("module.json", &surroundings(&folder)));
    let found: Vec<_> = found.iter().map(|problem| problem.replace(&shown, "DIR")).collect();
    let expected = [
        "Modul (DIR/module.json:15:13): unknown key; did you mean Module?",
        "Module:ControlSockt (DIR/module.json:2:19): unknown key; did you mean ControlSocket?",
        "Module:Endpoints:B:Colour",
        "Module:Limits:MaxRequestLineSize = \"0\"",
        "Module:Endpoints:A:Url = \"nope\"",
        "Module:Applications:7 (DIR/module.json:12:23): the name of an application begins with a letter",
        "Module:Applications:eight:Comand (DIR/module.json:13:108): unknown key; did you mean Command?",
        "Module:Applications:eight:Command = \"nope\" (DIR/module.json:13:27): there is no program nope in the folder DIR",
        "Module:Applications:eight:Hosts:0 = \"a:1\"",
        "Module:Applications:eight:PathPrefix = \"x\"",
        "Module:Applications:eight:Endpoints:0 = \"Aa\"",
        "Module:Applications:five",
        "DIR/gone/web.config:3:17: processPath: there is no program .\\app.exe in the folder DIR/gone",
        "Module:Applications:one:Path = \"absent\" (DIR/module.json:6:22): DIR/absent is no folder",
        "Module:Applications:six = \"text\" (DIR/module.json:11:12): expected a section",
        "DIR/broken/web.config:3:41: aspNetCore has no attribute argumets; did you mean arguments?",
        "DIR/broken/web.config:3:17: processPath: there is no program .\\app.exe in the folder DIR/broken",
        "Module:Applications:two:Path = \"empty\" (DIR/module.json:7:22): the folder has no web.config",
        "Module:Endpoints:C:Url = \"https://*:443\" (DIR/module.json:3:100): there is no certificate for it",
    ];
    for (index, expected) in expected.iter().enumerate() {
        assert!(found.get(index).is_some_and(|found| found.starts_with(expected)), "{expected}\n{found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_one_fault() {
    let folder = folder();
    folder.write("module.json", "{ \"Module\": ");
    let found = problems(ModuleOptions::load("module.json", &surroundings(&folder)));
    assert!(found.len() == 1 && found[0].contains("module.json: line 1, column "), "{found:?}");
    let found = problems(ModuleOptions::load(Path::new("absent.json"), &surroundings(&folder)));
    assert!(
        found.len() == 1 && found[0].contains("could not read ") && found[0].contains("absent.json: "),
        "{found:?}"
    );
    assert_eq!(
        wrong(&folder, "{}"),
        [
            "Module:Applications (DIR/module.json): there is none; expected one application at least, by its name"
        ]
    );
    let long = format!(
        r#"{{ "ControlSocket": "/{}", "Applications": {{ "a": {{ "Command": "app" }} }} }}"#,
        "x".repeat(103)
    );
    let found = wrong(&folder, &long);
    assert!(
        found.len() == 1
            && found[0].ends_with("the path has more than 103 bytes, which no Unix socket can have"),
        "{found:?}"
    );
}

/// Two applications with these keys, and two endpoints.
fn pair(folder: &Folder, a: &str, b: &str) -> Result<ModuleOptions, SettingsError> {
    load(
        folder,
        &format!(
            r#"{{ "Endpoints": {{ "A": {{ "Url": "http://*:80" }}, "B": {{ "Url": "http://*:81" }} }},
                "Applications": {{ "a": {{ "Command": "app", {a} }}, "b": {{ "Command": "app", {b} }} }} }}"#
        ),
    )
}

#[test]
fn two_applications_cannot_have_the_same_requests() {
    let folder = folder();
    let apart = [
        (r#""PathPrefix": "/""#, r#""PathPrefix": "/b""#),
        (r#""Hosts": ["a"]"#, r#""Hosts": ["*.a"]"#),
        (r#""Hosts": ["a"]"#, r#""Hosts": ["*"]"#),
        (r#""Endpoints": ["A"]"#, r#""Endpoints": ["B"]"#),
    ];
    for (a, b) in apart {
        pair(&folder, a, b).unwrap_or_else(|error| panic!("{a} {b}: {error}"));
    }
    let together = [
        ("", "", "any host with the path /"),
        (r#""PathPrefix": "/x""#, r#""PathPrefix": "/X/""#, "any host with the path /X"),
        (r#""Hosts": ["A", "b"]"#, r#""Hosts": ["c", "B"]"#, "the host b with the path /"),
        (r#""Hosts": ["*"]"#, r#""Endpoints": ["B"]"#, "any host with the path /"),
        (r#""Endpoints": ["A", "B"]"#, r#""Endpoints": ["B"]"#, "any host with the path /"),
    ];
    for (a, b, shared) in together {
        // A trailing comma is allowed, an empty element is not.
        let (a, b) = (
            if a.is_empty() { r#""Hosts": []"# } else { a },
            if b.is_empty() { r#""Hosts": []"# } else { b },
        );
        let found = problems(pair(&folder, a, b));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("Module:Applications:b ("), "{found:?}");
        assert!(found[0].contains(&format!("it has {shared}, which a has as well")), "{found:?}");
    }
}

#[test]
fn an_application_in_process_has_its_endpoints_for_itself() {
    let folder = folder();
    const IN_PROCESS: &str = r#""HostingModel": "InProcess""#;
    let model = |keys: &str| format!("{IN_PROCESS}, {keys}");
    pair(&folder, &model(r#""Endpoints": ["A"]"#), r#""Endpoints": ["B"]"#).unwrap();
    pair(
        &folder,
        &model(r#""Endpoints": ["A"], "Hosts": ["*"], "PathPrefix": "/""#),
        &model(r#""Endpoints": ["B"]"#),
    )
    .unwrap();

    let found = problems(pair(&folder, r#""PathPrefix": "/a""#, &model(r#""Endpoints": ["B"]"#)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("Module:Applications:b (")
            && found[0]
                .contains("it is in process and serves the endpoint B itself, which a is served at as well"),
        "{found:?}"
    );
    let found = problems(pair(
        &folder,
        &model(r#""Endpoints": ["A"], "Hosts": ["a"], "PathPrefix": "/a""#),
        r#""Endpoints": ["B"]"#,
    ));
    let keys: Vec<_> = found.iter().map(|problem| problem.split([' ', ':']).nth(3).unwrap()).collect();
    assert_eq!(keys, ["Hosts", "PathPrefix"]);
    let found = problems(load(
        &folder,
        &format!(
            r#"{{ "Applications": {{ "a": {{ "Command": "app", {IN_PROCESS} }}, "b": {{ "Command": "app", "PathPrefix": "/b" }} }} }}"#
        ),
    ));
    assert!(
        found[0].contains("serves the endpoint http://localhost:5000 itself, which b is served at"),
        "{found:?}"
    );
}

#[test]
fn an_endpoint_without_an_application_is_refused() {
    let folder = folder();
    let found = problems(pair(&folder, r#""Endpoints": ["A"]"#, r#""Endpoints": ["A"], "PathPrefix": "/b""#));
    assert!(
        found.len() == 1
            && found[0].starts_with("Module:Endpoints:B (")
            && found[0].ends_with("no application is served at this endpoint"),
        "{found:?}"
    );
}

#[test]
fn endpoints_name_the_section_that_they_stand_in() {
    let folder = folder();
    let section = r#"{
        "EndpointDefaults": { "HandshakeTimeout": 0 },
        "Endpoints": { "A": { "Url": "https://*:443", "Certificate": { "Name": "site" } }, "B": { "Url": "http://*:80", "Sni": { "*": {} } } },
        "Applications": { "a": { "Command": "app" } } }"#;
    let found = wrong(&folder, section);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("Module:EndpointDefaults:HandshakeTimeout = \"0\""), "{found:?}");
    assert!(
        found[1].starts_with("Module:Endpoints:A:Certificate:Name = \"site\"")
            && found[1].ends_with("there is no certificate \"site\" below Module:Certificates"),
        "{found:?}"
    );
    assert!(found[2].starts_with("Module:Endpoints:B:Sni"), "{found:?}");
    let found = wrong(
        &folder,
        r#"{ "Endpoints": "http://*:80", "Certificates": { "a": { "Pth": "x" } }, "Applications": { "a": { "Command": "app" } } }"#,
    );
    assert!(found.iter().any(|problem| problem.starts_with("Module:Endpoints = ")), "{found:?}");
    assert!(found.iter().any(|problem| problem.starts_with("Module:Certificates:a:Pth")), "{found:?}");
}
