//! What every controller in this tier is made of: a [`Cache`] filled by one watch, a [`WorkQueue`] of keys to
//! reconcile, and a [`Recorder`] of events.
//!
//! This room knows kinds and keys, but not what any controller does with them.

mod cache;
mod events;
mod queue;

pub use cache::{Cache, Key, Seen, controller_of, keep};
pub use events::{Level, Recorder};
pub use queue::WorkQueue;

/// What a reconcile may end with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API refused a request, or could not be reached.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// An object in the API cannot be acted on until somebody changes it.
    #[error("{0}")]
    Object(String),
    /// An object could not be written as JSON.
    #[error("encode an object: {0}")]
    Encode(#[from] serde_json::Error),
}

impl Error {
    /// Whether this is the API's answer with that HTTP code.
    pub fn is_code(&self, code: u16) -> bool {
        matches!(self, Self::Api(error) if Self::from_api(error, code))
    }

    /// Whether a client's error is the API's answer with that HTTP code.
    pub fn from_api(error: &kube::Error, code: u16) -> bool {
        matches!(error, kube::Error::Api(status) if status.code == code)
    }
}
