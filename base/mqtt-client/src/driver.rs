//! The task behind a client: connect, serve the connection, try again.

use std::time::Duration;

use edgeward_mqtt::Text;
use edgeward_service::{Backoff, Counter, Tasks};
use tokio::sync::{mpsc, watch};

use crate::connection::{Connection, End};
use crate::handle::Request;
use crate::incoming::Taker;
use crate::session::Session;
use crate::{Options, Status};

static CONNECTED: Counter = Counter::new("edgeward_mqtt_client_connected_total", "connections accepted by a server");
static LOST: Counter = Counter::new("edgeward_mqtt_client_lost_total", "connections that failed or ended");

/// Everything of a client that outlives a connection.
pub(crate) struct Driver {
    pub(crate) options: Options,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) taker: Box<dyn Taker>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) session: Session,
    /// The client identifier a server has chosen.
    assigned_id: Option<Text>,
}

impl Driver {
    pub(crate) fn new(
        options: Options,
        requests: mpsc::Receiver<Request>,
        taker: Box<dyn Taker>,
        status: watch::Sender<Status>,
    ) -> Driver {
        Driver { options, requests, taker, status, session: Session::default(), assigned_id: None }
    }

    pub(crate) async fn run(mut self, tasks: Tasks) {
        let mut backoff = Backoff::new(self.options.backoff.0, self.options.backoff.1);
        loop {
            let end = self.serve_once(&tasks, &mut backoff).await;
            let reason = match end {
                End::Lost(reason) => reason,
                End::Stopped => return,
            };
            LOST.inc();
            tracing::info!(server = %self.options.server, reason, "MQTT connection lost; trying again");
            self.status.send_replace(Status::Disconnected(reason));
            if !wait(&tasks, backoff.next_delay()).await {
                return;
            }
            self.status.send_replace(Status::Connecting);
        }
    }

    async fn serve_once(&mut self, tasks: &Tasks, backoff: &mut Backoff) -> End {
        let opened = tokio::time::timeout(
            self.options.connect_timeout,
            Connection::open(&self.options, self.assigned_id.as_ref()),
        );
        let opened = tokio::select! {
            opened = opened => opened,
            () = tasks.cancelled() => return End::Stopped,
        };
        match opened {
            Ok(Ok(connection)) => {
                backoff.reset();
                self.assigned_id = connection.assigned_id().cloned().or(self.assigned_id.take());
                CONNECTED.inc();
                self.status.send_replace(Status::Connected);
                connection.serve(self, tasks).await
            }
            Ok(Err(reason)) => End::Lost(reason),
            Err(_) => End::Lost("the server did not answer in time".to_owned()),
        }
    }
}

async fn wait(tasks: &Tasks, delay: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(delay) => true,
        () = tasks.cancelled() => false,
    }
}
