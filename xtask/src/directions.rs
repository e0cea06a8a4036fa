//! The dependency-direction rule: `bin` → `cloud` | `edge` | `stream` → `api` → `base`, and no edge between tiers.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

/// A dependency between two rooms, each named by its folder: `cloud/hub` → `base/wire`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    pub from: String,
    pub to: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct Package {
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    path: Option<String>,
}

/// All edges between rooms of this workspace, from `cargo metadata`.
pub(crate) fn workspace_edges() -> anyhow::Result<Vec<Edge>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("run cargo metadata")?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let room = |path: &str| -> String {
        Path::new(path).strip_prefix(&metadata.workspace_root).unwrap_or(Path::new(path)).display().to_string()
    };
    let mut edges = Vec::new();
    for package in &metadata.packages {
        let from = room(package.manifest_path.trim_end_matches("/Cargo.toml"));
        for dependency in &package.dependencies {
            if let Some(path) = &dependency.path {
                edges.push(Edge { from: from.clone(), to: room(path) });
            }
        }
    }
    Ok(edges)
}

/// One line for each edge that points up or sideways.
pub(crate) fn violations(edges: &[Edge]) -> Vec<String> {
    edges
        .iter()
        .filter(|edge| !allowed(edge))
        .map(|edge| format!("{} must not depend on {}", edge.from, edge.to))
        .collect()
}

fn allowed(edge: &Edge) -> bool {
    let (from, to) = (tier(&edge.from), tier(&edge.to));
    match from {
        "bin" | "tests" | "bench" | "fuzz" => true,
        // Rooms of one tier may build on each other; cargo itself refuses a cycle.
        "cloud" | "edge" => to == from || matches!(to, "api" | "base"),
        "stream" => matches!(to, "stream" | "base"),
        "api" => matches!(to, "api" | "base"),
        "base" => to == "base",
        "xtask" => false,
        _ => false,
    }
}

fn tier(room: &str) -> &str {
    room.split('/').next().unwrap_or(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dependency_points_downwards() {
        let edges = workspace_edges().expect("cargo metadata");
        assert!(edges.len() > 30, "only {} edges found: is the workspace read at all?", edges.len());
        assert_eq!(violations(&edges), Vec::<String>::new());
    }

    #[test]
    fn upward_and_sideways_edges_are_found() {
        let cases = [
            ("bin/edgeward", "edge/agent", true),
            ("cloud/hub", "base/wire", true),
            ("cloud/fleet", "cloud/hub", true),
            ("edge/twin", "api/objects", true),
            ("stream/rules", "stream/engine", true),
            ("cloud/hub", "edge/agent", false),
            ("edge/agent", "cloud/hub", false),
            ("edge/agent", "stream/rules", false),
            ("stream/engine", "api/objects", false),
            ("api/store", "cloud/hub", false),
            ("base/wire", "api/objects", false),
            ("base/wire", "bin/edgeward", false),
        ];
        for (from, to, expected) in cases {
            let edge = Edge { from: from.into(), to: to.into() };
            assert_eq!(allowed(&edge), expected, "{from} -> {to}");
        }
    }
}
