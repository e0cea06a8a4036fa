//! Go's `text/template` language (Go 1.24) with eKuiper's `json` and `base64` and the sprig functions, over the values of the
//! stream engine: what `dataTemplate` and `{{…}}` in sink properties are written in.
//!
//! A template is parsed once into a compact tree and executed into a buffer its caller reuses. Templates are written by users, so
//! nesting, steps, output and intermediate memory are bounded ([`Limits`]). This room knows no sinks and no rules.

mod call;
mod dynamic;
mod error;
mod exec;
mod func;
mod gofmt;
mod lex;
mod node;
mod parse;
mod runtime;
mod unquote;
mod value;

pub use dynamic::{Dynamic, is_dynamic};
pub use error::Error;
pub use exec::Limits;
pub use node::Template;
