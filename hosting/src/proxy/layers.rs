//! With the cargo feature `proxy-integration`.

use server_abstractions::App;
use server_proxy_integration::{
    ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions, HostFilteringLayer,
    HostFilteringOptions, IisIntegration,
};
use tokio::sync::watch;
use tower_layer::Layer;
use tracing::Level;

use crate::startup::Startup;
use crate::web_application::HostChange;
use crate::{ApplicationLifetime, Configuration, ConfigurationError, Error};

/// The address that a module has given the application, in place of all others.
pub(crate) fn address(configuration: &Configuration) -> Result<Option<HostChange>, Error> {
    let address = iis(configuration)?.map(|iis| iis.address());
    Ok(address.map(|address| -> HostChange {
        Box::new(move |host| {
            host.urls = vec![address];
            host.prefer_hosting_urls = true;
        })
    }))
}

/// Puts host filtering, forwarded headers and IIS integration around the application, each if there is something for it
/// to do.
pub(crate) fn surround(
    app: App,
    startup: &mut Startup,
    lifetime: &ApplicationLifetime,
) -> Result<App, Error> {
    let configuration = &startup.configuration;
    let iis = iis(configuration)?;
    let mut app = app;
    if configuration.get_bool(FORWARDED)?.unwrap_or_default() {
        let message = if iis.is_some() {
            format!(
                "{FORWARDED} has no effect: the IIS integration reads the forwarded headers of the module"
            )
        } else {
            app = App::new(ForwardedHeadersLayer::new(&everyone())?.layer(app));
            format!(
                "{FORWARDED} is true: X-Forwarded-For and X-Forwarded-Proto are believed from everyone, so nobody but the proxy may reach the application; otherwise use a ForwardedHeadersLayer that knows the proxies"
            )
        };
        startup.messages.push((Level::WARN, message));
    }
    if let Some(layer) = host_filtering(startup)? {
        app = App::new(layer.layer(app));
    }
    if let Some(iis) = iis {
        if iis.has_windows_authentication() {
            let message = "the module authenticates by Windows' own means, which is not passed on: requests are anonymous";
            startup.messages.push((Level::WARN, message.to_owned()));
        }
        app = App::new(iis.layer(lifetime.stopping().clone())?.layer(app));
    }
    Ok(app)
}

/// The key of the variable `ASPNETCORE_FORWARDEDHEADERS_ENABLED`.
const FORWARDED: &str = "ForwardedHeaders_Enabled";

/// What the switch stands for.
fn everyone() -> ForwardedHeadersOptions {
    ForwardedHeadersOptions {
        fields: ForwardedFields::FOR | ForwardedFields::PROTO,
        known_proxies: Vec::new(),
        known_networks: Vec::new(),
        ..ForwardedHeadersOptions::default()
    }
}

/// From the variables as they are called: `PORT` alone means other things elsewhere.
fn iis(configuration: &Configuration) -> Result<Option<IisIntegration>, Error> {
    Ok(IisIntegration::from_variables(|name| configuration.get(name).map(str::to_owned))?)
}

const ALLOWED_HOSTS: &str = "AllowedHosts";

/// The layer for `AllowedHosts`, which follows that key; none if every host is allowed at the start, so that nobody pays
/// for a layer that has nothing to do.
fn host_filtering(startup: &Startup) -> Result<Option<HostFilteringLayer>, Error> {
    let configuration = &startup.configuration;
    let options = allowed_hosts(configuration)?;
    if options.allow_everything() {
        startup.monitor.follow(|configuration| {
            let stays = allowed_hosts(configuration).is_ok_and(|options| options.allow_everything());
            if !stays {
                tracing::warn!("AllowedHosts has changed from all hosts to some; that takes a restart");
            }
            stays
        });
        return Ok(None);
    }
    // Whether they can be used is an error of the start, and told with the key.
    HostFilteringLayer::new(&options).map_err(|error| configuration.invalid(ALLOWED_HOSTS, error))?;
    let (sender, receiver) = watch::channel(options);
    startup.monitor.follow(move |configuration| {
        match allowed_hosts(configuration) {
            Ok(options) => drop(sender.send_if_modified(|last| {
                let has_changed = *last != options;
                *last = options;
                has_changed
            })),
            Err(error) => tracing::error!(%error, "AllowedHosts has changed and cannot be used; its last state stays in force"),
        }
        !sender.is_closed()
    });
    Ok(Some(HostFilteringLayer::reloading(receiver)?))
}

fn allowed_hosts(configuration: &Configuration) -> Result<HostFilteringOptions, ConfigurationError> {
    let section = configuration.section(ALLOWED_HOSTS);
    if section.children().next().is_some() {
        return Err(configuration.invalid(ALLOWED_HOSTS, "expected one text, with the hosts separated by ;"));
    }
    let options = HostFilteringOptions::from_list(section.value().unwrap_or_default());
    Ok(if options.allowed_hosts.is_empty() { HostFilteringOptions::from_list("*") } else { options })
}
