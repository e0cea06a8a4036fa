//! Shared parts of the black-box scenarios.
