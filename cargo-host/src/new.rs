//! `cargo host new`: a crate that runs at once.

mod name;
mod template;

use std::{
    error::Error,
    fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    arguments::{Hosting, NewOptions},
    workspace,
};

/// The folder of `hosting` in the workspace that this tool was built from.
const HOSTING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../hosting");

pub(crate) fn run(options: &NewOptions) -> Result<(), Box<dyn Error>> {
    let folder = &options.folder;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name::check(name)?;
    let hosting = dependency(&options.hosting)?;
    create(folder)?;
    let files = template::files(options.template, name, &hosting);
    if let Err(error) = write(folder, &files).and_then(|()| stand_alone(folder)) {
        let _ = fs::remove_dir_all(folder);
        return Err(format!("could not make {}: {error}", folder.display()).into());
    }
    let text = format!("made {}; run it:\n  cd {} && cargo run\n", folder.display(), folder.display());
    // Whoever reads it may stop reading.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// Makes the folder, which must not be there.
fn create(folder: &Path) -> Result<(), String> {
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    let created = above.map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::create_dir(folder));
    created.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{} is there already: choose another name, or remove it", folder.display())
        }
        _ => format!("could not make {}: {error}", folder.display()),
    })
}

fn write(folder: &Path, files: &[(&str, String)]) -> io::Result<()> {
    for (name, content) in files {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, content)?;
    }
    Ok(())
}

/// What the dependency on `hosting` says, for the manifest.
fn dependency(hosting: &Hosting) -> Result<String, Box<dyn Error>> {
    let (folder, advice) = match hosting {
        Hosting::Git(url) => return Ok(format!("git = {}", toml(url))),
        Hosting::Path(folder) => {
            (folder.clone(), "--hosting-path is to name the folder of the crate hosting")
        }
        Hosting::Here => (
            PathBuf::from(HOSTING),
            "that is where this tool was built; say where the crate hosting is with --hosting-path DIR or \
             --hosting-git URL",
        ),
    };
    let manifest = fs::read_to_string(folder.join("Cargo.toml"))
        .map_err(|error| format!("there is no crate hosting in {}: {error}; {advice}", folder.display()))?;
    if !manifest.lines().any(|line| line.trim() == "name = \"hosting\"") {
        return Err(format!("the crate in {} is not hosting; {advice}", folder.display()).into());
    }
    let folder = folder.canonicalize()?;
    let folder = folder.to_str().ok_or("the path of hosting is not UTF-8, which a Cargo.toml has to be")?;
    Ok(format!("path = {}", toml(folder)))
}

/// A text as a string of TOML.
fn toml(text: &str) -> String {
    let escape = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
        letter => letter.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

/// Makes the crate a workspace of its own if it lies in one that does not know it, since cargo would refuse it.
fn stand_alone(folder: &Path) -> io::Result<()> {
    let manifest = folder.join("Cargo.toml");
    let mut cargo = Command::new(workspace::cargo());
    cargo
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(&manifest);
    // Without cargo nothing can be said, and nothing runs.
    let Ok(output) = cargo.output() else { return Ok(()) };
    if output.status.success()
        || !String::from_utf8_lossy(&output.stderr).contains("believes it's in a workspace")
    {
        return Ok(());
    }
    let own = "\n# It lies in another workspace. To make it a member there, name it there and remove this.\n[workspace]\n";
    let text = fs::read_to_string(&manifest)?;
    fs::write(manifest, text + own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_string_of_toml() {
        assert_eq!(toml("/a b/ü"), "\"/a b/ü\"");
        assert_eq!(toml("C:\\a\"\n"), "\"C:\\\\a\\\"\\u000A\"");
    }
}
