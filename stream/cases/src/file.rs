//! Files of cases: YAML or JSON, a list of cases or a case in each document.

use serde_json::Value as Json;

use crate::yaml;

/// The cases of a file, each still to be read by [`crate::Case::read`], so that one bad case does not hide the others; and why the
/// rest of the file cannot be read, if it cannot.
pub fn documents(text: &str) -> (Vec<Json>, Option<String>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (documents, error) = match text.trim_start().starts_with(['{', '[']) {
        true => json(text),
        false => yaml::documents(text),
    };
    let flat = |document| match document {
        Json::Array(cases) => cases,
        Json::Null => Vec::new(),
        case => vec![case],
    };
    (documents.into_iter().flat_map(flat).collect(), error)
}

fn json(text: &str) -> (Vec<Json>, Option<String>) {
    let marked = mark_integers(text);
    let mut documents = Vec::new();
    for document in serde_json::Deserializer::from_str(&marked).into_iter() {
        match document {
            Ok(document) => documents.push(document),
            Err(error) => {
                // YAML's flow style begins like JSON.
                let (as_yaml, failed) = yaml::documents(text);
                return if failed.is_none() { (as_yaml, None) } else { (documents, Some(error.to_string())) };
            }
        }
    }
    (documents, None)
}

/// A number that 64 bits cannot hold: it makes its case invalid.
pub(crate) fn too_big(text: &str) -> Json {
    serde_json::json!({"$number": text})
}

/// Marks integers beyond 64 bits.
fn mark_integers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => quoted(rest),
            '-' | '0'..='9' => {
                rest.find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9')).unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let digits = token.strip_prefix('-').unwrap_or(token);
        let integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if integer && token.parse::<i64>().is_err() {
            out.push_str(&too_big(token).to_string());
        } else {
            out.push_str(token);
        }
        rest = after;
    }
    out
}

/// Length of the string that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::documents;

    fn check(text: &str, expect: &str) {
        let (documents, error) = documents(text);
        let mut shown: Vec<String> = documents.iter().map(ToString::to_string).collect();
        shown.extend(error.map(|_| "!".to_string()));
        assert_eq!(shown.join(" "), expect, "{text}");
    }

    #[test]
    fn reads() {
        check("[{\"a\": 1}, {\"a\": 2}]", r#"{"a":1} {"a":2}"#);
        check("{\"a\": 1}\n{\"a\": 2}\n", r#"{"a":1} {"a":2}"#);
        check("- a: 1\n- a: 2\n---\na: 3\n---\n", r#"{"a":1} {"a":2} {"a":3}"#);
        check("{a: 1}\n", r#"{"a":1}"#);
        check(
            "{\"a\": 9223372036854775808, \"b\": \"9223372036854775808\"}",
            r#"{"a":{"$number":"9223372036854775808"},"b":"9223372036854775808"}"#,
        );
        check(
            "{\"a\": -9223372036854775808, \"b\": 1.0, \"c\": 1e400}",
            r#"{"a":-9223372036854775808,"b":1.0,"c":{"$number":"1e400"}}"#,
        );
        check("{\"a\": 1}\n{\"a\": }}", r#"{"a":1} !"#);
        check("", "");
        check("# nothing\n", "");
        check("text", "\"text\"");
    }
}
