//! `kuiper query`: statements typed one after the other, results as they come.
//!
//! A SELECT runs as a trial over the real sources until the next statement or the end; everything else is done at once.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use edgeward_service::Tasks;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use super::client::{self, Events};
use super::commands::{Read, Request, last};
use crate::output;

/// A statement that runs.
struct Running {
    id: String,
    events: Events,
}

/// Runs the statement that was given, or those typed at standard input, until the tasks are cancelled.
pub(super) async fn run(server: &str, words: &[String], read: Read<'_>, tasks: &Tasks) -> anyhow::Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let given = if words.is_empty() { None } else { Some(last(&words, read)?) };
    let mut shell = Shell { server: server.to_owned(), running: None };
    let outcome = tokio::select! {
        outcome = shell.work(given) => outcome,
        () = tasks.cancelled() => Ok(()),
    };
    shell.stop().await;
    outcome
}

struct Shell {
    server: String,
    running: Option<Running>,
}

impl Shell {
    async fn work(&mut self, given: Option<String>) -> anyhow::Result<()> {
        if let Some(sql) = given {
            self.execute(&sql).await?;
            return self.results().await;
        }
        if std::io::stdin().is_terminal() {
            output::line("type statements, each on a line; exit or quit ends");
        }
        self.typed(tokio::io::stdin()).await
    }

    async fn typed(&mut self, input: impl AsyncRead + Unpin) -> anyhow::Result<()> {
        let mut lines = BufReader::new(input).lines();
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line?,
                ended = self.results(), if self.running.is_some() => {
                    ended?;
                    continue;
                }
            };
            match line.as_deref().map(str::trim) {
                // What was asked last goes on: input from a pipe ends long before its results.
                None => return self.results().await,
                Some("") => {}
                Some("exit" | "quit" | "q") => return Ok(()),
                // What is wrong with one statement does not end the others.
                Some(sql) => {
                    if let Err(error) = self.execute(sql).await {
                        output::line(format!("{error:#}"));
                    }
                }
            }
        }
    }

    /// Prints the results of the statement that runs until it ends.
    async fn results(&mut self) -> anyhow::Result<()> {
        if let Some(running) = &mut self.running {
            while let Some(result) = running.events.next().await? {
                output::line(result);
            }
        }
        self.stop().await;
        Ok(())
    }

    async fn execute(&mut self, sql: &str) -> anyhow::Result<()> {
        let sql = sql.trim();
        if !sql.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select")) {
            let body = json!({"sql": sql}).to_string();
            let request = Request { method: "POST", path: "/streams".into(), body };
            output::line(client::call(&self.server, &request).await?.trim_end());
            return Ok(());
        }
        self.stop().await;
        let id = format!("kuiper-query-{}", std::process::id());
        let body = json!({"id": id, "sql": sql.trim_end_matches(';')}).to_string();
        let answer = client::call(&self.server, &Request { method: "POST", path: "/ruletest".into(), body }).await?;
        let answer: Value = serde_json::from_str(&answer).context("the answer to a trial")?;
        let port = answer["port"].as_u64().context("the answer to a trial names no port")?;
        let host = self.server.rsplit_once(':').map_or(self.server.as_str(), |(host, _)| host);
        // Listening comes before the start, so that no result is missed.
        let events = client::events(&format!("{host}:{port}"), &format!("/test/{id}")).await?;
        self.running = Some(Running { id: id.clone(), events });
        let start = Request { method: "POST", path: format!("/ruletest/{id}/start"), body: String::new() };
        client::call(&self.server, &start).await.map(drop)
    }

    async fn stop(&mut self) {
        let Some(Running { id, .. }) = self.running.take() else { return };
        let request = Request { method: "DELETE", path: format!("/ruletest/{id}"), body: String::new() };
        if let Err(error) = client::call(&self.server, &request).await {
            tracing::warn!(%error, "the query could not be ended; the server ends it after 5 minutes");
        }
    }
}
