//! What has to hold between applications and endpoints.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hosting::server_abstractions::AddressTarget;
use hosting::{Configuration, Endpoint};

use super::{ApplicationOptions, ModuleOptions, ROOT};
use crate::backend::has_own_port;
use crate::error::Problems;
use crate::{HostPattern, HostingModel, RouteError, Routes};

/// Compares them, unless it is not known of all applications by what they are reached.
pub(super) fn check(
    options: &ModuleOptions,
    configuration: &Configuration,
    are_known: bool,
    problems: &mut Problems,
) {
    let check = Check { options, configuration };
    certificates(options, configuration, problems);
    addresses(options, configuration, problems);
    alone(options, configuration, problems);
    if !are_known {
        return;
    }
    let endpoints = check.endpoints();
    for endpoint in &endpoints {
        check.shared(endpoint.as_deref(), problems);
    }
    check.conflicts(&endpoints, problems);
}

/// What has to hold of applications whatever else there is.
pub(super) fn alone(options: &ModuleOptions, configuration: &Configuration, problems: &mut Problems) {
    let check = Check { options, configuration };
    for application in &options.applications {
        check.in_process(application, problems);
        check.own_port(application, problems);
    }
}

/// Every endpoint with TLS needs a certificate.
fn certificates(options: &ModuleOptions, configuration: &Configuration, problems: &mut Problems) {
    for endpoint in options.without_certificate() {
        let name = endpoint.name.as_deref().unwrap_or_default();
        let path = format!("{ROOT}:Endpoints:{name}:Url");
        let reason = format!(
            "there is no certificate for it; set {ROOT}:Certificates:Default:Path and KeyPath, or {ROOT}:Endpoints:{name}:Certificate"
        );
        problems.push(configuration.invalid(&path, reason));
    }
}

/// No two endpoints are at the same address.
fn addresses(options: &ModuleOptions, configuration: &Configuration, problems: &mut Problems) {
    let endpoints = &options.kestrel.endpoints;
    for (second, endpoint) in endpoints.iter().enumerate() {
        let Some(target) = endpoint.target() else { continue };
        let is_shared = |other: &&Endpoint| {
            let both = endpoint.socket_options.reuse_port && other.socket_options.reuse_port;
            !both && other.target().is_some_and(|other| meet(target, other))
        };
        let Some(first) = endpoints[..second].iter().find(is_shared) else { continue };
        let name = endpoint.name.as_deref().unwrap_or_default();
        let reason = format!(
            "the endpoint {} ({first}) is at the same address; give one of them another port or host",
            first.name.as_deref().unwrap_or_default()
        );
        problems.push(configuration.invalid(&format!("{ROOT}:Endpoints:{name}:Url"), reason));
    }
}

/// Whether the system lets only one of them be listened on.
fn meet(a: &AddressTarget, b: &AddressTarget) -> bool {
    let (Some((port, own)), Some((other_port, others))) = (addresses_of(a), addresses_of(b)) else {
        return a == b;
    };
    let is_same = |a: &IpAddr, b: &IpAddr| {
        // That of IPv6 stands for IPv4 as well.
        let is_all =
            |all: &IpAddr, other: &IpAddr| all.is_unspecified() && (all.is_ipv6() || other.is_ipv4());
        a == b || is_all(a, b) || is_all(b, a)
    };
    port != 0 && port == other_port && own.iter().any(|a| others.iter().any(|b| is_same(a, b)))
}

fn addresses_of(target: &AddressTarget) -> Option<(u16, Vec<IpAddr>)> {
    match target {
        AddressTarget::Localhost { port, .. } => {
            Some((*port, vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]))
        }
        AddressTarget::Any { port, .. } => Some((*port, vec![Ipv6Addr::UNSPECIFIED.into()])),
        AddressTarget::Ip(address) => Some((address.port(), vec![address.ip()])),
        _ => None,
    }
}

struct Check<'a> {
    options: &'a ModuleOptions,
    configuration: &'a Configuration,
}

