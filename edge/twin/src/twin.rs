//! One property of one device, and the rules by which it changes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::payload::{DELETED, Refusal, TwinRequest, check_type, check_type_name};

/// A value and when this node learned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TwinValue {
    pub value: Arc<str>,
    /// Milliseconds since 1970, this node's clock.
    pub timestamp: i64,
}

/// Change counters of one side of a property, counted where the change was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub cloud: i64,
    pub edge: i64,
}

/// A property as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub expected: Option<TwinValue>,
    pub actual: Option<TwinValue>,
    /// `None` until that side was first set, as KubeEdge leaves the column empty.
    pub expected_version: Option<Version>,
    pub actual_version: Option<Version>,
    /// Whether a null may delete it.
    pub optional: bool,
    /// `string`, `int`, `integer`, `float`, `boolean` or `deleted`.
    pub value_type: Arc<str>,
    /// Grows with every change; the cloud confirmed everything up to [`Entry::confirmed`].
    pub revision: u64,
    pub confirmed: u64,
}

/// Where a change was made, which decides the counter that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Edge,
    Cloud,
}

/// What an update made of a property. `touched_*` tell which sides the answer shows.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub next: Entry,
    pub deleted: bool,
    pub touched_expected: bool,
    pub touched_actual: bool,
    /// Whether anything but timestamps differs from before.
    pub changed: bool,
}

