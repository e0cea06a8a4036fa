//! Calls are checked while they are read, if the parser was told of the functions there are.

use super::Parser;
use crate::ast::Call;
use crate::error::{Result, SqlError};

/// The functions a statement may call.
pub trait Functions {
    /// Whether there is a function of this name.
    fn knows(&self, name: &str) -> bool;

    /// Whether it may stand in the select list only.
    fn select_only(&self, name: &str) -> bool;

    /// Checks the arguments of a call: their number and the types of literals.
    ///
    /// # Errors
    /// What is wrong, in the function's words.
    fn check(&self, call: &Call) -> std::result::Result<(), String>;
}

impl Parser<'_> {
    pub(super) fn knows(&self, name: &str) -> Result<()> {
        let Some(functions) = self.functions else { return Ok(()) };
        if !functions.knows(name) {
            return Err(SqlError::Clause(format!("function {name} not found")));
        }
        if !self.selecting && functions.select_only(name) {
            let text = format!("function {name} can only be used inside the select clause");
            return Err(SqlError::Clause(text));
        }
        Ok(())
    }

    pub(super) fn checked(&self, call: &Call) -> Result<()> {
        self.functions.map_or(Ok(()), |functions| functions.check(call).map_err(SqlError::Clause))
    }
}
