//! Applications in process: workers that serve the sockets of the module. All of it with real processes.

mod failures;
mod load;
mod module;
mod recycling;
mod serving;
