use super::{
    AncmHostingModel, IisBinding, IisSettings, LaunchProfile,
    profile::{IIS, IIS_EXPRESS, MODULE},
};

/// What a profile says that starts the program behind the module: a `Module` profile, or one of `IIS` and `IISExpress`,
/// which the module stands in for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleLaunch {
    /// Where the module listens; nothing leaves it to the module.
    pub urls: Vec<String>,
    /// How the program is run. Default is in process, as editors have it for IIS.
    pub hosting_model: AncmHostingModel,
}

impl LaunchProfile {
    /// Whether the profile starts the program behind the module, see [`module`](Self::module).
    #[must_use]
    pub fn is_behind_module(&self) -> bool {
        [MODULE, IIS, IIS_EXPRESS].contains(&self.command_name.as_str())
    }

    /// How a profile starts the program behind the module; nothing for other profiles.
    ///
    /// The addresses are those of `applicationUrl`, else those of the file's `iisSettings` for the profile's kind:
    /// `applicationUrl` and, if `sslPort` is not 0, `https://localhost` with that port.
    #[must_use]
    pub fn module(&self, settings: &IisSettings) -> Option<ModuleLaunch> {
        let binding = match self.command_name.as_str() {
            MODULE => None,
            IIS => settings.iis.as_ref(),
            IIS_EXPRESS => settings.iis_express.as_ref(),
            _ => return None,
        };
        let mut urls: Vec<_> = self.application_urls().map(str::to_owned).collect();
        if urls.is_empty() {
            urls.extend(binding.into_iter().flat_map(IisBinding::urls));
        }
        let hosting_model = self.ancm_hosting_model.unwrap_or(AncmHostingModel::InProcess);
        Some(ModuleLaunch { urls, hosting_model })
    }
}

impl IisBinding {
    fn urls(&self) -> impl Iterator<Item = String> {
        // Where there is TLS, a browser is sent there, as editors do.
        let secure = (self.ssl_port != 0).then(|| format!("https://localhost:{}", self.ssl_port));
        let plain = self.application_url.iter().flat_map(|urls| urls.split(';'));
        let plain =
            plain.map(|url| url.trim().trim_end_matches('/').to_owned()).filter(|url| !url.is_empty());
        secure.into_iter().chain(plain)
    }
}
