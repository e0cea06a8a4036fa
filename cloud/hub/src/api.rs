//! Calls to the Kubernetes API that pass JSON through as text.

use edgeward_wire::{Content, Failure, FailureDetails};
use http::{Method, Request};
use kube::Client;
use serde_json::value::RawValue;

/// Where a resource is in the API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// `/api/v1`, `/apis/<group>/<version>`.
    pub(crate) base: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    /// `status`, `token`, …
    pub(crate) sub: Option<&'static str>,
}

impl<'a> Place<'a> {
    pub(crate) const fn new(base: &'static str, plural: &'static str) -> Self {
        Self { base, plural, namespace: None, name: None, sub: None }
    }

    pub(crate) const fn within(self, namespace: Option<&'a str>) -> Self {
        Self { namespace, ..self }
    }

    pub(crate) const fn named(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }

    pub(crate) const fn sub(self, sub: &'static str) -> Self {
        Self { sub: Some(sub), ..self }
    }

    /// The path; refuses names that would lead elsewhere.
    fn path(&self) -> Result<String, Failure> {
        let mut path = self.base.to_owned();
        let namespace = self.namespace.into_iter().flat_map(|namespace| ["namespaces", namespace]);
        let rest = [Some(self.plural), self.name, self.sub].into_iter().flatten();
        for segment in namespace.chain(rest) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
            if segment.is_empty() || segment.len() > 253 || segment.starts_with('.') || !segment.bytes().all(plain) {
                return Err(Failure::new(400, "BadRequest", format!("{segment:?} is no name of an object")));
            }
            path.push('/');
            path.push_str(segment);
        }
        Ok(path)
    }
}

/// Media types of patches and bodies.
pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";

pub(crate) async fn get(client: &Client, place: Place<'_>) -> Result<Content, Failure> {
    call(client, Method::GET, place, JSON, Vec::new()).await
}

/// Creates under the place, which then has no name unless a subresource is created.
pub(crate) async fn create(client: &Client, place: Place<'_>, body: Vec<u8>) -> Result<Content, Failure> {
    call(client, Method::POST, place, JSON, body).await
}

pub(crate) async fn replace(client: &Client, place: Place<'_>, body: Vec<u8>) -> Result<Content, Failure> {
    call(client, Method::PUT, place, JSON, body).await
}

pub(crate) async fn patch(
    client: &Client,
    place: Place<'_>,
    form: &'static str,
    body: Vec<u8>,
) -> Result<Content, Failure> {
    call(client, Method::PATCH, place, form, body).await
}

/// Deletes; `body` is DeleteOptions or empty.
pub(crate) async fn delete(client: &Client, place: Place<'_>, body: Vec<u8>) -> Result<Content, Failure> {
    call(client, Method::DELETE, place, JSON, body).await
}

async fn call(
    client: &Client,
    method: Method,
    place: Place<'_>,
    content_type: &'static str,
    body: Vec<u8>,
) -> Result<Content, Failure> {
    let request = Request::builder()
        .method(method)
        .uri(place.path()?)
        .header(http::header::CONTENT_TYPE, content_type)
        .header(http::header::ACCEPT, JSON)
        .body(body)
        .map_err(|error| Failure::new(400, "BadRequest", error.to_string()))?;
    let text = client.request_text(request).await.map_err(failure)?;
    RawValue::from_string(text)
        .map_err(|error| Failure::new(500, "InternalError", format!("the API's answer is not JSON: {error}")))
}

fn failure(error: kube::Error) -> Failure {
    let kube::Error::Api(status) = error else {
        return Failure::new(500, "InternalError", error.to_string());
    };
    let details = status.details.as_ref().map(|details| FailureDetails {
        name: details.name.clone(),
        group: details.group.clone(),
        kind: details.kind.clone(),
    });
    Failure::new(status.code, &status.reason, status.message.clone()).with_details(details)
}
