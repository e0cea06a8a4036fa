//! How much may go on at once. What is over a limit is refused with 429 and counted.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_objects::ApiError;
use edgeward_service::{Counter, Gauge};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::options::Limits;

static REQUESTS: Counter = Counter::new("edgeward_server_requests_total", "requests handled");
static REFUSED: Counter =
    Counter::new("edgeward_server_requests_refused_total", "requests refused because too many were in flight");
static WATCHES: Gauge = Gauge::new("edgeward_server_watches", "watches open");
static WATCHES_REFUSED: Counter =
    Counter::new("edgeward_server_watches_refused_total", "watches refused because their identity had too many");

/// Counts what is in flight.
pub(crate) struct InFlight {
    requests: Arc<Semaphore>,
    watches: Arc<Mutex<HashMap<String, usize>>>,
    watches_per_identity: usize,
}

/// One open watch; dropping it closes the account.
pub(crate) struct WatchPermit {
    watches: Arc<Mutex<HashMap<String, usize>>>,
    user: String,
}

impl InFlight {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(limits.requests_in_flight)),
            watches: Arc::default(),
            watches_per_identity: limits.watches_per_identity,
        }
    }

    /// A place for one ordinary request. The platform's own controllers need none: their number is bounded by the program,
    /// and clients outside must not be able to crowd them out.
    pub(crate) fn request(&self, own: bool) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        REQUESTS.inc();
        if own {
            return Ok(None);
        }
        self.requests.clone().try_acquire_owned().map(Some).map_err(|_| {
            REFUSED.inc();
            ApiError::too_many_requests("too many requests, please try again later", 1)
        })
    }

    /// A place for one watch of a user.
    pub(crate) fn watch(&self, user: &str) -> Result<WatchPermit, ApiError> {
        let mut watches = self.watches.lock();
        let open = watches.entry(user.to_owned()).or_default();
        if *open >= self.watches_per_identity {
            WATCHES_REFUSED.inc();
            return Err(ApiError::too_many_requests(
                format!("too many watches of user {user:?}, please try again later"),
                1,
            ));
        }
        *open += 1;
        WATCHES.add(1);
        Ok(WatchPermit { watches: self.watches.clone(), user: user.to_owned() })
    }
}

impl Drop for WatchPermit {
    fn drop(&mut self) {
        WATCHES.sub(1);
        let mut watches = self.watches.lock();
        if let Some(open) = watches.get_mut(&self.user) {
            *open -= 1;
            if *open == 0 {
                watches.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let limits = Limits { requests_in_flight: 1, watches_per_identity: 2, ..Limits::default() };
        let flight = InFlight::new(&limits);
        let one = flight.request(false).unwrap();
        assert!(flight.request(true).unwrap().is_none(), "our own need no place");
        assert_eq!(flight.request(false).unwrap_err().retry_after_seconds(), Some(1));
        drop(one);
        assert!(flight.request(false).is_ok());
        let (first, _second) = (flight.watch("a").unwrap(), flight.watch("a").unwrap());
        assert_eq!(flight.watch("a").err().map(|error| error.code), Some(429));
        assert!(flight.watch("b").is_ok());
        drop(first);
        assert!(flight.watch("a").is_ok());
    }
}
