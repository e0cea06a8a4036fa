//! The paths of the Kubernetes API, parsed by hand: what follows the resource name decides what the path means, which a
//! static router cannot say, and custom resources come and go at run time.

/// What a request path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all named groups.
    Groups,
    /// `/apis/<group>`
    Group(String),
    /// `/api/v1` (group is empty) or `/apis/<group>/<version>`
    GroupVersion(String, String),
    /// `/version`
    Version,
    /// `/healthz`, `/livez`, `/readyz`, with the name of one check if given.
    Health(&'static str),
    /// `/metrics`
    Metrics,
    /// `/openapi/v2`
    OpenApiV2,
    /// `/openapi/v3`
    OpenApiV3,
    /// `/openapi/v3/<path>`, path being `api/v1` or `apis/<group>/<version>`.
    OpenApiV3Document(String),
    /// Anything below a group-version.
    Resource(ResourcePath),
    /// Nothing we know: plain `404 page not found`.
    Unknown,
}

/// A path below a group-version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ResourcePath {
    /// Empty for the core group.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    /// Plural, lower case: `pods`.
    pub(crate) resource: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// What follows the subresource (proxy paths).
    pub(crate) rest: Option<String>,
}

impl Route {
    /// Parses a path as it stands in the request line. Total: whatever is not understood is [`Route::Unknown`].
    pub(crate) fn parse(path: &str) -> Route {
        let Some(segments) = segments(path) else { return Route::Unknown };
        let texts: Vec<&str> = segments.iter().map(String::as_str).collect();
        match texts.as_slice() {
            ["api"] => Route::CoreVersions,
            ["apis"] => Route::Groups,
            ["apis", group] => Route::Group((*group).to_owned()),
            ["api", "v1"] => Route::GroupVersion(String::new(), "v1".to_owned()),
            ["apis", group, version] => Route::GroupVersion((*group).to_owned(), (*version).to_owned()),
            ["api", "v1", rest @ ..] => resource("", "v1", rest),
            ["apis", group, version, rest @ ..] => resource(group, version, rest),
            ["version"] => Route::Version,
            ["healthz", ..] => Route::Health("healthz"),
            ["livez", ..] => Route::Health("livez"),
            ["readyz", ..] => Route::Health("readyz"),
            ["metrics"] => Route::Metrics,
            ["openapi", "v2"] => Route::OpenApiV2,
            ["openapi", "v3"] => Route::OpenApiV3,
            ["openapi", "v3", rest @ ..] => Route::OpenApiV3Document(rest.join("/")),
            _ => Route::Unknown,
        }
    }
}

/// The decoded segments; `None` where one is empty or no UTF-8. One trailing slash is allowed, as upstream does.
fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').map(|segment| if segment.is_empty() { None } else { decode(segment, false) }).collect()
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    let mut path = ResourcePath { group: group.to_owned(), version: version.to_owned(), ..ResourcePath::default() };
    let rest = match rest {
        // A namespace's own subresources look like a namespaced list; these two names are reserved for them.
        ["namespaces", _, "status" | "finalize"] if group.is_empty() => rest,
        ["namespaces", namespace, _, ..] => {
            path.namespace = Some((*namespace).to_owned());
            &rest[2..]
        }
        _ => rest,
    };
    let mut parts = rest.iter().map(|part| (*part).to_owned());
    path.resource = parts.next().unwrap_or_default();
    path.name = parts.next();
    path.subresource = parts.next();
    let tail: Vec<String> = parts.collect();
    if !tail.is_empty() {
        path.rest = Some(tail.join("/"));
    }
    Route::Resource(path)
}

/// Percent-decodes; `plus` also turns `+` into a space (query strings). `None` on a broken escape or on no UTF-8.
pub(crate) fn decode(text: &str, plus: bool) -> Option<String> {
    if !text.bytes().any(|byte| byte == b'%' || (plus && byte == b'+')) {
        return Some(text.to_owned());
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                decoded.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' if plus => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(path: &str) -> String {
        match Route::parse(path) {
            Route::Resource(p) => format!(
                "{}/{} ns={} {} name={} sub={} rest={}",
                p.group,
                p.version,
                p.namespace.unwrap_or_default(),
                p.resource,
                p.name.unwrap_or_default(),
                p.subresource.unwrap_or_default(),
                p.rest.unwrap_or_default()
            ),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn parses_every_form_of_path() {
        let cases = [
            ("/api", "CoreVersions"),
            ("/api/", "CoreVersions"),
            ("/apis", "Groups"),
            ("/apis/apps", "Group(\"apps\")"),
            ("/api/v1", "GroupVersion(\"\", \"v1\")"),
            ("/apis/apps/v1", "GroupVersion(\"apps\", \"v1\")"),
            ("/api/v1/pods", "/v1 ns= pods name= sub= rest="),
            ("/api/v1/nodes/n1/status", "/v1 ns= nodes name=n1 sub=status rest="),
            ("/api/v1/namespaces", "/v1 ns= namespaces name= sub= rest="),
            ("/api/v1/namespaces/x", "/v1 ns= namespaces name=x sub= rest="),
            ("/api/v1/namespaces/x/status", "/v1 ns= namespaces name=x sub=status rest="),
            ("/api/v1/namespaces/x/finalize", "/v1 ns= namespaces name=x sub=finalize rest="),
            ("/api/v1/namespaces/x/pods", "/v1 ns=x pods name= sub= rest="),
            ("/api/v1/namespaces/x/pods/p/log", "/v1 ns=x pods name=p sub=log rest="),
            ("/api/v1/nodes/n/proxy/metrics/cadvisor", "/v1 ns= nodes name=n sub=proxy rest=metrics/cadvisor"),
            ("/apis/apps/v1/namespaces/x/deployments/d/scale", "apps/v1 ns=x deployments name=d sub=scale rest="),
            ("/apis/rbac/v1/clusterroles/system%3Anode", "rbac/v1 ns= clusterroles name=system:node sub= rest="),
            ("/openapi/v3/apis/apps/v1", "OpenApiV3Document(\"apis/apps/v1\")"),
            ("/readyz/ping", "Health(\"readyz\")"),
            ("/api/v2", "Unknown"),
            ("/", "Unknown"),
            ("", "Unknown"),
            ("/api//v1", "Unknown"),
            ("/api/v1/pods/%zz", "Unknown"),
            ("/api/v1/pods/%ff", "Unknown"),
        ];
        for (path, expected) in cases {
            assert_eq!(show(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn is_total(path in "\\PC*") {
            let _ = Route::parse(&path);
        }

        #[test]
        fn reads_back_any_name(name in "[a-z0-9:%/ +é-]{1,20}", namespace in "[a-z]{1,8}") {
            let encoded: String = name.bytes().map(|b| format!("%{b:02x}")).collect();
            let route = Route::parse(&format!("/api/v1/namespaces/{namespace}/pods/{encoded}"));
            let Route::Resource(path) = route else { panic!("not a resource") };
            prop_assert_eq!(path.name, Some(name));
            prop_assert_eq!(path.namespace, Some(namespace));
        }
    }
}
