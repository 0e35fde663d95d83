//! Where an application is served: sockets that stay, whatever workers and others do to them.

use std::os::fd::{AsFd, OwnedFd};

use hosting::{Address, BoundEndpoint, Endpoint, StartError};

use crate::{ApplicationOptions, ModuleOptions};

/// The endpoints of an application, bound. Dropping this closes the sockets and removes the files of Unix sockets.
#[derive(Debug)]
pub(super) struct Listening {
    application: String,
    endpoints: Vec<Bound>,
}

#[derive(Debug)]
struct Bound {
    endpoint: Endpoint,
    bound: BoundEndpoint,
    /// Whether it has been told that it cannot be bound again.
    is_told: bool,
}

impl Listening {
    /// Binds what the application is served at.
    pub(super) fn bind(module: &ModuleOptions, application: &ApplicationOptions) -> Result<Self, StartError> {
        let endpoints = endpoints(module, application);
        let bind = |endpoint: Endpoint| Ok(Bound { bound: endpoint.bind()?, endpoint, is_told: false });
        let endpoints = endpoints.into_iter().map(bind).collect::<Result<_, StartError>>()?;
        Ok(Self { application: application.name.clone(), endpoints })
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.endpoints.iter().map(|endpoint| endpoint.bound.address())
    }

    /// Descriptors of their own for the workers, by the names of the endpoints.
    pub(super) fn descriptors(&self) -> Result<Vec<(String, OwnedFd)>, StartError> {
        let mut descriptors = Vec::new();
        for Bound { bound, .. } in &self.endpoints {
            for socket in bound.sockets() {
                let socket = socket.as_fd().try_clone_to_owned().map_err(|error| {
                    StartError::new(format!("cannot hand {} to workers", bound.address())).with_source(error)
                })?;
                descriptors.push((bound.name().unwrap_or_default().to_owned(), socket));
            }
        }
        Ok(descriptors)
    }

    /// Workers share their sockets with the module, and what one of them shuts down is so for all.
    pub(super) fn listen_again(&self) {
        let application = &self.application;
        for Bound { bound, .. } in &self.endpoints {
            let address = bound.address();
            match bound.listen_again() {
                Ok(false) => {}
                Ok(true) => tracing::warn!(
                    application,
                    %address,
                    "a worker has shut its socket down, which was everybody's; it is listened on again"
                ),
                Err(error) => tracing::error!(
                    application,
                    %address,
                    %error,
                    "a worker has shut its socket down, and it cannot be listened on again, so clients are refused; start the module anew"
                ),
            }
        }
    }

    /// Makes Unix sockets anew whose files somebody has removed; true if there is one, which workers do not have yet.
    pub(super) fn replace_lost(&mut self) -> bool {
        let mut is_replaced = false;
        for Bound { endpoint, bound, is_told } in &mut self.endpoints {
            if !bound.has_lost_its_file() {
                continue;
            }
            let (application, address) = (&self.application, bound.address().clone());
            match endpoint.bind() {
                Ok(anew) => {
                    tracing::warn!(
                        application,
                        %address,
                        "somebody has removed the file of the socket, so that no client could connect; it is listened on again, and workers are replaced by others that have it"
                    );
                    (*bound, *is_told, is_replaced) = (anew, false, true);
                }
                Err(error) if !*is_told => {
                    tracing::error!(
                        application,
                        %address,
                        error = &error as &dyn std::error::Error,
                        "somebody has removed the file of the socket, and it cannot be made anew, so that no client can connect; it is tried again every few seconds"
                    );
                    *is_told = true;
                }
                Err(_) => {}
            }
        }
        is_replaced
    }

    /// Closes all of them.
    pub(super) fn close(&mut self) {
        self.endpoints.clear();
    }
}

fn endpoints(module: &ModuleOptions, application: &ApplicationOptions) -> Vec<Endpoint> {
    let kestrel = &module.kestrel;
    if kestrel.endpoints.is_empty() {
        let mut endpoint = Endpoint::localhost(5000).name("Default");
        if let Some(target) = endpoint.target() {
            endpoint.socket_options = kestrel.default_socket_options.for_target(target);
        }
        return vec![endpoint];
    }
    let here = kestrel.endpoints.iter().filter(|endpoint| application.is_at(endpoint.name.as_deref()));
    here.cloned().collect()
}
