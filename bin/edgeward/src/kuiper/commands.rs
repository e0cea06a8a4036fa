//! eKuiper's commands as REST requests.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// A request to the rules' REST.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: String,
}

/// Reads the file of `-f`.
type Read<'a> = &'a dyn Fn(&str) -> anyhow::Result<String>;

/// The request of a command. `-f FILE` stands for the last argument.
pub(super) fn request(words: &[String], read: Read<'_>) -> anyhow::Result<Request> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["create", kind @ ("stream" | "table"), ref rest @ ..] => create_source(kind, rest, read),
        ["create", "rule", ref rest @ ..] => create_rule(rest, read),
        ["show", kind @ ("streams" | "tables" | "rules")] => get(format!("/{kind}")),
        ["describe", kind @ ("stream" | "table" | "rule"), name] => get(format!("/{kind}s/{name}")),
        ["drop", kind @ ("stream" | "table" | "rule"), name] => send("DELETE", format!("/{kind}s/{name}"), ""),
        ["getstatus", "rule", name] => get(format!("/rules/{name}/status")),
        ["getstatus", "import"] => get("/data/import/status"),
        ["gettopo", "rule", name] => get(format!("/rules/{name}/topo")),
        [act @ ("start" | "stop" | "restart"), "rule", name] => send("POST", format!("/rules/{name}/{act}"), ""),
        ["validate", "rule", ref rest @ ..] => {
            let (name, text) = rule_text(rest, read)?;
            send("POST", "/rules/validate", with_id(name, &text)?)
        }
        ["import", what @ ("ruleset" | "data"), ref rest @ ..] => {
            let content = json!({"content": last(rest, read)?}).to_string();
            send("POST", format!("/{what}/import"), content)
        }
        ["export", "ruleset"] => send("POST", "/ruleset/export", ""),
        ["export", "data"] => get("/data/export"),
        _ => bail!("{} is no command of kuiper that this version knows; see docs", words.join(" ")),
    }
}

fn get(path: impl Into<String>) -> anyhow::Result<Request> {
    send("GET", path, "")
}

fn send(method: &'static str, path: impl Into<String>, body: impl Into<String>) -> anyhow::Result<Request> {
    Ok(Request { method, path: path.into(), body: body.into() })
}

/// The text of `[TEXT]` or `[-f FILE]`.
fn last(words: &[&str], read: Read<'_>) -> anyhow::Result<String> {
    match words {
        ["-f" | "--file", path] => read(path).with_context(|| format!("read {path}")),
        [text] => Ok((*text).to_owned()),
        _ => bail!("expects one text, or -f FILE"),
    }
}

/// `create stream NAME '(…) WITH (…)'`, or `create stream -f FILE` with a whole statement.
fn create_source(kind: &str, words: &[&str], read: Read<'_>) -> anyhow::Result<Request> {
    let sql = match words {
        [name, text] if *name != "-f" && *name != "--file" => format!("CREATE {} {name} {text}", kind.to_uppercase()),
        words => last(words, read)?,
    };
    send("POST", format!("/{kind}s"), json!({"sql": sql.trim()}).to_string())
}

/// `create rule ID JSON`, `create rule JSON`, with `-f FILE` in the place of the JSON.
fn create_rule(words: &[&str], read: Read<'_>) -> anyhow::Result<Request> {
    let (name, text) = rule_text(words, read)?;
    send("POST", "/rules", with_id(name, &text)?)
}

fn rule_text<'a>(words: &[&'a str], read: Read<'_>) -> anyhow::Result<(Option<&'a str>, String)> {
    match words {
        [name, rest @ ..] if !rest.is_empty() && !name.starts_with('-') => Ok((Some(name), last(rest, read)?)),
        words => Ok((None, last(words, read)?)),
    }
}

fn with_id(id: Option<&str>, text: &str) -> anyhow::Result<String> {
    let Some(id) = id else { return Ok(text.to_owned()) };
    let mut rule: Value = serde_json::from_str(text).context("the rule is no JSON")?;
    let Some(fields) = rule.as_object_mut() else { bail!("the rule is no JSON object") };
    fields.insert("id".into(), id.into());
    Ok(rule.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_requests() {
        let read = |path: &str| Ok(format!("{{\"file\":\"{path}\"}}"));
        for (command, method, path, body) in [
            ("create|stream|demo|() WITH ()", "POST", "/streams", r#"{"sql":"CREATE STREAM demo () WITH ()"}"#),
            ("create|rule|r1|-f|x", "POST", "/rules", r#"{"file":"x","id":"r1"}"#),
            ("create|rule|{}", "POST", "/rules", "{}"),
            ("show|tables", "GET", "/tables", ""),
            ("describe|rule|r1", "GET", "/rules/r1", ""),
            ("drop|table|t", "DELETE", "/tables/t", ""),
            ("getstatus|rule|r1", "GET", "/rules/r1/status", ""),
            ("gettopo|rule|r1", "GET", "/rules/r1/topo", ""),
            ("restart|rule|r1", "POST", "/rules/r1/restart", ""),
            ("import|ruleset|-f|x", "POST", "/ruleset/import", r#"{"content":"{\"file\":\"x\"}"}"#),
        ] {
            let words: Vec<String> = command.split('|').map(str::to_owned).collect();
            let expected = Request { method, path: path.into(), body: body.into() };
            assert_eq!(request(&words, &read).expect(command), expected);
        }
        for wrong in ["", "show", "create|stream", "drop|rule", "create|rule|r1|no json"] {
            let words: Vec<String> = wrong.split('|').map(str::to_owned).collect();
            assert!(request(&words, &read).is_err(), "{wrong}");
        }
    }
}
