//! Files of cases: YAML or JSON, a list of cases or a case in each document.

use serde_json::Value as Json;

/// The cases of a file, each still to be read by [`super::Case::read`], so that one bad case does not hide the others.
///
/// # Errors
/// The text is neither JSON nor YAML.
pub fn documents(text: &str) -> Result<Vec<Json>, String> {
    let documents: Vec<Json> = if text.trim_start().starts_with(['{', '[']) {
        let marked = mark_integers(text);
        let read: Result<Vec<Json>, serde_json::Error> =
            serde_json::Deserializer::from_str(&marked).into_iter().collect();
        match read {
            Ok(documents) => documents,
            // YAML's flow style begins like JSON.
            Err(error) => yaml(text).map_err(|_| error.to_string())?,
        }
    } else {
        yaml(text)?
    };
    let flat = |document| match document {
        Json::Array(cases) => cases,
        Json::Null => Vec::new(),
        case => vec![case],
    };
    Ok(documents.into_iter().flat_map(flat).collect())
}

fn yaml(text: &str) -> Result<Vec<Json>, String> {
    serde_saphyr::from_multiple(text).map_err(|error| error.to_string())
}

/// Integers beyond 64 bits would be read as floats: they are marked, which makes their case invalid.
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
        let integer = token.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            && !token.contains(['.', 'e', 'E']);
        if integer && token.parse::<i64>().is_err() {
            out.push_str(&format!("{{\"$integer\":\"{token}\"}}"));
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
