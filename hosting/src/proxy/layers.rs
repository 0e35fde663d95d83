//! With the cargo feature `proxy-integration`.

use server_abstractions::App;
use server_proxy_integration::{
    ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions, HostFilteringLayer,
    HostFilteringOptions, IisIntegration,
};
use tokio::sync::watch;
use tower_layer::Layer;
use tracing::Level;

use crate::configuration::monitor::Followed;
use crate::startup::Startup;
use crate::web_application::HostChange;
use crate::{ApplicationLifetime, Configuration, ConfigurationError, ConfigurationSection, Error};

/// The addresses that a module has given the application, in place of all others.
pub(crate) fn addresses(configuration: &Configuration) -> Result<Option<HostChange>, Error> {
    let addresses = iis(configuration)?.map(|iis| iis.addresses());
    Ok(addresses.map(|addresses| -> HostChange {
        Box::new(move |host| {
            host.urls = addresses;
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
        app = App::new(iis.layer(lifetime.announced().clone())?.layer(app));
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
fn host_filtering(startup: &mut Startup) -> Result<Option<HostFilteringLayer>, Error> {
    let configuration = &startup.configuration;
    let options = allowed_hosts(configuration)?;
    let mut last = configuration.section(ALLOWED_HOSTS);
    if options.allow_everything() {
        if last.value().is_some_and(|text| text.contains(';') && names_nobody(text)) {
            let why = "it names no host, so every host is allowed; write * if that is meant";
            startup.messages.push((Level::WARN, configuration.invalid(ALLOWED_HOSTS, why).to_string()));
        }
        startup.monitor.follow(move |configuration| follow_everything(configuration, &mut last));
        return Ok(None);
    }
    let (sender, receiver) = watch::channel(options);
    startup.monitor.follow(move |configuration| match changed_hosts(configuration, &mut last) {
        Ok(options) => {
            options.into_iter().for_each(|options| drop(sender.send_replace(options)));
            Followed::from(!sender.is_closed())
        }
        Err(Refused) => Followed::Refused,
    });
    Ok(Some(HostFilteringLayer::reloading(receiver)?))
}

/// Goes on until the key names hosts, of which the running application has no layer.
fn follow_everything(configuration: &Configuration, last: &mut ConfigurationSection) -> Followed {
    match changed_hosts(configuration, last) {
        Err(Refused) => Followed::Refused,
        Ok(Some(options)) if !options.allow_everything() => {
            tracing::warn!("AllowedHosts has changed from all hosts to some; that takes a restart");
            Followed::Over
        }
        Ok(_) => Followed::Taken,
    }
}

/// The hosts cannot be used, and that has been told.
struct Refused;

/// The hosts, if the key has changed and they can be used. Why they cannot is told once for each change.
fn changed_hosts(
    configuration: &Configuration,
    last: &mut ConfigurationSection,
) -> Result<Option<HostFilteringOptions>, Refused> {
    let section = configuration.section(ALLOWED_HOSTS);
    let has_changed = !section.has_same_values(last);
    *last = section;
    if !has_changed {
        return Ok(None);
    }
    allowed_hosts(configuration).map(Some).map_err(|error| {
        tracing::error!(%error, "AllowedHosts has changed and cannot be used; its last state stays in force");
        Refused
    })
}

/// The options for the key, of which a layer can be made.
fn allowed_hosts(configuration: &Configuration) -> Result<HostFilteringOptions, ConfigurationError> {
    let section = configuration.section(ALLOWED_HOSTS);
    if section.children().next().is_some() {
        let why = "expected one text, with the hosts separated by ;, such as shop.example;*.shop.example";
        return Err(configuration.invalid(ALLOWED_HOSTS, why));
    }
    let hosts = section.value().filter(|hosts| !names_nobody(hosts)).unwrap_or("*");
    let options = HostFilteringOptions::from_list(hosts);
    match HostFilteringLayer::new(&options) {
        Ok(_) => Ok(options),
        Err(error) => Err(configuration.invalid(ALLOWED_HOSTS, error)),
    }
}

fn names_nobody(hosts: &str) -> bool {
    HostFilteringOptions::from_list(hosts).allowed_hosts.is_empty()
}
