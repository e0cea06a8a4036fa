//! Sprig's path functions: Go's `path`, and `path/filepath` on Unix, which is the same.

use super::{Function, Ty, function, text};
use crate::value::Val;

const S: Ty = Ty::Str;

pub(super) const FUNCTIONS: &[Function] = &[
    function("base", &[S], |_, a| Ok(Val::str(base(text(a, 0))))),
    function("dir", &[S], |_, a| Ok(Val::str(dir(text(a, 0))))),
    function("clean", &[S], |_, a| Ok(Val::str(clean(text(a, 0))))),
    function("ext", &[S], |_, a| Ok(Val::str(ext(text(a, 0))))),
    function("isAbs", &[S], |_, a| Ok(Val::Bool(text(a, 0).starts_with('/')))),
];

fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        _ if path.is_empty() => ".",
        _ if trimmed.is_empty() => "/",
        last => last.unwrap_or(trimmed),
    }
}

fn dir(path: &str) -> String {
    clean(&path[..path.rfind('/').map_or(0, |slash| slash + 1)])
}

/// `path.Clean`: no empty, `.` or needless `..` elements.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for element in path.split('/').filter(|element| !matches!(*element, "" | ".")) {
        match (element, kept.last()) {
            ("..", Some(last)) if *last != ".." => {
                kept.pop();
            }
            ("..", None) if rooted => {}
            _ => kept.push(element),
        }
    }
    match (rooted, kept.is_empty()) {
        (true, _) => format!("/{}", kept.join("/")),
        (false, true) => ".".into(),
        (false, false) => kept.join("/"),
    }
}

fn ext(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').map_or("", |dot| &name[dot..])
}
