//! Traffic recorded between a real KubeEdge cloud and edge: every message must decode and encode to the same bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap in a test is a failed test")]
#![allow(clippy::print_stdout, reason = "says what is left out when there are no recordings")]

use std::path::PathBuf;

use edgeward_wire::{Envelope, ObjectResp, Resource, TunnelFrame, content, needs_ack};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Line {
    ch: String,
    kind: String,
    side: String,
    dir: String,
    op: u8,
    raw: Option<String>,
    hex: Option<String>,
}

/// All recorded lines, or none (said loudly) where the recordings are absent.
fn lines() -> Vec<Line> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures"));
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("LEFT OUT: no recordings in {}; nothing recorded was checked", folder.display());
        return Vec::new();
    };
    let mut out = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        out.extend(text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()));
    }
    assert!(out.len() > 3_000, "the recordings are there but hold only {} lines", out.len());
    out
}

fn hub_messages(lines: &[Line]) -> impl Iterator<Item = (&Line, &str)> {
    let frames = lines.iter().filter(|line| line.ch == "hub" && line.kind == "frame" && line.op == 1);
    frames.filter_map(|line| line.raw.as_deref().map(|raw| (line, raw)))
}

#[test]
fn every_recorded_hub_message_survives_byte_for_byte() {
    let lines = lines();
    let mut count = 0;
    for (_, raw) in hub_messages(&lines) {
        let envelope = Envelope::decode(raw).unwrap();
        assert_eq!(envelope.encode(), raw);
        assert_eq!(envelope.resource().to_string(), envelope.route.resource);
        count += 1;
    }
    assert!(lines.is_empty() || count > 1_500, "{count} messages");
}

#[test]
fn recorded_object_answers_survive_as_typed_values() {
    let mut count = 0;
    for (_, raw) in hub_messages(&lines()) {
        let envelope = Envelope::decode(raw).unwrap();
        if envelope.content.get().starts_with("{\"Object\"") {
            let typed: ObjectResp<'_> = envelope.read().unwrap();
            assert_eq!(content(&typed).unwrap().get(), envelope.content.get());
            count += 1;
        }
    }
    println!("{count} answers with an object");
}

/// What the recorded node acknowledged, the rule must call acknowledged, apart from the surplus it is known for
/// (deviation 8 of the recordings); and what the rule calls acknowledged the node did acknowledge, if it received it at
/// a moment when it could.
#[test]
fn the_acknowledgement_rule_agrees_with_the_recorded_node() {
    let lines = lines();
    let messages: Vec<(bool, Envelope)> =
        hub_messages(&lines).map(|(line, raw)| (upward(line), Envelope::decode(raw).unwrap())).collect();
    let acknowledged: std::collections::HashSet<&str> = messages
        .iter()
        .filter(|(up, envelope)| *up && envelope.is_answer() && envelope.content.get() == "\"OK\"")
        .map(|(_, envelope)| envelope.header.parent_id.as_str())
        .collect();
    let mut seen = std::collections::HashSet::new();
    for (_, envelope) in messages.iter().filter(|(up, _)| !up) {
        let acked = acknowledged.contains(envelope.header.id.as_str());
        if acked && !needs_ack(envelope) {
            let surplus =
                matches!(envelope.resource(), Resource::Object { kind: "lease" | "node" | "serviceaccounttoken", .. })
                    || envelope.content.get().starts_with("{\"ErrStatus\"");
            assert!(surplus && envelope.is_answer(), "acknowledged, but the rule says not: {:?}", envelope.route);
        }
        if needs_ack(envelope) && acked {
            seen.insert((envelope.route.source.clone(), envelope.route.operation.clone()));
        }
    }
    assert!(lines.is_empty() || seen.len() >= 7, "kinds of acknowledged delivery seen: {seen:?}");
}

#[test]
fn every_recorded_tunnel_frame_survives() {
    let lines = lines();
    let frames = lines.iter().filter(|line| line.ch == "tunnel" && line.kind == "frame" && matches!(line.op, 1 | 2));
    let mut count = 0;
    for hex in frames.filter_map(|line| line.hex.as_deref()) {
        let bytes = unhex(hex);
        let frame = TunnelFrame::decode(&bytes).unwrap();
        assert_eq!(frame.encode().unwrap(), bytes);
        count += 1;
    }
    assert!(lines.is_empty() || count > 50, "{count} frames");
}

fn upward(line: &Line) -> bool {
    (line.side == "cloud") == (line.dir == "recv")
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
