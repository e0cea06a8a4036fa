//! What valyala/fastjson, which eKuiper decodes messages with, says of text that is not JSON.
//!
//! It accepts more than we do (`1-2` as a number, control characters in strings); of such text it has nothing to say here.

use crate::quote::quoted;

/// Deepest nesting fastjson reads.
const MAX_DEPTH: u32 = 300;
/// Longest rest of a message that is shown whole.
const SHOWN: usize = 80;

/// The error of `fastjson.Parser.Parse`; none for what it takes.
pub fn decoder_complaint(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    match value(blank(&text), 0) {
        Err((why, rest)) => Some(format!("cannot parse JSON: {why}; unparsed tail: {}", quoted(&ends(rest)))),
        Ok(rest) => {
            let rest = blank(rest);
            (!rest.is_empty()).then(|| format!("unexpected tail: {}", quoted(&ends(rest))))
        }
    }
}

/// What is left of the text, or why it is wrong and where.
type Read<'a> = Result<&'a str, (String, &'a str)>;

fn wrong<'a>(why: &str, rest: &'a str) -> Read<'a> {
    Err((why.to_owned(), rest))
}

fn within<'a>(what: &'static str) -> impl Fn((String, &'a str)) -> (String, &'a str) {
    move |(why, rest)| (format!("{what}: {why}"), rest)
}

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\n', '\t', '\r'])
}

/// Begin and end of a long text.
fn ends(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let (begin, end) = (&text.as_bytes()[..SHOWN / 2], &text.as_bytes()[text.len() - SHOWN / 2..]);
    format!("{}...{}", String::from_utf8_lossy(begin), String::from_utf8_lossy(end))
}

fn value(text: &str, depth: u32) -> Read<'_> {
    if depth >= MAX_DEPTH {
        return wrong(&format!("too big depth for the nested JSON; it exceeds {MAX_DEPTH}"), text);
    }
    match text.as_bytes().first() {
        None => wrong("cannot parse empty string", text),
        Some(b'{') => object(&text[1..], depth + 1).map_err(within("cannot parse object")),
        Some(b'[') => array(&text[1..], depth + 1).map_err(within("cannot parse array")),
        Some(b'"') => string(&text[1..]).map_err(within("cannot parse string")),
        Some(b't') => word(text, "true"),
        Some(b'f') => word(text, "false"),
        Some(b'n') if starts_with_word(text, "nan") => Ok(&text[3..]),
        Some(b'n') => word(text, "null"),
        Some(_) => number(text).map_err(within("cannot parse number")),
    }
}

fn word<'a>(text: &'a str, word: &str) -> Read<'a> {
    text.strip_prefix(word).map_or_else(|| wrong(&format!("unexpected value found: {}", quoted(text)), text), Ok)
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn array(text: &str, depth: u32) -> Read<'_> {
    let mut rest = blank(text);
    if rest.is_empty() {
        return wrong("missing ']'", rest);
    }
    if let Some(rest) = rest.strip_prefix(']') {
        return Ok(rest);
    }
    loop {
        rest = blank(value(blank(rest), depth).map_err(within("cannot parse array value"))?);
        match rest.as_bytes().first() {
            None => return wrong("unexpected end of array", rest),
            Some(b',') => rest = &rest[1..],
            Some(b']') => return Ok(&rest[1..]),
            Some(_) => return wrong("missing ',' after array value", rest),
        }
    }
}

fn object(text: &str, depth: u32) -> Read<'_> {
    let mut rest = blank(text);
    if rest.is_empty() {
        return wrong("missing '}'", rest);
    }
    if let Some(rest) = rest.strip_prefix('}') {
        return Ok(rest);
    }
    loop {
        rest = blank(rest);
        let Some(key) = rest.strip_prefix('"') else {
            return wrong("cannot find opening '\"\" for object key", rest);
        };
        rest = blank(string(key).map_err(within("cannot parse object key"))?);
        let Some(member) = rest.strip_prefix(':') else { return wrong("missing ':' after object key", rest) };
        rest = blank(value(blank(member), depth).map_err(within("cannot parse object value"))?);
        match rest.as_bytes().first() {
            None => return wrong("unexpected end of object", rest),
            Some(b',') => rest = &rest[1..],
            Some(b'}') => return Ok(&rest[1..]),
            Some(_) => return wrong("missing ',' after object value", rest),
        }
    }
}

