//! What names, labels and annotations may look like, with Kubernetes' own words for what is wrong.
//!
//! Each check returns the faults it found, none for a valid text.

use rand::RngExt;

use crate::{Cause, GroupResource, Object};

/// The characters of generated suffixes: no vowels, so no words; no 0, 1, 3, which look like letters.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// Generated names stay DNS labels even where longer names would be allowed.
const GENERATED_LENGTH: usize = 63;
const ANNOTATIONS_BYTES: usize = 256 * 1024;

const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
    and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035_RULE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
    '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Which rule the names of a resource follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// Up to 253 characters, dots allowed: most kinds, and all custom ones.
    Subdomain,
    /// Up to 63 characters without dots: Namespaces.
    Label,
    /// The same, beginning with a letter: Services.
    Label1035,
    /// Anything that can be one segment of a URL: RBAC.
    PathSegment,
}

impl NameRule {
    /// The rule of a resource.
    pub fn of(resource: &GroupResource) -> Self {
        match (&*resource.group, &*resource.plural) {
            ("", "namespaces") => Self::Label,
            ("", "services") => Self::Label1035,
            ("rbac.authorization.k8s.io", _) => Self::PathSegment,
            _ => Self::Subdomain,
        }
    }

    /// The faults of a name.
    pub fn check(self, name: &str) -> Vec<String> {
        match self {
            Self::Subdomain => dns1123_subdomain(name),
            Self::Label => dns1123_label(name),
            Self::Label1035 => dns1035_label(name),
            Self::PathSegment => path_segment(name),
        }
    }
}

/// A name made from a prefix and five random characters, cut so that the whole stays a DNS label.
pub fn generate(prefix: &str) -> String {
    let room = GENERATED_LENGTH - SUFFIX_LENGTH;
    let end = (0..=prefix.len().min(room)).rev().find(|at| prefix.is_char_boundary(*at)).unwrap_or(0);
    let mut random = rand::rng();
    let suffix = (0..SUFFIX_LENGTH).map(|_| char::from(SUFFIX_ALPHABET[random.random_range(0..SUFFIX_ALPHABET.len())]));
    prefix[..end].chars().chain(suffix).collect()
}

/// `my-name`, up to 63 characters.
pub fn dns1123_label(text: &str) -> Vec<String> {
    check(text, 63, LABEL_RULE, is_label)
}

/// `my-name` beginning with a letter, up to 63 characters.
pub fn dns1035_label(text: &str) -> Vec<String> {
    check(text, 63, LABEL_1035_RULE, |text| is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// `my.name`, up to 253 characters.
pub fn dns1123_subdomain(text: &str) -> Vec<String> {
    check(text, 253, SUBDOMAIN_RULE, |text| text.split('.').all(is_label))
}

/// A key of labels or annotations: `name` or `example.com/name`.
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut parts = text.split('/');
    let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if third.is_some() {
        return vec![format!(
            "a qualified name {NAME_PART_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )];
    }
    if second.is_some() && first.is_empty() {
        faults.push("prefix part must be non-empty".into());
    } else if second.is_some() {
        faults.extend(dns1123_subdomain(first).into_iter().map(|fault| format!("prefix part {fault}")));
    }
    let name = second.unwrap_or(first);
    if name.is_empty() {
        faults.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        faults.push("name part must be no more than 63 bytes".into());
    }
    if !is_name(name) {
        faults.push(format!("name part {NAME_PART_RULE}"));
    }
    faults
}

/// A value of a label: empty, or up to 63 characters.
pub fn label_value(text: &str) -> Vec<String> {
    check(text, 63, LABEL_VALUE_RULE, |text| text.is_empty() || is_name(text))
}

/// A name that can be one segment of a URL.
pub fn path_segment(text: &str) -> Vec<String> {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    ['/', '%'].into_iter().filter(|c| text.contains(*c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// The faults of an object's metadata: its name (already generated), labels and annotations.
pub fn check_metadata(object: &Object, rule: NameRule) -> Vec<Cause> {
    let invalid = |field: &str, value: &str, fault: String| Cause::invalid(field, &value.into(), &fault);
    let mut causes = Vec::new();
    if object.name().is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        causes
            .extend(rule.check(object.name()).into_iter().map(|fault| invalid("metadata.name", object.name(), fault)));
    }
    for (key, value) in object.labels() {
        causes.extend(qualified_name(key).into_iter().map(|fault| invalid("metadata.labels", key, fault)));
        causes.extend(label_value(value).into_iter().map(|fault| invalid("metadata.labels", value, fault)));
    }
    let mut bytes = 0;
    for (key, value) in object.annotations() {
        bytes += key.len() + value.len();
        let faults = qualified_name(&key.to_lowercase());
        causes.extend(faults.into_iter().map(|fault| invalid("metadata.annotations", key, fault)));
    }
    if bytes > ANNOTATIONS_BYTES {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_BYTES));
    }
    causes
}

fn check(text: &str, max: usize, rule: &str, valid: impl Fn(&str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > max {
        faults.push(format!("must be no more than {max} bytes"));
    }
    if !valid(text) {
        faults.push(rule.to_owned());
    }
    faults
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    framed(text, inner, |byte| byte != b'-')
}

fn is_name(text: &str) -> bool {
    framed(text, |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte), |byte| byte.is_ascii_alphanumeric())
}

/// Not empty, only `inner` bytes, and `edge` bytes at both ends.
fn framed(text: &str, inner: impl Fn(u8) -> bool, edge: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| inner(*byte))
        && bytes.first().is_some_and(|b| edge(*b))
        && bytes.last().is_some_and(|b| edge(*b))
}
