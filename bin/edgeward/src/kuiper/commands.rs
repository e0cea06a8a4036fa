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
pub(super) type Read<'a> = &'a dyn Fn(&str) -> anyhow::Result<String>;

/// The request of a command, and the file its answer goes to if it is an export. `-f FILE` stands for the last argument.
pub(super) fn request(words: &[String], read: Read<'_>) -> anyhow::Result<(Request, Option<String>)> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["export", what @ ("ruleset" | "data"), ref rest @ ..] => export(what, rest),
        _ => Ok((one(&words, read)?, None)),
    }
}

fn one(words: &[&str], read: Read<'_>) -> anyhow::Result<Request> {
    match *words {
        ["create", kind @ ("stream" | "table"), ref rest @ ..] => create_source(kind, rest, read),
        ["create", "rule", ref rest @ ..] => create("/rules", "id", rest, read),
        ["create", "script", ref rest @ ..] => create("/udf/javascript", "id", rest, read),
        ["create", "service", ref rest @ ..] => create("/services", "name", rest, read),
        ["create", "plugin", kind, ref rest @ ..] => create(&plugins(kind)?, "name", rest, read),
        ["create", "schema", kind, ref rest @ ..] => create(&format!("/schemas/{kind}"), "name", rest, read),
        ["register", "plugin", "function", name, ref rest @ ..] => {
            let body = if rest.is_empty() { "{}".to_owned() } else { last(rest, read)? };
            send("POST", format!("/plugins/functions/{name}/register"), body)
        }
        ["show", kind @ ("streams" | "tables")] => statement(kind, &format!("SHOW {}", kind.to_uppercase())),
        ["show", ref rest @ ..] => get(all(rest)?),
        ["describe", kind @ ("stream" | "table"), name] => {
            statement(&format!("{kind}s"), &format!("DESCRIBE {} `{name}`", kind.to_uppercase()))
        }
        ["describe", ref rest @ ..] => get(place(rest)?),
        ["drop", ref rest @ .., "-s" | "--stop", stop] => {
            let stop = if stop == "true" { "?stop=1" } else { "" };
            send("DELETE", format!("{}{stop}", place(rest)?), "")
        }
        ["drop", ref rest @ ..] => send("DELETE", place(rest)?, ""),
        ["getstatus", "rule", name] => get(format!("/rules/{name}/status")),
        ["getstatus", "import"] => get("/data/import/status"),
        ["gettopo", "rule", name] => get(format!("/rules/{name}/topo")),
        [act @ ("start" | "stop" | "restart"), "rule", name] => send("POST", format!("/rules/{name}/{act}"), ""),
        ["validate", "rule", ref rest @ ..] => create("/rules/validate", "id", rest, read),
        ["import", "ruleset", ref rest @ ..] => import("/ruleset/import".into(), rest, read),
        ["import", "data", ref rest @ ..] => import_data(rest, read),
        _ => bail!("{} is no command of kuiper; `edgeward kuiper --help` lists them", words.join(" ")),
    }
}

fn statement(kinds: &str, sql: &str) -> anyhow::Result<Request> {
    send("POST", format!("/{kinds}"), json!({"sql": sql}).to_string())
}

/// What a command prints of its answer: eKuiper's sentences, and JSON so that people can read it.
pub(super) fn shown(words: &[String], answer: &str) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = answer.trim_end();
    let created = || answer.strip_prefix("Rule ")?.strip_suffix(" was created successfully.");
    match (&words[..], created()) {
        (["create", "rule", ..], Some(id)) => format!(
            "Rule {id} was created successfully, please use 'bin/kuiper getstatus rule {id}' command to get rule status."
        ),
        (["validate", "rule", ..], _) => {
            "The rule has been successfully validated and is confirmed to be correct.".into()
        }
        (["show", kind, ..], _) if answer == "[]" => {
            format!("No {} definitions are found.", kind.strip_suffix('s').unwrap_or(kind))
        }
        _ if answer.starts_with(['{', '[']) => pretty(answer).unwrap_or_else(|| answer.to_owned()),
        _ => answer.to_owned(),
    }
}

