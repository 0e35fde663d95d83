use std::sync::Arc;

use hosting::Address;
use hosting::server_abstractions::{
    AddressesFixed, App, BoxFuture, FeatureCollection, Lifetime, Running, Server, ServerAddressesFeature,
    StartError,
};

/// The server of a module without applications out of process: it has addresses, and no request comes to it.
pub(crate) struct SocketsOnly {
    features: FeatureCollection,
}

struct Addresses(Vec<Address>);

impl SocketsOnly {
    pub(crate) fn new(addresses: Vec<Address>) -> Self {
        let mut features = FeatureCollection::new();
        features.set::<dyn ServerAddressesFeature>(Arc::new(Addresses(addresses)));
        Self { features }
    }
}

impl Server for SocketsOnly {
    fn features(&self) -> &FeatureCollection {
        &self.features
    }

    fn start(self: Box<Self>, _: App) -> BoxFuture<'static, Result<Running, StartError>> {
        let (lifetime, guard) = Lifetime::new();
        let draining = lifetime.draining();
        let finished = async move {
            draining.await;
            drop(guard);
            Ok(())
        };
        Box::pin(async move { Ok(Running::new(self.features, lifetime, finished)) })
    }
}

impl ServerAddressesFeature for Addresses {
    fn addresses(&self) -> Vec<Address> {
        self.0.clone()
    }

    fn prefer_hosting_urls(&self) -> bool {
        false
    }

    fn set_addresses(&self, _: Vec<Address>, _: bool) -> Result<(), AddressesFixed> {
        // They are those of the settings.
        Err(AddressesFixed)
    }
}
