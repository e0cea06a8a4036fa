//! Wall-clock time in the forms the platform's documents use.
//!
//! Durations and timers use tokio's monotonic clock, which tests can pause; these functions are for timestamps that
//! leave the process.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 UTC; 0 on a clock set before 1970.
pub fn now_ms() -> i64 {
    i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX)
}

/// `2026-11-21T09:00:00Z`: the `metav1.Time` of Kubernetes objects.
pub fn now_rfc3339() -> String {
    rfc3339(since_epoch().as_secs())
}

/// `2026-11-21T09:00:00.123456Z`: the `metav1.MicroTime` of Leases and Events.
pub fn now_rfc3339_micros() -> String {
    let now = since_epoch();
    let mut text = rfc3339(now.as_secs());
    text.truncate(text.len() - 1);
    text.push_str(&format!(".{:06}Z", now.subsec_micros()));
    text
}

fn since_epoch() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Formats seconds since 1970 as RFC 3339 in UTC.
pub fn rfc3339(seconds: u64) -> String {
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let second_of_day = seconds % 86_400;
    let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The proleptic Gregorian date of a day counted from 1970-01-01, in integer arithmetic over 400-year eras that begin
/// on 1 March (so that the leap day is the last of its year).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_dates_at_the_edges_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(rfc3339(seconds), expected);
        }
    }

    #[test]
    fn the_two_forms_of_now_agree() {
        assert_eq!(now_rfc3339().len(), 20);
        let micros = now_rfc3339_micros();
        assert_eq!(micros.len(), 27);
        assert!(micros.ends_with('Z') && now_ms() > 1_700_000_000_000);
    }
}
