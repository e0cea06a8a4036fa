//! The broker over real sockets, with a bare client that speaks packet by packet, and with mosquitto's clients.

// A failed unwrap is a failed test; a test that is left out says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod client;
mod delivery;
mod hostile;
mod in_process;
mod mosquitto;
mod sessions;

use edgeward_broker::{Broker, Handle, Options};
use edgeward_service::Tasks;

/// A broker on a free port, stopped when its tasks are dropped by the runtime.
async fn start(options: Options) -> (Handle, Tasks) {
    let tasks = Tasks::root("test");
    let options = Options { listen: vec!["127.0.0.1:0".parse().unwrap()], ..options };
    (Broker::start(options, &tasks).await.unwrap(), tasks)
}

/// Stops a broker completely.
async fn stop(tasks: Tasks) {
    assert!(tasks.shutdown(std::time::Duration::from_secs(10)).await);
}
