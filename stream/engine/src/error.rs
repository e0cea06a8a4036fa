//! Why a rule or stream cannot be planned or run.

/// An error of the engine. The texts are eKuiper's where its clients see them.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum EngineError {
    /// The statement or its options do not make a runnable rule.
    #[error("{0}")]
    Plan(String),
    /// A stream the rule reads is not defined.
    #[error("fail to get stream {0}, please check if stream is created")]
    UnknownStream(String),
    /// A saved state that this version cannot read.
    #[error("state of the rule cannot be restored: {0}; reset it or start with the version that wrote it")]
    State(String),
    /// A stream's definition that cannot work.
    #[error("{0}")]
    Definition(String),
}

impl From<edgeward_sql::SqlError> for EngineError {
    /// Parts of a rule that are SQL are refused in the parser's words.
    fn from(error: edgeward_sql::SqlError) -> EngineError {
        EngineError::Plan(error.to_string())
    }
}
