//! All sessions by client id: connecting, taking over, ending.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_mqtt::{ConnectCode, Filter, QoS, Text};
use edgeward_service::clock;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::Limits;
use crate::confirm::Asker;
use crate::router::{Route, Router, Target};
use crate::session::Session;
use crate::store::{Op, Store};

/// The sessions. Its lock is taken before a session's, and both before the router's or the store's.
pub(crate) struct Registry {
    sessions: Mutex<HashMap<Text, Arc<Session>>>,
    limits: Arc<Limits>,
    store: Option<Arc<Store>>,
}

/// A session as a new connection gets it.
pub(crate) struct Opened {
    pub(crate) session: Arc<Session>,
    /// The connection's number in the session.
    pub(crate) epoch: u64,
    /// The client was known.
    pub(crate) present: bool,
}

impl Registry {
    pub(crate) fn new(limits: Arc<Limits>, store: Option<Arc<Store>>) -> Registry {
        Registry { sessions: Mutex::default(), limits, store }
    }

    /// Takes in a session that was read from the store.
    pub(crate) fn restore(&self, session: Arc<Session>, subscriptions: &HashMap<Filter, QoS>, router: &Router) {
        for (filter, qos) in subscriptions {
            router.add(filter, Route { to: Target::Client(session.clone()), qos: *qos });
        }
        self.sessions.lock().insert(session.client_id.clone(), session);
    }

    /// Opens the session of a connecting client; a connection it still has is ended through its `kick`.
    pub(crate) fn open(
        &self,
        router: &Router,
        client_id: &Text,
        clean: bool,
        kick: CancellationToken,
    ) -> Result<Opened, ConnectCode> {
        let mut sessions = self.sessions.lock();
        if let Some(known) = sessions.get(client_id.as_bytes()) {
            if known.persistent && !clean {
                let session = known.clone();
                let epoch = session.attach(kick);
                return Ok(Opened { session, epoch, present: true });
            }
            if let Some(old) = sessions.remove(client_id.as_bytes()) {
                end(&old, router);
            }
        }
        if sessions.len() >= self.limits.max_sessions {
            self.evict(&mut sessions, router);
            if sessions.len() >= self.limits.max_sessions {
                return Err(ConnectCode::ServerUnavailable);
            }
        }
        let client_id = client_id.detached();
        let store = self.store.clone();
        let session = Arc::new(Session::new(router.next_id(), client_id.clone(), !clean, self.limits.clone(), store));
        if let (Some(store), false) = (&self.store, clean) {
            store.push(Op::Remember { client_id: client_id.clone(), last_seen: clock::now_ms() }, None);
        }
        sessions.insert(client_id, session.clone());
        let epoch = session.attach(kick);
        Ok(Opened { session, epoch, present: false })
    }

    /// A connection ended; a clean session ends with it.
    pub(crate) fn close(&self, router: &Router, session: &Arc<Session>, epoch: u64, unconfirmed: &[u16]) {
        let mut sessions = self.sessions.lock();
        if !session.detach(epoch, unconfirmed) {
            return;
        }
        if !session.persistent {
            sessions.remove(session.client_id.as_bytes());
            end(session, router);
        } else if let Some(store) = &self.store {
            store.push(Op::Remember { client_id: session.client_id.clone(), last_seen: clock::now_ms() }, None);
        }
    }

    /// Subscribes; false if it is not allowed. The lock keeps a takeover from leaving routes behind.
    pub(crate) fn subscribe(
        &self,
        router: &Router,
        session: &Arc<Session>,
        epoch: u64,
        (filter, qos): (&Filter, QoS),
        asker: &mut Asker,
    ) -> bool {
        let _sessions = self.sessions.lock();
        let filter = filter.detached();
        if !session.subscribe(epoch, &filter, qos, asker) {
            return false;
        }
        router.remove(&filter, session.id);
        router.add(&filter, Route { to: Target::Client(session.clone()), qos });
        true
    }

    /// Unsubscribes.
    pub(crate) fn unsubscribe(
        &self,
        router: &Router,
        session: &Session,
        epoch: u64,
        filter: &Filter,
        asker: &mut Asker,
    ) {
        let _sessions = self.sessions.lock();
        if session.unsubscribe(epoch, filter, asker) {
            router.remove(filter, session.id);
        }
    }

    fn evict(&self, sessions: &mut HashMap<Text, Arc<Session>>, router: &Router) {
        let now = clock::now_ms();
        sessions.retain(|_, session| {
            let expired = session.is_expired(now, self.limits.session_expiry);
            if expired {
                end(session, router);
            }
            !expired
        });
    }
}

fn end(session: &Session, router: &Router) {
    for filter in session.retire() {
        router.remove(&filter, session.id);
    }
}
