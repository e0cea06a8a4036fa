//! Waiting for something to become true.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longer than anything takes on a busy machine. A scenario that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Repeats a look until it finds something, at most for `limit`. An error counts as "not yet"; the last one is told when
/// the time is up.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    let mut last = None;
    loop {
        match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        if begun.elapsed() > limit {
            let why = last.map(|error| format!(": {error:#}")).unwrap_or_default();
            anyhow::bail!("waited {} s in vain for {what}{why}", limit.as_secs());
        }
        sleep(PAUSE).await;
    }
}
