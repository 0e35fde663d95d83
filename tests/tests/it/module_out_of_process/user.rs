//! Applications with a user of their own, who may put anything into their folder. Only root can start them, so whoever is not
//! sees only that the module says so.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use super::*;
use crate::program::{Folder, tool};

/// `nobody` of every system.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folder of an application that belongs to its user.
fn folder() -> Folder {
    let folder = Folder::new();
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    folder
}

/// Something that only root may read.
fn secret(folder: &Folder) -> std::path::PathBuf {
    let secret = folder.write("secret", "only for root");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    secret
}

/// The application of a user in a folder.
fn of_user(folder: &Path) -> serde_json::Value {
    let mut application = odd("plain");
    application["Path"] = folder.display().to_string().into();
    application["User"] = NOBODY.to_string().into();
    application
}

/// The module without a right of root.
fn without(right: &str) -> Launch {
    let launch = Launch::in_folder(Folder::new(), "setpriv");
    let program = binary("server-module").display().to_string();
    launch.args([format!("--bounding-set=-{right}"), program])
}

#[tokio::test]
async fn the_file_of_its_output_is_opened_as_its_user() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let mut application = of_user(folder.path());
    application["StdoutLogEnabled"] = true.into();
    application["StdoutLogFile"] = "logs/stdout".into();
    let module = Module::start(application.clone()).await;
    let pid = module.pid("/").await;
    let files: Vec<_> = std::fs::read_dir(folder.path().join("logs")).unwrap().map(Result::unwrap).collect();
    assert!(
        files.len() == 1 && files[0].file_name().into_string().unwrap().ends_with(&format!("_{pid}.log"))
    );
    assert_eq!(files[0].metadata().unwrap().uid(), NOBODY);
    let file = files[0].path();
    soon(until(|| std::fs::read_to_string(&file).unwrap().contains("odd-app plain was started"))).await;
    assert_eq!(module.program.stop().await.code, Some(0));

    // A folder of root in the place of that for the files.
    let of_root = Folder::new();
    std::fs::set_permissions(of_root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::remove_dir_all(folder.path().join("logs")).unwrap();
    symlink(of_root.path(), folder.path().join("logs")).unwrap();
    let mut module = Module::start(application).await;
    module.pid("/").await;
    let line = module.program.line("the file for the output of a worker cannot be made").await;
    assert!(line.contains("ermission denied"), "{line}");
    assert_eq!(std::fs::read_dir(of_root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_page_that_its_user_may_not_read_is_not_served() {
    if !is_root() {
        return;
    }
    let (folder, of_root) = (folder(), Folder::new());
    let secret = secret(&of_root);
    let page = folder.path().join("app_offline.htm");
    let module = Module::start(of_user(folder.path())).await;
    module.pid("/").await;
    let offline = async || {
        soon(async { while module.get("/").await.status == 200 {} }).await;
        let answer = module.get("/").await;
        (answer.status, answer.text().to_owned())
    };
    let online = async || {
        std::fs::remove_file(&page).unwrap();
        soon(async { while module.get("/").await.status != 200 {} }).await;
    };
    symlink(&secret, &page).unwrap();
    assert_eq!(offline().await, (503, String::new()));
    online().await;
    std::fs::hard_link(&secret, &page).unwrap();
    assert_eq!(offline().await, (503, String::new()));
    online().await;
    // Where it may read the file but cannot get to it.
    let inner = of_root.write("inner/page", "not to be found");
    std::fs::set_permissions(of_root.path(), PermissionsExt::from_mode(0o700)).unwrap();
    symlink(inner, &page).unwrap();
    assert_eq!(offline().await, (503, String::new()));
    online().await;
    folder.write("app_offline.htm", "back soon");
    assert_eq!(offline().await, (503, "back soon".to_owned()));
}

#[tokio::test]
async fn settings_that_its_user_may_not_read_are_not_read() {
    if !is_root() {
        return;
    }
    let (folder, of_root) = (folder(), Folder::new());
    let secret = secret(&of_root);
    let file = folder.path().join("web.config");
    let settings = json!({ "Module": { "Applications": { "shop": of_user(folder.path()) } } });
    let settings = of_root.write("module.json", settings.to_string());
    let check = async || {
        let module = binary("server-module");
        let output = tool(module.to_str().unwrap(), ["check", "--config", settings.to_str().unwrap()]).await;
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    symlink(&secret, &file).unwrap();
    let (code, errors) = check().await;
    assert!(code == Some(1) && errors.contains("it is a link") && errors.lines().count() == 1, "{errors}");
    std::fs::remove_file(&file).unwrap();
    std::fs::hard_link(&secret, &file).unwrap();
    let (code, errors) = check().await;
    assert!(code == Some(1) && errors.contains("may not read it") && errors.lines().count() == 1, "{errors}");
}

#[tokio::test]
async fn without_the_right_to_look_into_its_processes_it_is_found_by_its_user() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let mut module = Module::start_by(without("sys_ptrace"), of_user(folder.path())).await;
    let pid = module.pid("/").await;
    module.program.line("CAP_SYS_PTRACE").await;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{NOBODY}\t")), "{status}");
    signal(pid, Signal::KILL);
    soon(async { while module.get("/").await.status != 200 {} }).await;
    // Somebody of another user is told from it all the same.
    drop(module);
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = stranger.local_addr().unwrap().port();
    if port <= 48_000 {
        let mut application = of_user(folder.path());
        application["Arguments"] = json!(["silent"]);
        application["EnvironmentVariables"] = json!({ "ASPNETCORE_PORT": port.to_string() });
        let mut module = Module::start_by(without("sys_ptrace"), application).await;
        assert_eq!(module.get("/").await.status, 502);
        let line = module.program.line("attempt=2").await;
        assert!(line.contains("not its own") && line.contains("CAP_SYS_PTRACE"), "{line}");
    }
}

#[tokio::test]
async fn without_the_right_to_end_its_processes_none_is_started() {
    let folder = Folder::new();
    for model in ["OutOfProcess", "InProcess"] {
        for right in ["kill", "setuid", "setgid"] {
            let mut application = of_user(folder.path());
            application["HostingModel"] = model.into();
            // Somebody else, whoever this is.
            application["User"] = if is_root() { NOBODY } else { 0 }.to_string().into();
            let launch = if is_root() { without(right) } else { Launch::of("server-module") };
            let program = with_settings(launch, free_port(), &application, &json!({})).spawn();
            let end = program.end().await;
            let missing = format!("CAP_{}", right.to_uppercase());
            assert_eq!(end.code, Some(1), "{end:?}");
            assert!(end.stderr.contains("shop") && end.stderr.contains(&missing), "{end:?}");
        }
    }
}

#[tokio::test]
async fn its_processes_have_no_rights_of_the_module() {
    if !is_root() {
        return;
    }
    // A module that is not root, with the rights that it needs.
    let rights = "+setuid,+setgid,+kill";
    let program = binary("server-module").display().to_string();
    let arguments = ["--reuid=1", "--regid=1", "--clear-groups"].map(str::to_owned);
    let sets = ["inh", "ambient"].map(|set| format!("--{set}-caps=-all,{rights}"));
    let folder = Folder::new();
    chown(folder.path(), Some(1), Some(1)).unwrap();
    let launch = Launch::in_folder(folder, "setpriv").args(arguments).args(sets).args([program]);
    let application_folder = self::folder();
    let module = Module::start_by(launch, of_user(application_folder.path())).await;
    let pid = module.pid("/").await;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
    }
    assert!(status.contains(&format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}")), "{status}");
}
