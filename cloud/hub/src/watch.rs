//! One watch per kind, for all nodes together.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Backoff, Tasks};
use futures::StreamExt;
use kube::core::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};

use crate::metrics::WATCH_ERRORS;
use crate::object::{KINDS, Object, ObjectId};
use crate::view::View;

/// Starts a task per kind that keeps the view up to date.
pub(crate) fn start(client: &Client, view: &Arc<View>, tasks: &Tasks) {
    for (position, kind) in KINDS.iter().enumerate() {
        let api = Api::all_with(client.clone(), &kind.resource());
        tasks.spawn_until_cancelled(kind.word, follow(api, position, view.clone()));
    }
}

async fn follow(api: Api<DynamicObject>, kind: usize, view: Arc<View>) {
    // Also what the backoff waits for when a kind is not installed (devices without their CRDs).
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
    let mut events = pin!(watcher(api, watcher::Config::default()));
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                backoff.reset();
                apply(event, kind, &view, &mut listed);
            }
            Err(error) => {
                WATCH_ERRORS.inc();
                tracing::debug!(kind = KINDS[kind].word, %error, "watch interrupted");
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }
}

fn apply(event: Event<DynamicObject>, kind: usize, view: &View, listed: &mut HashSet<ObjectId>) {
    let read = |object| Object::read(&KINDS[kind], object);
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            if let Some(object) = read(object) {
                listed.insert(object.id.clone());
                view.apply(object);
            }
        }
        Event::InitDone => view.complete(kind, &std::mem::take(listed)),
        Event::Apply(object) => read(object).into_iter().for_each(|object| view.apply(object)),
        Event::Delete(object) => read(object).into_iter().for_each(|object| view.remove(&object.id)),
    }
}
