//! What the connectors over HTTP share: a client, the properties of a request, OAuth, and the server on port 10081.

mod answer;
mod body;
mod client;
mod config;
mod fetch;
mod oauth;
mod post;
mod server;

pub(crate) use answer::{MAX_MESSAGE_BYTES, next};
pub(crate) use body::{Body, Form, escape};
pub(crate) use client::{HttpClient, HttpError, Reply};
pub(crate) use config::{Failure, HttpConfig, basic, check_url, pairs};
pub use fetch::fetch;
pub(crate) use oauth::Session;
pub use post::JsonPost;
pub use server::HttpHost;
pub(crate) use server::{Listening, Role};
