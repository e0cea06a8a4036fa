//! From a topic to everybody who subscribed to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edgeward_mqtt::{Filter, FilterTree, QoS, Text};
use parking_lot::RwLock;

use crate::local::Local;
use crate::session::Session;

/// Topics a connection remembers the routes of; the memory starts over beyond that.
const CACHED_TOPICS: usize = 1_024;

/// Somebody who gets messages.
#[derive(Clone)]
pub(crate) enum Target {
    /// A part of this program.
    Local(Arc<Local>),
    /// A session of an MQTT client.
    Client(Arc<Session>),
}

impl Target {
    /// The number of the target, unique in this broker.
    pub(crate) fn id(&self) -> u64 {
        match self {
            Target::Local(local) => local.id,
            Target::Client(session) => session.id,
        }
    }
}

/// A target and the quality of service it was granted.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) to: Target,
    pub(crate) qos: QoS,
}

/// All subscriptions.
#[derive(Default)]
pub(crate) struct Router {
    tree: RwLock<FilterTree<Route>>,
    /// Moves with every change of the tree, so that remembered routes know their age.
    generation: AtomicU64,
    ids: AtomicU64,
}

impl Router {
    /// A number for a new target.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn add(&self, filter: &Filter, route: Route) {
        let mut tree = self.tree.write();
        tree.insert(filter, route);
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn remove(&self, filter: &Filter, id: u64) {
        let mut tree = self.tree.write();
        tree.remove(filter, |route| route.to.id() == id);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Everybody subscribed to the topic, each once with the highest quality of service granted.
    pub(crate) fn find(&self, topic: &[u8]) -> Vec<Route> {
        let mut routes: Vec<Route> = Vec::new();
        self.tree.read().for_each_match(topic, |route| routes.push(route.clone()));
        if routes.len() > 1 {
            routes.sort_by_key(|route| (route.to.id(), std::cmp::Reverse(route.qos)));
            routes.dedup_by_key(|route| route.to.id());
        }
        routes
    }
}

/// Routes one publisher used lately.
#[derive(Default)]
pub(crate) struct RouteCache {
    generation: u64,
    by_topic: HashMap<Text, Arc<[Route]>>,
}

impl RouteCache {
    /// As [`Router::find`], from memory where it can.
    pub(crate) fn find(&mut self, router: &Router, topic: &Text) -> Arc<[Route]> {
        let generation = router.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.by_topic.clear();
            self.generation = generation;
        }
        if let Some(routes) = self.by_topic.get(topic.as_bytes()) {
            return routes.clone();
        }
        if self.by_topic.len() >= CACHED_TOPICS {
            self.by_topic.clear();
        }
        let routes: Arc<[Route]> = router.find(topic.as_bytes()).into();
        self.by_topic.insert(topic.detached(), routes.clone());
        routes
    }
}