fn pretty(json: &str) -> Option<String> {
    let value: Value = serde_json::from_str(json).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

/// The path of everything of a kind.
fn all(words: &[&str]) -> anyhow::Result<String> {
    Ok(match *words {
        [kind @ ("rules" | "services")] => format!("/{kind}"),
        ["plugins", kind] => plugins(kind)?,
        ["udfs"] => "/plugins/udfs".into(),
        ["service_funcs"] => "/services/functions".into(),
        ["schemas", kind] => format!("/schemas/{kind}"),
        ["scripts"] => "/udf/javascript".into(),
        _ => bail!(
            "show: must be streams, tables, rules, plugins TYPE, udfs, services, service_funcs, schemas TYPE or scripts"
        ),
    })
}

/// The path of one thing.
fn place(words: &[&str]) -> anyhow::Result<String> {
    Ok(match *words {
        [kind @ ("stream" | "table" | "rule" | "service"), name] => format!("/{kind}s/{name}"),
        ["plugin", kind, name] => format!("{}/{name}", plugins(kind)?),
        ["udf", name] => format!("/plugins/udfs/{name}"),
        ["service_func", name] => format!("/services/functions/{name}"),
        ["schema", kind, name] => format!("/schemas/{kind}/{name}"),
        ["script", id] => format!("/udf/javascript/{id}"),
        _ => bail!(
            "{}: must be stream, table, rule, service, udf, service_func or script and a name, or plugin or schema, a \
             type and a name",
            words.join(" ")
        ),
    })
}

fn plugins(kind: &str) -> anyhow::Result<String> {
    match kind.strip_suffix('s').unwrap_or(kind) {
        kind @ ("source" | "sink" | "function" | "portable") => Ok(format!("/plugins/{kind}s")),
        _ => bail!("type {kind} of a plugin: must be source, sink, function or portable"),
    }
}

/// `export ruleset [FILE]`, `export data [FILE] [-r '["rule",…]']`: without a file the answer is printed.
fn export(what: &str, words: &[&str]) -> anyhow::Result<(Request, Option<String>)> {
    let (file, rules) = match *words {
        [] => (None, None),
        ["-r" | "--rules", rules] => (None, Some(rules)),
        [file] => (Some(file), None),
        [file, "-r" | "--rules", rules] | ["-r" | "--rules", rules, file] => (Some(file), Some(rules)),
        _ => bail!("export {what}: expects a file, and for data -r with a JSON array of rules' ids"),
    };
    let request = match (what, rules) {
        ("data", Some(rules)) => send("POST", "/data/export", rules)?,
        ("data", None) => get("/data/export")?,
        _ => send("POST", "/ruleset/export", "")?,
    };
    Ok((request, file.map(str::to_owned)))
}

fn import(path: String, words: &[&str], read: Read<'_>) -> anyhow::Result<Request> {
    send("POST", path, json!({"content": last(words, read)?}).to_string())
}

/// `import data -f FILE [-s true] [-p true]`: stop afterwards, merge instead of replace.
fn import_data(words: &[&str], read: Read<'_>) -> anyhow::Result<Request> {
    let mut flags = Vec::new();
    let mut rest = words;
    while let [before @ .., flag @ ("-s" | "--stop" | "-p" | "--partial"), value] = rest {
        let name = if flag.trim_start_matches('-').starts_with('s') { "stop" } else { "partial" };
        if *value == "true" {
            flags.push(format!("{name}=1"));
        }
        rest = before;
    }
    let query = if flags.is_empty() { String::new() } else { format!("?{}", flags.join("&")) };
    import(format!("/data/import{query}"), rest, read)
}

fn get(path: impl Into<String>) -> anyhow::Result<Request> {
    send("GET", path, "")
}

fn send(method: &'static str, path: impl Into<String>, body: impl Into<String>) -> anyhow::Result<Request> {
    Ok(Request { method, path: path.into(), body: body.into() })
}

/// The text of `[TEXT]` or `[-f FILE]`.
pub(super) fn last(words: &[&str], read: Read<'_>) -> anyhow::Result<String> {
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

/// `create rule ID JSON`, `create rule JSON`, with `-f FILE` in the place of the JSON; other things likewise.
fn create(path: &str, key: &str, words: &[&str], read: Read<'_>) -> anyhow::Result<Request> {
    let (name, text) = named_text(words, read)?;
    send("POST", path, with_name(key, name, &text)?)
}

fn named_text<'a>(words: &[&'a str], read: Read<'_>) -> anyhow::Result<(Option<&'a str>, String)> {
    match words {
        [name, rest @ ..] if !rest.is_empty() && !name.starts_with('-') => Ok((Some(name), last(rest, read)?)),
        words => Ok((None, last(words, read)?)),
    }
}

