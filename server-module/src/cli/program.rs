//! One program, as the command line has it.

use hosting::Endpoint;

use super::arguments::ProgramOptions;
use super::{FAILED, WRONG_USE, fail, fail_with};
use crate::{HostingModel, ModuleOptions, Surroundings};

/// The options for it; or the exit code, when the reason has been told.
pub(super) fn read(options: ProgramOptions, surroundings: &Surroundings) -> Result<ModuleOptions, u8> {
    let ProgramOptions { program, arguments, urls, control, is_in_process } = options;
    let mut options =
        ModuleOptions::for_program(program, arguments, surroundings).map_err(|error| fail_with(&error))?;
    if !urls.is_empty() && !options.kestrel.endpoints.is_empty() {
        fail(
            "--urls and the variables Module__Endpoints__... both say where the program is served; give one of them",
        );
        return Err(WRONG_USE);
    }
    for url in &urls {
        Endpoint::url(url).map_err(|error| {
            fail(format_args!("--urls {url}: {error}"));
            FAILED
        })?;
    }
    options =
        options.at_urls(urls.iter().map(String::as_str), surroundings).map_err(|error| fail_with(&error))?;
    for endpoint in options.kestrel.endpoints.iter_mut().filter(|_| !urls.is_empty()) {
        *endpoint = endpoint.clone().configured_at("--urls");
    }
    certificates(&options)?;
    if let Some(control) = control {
        options.control_socket = Some(surroundings.folder.join(control));
    }
    if is_in_process {
        for application in &mut options.applications {
            application.settings.hosting_model = HostingModel::InProcess;
        }
    }
    Ok(options)
}

/// Who has no file cannot write a certificate into it.
fn certificates(options: &ModuleOptions) -> Result<(), u8> {
    let Some(endpoint) = options.without_certificate().next() else { return Ok(()) };
    fail(format_args!(
        "{endpoint}: there is no certificate for it; set the variables Module__Certificates__Default__Path and Module__Certificates__Default__KeyPath, or ASPNETCORE_ENVIRONMENT=Development for the certificate of this user (cargo host dev-certs https --trust)"
    ));
    Err(FAILED)
}
