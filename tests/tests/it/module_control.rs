//! The command line of the module, and its socket of commands.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::program::{Folder, Launch, Program, binary, curl, free_port, output_of, tool};

mod check;
mod commands;
mod life;
mod programs;
mod service;

/// Runs the module's program to its end: exit code, standard output, standard error.
async fn module(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = binary("server-module").display().to_string();
    let line = ["-c", "cd \"$0\" && exec \"$@\"", folder.path().to_str().unwrap(), &program];
    let output = tool("sh", [&line[..], arguments].concat()).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
