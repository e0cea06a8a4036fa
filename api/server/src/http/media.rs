//! What a client sends and what it accepts.

use edgeward_objects::ApiError;
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};

/// The shape an object or list is answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// The object itself.
    Full,
    /// `meta.k8s.io/v1 Table`
    Table,
    /// `meta.k8s.io/v1 PartialObjectMetadata(List)`
    Partial,
}

/// How a request body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
}

/// The media type of every JSON answer.
pub(crate) const JSON: &str = "application/json";
const OFFERED: [&str; 3] = [
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
];

/// Picks the first form of `Accept` we can answer; 406 if there is none.
pub(crate) fn accepted(headers: &HeaderMap) -> Result<Form, ApiError> {
    let mut asked = false;
    for value in headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()) {
        for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            asked = true;
            if let Some(form) = form(part) {
                return Ok(form);
            }
        }
    }
    if asked { Err(ApiError::not_acceptable(&OFFERED)) } else { Ok(Form::Full) }
}

fn form(part: &str) -> Option<Form> {
    let mut words = part.split(';').map(str::trim);
    if !matches!(words.next()?, "application/json" | "*/*" | "application/*" | "text/html" | "text/plain" | "text/*") {
        return None;
    }
    let (mut kind, mut group) = ("", "");
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        match key {
            "as" => kind = value,
            "g" => group = value,
            _ => {}
        }
    }
    match kind {
        "" => Some(Form::Full),
        "Table" if group == "meta.k8s.io" => Some(Form::Table),
        "PartialObjectMetadata" | "PartialObjectMetadataList" if group == "meta.k8s.io" => Some(Form::Partial),
        _ => None,
    }
}

/// Whether `Accept` asks for aggregated discovery v2.
pub(crate) fn wants_aggregated(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(
        |part| {
            let has = |wanted: &str| part.split(';').any(|word| word.trim() == wanted);
            has("application/json") && has("as=APIGroupDiscoveryList") && has("g=apidiscovery.k8s.io") && has("v=v2")
        },
    )
}

/// Whether the client takes gzip.
pub(crate) fn wants_gzip(headers: &HeaderMap) -> bool {
    let value = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(',').any(|part| part.trim().split(';').next() == Some("gzip"))
}

/// The bare media type of the request body; JSON if it does not say.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.split(';').next().unwrap_or_default().trim() {
        "" | "*/*" => JSON,
        other => other,
    }
}

/// The encoding of an object sent whole; 415 for what we cannot read (protobuf among them).
pub(crate) fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    match content_type(headers) {
        JSON => Ok(Encoding::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(Encoding::Yaml),
        _ => Err(ApiError::unsupported_media_type(&[JSON, "application/yaml"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn picks_the_form_clients_mean() {
        let cases = [
            ("", Some(Form::Full)),
            ("*/*", Some(Form::Full)),
            ("application/json, */*", Some(Form::Full)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Full)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Some(Form::Table),
            ),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                Some(Form::Partial),
            ),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/json;as=Whatever;g=x;v=v1", None),
            ("image/png", None),
        ];
        for (accept, expected) in cases {
            assert_eq!(accepted(&headers(ACCEPT, accept)).ok(), expected, "{accept}");
        }
    }

    #[test]
    fn reads_discovery_bodies_and_gzip() {
        assert!(wants_aggregated(&headers(
            ACCEPT,
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        )));
        assert!(!wants_aggregated(&headers(
            ACCEPT,
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
        )));
        assert!(
            wants_gzip(&headers(ACCEPT_ENCODING, "br, gzip;q=0.5")) && !wants_gzip(&headers(ACCEPT_ENCODING, "br"))
        );
        assert_eq!(encoding(&headers(CONTENT_TYPE, "application/yaml; charset=utf-8")).unwrap(), Encoding::Yaml);
        assert_eq!(encoding(&HeaderMap::new()).unwrap(), Encoding::Json);
        assert_eq!(encoding(&headers(CONTENT_TYPE, "application/vnd.kubernetes.protobuf")).unwrap_err().code, 415);
    }
}
