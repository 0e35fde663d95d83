//! A module with one application in process, for the tests: `in-process-module FILE`. With `--whole` behind it, it is all of the
//! module, whose future is dropped by the first line.
//!
//! It takes commands from its standard input, one a line: `status`, `recycle`, `stop`. Answers begin with `= `, since the
//! application prints to the same place; events go to standard error.

#![expect(clippy::print_stdout, reason = "the answers are what the program is for")]

use std::error::Error;
use std::process::ExitCode;

use server_module::{InProcess, ModuleOptions, SettingsError, Surroundings, run_as_guard};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

fn main() -> ExitCode {
    if let Some(code) = run_as_guard(std::env::args_os().skip(1)) {
        return code;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let file = std::env::args().nth(1).ok_or("the file is missing")?;
    let surroundings = Surroundings::of_the_process()?;
    let module = ModuleOptions::load(&file, &surroundings)?;
    if std::env::args().any(|argument| argument == "--whole") {
        return whole(module).await;
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let read = move || -> Result<_, SettingsError> {
        Ok(ModuleOptions::load(&file, &surroundings)?.applications.remove(0))
    };
    let application = InProcess::bind(&module, &module.applications[0])?.refresh_by(read);
    application.start();
    let addresses: Vec<_> = application.addresses().iter().map(ToString::to_string).collect();
    println!("= {}", addresses.join(" "));
    let mut commands = BufReader::new(stdin()).lines();
    while let Some(command) = commands.next_line().await? {
        match command.as_str() {
            "status" => println!("= {}", serde_json::to_string(&application.status())?),
            "recycle" => match application.recycle().await {
                Ok(()) => println!("= recycled"),
                Err(error) => println!("= {error}"),
            },
            "stop" => break,
            _ => println!("= what?"),
        }
    }
    application.stop().await;
    println!("= stopped");
    Ok(())
}

async fn whole(module: ModuleOptions) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut commands = BufReader::new(stdin()).lines();
    tokio::select! {
        ended = server_module::run(module) => return ended,
        _ = commands.next_line() => println!("= dropped"),
    }
    commands.next_line().await?;
    Ok(())
}
