//! Durations and ages as kubectl prints them.

use jiff::Timestamp;

/// `5s`, `3m2s`, `5h30m`, `2d`, `3y40d`: the rules of apimachinery's `duration.HumanDuration`.
pub(crate) fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let pair = |high: i64, high_unit: &str, low: i64, low_unit: &str| {
        if low == 0 { format!("{high}{high_unit}") } else { format!("{high}{high_unit}{low}{low_unit}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// Seconds between a timestamp and now; `None` if it is no timestamp.
pub(crate) fn since(timestamp: &str, now: Timestamp) -> Option<i64> {
    let then: Timestamp = timestamp.parse().ok()?;
    Some(now.as_second() - then.as_second())
}

/// The age of a timestamp, `<unknown>` if there is none.
pub(crate) fn age(timestamp: Option<&str>, now: Timestamp) -> String {
    timestamp.and_then(|text| since(text, now)).map_or_else(|| "<unknown>".to_owned(), human)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_kubectl_prints() {
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (5, "5s"),
            (119, "119s"),
            (120, "2m"),
            (182, "3m2s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (19_800, "5h30m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (183_600, "2d3h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (66_528_000, "2y40d"),
            (315_360_000, "10y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(human(seconds), expected, "{seconds}");
        }
        assert_eq!(age(None, Timestamp::UNIX_EPOCH), "<unknown>");
        assert_eq!(age(Some("1970-01-01T00:00:00Z"), Timestamp::from_second(90).unwrap()), "90s");
    }
}
