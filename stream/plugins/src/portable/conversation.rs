//! Asking somebody who only asks: the REQ of the plugin brings the answer to what it was told last, and waits for what comes next.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use edgeward_service::Tasks;

use crate::error::{PluginError, Result};
use edgeward_sp::{Endpoint, Options, Rep, Request, SpError};

/// The first message of a plugin; the Python SDK repeats it every five seconds while it has nothing to do.
const HANDSHAKE: &[u8] = b"handshake";

/// One such channel.
#[derive(Debug)]
pub(super) struct Conversation {
    /// Of the plugin or function, for errors.
    name: String,
    rep: Rep,
    /// The request that waits for the next command.
    waiting: Option<Request>,
}

impl Conversation {
    pub(super) fn listen(name: String, path: PathBuf, options: &Options, tasks: &Tasks) -> Result<Conversation> {
        let rep = Rep::open(Endpoint::Listen(path), options, tasks)?;
        Ok(Conversation { name, rep, waiting: None })
    }

    /// Forgets what an earlier process said.
    pub(super) fn reset(&mut self) {
        self.waiting = None;
        while self.rep.try_recv().is_some() {}
    }

    /// Waits for the plugin's request, whatever it says: a handshake, or an answer that came too late.
    pub(super) async fn ready(&mut self, limit: Duration) -> Result<()> {
        // The newest request is the one the plugin waits for: a REQ gives up the one before.
        while let Some(request) = self.rep.try_recv() {
            self.waiting = Some(request);
        }
        if self.waiting.is_none() {
            self.waiting = Some(self.next(limit).await?);
        }
        Ok(())
    }

    /// Gives a command and waits for its answer, `limit` at most for each of the two.
    pub(super) async fn ask(&mut self, command: Bytes, limit: Duration) -> Result<Bytes> {
        loop {
            self.ready(limit).await?;
            let Some(request) = self.waiting.take() else { continue };
            if request.reply(command.clone()).await.is_err() {
                // That connection is gone; a living plugin comes back with a request.
                continue;
            }
            let answer = self.answer(&request, limit).await?;
            let body = answer.body.clone();
            self.waiting = Some(answer);
            // A handshake now means that the plugin had given up its request just before our reply came, and never saw it.
            if body != HANDSHAKE {
                return Ok(body);
            }
        }
    }

    /// The next request of whoever was told `to`. What another thread of the plugin says meanwhile is not an answer, and
    /// what a process says that was started in place of a dead one neither: the command must not be repeated to it, or one
    /// that kills its process would kill every process after it.
    async fn answer(&mut self, to: &Request, limit: Duration) -> Result<Request> {
        let late = tokio::time::sleep(limit);
        tokio::pin!(late);
        loop {
            let request = tokio::select! {
                biased;
                request = self.rep.recv() => request.ok_or(PluginError::Socket(SpError::Closed))?,
                () = to.gone() => return Err(self.died()),
                () = &mut late => return Err(PluginError::Timeout { name: self.name.clone(), limit }),
            };
            if request.same_peer(to) {
                return Ok(request);
            }
            self.waiting = Some(request);
        }
    }

    fn died(&self) -> PluginError {
        let reason = "its process ended before it answered; its output is in the log".into();
        PluginError::Process { name: self.name.clone(), reason }
    }

    async fn next(&mut self, limit: Duration) -> Result<Request> {
        let late = |_| PluginError::Timeout { name: self.name.clone(), limit };
        let request = tokio::time::timeout(limit, self.rep.recv()).await.map_err(late)?;
        request.ok_or(PluginError::Socket(SpError::Closed))
    }
}
