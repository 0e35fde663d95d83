//! The files of a new crate.

use crate::arguments::Template;
use crate::schema;

/// What every crate has.
const COMMON: [(&str, &str); 11] = [
    ("Properties/launchSettings.json", include_str!("../../templates/common/launchSettings.json")),
    ("appsettings.json", include_str!("../../templates/common/appsettings.json")),
    ("appsettings.Development.json", include_str!("../../templates/common/appsettings.Development.json")),
    (".gitignore", include_str!("../../templates/common/gitignore")),
    (".vscode/extensions.json", include_str!("../../templates/common/extensions.json")),
    (".vscode/launch.json", include_str!("../../templates/common/launch.json")),
    (".vscode/tasks.json", include_str!("../../templates/common/tasks.json")),
    (".vscode/settings.json", schema::EDITOR_SETTINGS),
    (".vscode/app-settings.schema.json", schema::APP_SETTINGS),
    (".vscode/launch-settings.schema.json", schema::LAUNCH_SETTINGS),
    (".vscode/module.schema.json", schema::MODULE_SETTINGS),
];

const EMPTY: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../templates/empty/Cargo.toml")),
    ("src/main.rs", include_str!("../../templates/empty/main.rs")),
];

const AXUM: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../templates/axum/Cargo.toml")),
    ("src/main.rs", include_str!("../../templates/axum/main.rs")),
];

/// The sample is the template.
const GRPC: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../templates/grpc/Cargo.toml")),
    ("build.rs", include_str!("../../../samples/grpc/build.rs")),
    ("proto/greet.proto", include_str!("../../../samples/grpc/proto/greet.proto")),
    ("src/main.rs", include_str!("../../../samples/grpc/src/main.rs")),
];

/// The files with their contents. `hosting` is what the dependency on it says.
pub(super) fn files(template: Template, name: &str, hosting: &str) -> Vec<(&'static str, String)> {
    let own = match template {
        Template::Empty => EMPTY,
        Template::Axum => AXUM,
        Template::Grpc => GRPC,
    };
    let fill = |text: &str| {
        let text = text.replace("{{name}}", name).replace("{{hosting}}", hosting);
        // A browser shows nothing of gRPC.
        let shows = template != Template::Grpc;
        if shows { text } else { text.replace("\"launchBrowser\": true", "\"launchBrowser\": false") }
    };
    COMMON.iter().chain(own).map(|(path, text)| (*path, fill(text))).collect()
}
