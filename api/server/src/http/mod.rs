//! Paths, parameters, media types and bodies: HTTP as the Kubernetes API uses it.

pub(crate) mod body;
pub(crate) mod media;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod reply;
