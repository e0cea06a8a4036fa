//! What can be wrong with a template.

/// A template that cannot be parsed or executed; the texts are Go's, beginning with `template: NAME:`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no template.
    #[error("{0}")]
    Parse(String),
    /// The template failed on this data, or exceeded one of the limits.
    #[error("{0}")]
    Execute(String),
}
