//! Scalar functions, one file per family.

mod math;

use crate::registry::Function;

pub(crate) const FAMILIES: &[&[Function]] = &[math::FUNCTIONS];