impl Entry {
    /// An entry nobody has set a value of.
    pub(crate) fn new(value_type: &str) -> Self {
        Self {
            expected: None,
            actual: None,
            expected_version: None,
            actual_version: None,
            optional: true,
            value_type: value_type.into(),
            revision: 0,
            confirmed: 0,
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        &*self.value_type == DELETED
    }

    /// Whether the cloud has not confirmed the newest change.
    pub(crate) fn is_dirty(&self) -> bool {
        self.revision > self.confirmed
    }

    /// The expected value the reported one does not match yet.
    pub(crate) fn pending_desired(&self) -> Option<&str> {
        let expected = &*self.expected.as_ref()?.value;
        (self.actual.as_ref().map(|actual| &*actual.value) != Some(expected)).then_some(expected)
    }
}

/// Applies `update` (`None`: delete) to what is there; nothing is changed before every property of a request passed.
pub(crate) fn step(
    current: Option<&Entry>,
    update: Option<&TwinRequest>,
    origin: Origin,
    now: i64,
) -> Result<Step, Refusal> {
    match (current, update) {
        (None, None) => Err(Refusal::bad("the request body is wrong")),
        (Some(current), None) => Ok(delete(current, origin)),
        (current, Some(update)) => set(current, update, origin, now),
    }
}

fn delete(current: &Entry, origin: Origin) -> Step {
    let mut step = Step {
        next: current.clone(),
        deleted: true,
        touched_expected: false,
        touched_actual: false,
        changed: current.optional && !current.is_deleted(),
    };
    if step.changed {
        let next = &mut step.next;
        (next.expected, next.actual) = (None, None);
        next.value_type = DELETED.into();
        next.expected_version = Some(grown(next.expected_version, current.expected.is_some(), origin));
        next.actual_version = Some(grown(next.actual_version, current.actual.is_some(), origin));
        next.revision += 1;
    } else {
        step.deleted = current.is_deleted();
    }
    step
}

/// A side that never had a value keeps its zero (recorded: `"expected_version":{"cloud":0,"edge":0}`).
fn grown(version: Option<Version>, grows: bool, origin: Origin) -> Version {
    let mut version = version.unwrap_or_default();
    match origin {
        _ if !grows => {}
        Origin::Edge => version.edge += 1,
        Origin::Cloud => version.cloud += 1,
    }
    version
}

fn set(current: Option<&Entry>, update: &TwinRequest, origin: Origin, now: i64) -> Result<Step, Refusal> {
    let named_type = update.metadata.as_ref().map(|metadata| metadata.value_type.as_str()).filter(|t| !t.is_empty());
    let living = current.filter(|entry| !entry.is_deleted());
    let mut next = match current {
        Some(entry) => entry.clone(),
        None => Entry::new("string"),
    };
    if living.is_none() {
        // A property takes its type from the update that brings it to life, and keeps it.
        next.value_type = named_type.unwrap_or("string").into();
        next.optional = update.optional.unwrap_or(true);
    } else if update.optional == Some(false) {
        next.optional = false;
    }
    let expected = update.expected.as_ref().and_then(|value| value.value.as_deref());
    let actual = update.actual.as_ref().and_then(|value| value.value.as_deref());
    check_type_name(&next.value_type)?;
    for value in [expected, actual].into_iter().flatten() {
        check_type(&next.value_type, value)?;
    }
    let mut changed = match living {
        None => true,
        Some(before) => before.optional != next.optional,
    };
    changed |= put(&mut next.expected, &mut next.expected_version, expected, origin, now);
    changed |= put(&mut next.actual, &mut next.actual_version, actual, origin, now);
    if changed {
        next.revision += 1;
    }
    Ok(Step { next, deleted: false, touched_expected: expected.is_some(), touched_actual: actual.is_some(), changed })
}

/// Sets one side; an equal value only moves its time, in memory.
fn put(
    side: &mut Option<TwinValue>,
    version: &mut Option<Version>,
    value: Option<&str>,
    origin: Origin,
    now: i64,
) -> bool {
    let Some(value) = value else { return false };
    if let Some(old) = side.as_mut().filter(|old| &*old.value == value) {
        old.timestamp = now;
        return false;
    }
    *side = Some(TwinValue { value: value.into(), timestamp: now });
    *version = Some(grown(*version, true, origin));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{TypeMetadata, ValueRequest};

    fn value(text: &str) -> Option<ValueRequest> {
        Some(ValueRequest { value: Some(text.to_owned()) })
    }

    fn typed(value_type: &str) -> Option<TypeMetadata> {
        Some(TypeMetadata { value_type: value_type.to_owned() })
    }

    fn actual(text: &str) -> TwinRequest {
        TwinRequest { actual: value(text), ..TwinRequest::default() }
    }

    fn entry(text: &str, value_type: &str) -> Entry {
        let update = TwinRequest { metadata: typed(value_type), ..actual(text) };
        step(None, Some(&update), Origin::Edge, 1).unwrap().next
    }

    #[test]
    fn types_are_checked_as_kubeedge_does() {
        let check = |value_type: &str, text: &str, expect: &str| {
            let update = TwinRequest { metadata: typed(value_type), ..actual(text) };
            let got = step(None, Some(&update), Origin::Edge, 1).err().map(|refusal| refusal.reason);
            assert_eq!(got.as_deref().unwrap_or(""), expect, "{value_type} {text}");
        };
        check("int", "12", "");
        check("integer", "-3", "");
        check("int", "abc", "the value is not int or integer");
        check("float", "1.5", "");
        check("float", "x", "the value is not float");
        check("boolean", "true", "");
        check("boolean", "1", "the bool value must be true or false");
        check("double", "0.5", "the value type is not allowed");
        check("bytes", "0a", "the value type is not allowed");
        check("", "anything", "");
        check("string", "anything", "");
    }

    #[test]
    fn both_sides_are_checked() {
        let update = TwinRequest { expected: value("1"), metadata: typed("int"), ..actual("x") };
        assert!(step(None, Some(&update), Origin::Edge, 1).is_err());
    }

    #[test]
    fn an_equal_value_changes_nothing_but_its_time() {
        let before = entry("21", "int");
        let after = step(Some(&before), Some(&actual("21")), Origin::Edge, 9).unwrap();
        assert!(!after.changed && after.touched_actual);
        assert_eq!(after.next.actual_version, before.actual_version);
        assert_eq!(after.next.actual.unwrap().timestamp, 9);
    }

    #[test]
    fn a_null_deletes_what_is_optional_and_a_new_value_revives_it_with_a_new_type() {
        let before = entry("21", "int");
        let gone = step(Some(&before), None, Origin::Edge, 2).unwrap();
        assert!(gone.changed && gone.deleted && gone.next.is_deleted());
        assert_eq!(gone.next.actual_version, Some(Version { cloud: 0, edge: 2 }));
        assert_eq!(gone.next.expected_version, Some(Version { cloud: 0, edge: 0 }));
        let again = step(Some(&gone.next), None, Origin::Edge, 3).unwrap();
        assert!(!again.changed);
        let back = step(Some(&gone.next), Some(&actual("text")), Origin::Edge, 4).unwrap();
        assert_eq!(&*back.next.value_type, "string");

        let fixed = TwinRequest { optional: Some(false), ..actual("1") };
        let fixed = step(None, Some(&fixed), Origin::Edge, 1).unwrap().next;
        let kept = step(Some(&fixed), None, Origin::Edge, 2).unwrap();
        assert!(!kept.changed && !kept.deleted);
    }

    #[test]
    fn the_type_of_a_living_property_stays() {
        let update = TwinRequest { metadata: typed("string"), ..actual("abc") };
        let refusal = step(Some(&entry("21", "int")), Some(&update), Origin::Edge, 2).unwrap_err();
        assert_eq!(refusal.reason, "the value is not int or integer");
    }
}
