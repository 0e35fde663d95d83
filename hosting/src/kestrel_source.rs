//! Where the options of Kestrel come from, at the start and after each change of the configuration.

use server_abstractions::Address;
use server_kestrel::KestrelOptions;
use tokio::sync::watch;
use tracing::Level;

use crate::configuration::monitor::Followed;
use crate::module_endpoints::ModuleEndpoints;
use crate::startup::{Startup, report};
use crate::{
    Configuration, ConfigurationMonitor, Error, HostEnvironment, HostOptions, dev_certificate,
    kestrel_section,
};

/// The options of the code, the section of the configuration on top of them, then the certificate they may need.
pub(crate) struct KestrelSource {
    code: KestrelOptions,
    environment: HostEnvironment,
    has_https_urls: bool,
    finish: Finish,
}

/// Has the last word on the options.
pub(crate) type Finish = Box<dyn Fn(&mut KestrelOptions) + Send>;

impl KestrelSource {
    pub(crate) fn new(code: KestrelOptions, startup: &Startup, host: &HostOptions, finish: Finish) -> Self {
        let has_https_urls = host.urls.iter().any(Address::is_https);
        Self { code, environment: startup.environment.clone(), has_https_urls, finish }
    }

    /// The options by this configuration.
    pub(crate) fn options(
        &self,
        configuration: &Configuration,
        messages: &mut Vec<(Level, String)>,
    ) -> Result<KestrelOptions, Error> {
        let mut options = self.code.clone();
        kestrel_section::apply(configuration, &self.environment, &mut options)?;
        if let Some(module) = ModuleEndpoints::find(configuration)? {
            module.apply(&self.environment, &mut options)?;
        }
        (self.finish)(&mut options);
        if self.environment.is_development() && self.needs_certificate(&options) {
            let certificate = dev_certificate::find_or_create(messages)?.certificate;
            options.https_defaults.get_or_insert_default().certificate = certificate;
        }
        Ok(options)
    }

    /// Whether something listens with TLS and nobody has said with which certificate.
    fn needs_certificate(&self, options: &KestrelOptions) -> bool {
        dev_certificate::is_needed(options, self.has_https_urls)
    }

    /// The options as they are now, followed by those of each change. Options that cannot be used leave the last ones in
    /// force; a file that is written again without a change has the server try again what failed.
    pub(crate) fn follow(
        self,
        monitor: &ConfigurationMonitor,
        messages: &mut Vec<(Level, String)>,
    ) -> Result<watch::Receiver<KestrelOptions>, Error> {
        let (sender, receiver) = watch::channel(self.options(&monitor.current(), messages)?);
        monitor.follow(move |configuration| {
            let mut messages = Vec::new();
            let followed = match self.options(configuration, &mut messages) {
                Ok(options) => Followed::from(sender.send(options).is_ok()),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the section Kestrel has changed and cannot be used; the endpoints go on as they were"
                    );
                    Followed::Refused
                }
            };
            report(&messages);
            followed
        });
        Ok(receiver)
    }
}
