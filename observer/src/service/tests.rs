//! Both ends, and those that are neither.

use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
};

use super::*;

/// A server that answers each question with its own words, for as long as the tests run.
fn serving(path: PathBuf) {
    let (ready, is_ready) = std::sync::mpsc::channel();
    let serve = async move {
        let mut server = Server::listen(&path).expect("a socket");
        ready.send(()).expect("a test");
        loop {
            let Question { ask, answer } = server.next().await;
            let lines = match ask {
                Ask::State => vec![Line::State(State { pid: 7, ..State::default() }), Line::Done(0)],
                Ask::Describe { who, .. } if who == "huge" => {
                    vec![Line::Text("x".repeat(MAX_ANSWER)), Line::Done(0)]
                }
                Ask::Describe { who, .. } => vec![Line::Text(who), Line::Done(4)],
                Ask::Follow => vec![Line::Refused("nobody leads".to_owned())],
            };
            let _ = answer.send(Answer::Lines(Box::pin(async move { lines })));
        }
    };
    std::thread::spawn(move || runtime().block_on(serve));
    is_ready.recv().expect("a server");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn describe(who: &str) -> Ask {
    Ask::Describe { who: who.to_owned(), page: Page { json: false, width: 80, color: false, chinese: false } }
}

fn raw(path: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).expect("a server");
    // Who says more than may be said is hung up on, while he speaks.
    let _ = stream.write_all(request).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn questions_are_answered_and_only_the_owner_may_ask() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("observer.sock");
    serving(path.clone());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let client = Client::find(&path).unwrap().expect("an observer");
    assert_eq!(client.state.pid, 7);
    let mut said = Vec::new();
    let code = client.ask(describe("a\nb\u{1b}"), |line| {
        said.push(line);
        Ok(())
    });
    assert_eq!((code.unwrap(), said), (4, vec![Line::Text("a\nb\u{1b}".to_owned())]));
    let refused = client.ask(describe("huge"), |_| Ok(())).unwrap_err();
    assert!(refused.to_string().contains("at most"), "{refused}");
    let refused = client.follow().map(drop).unwrap_err();
    assert!(refused.to_string().contains("nobody leads"), "{refused}");
}

#[test]
fn who_speaks_otherwise_is_told_and_others_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("observer.sock");
    serving(path.clone());
    let newer = raw(&path, b"{\"observer\":2,\"ask\":{\"fly\":1}}\n");
    assert!(newer.contains("version 1 is spoken here, not 2"), "{newer}");
    for garbage in
        [&b"\n"[..], b"\xff\xfe\n", b"{\"observer\":1}\n", b"", b"{\"observer\":1,\"ask\":\"fly\"}\n"]
    {
        let answer = raw(&path, garbage);
        assert!(!answer.contains("done"), "{answer}");
    }
    raw(&path, &vec![b'x'; 1 << 20]);
    let _silent = UnixStream::connect(&path).expect("a server");
    assert!(Client::find(&path).unwrap().is_some(), "the silent one keeps nobody from being answered");
}

#[test]
fn a_socket_that_was_left_behind_makes_way_and_others_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("observer.sock");
    assert!(Client::find(&path).unwrap().is_none(), "there is none");
    let foreign = dir.path().join("foreign.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&foreign).unwrap();
    // Only root can give it away; to others it is their own.
    if std::os::unix::fs::chown(&foreign, Some(12_345), None).is_ok() {
        let refused = Client::find(&foreign).unwrap_err();
        assert!(refused.to_string().contains("belongs to user 12345"), "{refused}");
    }
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(Client::find(&path).unwrap().is_none(), "nobody listens");
    serving(path.clone());
    let runtime = runtime();
    let second = runtime.block_on(async { Server::listen(&path).map(drop) }).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let wrong = runtime.block_on(async { Server::listen(&file).map(drop) }).unwrap_err();
    assert_eq!(wrong.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn it_takes_its_socket_away_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("observer.sock");
    runtime().block_on(async {
        let server = Server::listen(&path).unwrap();
        assert!(path.exists());
        drop(server);
    });
    assert!(!path.exists());
}
