//! One line as the runtime writes it: `<RFC 3339 with nanoseconds> stdout|stderr F|P <text>`. `P`: the text goes on in
//! the next line of the same stream.

/// A line taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: &'a [u8],
    /// Whether the text ends here.
    pub(crate) full: bool,
    pub(crate) text: &'a [u8],
}

/// Reads a line without its newline; `None` for what the runtime did not write.
pub(crate) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let (time, stream, tags, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known = matches!(stream, b"stdout" | b"stderr") && !time.is_empty();
    let full = tags.split(|byte| *byte == b':').next() == Some(b"F");
    known.then_some(Line { time, full, text })
}

/// Nanoseconds since 1970 UTC.
pub(crate) fn nanos(time: &[u8]) -> Option<i64> {
    let time: jiff::Timestamp = std::str::from_utf8(time).ok()?.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Just the text of a line.
pub(crate) fn text_of_line(line: &str) -> Option<&str> {
    parse(line.as_bytes()).and_then(|line| std::str::from_utf8(line.text).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        let time = "2026-11-21T09:00:00.123456789Z";
        let cases = [
            (format!("{time} stdout F hello world"), Some((true, "hello world"))),
            (format!("{time} stderr P part"), Some((false, "part"))),
            (format!("{time} stdout F "), Some((true, ""))),
            (format!("{time} stdout F:x tagged"), Some((true, "tagged"))),
            (format!("{time} stdin F no"), None),
            (format!("{time} stdout"), None),
            (String::new(), None),
        ];
        for (line, expected) in cases {
            let parsed = parse(line.as_bytes()).map(|line| (line.full, std::str::from_utf8(line.text).unwrap()));
            assert_eq!(parsed, expected, "{line}");
        }
        assert_eq!(nanos(time.as_bytes()), Some(1_795_251_600_123_456_789));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Some(line) = parse(&bytes) {
                let _ = nanos(line.time);
            }
        }
    }
}
