//! Applications and their host, from the outside: as programs, and as code that uses the crate.

mod axum_app;
mod bad_input;
mod console;
mod custom_server;
mod dev_certificate;
mod features;
mod grpc;
mod https_layers;
mod kestrel_section;
mod pipeline;
mod precedence;
mod reload_on_change;
mod serve;
mod settings;
mod stop;
mod test_server;
mod tools;
mod websocket;
