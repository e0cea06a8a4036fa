use std::collections::HashMap;
use std::sync::LazyLock;

use edgeward_objects::{GroupVersionKind, builtin};

/// Whether strategic merge patch exists for a kind: for the built-in ones only.
pub fn is_strategic(kind: &GroupVersionKind) -> bool {
    builtin().iter().any(|resource| {
        *resource.group == *kind.group && *resource.version == *kind.version && resource.kind == kind.kind
    })
}

/// A type of the table; the default is a type of which nothing is known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Type(Option<&'static HashMap<&'static str, Field>>);

/// What the table says of a field.
#[derive(Clone, Copy, Default)]
pub(crate) struct Field {
    pub(crate) merge: Merge,
    of: &'static str,
}

/// How a patch changes a field.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Maps merge, lists are replaced.
    #[default]
    Usual,
    /// Elements of the list merge by this key.
    ByKey(&'static str),
    /// The list is a set of scalars.
    Set,
    /// Even a map is replaced.
    Replace,
}

impl Type {
    /// The type of a whole object.
    pub(crate) fn of(kind: &GroupVersionKind) -> Self {
        let named = TYPES.get(&*kind.kind).or_else(|| TYPES.get("Object"));
        Self(named)
    }

    /// The field of that name.
    pub(crate) fn field(self, name: &str) -> Field {
        self.0.and_then(|fields| fields.get(name)).copied().unwrap_or_default()
    }
}

impl Field {
    /// The type of the field's map, or of the elements of its list.
    pub(crate) fn inner(self) -> Type {
        Type(TYPES.get(self.of))
    }
}

static TYPES: LazyLock<HashMap<&'static str, HashMap<&'static str, Field>>> = LazyLock::new(|| {
    let mut types: HashMap<&str, HashMap<&str, Field>> = HashMap::new();
    for line in include_str!("types.txt").lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, fields)) = line.split_once(": ") {
            types.insert(name, fields.split_whitespace().map(parse_field).collect());
        } else if let Some((name, like)) = line.split_once(" = ") {
            let fields = types.get(like).cloned().unwrap_or_default();
            types.insert(name, fields);
        }
    }
    types
});

fn parse_field(text: &'static str) -> (&'static str, Field) {
    let (text, of) = text.split_once('=').unwrap_or((text, ""));
    let (name, merge) = match (text.split_once('['), text.strip_suffix('!')) {
        (Some((name, "]")), _) => (name, Merge::Set),
        (Some((name, key)), _) => (name, Merge::ByKey(key.trim_end_matches(']'))),
        (None, Some(name)) => (name, Merge::Replace),
        (None, None) => (text, Merge::Usual),
    };
    (name, Field { merge, of })
}
