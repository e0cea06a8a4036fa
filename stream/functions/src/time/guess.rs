//! Reads a time without being told its format: RFC 3339 and the layouts of Go's jinzhu/now.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::Layout;

/// In the order they are tried.
static LAYOUTS: LazyLock<Vec<Layout>> = LazyLock::new(|| {
    let layouts = [
        "2006-01-02T15:04:05.000Z07:00",
        "2006-01-02T15:04:05Z07:00",
        "2006",
        "2006-1",
        "2006-1-2",
        "2006-1-2 15",
        "2006-1-2 15:4",
        "2006-1-2 15:4:5",
        "1-2",
        "15:4:5",
        "15:4",
        "15",
        "15:4:5 Jan 2, 2006 MST",
        "2006-01-02 15:04:05.999999999 -0700 MST",
        "2006-01-02T15:04:05Z0700",
        "2006-01-02T15:04:05Z07",
        "2006.1.2",
        "2006.1.2 15:04:05",
        "2006.01.02 15:04:05.999999999",
        "1/2/2006",
        "1/2/2006 15:4:5",
        "2006/01/02",
        "20060102",
        "2006/01/02 15:04:05",
        "Mon Jan _2 15:04:05 2006",
        "Mon Jan _2 15:04:05 MST 2006",
        "Mon Jan 02 15:04:05 -0700 2006",
        "02 Jan 06 15:04 MST",
        "02 Jan 06 15:04 -0700",
        "Monday, 02-Jan-06 15:04:05 MST",
        "Mon, 02 Jan 2006 15:04:05 MST",
        "Mon, 02 Jan 2006 15:04:05 -0700",
        "3:04PM",
        "Jan _2 15:04:05",
    ];
    layouts.into_iter().map(Layout::new).collect()
});

/// Reads a time in one of the usual layouts; what has no zone is meant in `zone`, what has no date today in `zone`, what has no year
/// this year.
pub fn guess(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    read(text, zone).map(|(time, _)| time)
}

/// The offset from UTC that a text in one of the usual layouts says; none when it says none or is no time.
pub fn offset_of(text: &str, zone: &TimeZone) -> Option<Offset> {
    read(text, zone)?.1
}

fn read(text: &str, zone: &TimeZone) -> Option<(Timestamp, Option<Offset>)> {
    let today = || Timestamp::now().to_zoned(zone.clone()).date();
    LAYOUTS.iter().find_map(|layout| {
        let parts = layout.parse(text)?;
        Some((parts.timestamp(zone, Some(&today))?, parts.offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses() {
        for (text, expect) in [
            ("2024-01-02T03:04:05.678+08:00", "2024-01-01T19:04:05.678Z"),
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123456789Z"),
            ("2024-01-02T03:04:05+0800", "2024-01-01T19:04:05Z"),
            ("2024-01-02T03:04:05+08", "2024-01-01T19:04:05Z"),
            ("2024-01-02 03:04:05", "2024-01-02T03:04:05Z"),
            ("2024-01-02 03:04:05.5", "2024-01-02T03:04:05.5Z"),
            ("2024-1-2 3:4", "2024-01-02T03:04:00Z"),
            ("2024-1-2 3", "2024-01-02T03:00:00Z"),
            ("2024-1-2", "2024-01-02T00:00:00Z"),
            ("2024-1", "2024-01-01T00:00:00Z"),
            ("2024", "2024-01-01T00:00:00Z"),
            ("20240102", "2024-01-02T00:00:00Z"),
            ("2024/01/02 03:04:05", "2024-01-02T03:04:05Z"),
            ("2024.01.02 03:04:05.5", "2024-01-02T03:04:05.5Z"),
            ("1/2/2024", "2024-01-02T00:00:00Z"),
            ("Tue Jan  2 03:04:05 2024", "2024-01-02T03:04:05Z"),
            ("Tue, 02 Jan 2024 03:04:05 GMT", "2024-01-02T03:04:05Z"),
            ("02 Jan 24 03:04 -0700", "2024-01-02T10:04:00Z"),
            ("2006-01-02 15:04:05.999999999 -0700 MST", "2006-01-02T22:04:05.999999999Z"),
        ] {
            assert_eq!(guess(text, &TimeZone::UTC), Some(expect.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "x",
            "2024-13-01",
            "2024-01-02 25:00:00",
            "2024-01-02 03:04:05 x",
            "2024-01-02T03:04:05+1",
            "2024-01-02T03:04:05",
            " 2024-01-02",
            "2023-02-29",
        ] {
            assert_eq!(guess(text, &TimeZone::UTC), None, "{text}");
        }
        assert_eq!(guess("3:04:05", &TimeZone::UTC).unwrap().as_second() % 86_400, 3 * 3600 + 4 * 60 + 5);
    }

    #[test]
    fn a_text_without_a_zone_is_local() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        assert_eq!(guess("2024-01-02 08:00:00", &zone), Some("2024-01-02T00:00:00Z".parse().unwrap()));
        assert_eq!(guess("2024-01-02T08:00:00Z", &zone), Some("2024-01-02T08:00:00Z".parse().unwrap()));
    }
}