impl Check<'_> {
    /// The names of the endpoints; nothing stands for the one that there is without any.
    fn endpoints(&self) -> Vec<Option<String>> {
        let section = self.configuration.section(ROOT).section("Endpoints");
        let names: Vec<_> = section.children().map(|endpoint| Some(endpoint.key().to_owned())).collect();
        if names.is_empty() { vec![None] } else { names }
    }

    fn wrong(&self, application: &ApplicationOptions, key: &str, reason: String, problems: &mut Problems) {
        let path = format!("{ROOT}:Applications:{}{key}", application.name);
        problems.push(self.configuration.invalid(&path, reason));
    }

    /// An endpoint belongs to somebody, and one of an application in process to nobody else.
    fn shared(&self, endpoint: Option<&str>, problems: &mut Problems) {
        let mut here = self.options.applications.iter().filter(|application| application.is_at(endpoint));
        let Some(first) = here.next() else {
            if let (Some(name), false) = (endpoint, self.options.applications.is_empty()) {
                let path = format!("{ROOT}:Endpoints:{name}");
                problems.push(self.configuration.invalid(&path, "no application is served at this endpoint"));
            }
            return;
        };
        let shown = endpoint.map_or_else(
            || "the endpoint http://localhost:5000".to_owned(),
            |name| format!("the endpoint {name}"),
        );
        for other in here {
            let is_in_process = |application: &ApplicationOptions| {
                application.settings.hosting_model == HostingModel::InProcess
            };
            let (inner, outer) = match (is_in_process(first), is_in_process(other)) {
                (true, _) => (first, other),
                (false, true) => (other, first),
                (false, false) => continue,
            };
            let reason = format!(
                "it is in process and serves {shown} itself, which {} is served at as well; give each its own Endpoints, or make it OutOfProcess",
                outer.name
            );
            self.wrong(inner, "", reason, problems);
        }
    }

    /// No two applications get the same requests.
    fn conflicts(&self, endpoints: &[Option<String>], problems: &mut Problems) {
        let applications = &self.options.applications;
        for (second, application) in applications.iter().enumerate() {
            let conflict = (0..second).find_map(|first| {
                let meet = endpoints.iter().any(|endpoint| {
                    applications[first].is_at(endpoint.as_deref()) && application.is_at(endpoint.as_deref())
                });
                let routes = [applications[first].route(first), application.route(second)];
                let conflict = Routes::new(routes).err().filter(|_| meet)?;
                Some((&applications[first].name, conflict))
            });
            if let Some((first, RouteError::Conflict { host, path_prefix, .. })) = conflict {
                let host = if host.is_any() { "any host".to_owned() } else { format!("the host {host}") };
                let reason = format!(
                    "it has {host} with the path {path_prefix}, which {first} has as well; give one of them another of Hosts, PathPrefix or Endpoints"
                );
                self.wrong(application, "", reason, problems);
            }
        }
    }

    /// Nothing is read before an application in process reads it.
    fn in_process(&self, application: &ApplicationOptions, problems: &mut Problems) {
        const REASON: &str = "the application is in process and reads its sockets itself, so nothing can choose it by this; leave it out, or make it OutOfProcess";
        if application.settings.hosting_model != HostingModel::InProcess {
            return;
        }
        if !application.hosts.iter().all(HostPattern::is_any) {
            self.wrong(application, ":Hosts", REASON.to_owned(), problems);
        }
        if !application.path_prefix.is_root() {
            self.wrong(application, ":PathPrefix", REASON.to_owned(), problems);
        }
    }

    /// A port that the application's variables say is one process's only.
    fn own_port(&self, application: &ApplicationOptions, problems: &mut Problems) {
        let count = application.settings.processes_per_application;
        let is_behind = application.settings.hosting_model == HostingModel::OutOfProcess;
        if is_behind && count > 1 && has_own_port(application) {
            let reason = format!(
                "ASPNETCORE_PORT among its variables is the port of one process, and it has {count} (processesPerApplication); take the variable away, so that each has a port of its own, or set ProcessesPerApplication to 1"
            );
            self.wrong(application, "", reason, problems);
        }
    }
}
