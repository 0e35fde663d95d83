//! Signals to us are meant for the program.

#[cfg(not(unix))]
mod console;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use self::console::Signals;
#[cfg(unix)]
pub(crate) use self::unix::Signals;