fn with_name(key: &str, name: Option<&str>, text: &str) -> anyhow::Result<String> {
    let Some(name) = name else { return Ok(text.to_owned()) };
    let mut document: Value = serde_json::from_str(text).context("the last argument is no JSON")?;
    let Some(fields) = document.as_object_mut() else { bail!("the last argument is no JSON object") };
    fields.insert(key.into(), name.into());
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_shown_as_ekuiper_shows_them() {
        for (command, answer, expect) in [
            ("create|stream|demo|() WITH ()", "Stream demo is created.", "Stream demo is created."),
            (
                "create|rule|r1|{}",
                "Rule r1 was created successfully.",
                "Rule r1 was created successfully, please use 'bin/kuiper getstatus rule r1' command to get rule status.",
            ),
            (
                "validate|rule|r1|{}",
                r#"{"sources":["demo"],"valid":true}"#,
                "The rule has been successfully validated and is confirmed to be correct.",
            ),
            ("show|rules", "[]", "No rule definitions are found."),
            ("show|schemas|protobuf", "[]", "No schema definitions are found."),
            ("show|streams", "a\nb\n", "a\nb"),
            ("describe|rule|r1", r#"{"id":"r1","tags":[]}"#, "{\n  \"id\": \"r1\",\n  \"tags\": []\n}"),
            ("describe|rule|r1", "{no json", "{no json"),
        ] {
            let words: Vec<String> = command.split('|').map(str::to_owned).collect();
            assert_eq!(shown(&words, answer), expect, "{command}");
        }
    }

    #[test]
    fn commands_are_requests() {
        let read = |path: &str| Ok(format!("{{\"file\":\"{path}\"}}"));
        for (command, method, path, body) in [
            ("create|stream|demo|() WITH ()", "POST", "/streams", r#"{"sql":"CREATE STREAM demo () WITH ()"}"#),
            ("create|rule|r1|-f|x", "POST", "/rules", r#"{"file":"x","id":"r1"}"#),
            ("create|rule|{}", "POST", "/rules", "{}"),
            ("show|tables", "POST", "/tables", r#"{"sql":"SHOW TABLES"}"#),
            ("describe|stream|a-b", "POST", "/streams", r#"{"sql":"DESCRIBE STREAM `a-b`"}"#),
            ("show|rules", "GET", "/rules", ""),
            ("describe|rule|r1", "GET", "/rules/r1", ""),
            ("drop|table|t", "DELETE", "/tables/t", ""),
            ("getstatus|rule|r1", "GET", "/rules/r1/status", ""),
            ("gettopo|rule|r1", "GET", "/rules/r1/topo", ""),
            ("restart|rule|r1", "POST", "/rules/r1/restart", ""),
            ("import|ruleset|-f|x", "POST", "/ruleset/import", r#"{"content":"{\"file\":\"x\"}"}"#),
            ("import|data|{}|-p|true|-s|false", "POST", "/data/import?partial=1", r#"{"content":"{}"}"#),
            ("import|data|{}|-s|true", "POST", "/data/import?stop=1", r#"{"content":"{}"}"#),
            ("export|ruleset", "POST", "/ruleset/export", ""),
            ("export|data|file", "GET", "/data/export", ""),
            ("export|data|file|-r|[\"a\"]", "POST", "/data/export", "[\"a\"]"),
            ("create|plugin|portable|p|{\"file\":\"f\"}", "POST", "/plugins/portables", r#"{"file":"f","name":"p"}"#),
            ("show|plugins|portable", "GET", "/plugins/portables", ""),
            ("describe|plugin|portable|p", "GET", "/plugins/portables/p", ""),
            ("drop|plugin|sink|p|-s|true", "DELETE", "/plugins/sinks/p?stop=1", ""),
            (
                "register|plugin|function|f|{\"functions\":[]}",
                "POST",
                "/plugins/functions/f/register",
                "{\"functions\":[]}",
            ),
            ("show|udfs", "GET", "/plugins/udfs", ""),
            ("describe|udf|f", "GET", "/plugins/udfs/f", ""),
            ("create|service|s|{\"file\":\"f\"}", "POST", "/services", r#"{"file":"f","name":"s"}"#),
            ("show|services", "GET", "/services", ""),
            ("show|service_funcs", "GET", "/services/functions", ""),
            ("describe|service_func|f", "GET", "/services/functions/f", ""),
            ("drop|service|s", "DELETE", "/services/s", ""),
            ("create|schema|protobuf|s|{}", "POST", "/schemas/protobuf", r#"{"name":"s"}"#),
            ("show|schemas|protobuf", "GET", "/schemas/protobuf", ""),
            ("drop|schema|protobuf|s", "DELETE", "/schemas/protobuf/s", ""),
            ("create|script|a|{}", "POST", "/udf/javascript", r#"{"id":"a"}"#),
            ("show|scripts", "GET", "/udf/javascript", ""),
            ("describe|script|a", "GET", "/udf/javascript/a", ""),
            ("validate|rule|{}", "POST", "/rules/validate", "{}"),
            ("getstatus|import", "GET", "/data/import/status", ""),
        ] {
            let words: Vec<String> = command.split('|').map(str::to_owned).collect();
            let expected = Request { method, path: path.into(), body: body.into() };
            let (request, file) = request(&words, &read).expect(command);
            assert_eq!(
                (request, file.as_deref()),
                (expected, command.contains("|file").then_some("file")),
                "{command}"
            );
        }
        for wrong in
            ["", "show", "create|stream", "drop|rule", "create|rule|r1|no json", "show|plugins", "drop|plugin|x|y"]
        {
            let words: Vec<String> = wrong.split('|').map(str::to_owned).collect();
            assert!(request(&words, &read).is_err(), "{wrong}");
        }
    }
}
