//! Functions that are not built in: what the engine asks of whoever keeps them.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::{Args, Context, Value};

/// A function a user brought (a script, a module, a process).
pub trait UserFunction: Send + Sync + fmt::Debug {
    /// Whether its arguments are arrays with the values of all rows of a group. Asked when a statement is planned; must not block.
    fn is_aggregate(&self) -> bool;

    /// Runs it. It may take its time and block the thread: a rule that calls one runs on a thread of its own.
    ///
    /// # Errors
    /// The function's own; the text names it.
    fn call(&self, args: &Args<'_>, context: &Context) -> Result<Value>;
}

/// The functions users brought, by name.
pub trait UserFunctions: Send + Sync + fmt::Debug {
    /// The function of a name, for one place in one rule: a function with state answers a new one each time. Must not block.
    fn find(&self, name: &str) -> Option<Arc<dyn UserFunction>>;

    /// The `exec(msg, meta)` of a script that a graph rule brings along; none where nothing runs scripts. Must not block.
    fn script(&self, source: &str) -> Option<Arc<dyn UserFunction>> {
        let _ = source;
        None
    }
}
