//! Files that lie in an application's folder, where whoever keeps the application can put anything in their place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::worker::Identity;

/// Opens a file to read it. Anything else that has its name is refused, and not waited for.
///
/// If the application belongs to a user of its own, what that user may not read is refused, and so are links: the module could
/// read more than that.
///
/// # Errors
/// There is no such file, or none that may be read.
pub(crate) fn open(path: &Path, user: Option<&Identity>) -> io::Result<File> {
    let mut flags = OFlags::NONBLOCK;
    flags.set(OFlags::NOFOLLOW, user.is_some());
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = opened.map_err(|error| match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::LOOP) if user.is_some() => io::Error::new(
            error.kind(),
            "it is a link, which is not followed for an application with a user of its own; put a file there",
        ),
        _ => error,
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if user.is_some_and(|user| !user.may_read(&metadata)) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the user of the application may not read it, so the module does not; let that user read it",
        ));
    }
    Ok(file)
}
