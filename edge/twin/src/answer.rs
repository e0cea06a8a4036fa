//! The answers that show steps and states.

use std::collections::BTreeMap;

use crate::apply::DeviceEntry;
use crate::device::DeviceId;
use crate::payload::{Answer, DeviceState, DocumentOut, StateDevice, StateOut, TwinOut, TwinsOut, to_bytes};
use crate::publish::{Publication, device_topic};
use crate::twin::Step;

/// `twin/update/result`: the sides the update named.
pub(crate) fn result(id: &DeviceId, event_id: &str, steps: &[(&str, Step)], timestamp: i64) -> Publication {
    let shown =
        steps.iter().filter(|(_, step)| step.deleted || step.touched_expected || step.touched_actual || step.changed);
    let twin: BTreeMap<&str, Option<TwinOut<'_>>> = shown
        .map(|(name, step)| {
            let mut out = TwinOut::of(&step.next);
            out.expected = out.expected.filter(|_| step.touched_expected);
            out.actual = out.actual.filter(|_| step.touched_actual);
            (*name, (!step.deleted).then_some(out))
        })
        .collect();
    let answer = Answer { event_id, timestamp, body: TwinsOut { twin } };
    Publication { topic: device_topic(id.as_str(), "twin/update/result"), payload: to_bytes(&answer) }
}

/// `twin/update/document`: each changed property before and after; call before the steps are installed.
pub(crate) fn document(device: &DeviceEntry, event_id: &str, steps: &[(&str, Step)], timestamp: i64) -> Publication {
    let changed = steps.iter().filter(|(_, step)| step.changed);
    let twin: BTreeMap<&str, DocumentOut<'_>> = changed
        .map(|(name, step)| {
            let last = device.twins.get(*name).filter(|entry| !entry.is_deleted()).map(TwinOut::of);
            (*name, DocumentOut { last, current: (!step.deleted).then(|| TwinOut::of(&step.next)) })
        })
        .collect();
    let answer = Answer { event_id, timestamp, body: TwinsOut { twin } };
    Publication { topic: device_topic(device.id.as_str(), "twin/update/document"), payload: to_bytes(&answer) }
}

/// `state/update/result`, and what the cloud gets. The time shows only while online, as KubeEdge has it.
pub(crate) fn state_answer<'a>(device: &'a DeviceEntry, event_id: &'a str, timestamp: i64) -> Answer<'a, StateOut<'a>> {
    let state = device.state.unwrap_or(DeviceState::Unknown);
    let last_online = device.last_online.as_deref().filter(|_| state.is_online());
    let device = StateDevice { name: device.id.name(), state: state.as_str(), last_online };
    Answer { event_id, timestamp, body: StateOut { device } }
}