/// The rest after the closing quote of a string whose opening one was taken.
fn string(text: &str) -> Read<'_> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Ok(&text[at + 1..]),
            _ => {}
        }
    }
    wrong("missing closing '\"'", "")
}

fn number(text: &str) -> Read<'_> {
    let of_number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'e' | b'E' | b'+');
    let end = text.bytes().position(|byte| !of_number(byte)).unwrap_or(text.len());
    if end > 1 || (end == 1 && (end == text.len() || !text.starts_with(['-', '+']))) {
        return Ok(&text[end..]);
    }
    if starts_with_word(&text[end..], "inf") || starts_with_word(&text[end..], "nan") {
        return Ok(&text[end + 3..]);
    }
    let first = text.chars().next().map_or(0, char::len_utf8);
    wrong(&format!("unexpected char: {}", quoted(&text[..first])), text)
}

#[cfg(test)]
mod tests {
    use super::decoder_complaint;

    #[test]
    fn says_what_fastjson_says() {
        for (text, expect) in [
            ("", "cannot parse JSON: cannot parse empty string; unparsed tail: \"\""),
            ("x", "cannot parse JSON: cannot parse number: unexpected char: \"x\"; unparsed tail: \"x\""),
            ("{\"a\": 1", "cannot parse JSON: cannot parse object: unexpected end of object; unparsed tail: \"\""),
            (
                "{\"a\": ",
                "cannot parse JSON: cannot parse object: cannot parse object value: cannot parse empty string; unparsed tail: \"\"",
            ),
            (
                "{a: 1}",
                "cannot parse JSON: cannot parse object: cannot find opening '\"\" for object key; unparsed tail: \"a: 1}\"",
            ),
            (
                "{\"a\" 1}",
                "cannot parse JSON: cannot parse object: missing ':' after object key; unparsed tail: \"1}\"",
            ),
            (
                "{\"a\":1 \"b\"}",
                "cannot parse JSON: cannot parse object: missing ',' after object value; unparsed tail: \"\\\"b\\\"}\"",
            ),
            (
                "[1,]",
                "cannot parse JSON: cannot parse array: cannot parse array value: cannot parse number: unexpected char: \"]\"; unparsed tail: \"]\"",
            ),
            ("[", "cannot parse JSON: cannot parse array: missing ']'; unparsed tail: \"\""),
            ("\"x", "cannot parse JSON: cannot parse string: missing closing '\"'; unparsed tail: \"\""),
            ("tru", "cannot parse JSON: unexpected value found: \"tru\"; unparsed tail: \"tru\""),
            ("{} x", "unexpected tail: \"x\""),
        ] {
            assert_eq!(decoder_complaint(text.as_bytes()).as_deref(), Some(expect), "{text}");
        }
        for text in ["{}", " [1, {\"a\": \"\\\"\"}] ", "nan", "-inf", "1-2", "\"\u{1}\"", "-"] {
            assert_eq!(decoder_complaint(text.as_bytes()), None, "{text}");
        }
        let deep = decoder_complaint("[".repeat(100_000).as_bytes()).unwrap();
        assert!(deep.ends_with(&format!("it exceeds 300; unparsed tail: \"{0}...{0}\"", "[".repeat(40))), "{deep}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in "[\\[\\]{}:,\"\\\\ a1né-]{0,40}", bytes: Vec<u8>) {
            let _ = (decoder_complaint(text.as_bytes()), decoder_complaint(&bytes));
            if crate::json::parse(text.as_bytes(), crate::json::Numbers::Float).is_ok() {
                proptest::prop_assert_eq!(decoder_complaint(text.as_bytes()), None);
            }
        }
    }
}
