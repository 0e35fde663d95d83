//! The port of a process.

use crate::ApplicationOptions;
use crate::command::lookup;
use crate::worker::is_port_taken;

use super::StartFailure;

/// Where ports are drawn from: below those that Linux gives to connections, so that none of them is taken meanwhile.
const RANGE: std::ops::RangeInclusive<u16> = 10_000..=32_767;
/// What an application's own variable may say.
const CONFIGURED: std::ops::RangeInclusive<u16> = 1_025..=48_000;
/// How often a port is drawn that is taken.
const DRAWS: u32 = 10;

/// The port that the application's variables say, or one that nobody listens on.
pub(super) fn choose(options: &ApplicationOptions) -> Result<u16, StartFailure> {
    if let Some(configured) = own(options) {
        let port = configured.parse().ok().filter(|port| CONFIGURED.contains(port));
        return port.ok_or_else(|| StartFailure::Port(configured.to_owned()));
    }
    let mut port = draw();
    for _ in 1..DRAWS {
        if !is_port_taken(port) {
            break;
        }
        port = draw();
    }
    Ok(port)
}

/// Whether the application's variables say the port, so that only one process can have it at a time.
pub(crate) fn has_own_port(options: &ApplicationOptions) -> bool {
    own(options).is_some()
}

fn own(options: &ApplicationOptions) -> Option<&str> {
    lookup(&options.settings.environment_variables, "ASPNETCORE_PORT").filter(|port| !port.is_empty())
}

fn draw() -> u16 {
    let count = u32::from(RANGE.end() - RANGE.start()) + 1;
    // Without the system's random numbers nothing here can be trusted, the token least of all; that is told there.
    let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
    RANGE.start() + u16::try_from(random % count).unwrap_or_default()
}
