//! Sockets of this crate against each other; the libraries of others are the peers in `stream/plugins/tests`.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use bytes::Bytes;
use edgeward_service::Tasks;
use edgeward_sp::{Endpoint, Options, Rep, Req};

const LIMIT: Duration = Duration::from_secs(30);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

#[tokio::test]
async fn our_own_ends() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::root("test");
    let options = Options::default();
    let path = folder.path().join("a");
    let mut req = Req::open(Endpoint::Dial(path.clone()), &options, &tasks).unwrap();
    // The first listener goes without an answer; the request is asked again of the second.
    let mut rep = Rep::open(Endpoint::Listen(path.clone()), &options, &tasks).unwrap();
    let answer = tokio::spawn(async move { req.ask(Bytes::from_static(b"question"), LIMIT).await.unwrap() });
    assert_eq!(within("a request", rep.recv()).await.unwrap().body, "question");
    drop(rep);
    let mut rep = loop {
        // The old listener's task ends a moment after its handle.
        match Rep::open(Endpoint::Listen(path.clone()), &options, &tasks) {
            Ok(rep) => break rep,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let request = within("the request again", rep.recv()).await.unwrap();
    request.reply(Bytes::from_static(b"answer")).await.unwrap();
    assert_eq!(answer.await.unwrap(), "answer");
    let second = Rep::open(Endpoint::Listen(path), &options, &tasks).unwrap_err().to_string();
    assert!(second.starts_with("cannot listen on"), "{second}");
}
