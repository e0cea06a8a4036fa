use edgeward_objects::{ApiError, Cause, CauseReason, Details, Reason};
use thiserror::Error;

/// Why a patch was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatchError {
    /// The patch itself is malformed.
    #[error("{0}")]
    Malformed(String),
    /// The patch is well formed but does not fit the object: a failed `test`, a path that is not there.
    #[error("{0}")]
    NotApplicable(String),
    /// More operations than allowed.
    #[error("The allowed maximum operations in a JSON patch is {limit}, got {count}")]
    TooManyOperations {
        /// Most operations allowed.
        limit: usize,
        /// Operations sent.
        count: usize,
    },
    /// Strategic merge patch of a kind that has no merge keys: a custom resource.
    #[error("strategic merge patch is not supported for {0}; use a JSON merge patch")]
    NotStrategic(String),
}

/// The Status a Kubernetes API server answers in each case.
impl From<PatchError> for ApiError {
    fn from(error: PatchError) -> Self {
        let text = error.to_string();
        match error {
            PatchError::Malformed(_) => Self::bad_request(text),
            PatchError::NotApplicable(_) => {
                let message = "the server rejected our request due to an error in our request";
                let cause = Cause::new(CauseReason::UnexpectedServerResponse, "", text);
                let details = Details { causes: vec![cause], ..Details::default() };
                Self::new(422, Reason::Invalid, message).with(details)
            }
            PatchError::TooManyOperations { .. } => Self::new(413, Reason::RequestEntityTooLarge, text),
            PatchError::NotStrategic(_) => Self::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
            ]),
        }
    }
}
