//! The top level of `launchSettings.json`.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::{IisSettings, LaunchProfile};

/// How a program is started while it is being developed.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", title = "launchSettings.json")]
#[schemars(extend("allowComments" = true, "allowTrailingCommas" = true))]
#[expect(dead_code, reason = "the schema is made from the fields, and nothing else")]
pub(super) struct LaunchSettingsFile {
    /// Where the schema of this file is, for editors.
    #[schemars(rename = "$schema")]
    schema: Option<String>,
    /// Ways to start the program, by name. Without a choice the first one whose `commandName` is `Project` is taken.
    profiles: BTreeMap<String, LaunchProfile>,
    /// What IIS and IIS Express are set up with.
    iis_settings: Option<IisSettings>,
}
