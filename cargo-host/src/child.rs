//! The running program.

use std::{
    error::Error,
    io::{self, PipeReader, Read, Write},
    process::ExitStatus,
    sync::mpsc,
    thread,
    time::Duration,
};

use tokio::process::Command;

use crate::{browser::Browser, launch::Launch, signals::Signals};

/// How long output may still come after the program has ended: a child of its own may hold the pipe open.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// Starts the program, hands signals on to it, and waits for its end, whose exit code it returns.
pub(crate) fn run(launch: Launch) -> Result<i32, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(watch(launch))?;
    Ok(exit_code(status))
}

async fn watch(mut launch: Launch) -> Result<ExitStatus, Box<dyn Error>> {
    // Before the start: from then on a signal must not end us and leave the program behind.
    let mut signals = Signals::listen()?;
    if let Some(behind) = launch.behind.take() {
        match behind.build.run(&mut signals).await? {
            Ok(program) => launch.arguments.push(program.into()),
            Err(failed) => return Ok(failed),
        }
        launch.arguments.extend(behind.arguments);
    }
    let mut command = command(&launch);
    let output = match launch.browser.take() {
        Some(browser) => {
            let (reader, writer) = io::pipe()?;
            command.stdout(writer);
            Some((reader, browser))
        }
        None => None,
    };
    let child = command.spawn();
    let mut child =
        child.map_err(|error| format!("could not start {}: {error}", launch.program.display()))?;
    // It holds our end of the pipe for writing, without which reading ends.
    drop(command);
    let output = output.map(|(reader, browser)| pass_on(reader, browser));

    let process = child.id();
    let status = tokio::select! {
        status = child.wait() => status?,
        never = signals.hand_on(process) => match never {},
    };
    if let Some(passed) = output {
        let _ = passed.recv_timeout(OUTPUT_GRACE);
    }
    Ok(status)
}

fn command(launch: &Launch) -> Command {
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments);
    if launch.hide_cargo {
        command.env_remove("CARGO_MANIFEST_DIR");
    }
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    if let Some(directory) = &launch.working_directory {
        command.current_dir(directory);
    }
    command
}

/// Copies the program's output to ours as it comes, and opens the browser. The channel closes at its end.
fn pass_on(mut output: PipeReader, mut browser: Browser) -> mpsc::Receiver<()> {
    let (running, passed) = mpsc::channel();
    thread::spawn(move || {
        let _running = running;
        let mut buffer = [0; 8192];
        loop {
            let read = match output.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            // When nobody reads ours any more, closing the program's tells it so.
            if write(read).is_err() {
                break;
            }
            if let Some(url) = browser.read(read) {
                open(&url);
            }
        }
    });
    passed
}

fn write(output: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(output)?;
    stdout.flush()
}

fn open(url: &str) {
    if let Err(error) = open::that_detached(url) {
        eprintln!("cargo host: could not open {url} in a browser: {error}");
    }
}

#[cfg(unix)]
fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;

    // As shells do for a program that a signal ended.
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(crate::FAILED)
}

#[cfg(not(unix))]
fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(crate::FAILED)
}
