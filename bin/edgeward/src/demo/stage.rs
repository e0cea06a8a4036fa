//! How the demo tells its story: a line per stage, a spinner while one takes long, a table at the end.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// What came of one stage.
struct Outcome {
    title: String,
    held: bool,
    seconds: f64,
    said: String,
}

/// The story so far.
pub(super) struct Story {
    outcomes: Vec<Outcome>,
    begun: Instant,
}

/// Lets a running stage say what it is waiting for.
#[derive(Clone)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Shows what is going on now.
    pub(super) fn say(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
    }

    /// Prints a line that stays.
    pub(super) fn keep(&self, text: impl AsRef<str>) {
        self.0.suspend(|| println!("      {}", text.as_ref()));
    }
}

impl Story {
    pub(super) fn new() -> Self {
        Self { outcomes: Vec::new(), begun: Instant::now() }
    }

    /// Runs a stage; its text (or its error) becomes its line. Returns whether it held.
    pub(super) async fn stage<F>(&mut self, title: &str, work: F) -> bool
    where
        F: AsyncFnOnce(Progress) -> anyhow::Result<String>,
    {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {msg:.dim} {elapsed:.dim}") {
            bar.set_style(style);
        }
        bar.set_prefix(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        let begun = Instant::now();
        let outcome = work(Progress(bar.clone())).await;
        bar.finish_and_clear();
        let seconds = begun.elapsed().as_secs_f64();
        let (held, said) = match outcome {
            Ok(said) => (true, said),
            Err(error) => (false, format!("{error:#}")),
        };
        let mark = if held { "✔" } else { "✘" };
        println!("  {mark} {title} ({seconds:.1} s): {said}");
        self.outcomes.push(Outcome { title: title.to_owned(), held, seconds, said });
        held
    }

    /// Says what is left out, and why.
    pub(super) fn left_out(&self, what: &str, why: &str) {
        println!("  – left out: {what} ({why})");
    }

    /// Prints the summary. Returns whether every stage held.
    pub(super) fn summary(&self) -> bool {
        println!();
        let rows = self.outcomes.iter().map(|outcome| {
            let held = if outcome.held { "held" } else { "FAILED" };
            [outcome.title.clone(), held.to_owned(), format!("{:.1} s", outcome.seconds), outcome.said.clone()]
        });
        crate::output::table(["STAGE", "RESULT", "TIME", "WHAT HAPPENED"], rows);
        let failed = self.outcomes.iter().filter(|outcome| !outcome.held).count();
        println!("\n{} stages, {failed} failed, {:.0} s", self.outcomes.len(), self.begun.elapsed().as_secs_f64());
        failed == 0
    }
}

/// Asks again and again until `check` gives something, and says what was missing when the time is up.
pub(super) async fn eventually<T, F>(what: &str, limit: Duration, mut check: F) -> anyhow::Result<T>
where
    F: AsyncFnMut() -> anyhow::Result<Option<T>>,
{
    let deadline = Instant::now() + limit;
    let mut last = String::new();
    loop {
        match check().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => last.clear(),
            Err(error) => last = format!(": {error:#}"),
        }
        if Instant::now() >= deadline {
            anyhow::bail!("{what} did not happen within {} s{last}", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
