//! Writes the schemas of the settings files to the folder `schemas` of the crate.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("app-settings.schema.json"), hosting::schema::app_settings())?;
    fs::write(folder.join("launch-settings.schema.json"), hosting::schema::launch_settings())
}
