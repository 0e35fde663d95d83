//! The options of one application, read anew for the processes that are started from now on.

use super::source::Source;
use super::{ApplicationOptions, ModuleOptions, ROOT, application, check};
use crate::SettingsError;
use crate::error::Problems;

/// Reads them. What is wrong with another application or with the module's own keys is not looked at: those stay as they
/// were at the start, so that a mistake of one application is none of the others.
///
/// # Errors
/// The file cannot be read, the application is no longer there, or it cannot be used as it stands there now.
pub(super) fn read(
    source: &Source,
    present: &ApplicationOptions,
) -> Result<ApplicationOptions, SettingsError> {
    let configuration = source.read()?.all;
    let applications = configuration.section(ROOT).section("Applications");
    // Spelled as it was, or else it is another one.
    let Some(section) = applications.children().find(|section| section.key() == present.name) else {
        let file = source.file.display();
        return Err(Problems::one(format_args!("{file}: {ROOT}:Applications:{} is gone", present.name)));
    };
    let mut problems = Problems::default();
    let mut options = ModuleOptions::empty();
    application::read(&section, &source.surroundings, &mut options, &mut problems);
    check::alone(&options, &configuration, &mut problems);
    let read = problems.or_missing(options.applications.pop())?;
    tell_of_a_restart(present, &read);
    Ok(read)
}

/// What holds as long as the module runs is not changed by new processes.
fn tell_of_a_restart(present: &ApplicationOptions, read: &ApplicationOptions) {
    let changed = [
        ("Hosts", present.hosts != read.hosts),
        ("PathPrefix", present.path_prefix != read.path_prefix),
        ("Endpoints", present.endpoints != read.endpoints),
        ("HostingModel", present.settings.hosting_model != read.settings.hosting_model),
        ("Path", present.folder != read.folder),
    ];
    let changed: Vec<_> = changed.into_iter().filter(|(_, is_so)| *is_so).map(|(key, _)| key).collect();
    if !changed.is_empty() {
        tracing::warn!(
            application = present.name,
            keys = changed.join(", "),
            "these keys have changed, which a restart of the module brings into effect and a recycling does not"
        );
    }
}
