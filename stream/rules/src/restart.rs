//! When a rule that failed runs again (`restartStrategy`): a pure function of its failures.

use std::time::Duration;

use edgeward_connect::parse_duration_ms;
use serde_json::Value;

/// Longest pause if the strategy names none (`maxDelay` of eKuiper's documents).
const MAX_DELAY: f64 = 30_000.0;

/// A restart strategy with `attempts` above 0.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Restart {
    /// Failures that are answered by the back-off; the patrol goes on after them.
    attempts: u32,
    /// None without `delay`: the patrol's interval from the first failure on.
    backoff: Option<Backoff>,
}

/// `delay` and what changes it; times in ms.
#[derive(Debug, Clone, PartialEq)]
struct Backoff {
    delay: f64,
    multiplier: f64,
    max_delay: f64,
    jitter_factor: f64,
}

impl Restart {
    /// Reads `options.restartStrategy`; none if a failed rule is to stay down.
    ///
    /// # Errors
    /// A member of another type or outside its range.
    pub(crate) fn read(strategy: Option<&Value>) -> Result<Option<Restart>, String> {
        let Some(strategy) = strategy.filter(|strategy| !strategy.is_null()) else { return Ok(None) };
        if !strategy.is_object() {
            return Err("restartStrategy must be an object".into());
        }
        let member = |key: &str| strategy.get(key).filter(|value| !value.is_null());
        let wrong = |key: &str, value: &Value| format!("invalid {key} {value} in restartStrategy");
        let attempts = match member("attempts") {
            None => 0,
            Some(value) => value.as_u64().ok_or_else(|| wrong("attempts", value))?,
        };
        let number = |key: &str, default: f64, upto: f64| -> Result<f64, String> {
            let Some(value) = member(key) else { return Ok(default) };
            let text = |text: &str| parse_duration_ms(text).map(|ms| ms as f64);
            let number = value.as_f64().or_else(|| value.as_str().and_then(text));
            number.filter(|number| (0.0..=upto).contains(number)).ok_or_else(|| wrong(key, value))
        };
        let backoff = Backoff {
            delay: number("delay", 0.0, 1e12)?,
            multiplier: number("multiplier", 2.0, 1e6)?,
            max_delay: number("maxDelay", MAX_DELAY, 1e12)?,
            jitter_factor: number("jitterFactor", 0.1, 1.0)?,
        };
        let backoff = (backoff.delay > 0.0).then_some(backoff);
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        Ok((attempts > 0).then_some(Restart { attempts, backoff }))
    }

    /// How long to wait after the n-th failure (from 1); `random` is in [0, 1).
    pub(crate) fn pause(&self, failures: u32, random: f64, patrol: Duration) -> Duration {
        let Some(backoff) = self.backoff.as_ref().filter(|_| failures <= self.attempts) else { return patrol };
        let grown = backoff.multiplier.powf(f64::from(failures.saturating_sub(1)));
        let delay = (backoff.delay * grown).min(backoff.max_delay);
        let jitter = 1.0 + backoff.jitter_factor * (2.0 * random - 1.0);
        Duration::try_from_secs_f64((delay * jitter).clamp(0.0, backoff.max_delay) / 1_000.0).unwrap_or(patrol)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const PATROL: Duration = Duration::from_secs(10);

    #[test]
    fn pauses_grow_up_to_the_patrol() {
        let check = |strategy: Value, random: f64, expect: &[u128]| {
            let restart = Restart::read(Some(&strategy)).unwrap().unwrap();
            let pauses: Vec<u128> =
                (1..).take(expect.len()).map(|n| restart.pause(n, random, PATROL).as_millis()).collect();
            assert_eq!(pauses, expect, "{strategy}");
        };
        check(json!({"attempts": 1}), 0.9, &[10_000, 10_000]);
        check(json!({"attempts": 3, "delay": 100}), 0.5, &[100, 200, 400, 10_000]);
        check(json!({"attempts": 9, "delay": "1s", "multiplier": 3, "maxDelay": 5_000}), 0.5, &[1_000, 3_000, 5_000]);
        check(json!({"attempts": 2, "delay": 1_000, "multiplier": 1, "jitterFactor": 0.1}), 0.0, &[900, 900, 10_000]);
        check(json!({"attempts": 2, "delay": 1_000, "maxDelay": 1_000}), 0.99, &[1_000]);
        for none in [json!(null), json!({}), json!({"attempts": 0, "delay": 5})] {
            assert_eq!(Restart::read(Some(&none)), Ok(None), "{none}");
        }
        for wrong in
            [json!(1), json!({"attempts": -1}), json!({"attempts": 1, "delay": "x"}), json!({"jitterFactor": 2})]
        {
            assert!(Restart::read(Some(&wrong)).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_pause_is_never_longer_than_asked(
            failures in 1_u32.., random in 0.0..1.0, delay in 1.0..1e12, multiplier in 0.0..1e6, jitter in 0.0..1.0,
        ) {
            let strategy = json!({"attempts": u32::MAX, "delay": delay, "multiplier": multiplier, "jitterFactor": jitter});
            let restart = Restart::read(Some(&strategy)).unwrap().unwrap();
            prop_assert!(restart.pause(failures, random, PATROL) <= Duration::from_secs(30));
        }
    }
}
