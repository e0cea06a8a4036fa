//! The harness of the black-box scenarios: it starts the real program, cuts its links, kills it, and looks at it from
//! outside, as its users do (kubectl, REST, MQTT, the local API, exit codes and what it prints).
//!
//! It is not a test double of anything: there is no code of the program in here. Every scenario gets a [`Site`] of its
//! own, that is a folder and loopback addresses, so that scenarios run beside each other; those that run containers are
//! taken one at a time.

pub mod api;
pub mod cloud;
pub mod data;
pub mod disk;
pub mod http;
pub mod images;
pub mod kubectl;
pub mod machine;
pub mod mqtt;
pub mod netns;
pub mod node;
pub mod process;
pub mod replay;
pub mod site;
pub mod wait;
pub mod wire;

pub use api::Api;
pub use cloud::Cloud;
pub use kubectl::Kubectl;
pub use netns::Cable;
pub use node::Node;
pub use process::Process;
pub use site::{Site, scenario};
pub use wait::{PATIENCE, eventually};
pub use wire::{Mood, Wire};

/// Tells the person who watches, on standard error; cargo shows it with `--nocapture` or when the test fails.
#[allow(clippy::print_stderr)]
pub fn say(text: impl std::fmt::Display) {
    eprintln!("{text}");
}
