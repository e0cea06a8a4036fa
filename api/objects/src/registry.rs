use std::sync::{Arc, LazyLock};

use crate::{GroupVersionKind, ResourceType, Subresource};

/// Every built-in resource, in discovery order (core first, then groups as a Kubernetes 1.36 server lists them).
pub fn builtin() -> &'static [Arc<ResourceType>] {
    &TYPES
}

static TYPES: LazyLock<Vec<Arc<ResourceType>>> = LazyLock::new(|| parse(include_str!("builtin.txt")));

const ALL_VERBS: &str = "create,delete,deletecollection,get,list,patch,update,watch";

/// Reads the table; its grammar is told at its top. The table is part of the program and a test compares what it yields with
/// a recorded server, so a malformed line is simply left out here.
fn parse(table: &str) -> Vec<Arc<ResourceType>> {
    let mut types: Vec<ResourceType> = Vec::new();
    let (mut group, mut version): (Arc<str>, Arc<str>) = ("".into(), "v1".into());
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('@') {
            let gvk = GroupVersionKind::from_api_version(header.trim(), "");
            (group, version) = (gvk.group.into(), gvk.version.into());
        } else if let Some(sub) = line.strip_prefix('/') {
            if let Some(parent) = types.last_mut() {
                parent.subresources.extend(parse_subresource(sub, parent));
            }
        } else {
            types.extend(parse_resource(line, &group, &version));
        }
    }
    types.into_iter().map(Arc::new).collect()
}

fn parse_resource(line: &str, group: &Arc<str>, version: &Arc<str>) -> Option<ResourceType> {
    let mut words = line.split_whitespace();
    let (plural, kind, scope) = (words.next()?, words.next()?, words.next()?);
    let mut resource = ResourceType {
        group: group.clone(),
        version: version.clone(),
        plural: plural.into(),
        singular: kind.to_lowercase(),
        kind: kind.into(),
        list_kind: format!("{kind}List"),
        namespaced: scope == "N",
        short_names: Vec::new(),
        categories: Vec::new(),
        verbs: list(ALL_VERBS),
        subresources: Vec::new(),
    };
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        match key {
            "short" => resource.short_names = list(value),
            "in" => resource.categories = list(value),
            "verbs" => resource.verbs = list(value),
            _ => {}
        }
    }
    Some(resource)
}

fn parse_subresource(line: &str, parent: &ResourceType) -> Option<Subresource> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let mut sub = Subresource { name: name.into(), kind: parent.gvk(), verbs: list("get,patch,update") };
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        match key {
            "verbs" => sub.verbs = list(value),
            "kind" => match value.rsplit_once('/') {
                Some((api_version, kind)) => sub.kind = GroupVersionKind::from_api_version(api_version, kind),
                None => sub.kind.kind = value.into(),
            },
            _ => {}
        }
    }
    Some(sub)
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}
