//! Programs as `processPath` names them, in folders that are there.

use std::ffi::OsStr;
use std::path::Path;

use server_module::command::{find_program, local_path};

use super::program;
use crate::program::Folder;

#[test]
fn a_program_is_looked_for_in_the_folder_with_and_without_its_ending() {
    let folder = Folder::new();
    let app = program(&folder, "app");
    let tool = program(&folder, "bin/tool.exe");
    let cases = [
        ("app", &app),
        ("app.exe", &app),
        (r".\app.exe", &app),
        (r".\APP.EXE", &app),
        ("./app", &app),
        (r"bin\tool.exe", &tool),
        (r".\bin\..\bin\tool.exe", &tool),
    ];
    for (path, expected) in cases {
        // Case of the ending does not matter, that of the name does.
        if path.contains("APP") {
            assert!(find_program(path, folder.path(), None).is_err());
            continue;
        }
        let found = find_program(path, folder.path(), None).unwrap();
        assert_eq!(found.canonicalize().unwrap(), expected.canonicalize().unwrap(), "{path}");
    }
    assert_eq!(find_program(".\\app.EXE", folder.path(), None).unwrap(), app);
    let absolute = app.to_str().unwrap();
    assert_eq!(find_program(absolute, Path::new("/"), None).unwrap(), app);
}

#[test]
fn the_file_for_this_system_goes_before_the_one_for_windows() {
    let folder = Folder::new();
    let windows = program(&folder, "app.exe");
    assert_eq!(find_program(r".\app.exe", folder.path(), None).unwrap(), windows);
    let here = program(&folder, "app");
    assert_eq!(find_program(r".\app.exe", folder.path(), None).unwrap(), here);
}

#[test]
fn a_name_is_looked_for_in_the_folder_and_then_in_path() {
    let (folder, first, second) = (Folder::new(), Folder::new(), Folder::new());
    let path = format!("relative::{}:{}", first.path().display(), second.path().display());
    let path = Some(OsStr::new(&path));
    let in_second = program(&second, "dotnet");
    assert_eq!(find_program("dotnet", folder.path(), path).unwrap(), in_second);
    assert_eq!(find_program("dotnet.exe", folder.path(), path).unwrap(), in_second);
    first.write("dotnet", "may not be executed");
    assert_eq!(find_program("dotnet", folder.path(), path).unwrap(), in_second);
    let in_folder = program(&folder, "dotnet");
    assert_eq!(find_program("dotnet", folder.path(), path).unwrap(), in_folder);
    // What has a separator is a path.
    assert!(find_program("./dotnet", first.path(), path).is_err());
}

#[test]
fn a_program_that_is_not_there_is_told_with_where_it_was_looked_for() {
    let folder = Folder::new();
    let shown = folder.path().display();
    let error = |path: &str, search: Option<&str>| {
        find_program(path, folder.path(), search.map(OsStr::new)).unwrap_err().to_string()
    };
    let there = format!("there is no program app.exe in the folder {shown}");
    assert_eq!(error("app.exe", None), format!("{there}; build the application or correct the path"));
    assert_eq!(
        error("app.exe", Some("/nonexistent")),
        format!("{there} or in a folder of PATH; build the application or correct the path")
    );
    assert_eq!(error("", None), "it names no program");
    for path in [r"C:\apps\shop.exe", r"\\server\share\shop.exe", "D:/shop.exe"] {
        assert!(error(path, None).contains("has a path of Windows"), "{path}");
    }
    folder.write("text", "");
    let found = error("text", None);
    assert!(found.contains("may not be executed; allow it: chmod +x "), "{found}");
    // A folder is no program.
    program(&folder, "app/inner");
    assert!(error("app", None).starts_with("there is no program app "));
}

#[test]
fn paths_with_backslashes_start_from_the_folder() {
    let folder = Path::new("/srv/shop");
    let cases = [
        (r".\aspnetcore-stdout", "/srv/shop/aspnetcore-stdout"),
        (r".\logs\stdout", "/srv/shop/logs/stdout"),
        ("logs/stdout", "/srv/shop/logs/stdout"),
        (r"..\logs\stdout", "/srv/shop/../logs/stdout"),
        ("/var/log/shop", "/var/log/shop"),
        (r"\var\log\shop", "/var/log/shop"),
        (".//x", "/srv/shop/x"),
    ];
    for (path, expected) in cases {
        assert_eq!(local_path(folder, path), Path::new(expected), "{path}");
    }
}
