//! Writes the schema of the module's file to the folder `schemas` of the crate.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("module.schema.json"), server_module::schema::module_settings())
}
