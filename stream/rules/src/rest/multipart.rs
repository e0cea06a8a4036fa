//! The one multipart form clients send: a file in the field `uploadFile`. The body is bounded before it comes here.

use std::ops::Range;

/// Most parts of a form.
const MAX_PARTS: usize = 100;

/// A file of a form.
#[derive(Debug, PartialEq)]
pub(super) struct FormFile<'a> {
    pub(super) name: String,
    pub(super) content: &'a [u8],
}

/// The boundary of a `multipart/form-data` content type; none for other types.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    Some(value.trim_matches('"')).filter(|value| !value.is_empty() && value.len() <= 70)
}

/// The file of a field (RFC 7578).
pub(super) fn file<'a>(body: &'a [u8], boundary: &str, field: &str) -> Option<FormFile<'a>> {
    let delimiter = format!("--{boundary}");
    let mut at = find(body, delimiter.as_bytes(), 0)?.end;
    let closing = format!("\r\n{delimiter}");
    for _ in 0..MAX_PARTS {
        let rest = body.get(at..)?.strip_prefix(b"\r\n")?;
        let start = body.len() - rest.len();
        let head = find(body, b"\r\n\r\n", start)?;
        let end = find(body, closing.as_bytes(), head.end)?;
        if let Some(name) = file_name(body.get(start..head.start)?, field) {
            return Some(FormFile { name, content: body.get(head.end..end.start)? });
        }
        at = end.end;
    }
    None
}

/// The file name of a part if it is of this field.
fn file_name(head: &[u8], field: &str) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let parameter = |wanted: &str| {
        let quoted = format!("; {wanted}=\"");
        let rest = &disposition[disposition.find(&quoted)? + quoted.len()..];
        Some(rest[..rest.find('"')?].to_owned())
    };
    parameter("filename").filter(|_| parameter("name").as_deref() == Some(field))
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<Range<usize>> {
    let at = body.get(from..)?.windows(wanted.len()).position(|window| window == wanted)? + from;
    Some(at..at + wanted.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORM: &str = "--X\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n1\r\n--X\r\n\
        content-disposition: form-data; name=\"uploadFile\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\
        line\r\n--Y\r\n\r\n--X--\r\n";

    #[test]
    fn finds_the_file() {
        let found = file(FORM.as_bytes(), "X", "uploadFile").unwrap();
        assert_eq!((found.name.as_str(), found.content), ("a.txt", &b"line\r\n--Y\r\n"[..]));
        assert_eq!(file(FORM.as_bytes(), "X", "other"), None);
        assert_eq!(file(FORM.as_bytes(), "Z", "uploadFile"), None);
        assert_eq!(boundary("multipart/form-data; boundary=\"X\""), Some("X"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; boundary=abc"), Some("abc"));
        assert_eq!((boundary("application/json"), boundary("multipart/form-data; boundary=")), (None, None));
    }

    proptest! {
        #[test]
        fn any_cut_of_a_form_is_read_or_not(cut in 0..FORM.len(), noise in any::<Vec<u8>>()) {
            let mut body = FORM.as_bytes()[..cut].to_vec();
            body.extend(noise);
            let _ = file(&body, "X", "uploadFile");
        }
    }
}
