//! The program of the module: `server-module --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = || std::env::args_os().skip(1);
    server_module::run_as_guard(arguments()).unwrap_or_else(|| server_module::run_command_line(arguments()))
}
