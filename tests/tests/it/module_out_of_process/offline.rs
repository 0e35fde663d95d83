use tokio::io::AsyncWriteExt;

use super::*;

#[tokio::test]
async fn an_application_is_offline_while_the_file_is_there() {
    let port_and_module = with_folder().await;
    let (folder, mut module) = port_and_module;
    let pid = module.pid("/").await;
    let file = folder.write("app_offline.htm", "<p>Back soon</p>");
    soon(async { while module.get("/").await.status == 200 {} }).await;
    let answer = module.get("/").await;
    assert_eq!((answer.status, answer.text()), (503, "<p>Back soon</p>"));
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    module.program.line("a process has ended").await;
    assert!(!is_there(pid));
    std::fs::remove_file(file).unwrap();
    soon(async { while module.get("/").await.status != 200 {} }).await;
    assert_ne!(module.pid("/").await, pid);
}

#[tokio::test]
async fn under_load_there_are_only_answers_and_the_page() {
    let (folder, module) = with_folder().await;
    module.pid("/").await;
    let mut statuses = std::collections::BTreeMap::new();
    for round in 0..60 {
        match round % 20 {
            5 => drop(folder.write("app_offline.htm", "offline")),
            15 => std::fs::remove_file(folder.path().join("app_offline.htm")).unwrap(),
            _ => {}
        }
        let requests = (0..8).map(|_| module.get("/"));
        for answer in soon(futures_util::future::join_all(requests)).await {
            *statuses.entry(answer.status).or_insert(0) += 1;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200, 503], "{statuses:?}");
}

#[tokio::test]
async fn clients_that_do_not_read_share_one_page() {
    let (folder, module) = with_folder().await;
    folder.write("app_offline.htm", vec![b'x'; 4 << 20]);
    soon(async { while module.get("/").await.status == 200 {} }).await;
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = tokio::net::TcpStream::connect(("127.0.0.1", module.port)).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        soon(client.readable()).await.unwrap();
        clients.push(client);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", module.program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u32 = line.trim().trim_end_matches(" kB").parse().unwrap();
    // One for each would be 240,000 beside what the module has.
    assert!(kilobytes < 120_000, "{kilobytes}");
}

async fn with_folder() -> (crate::program::Folder, Module) {
    let folder = crate::program::Folder::new();
    let mut application = odd("plain");
    application["Path"] = folder.path().display().to_string().into();
    folder.write(
        "web.config",
        "<configuration><system.webServer><aspNetCore processPath=\"none\" /></system.webServer></configuration>",
    );
    let module = Module::start(application).await;
    (folder, module)
}
