//! The specification, as tests: what goes in and what comes out, subject by subject.

#![expect(clippy::unwrap_used, reason = "all of this is tests, which fail where they stand")]

mod batches;
mod bodies;
mod cargo_host;
mod client_certificates;
mod dependencies;
mod deployment;
mod disconnects;
mod edges;
mod endpoints;
mod features;
mod floods;
mod framing;
mod fuzz;
mod hosting;
mod http1;
mod http2;
mod https;
mod idle;
mod inherited;
mod layers;
mod limits;
mod malformed;
mod module_config;
mod module_out_of_process;
mod pipelines;
mod program;
mod protocols;
mod proxy;
mod proxy_protocol;
mod real_clients;
mod reasons;
mod reload;
mod repository;
mod responses;
mod reverse_proxy;
mod settings_schema;
mod slow_peers;
mod socket_options;
mod stop;
mod support;
mod threads;
mod timeouts;
mod tls;
mod upgrade;
