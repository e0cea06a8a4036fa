//! The scalability protocols against the library the SDK uses (`pynng`), both ways round.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use edgeward_service::Tasks;
use edgeward_sp::{Endpoint, Options, Pull, Push, Rep, Req};
use tokio::process::{Child, Command};

const LIMIT: Duration = Duration::from_secs(20);

fn peer(python: &Path, script: &str, socket: &Path) -> Child {
    let script = format!("import pynng, sys, time\nurl = 'ipc://' + sys.argv[1]\n{script}");
    let mut command = Command::new(python);
    command.arg("-c").arg(script).arg(socket).stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

#[tokio::test]
async fn the_real_peer() {
    let Some(python) = common::python("scalability protocols against pynng") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::root("test");
    let options = Options::default();
    let path = |name: &str| folder.path().join(name);

    let mut pull = Pull::open(Endpoint::Listen(path("a")), &options, &tasks).unwrap();
    let script = "s = pynng.Push0(dial=url)\nfor n in range(3): s.send(b'x' * n * 100000)\ntime.sleep(60)";
    let _push = peer(&python, script, &path("a"));
    for size in [0, 100_000, 200_000] {
        assert_eq!(within("a push", pull.recv()).await.unwrap().len(), size);
    }

    let script = "s = pynng.Pull0(listen=url)\nt = pynng.Push0(dial=url + '.back')\nwhile True: t.send(s.recv()[::-1])";
    let mut back = Pull::open(Endpoint::Listen(path("b.back")), &options, &tasks).unwrap();
    let mut push = Push::open(Endpoint::Dial(path("b")), &options, &tasks).unwrap();
    let mut first = peer(&python, script, &path("b"));
    for text in ["abc", "def"] {
        within("a send", push.send(Bytes::from_static(text.as_bytes()))).await.unwrap();
        assert_eq!(within("its way back", back.recv()).await.unwrap(), text.chars().rev().collect::<String>());
    }
    // The peer dies and another takes its place: dialling again finds it.
    first.kill().await.unwrap();
    let _second = peer(&python, script, &path("b"));
    let arrived = async {
        loop {
            // A message on its way to the dying peer may be lost: that is what Push promises.
            let _ = push.send(Bytes::from_static(b"again")).await;
            if let Ok(Some(text)) = tokio::time::timeout(Duration::from_millis(300), back.recv()).await {
                return text;
            }
        }
    };
    assert_eq!(within("a message to the new peer", arrived).await, "niaga");

    let mut rep = Rep::open(Endpoint::Listen(path("c")), &options, &tasks).unwrap();
    let script = "s = pynng.Req0(dial=url)\nm = b'0'\nwhile True:\n  s.send(m)\n  m = s.recv()";
    let _req = peer(&python, script, &path("c"));
    for n in 0..5 {
        let request = within("a request", rep.recv()).await.unwrap();
        assert_eq!(request.body, format!("{n}"));
        request.reply(Bytes::from(format!("{}", n + 1))).await.unwrap();
    }

    let script = "s = pynng.Rep0(listen=url)\nwhile True:\n  s.send(b'<' + s.recv() + b'>')";
    let mut req = Req::open(Endpoint::Dial(path("d")), &options, &tasks).unwrap();
    let _rep = peer(&python, script, &path("d"));
    for text in ["1", "2"] {
        let answer = req.ask(Bytes::from_static(text.as_bytes()), LIMIT).await.unwrap();
        assert_eq!(answer, format!("<{text}>"));
    }

    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}
