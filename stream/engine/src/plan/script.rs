//! The script of a graph rule: JavaScript's `exec(msg, meta)` makes other rows of those that come.

use std::borrow::Cow;
use std::sync::Arc;

use edgeward_functions::{Error, Map, UserFunction, Value};
use edgeward_sql::ast::{Call, Expr as Syntax};

use crate::EngineError;
use crate::emission::OutRow;
use crate::expr::{Compiler, Scene};

/// The call a script becomes as a field of a statement: its source, and whether it takes all rows of a window at once. The blank
/// keeps the name apart from every function there can be.
pub(crate) const CALL: &str = "graph script";

/// A script, ready to run.
#[derive(Debug)]
pub(crate) struct Script {
    function: Arc<dyn UserFunction>,
    /// It takes the rows of a window as a list.
    pub(crate) aggregate: bool,
}

impl Script {
    /// The script of a field, if the field is one.
    ///
    /// # Errors
    /// There is nobody to run it.
    pub(super) fn compile(call: &Call, compiler: &mut Compiler<'_>) -> Result<Option<Script>, EngineError> {
        let (CALL, [Syntax::Str(source), Syntax::Bool(aggregate)]) = (call.name.as_str(), call.args.as_slice()) else {
            return Ok(None);
        };
        compiler.calls_users = true;
        let function = compiler.scope.users.as_ref().and_then(|users| users.script(source));
        let refusal = || EngineError::Plan("scripts need JavaScript, which this program is built without".into());
        Ok(Some(Script { function: function.ok_or_else(refusal)?, aggregate: *aggregate }))
    }

    /// What becomes of rows that came one by one.
    ///
    /// # Errors
    /// The script's own, or it answers no row.
    pub(crate) fn each(&self, scene: &Scene<'_>, rows: &mut Vec<OutRow>) -> Result<(), Error> {
        let meta = scene.row.meta.clone().map_or(Value::Nil, Value::Map);
        for row in std::mem::take(rows) {
            let args = [Cow::Owned(Value::Map(row.to_map())), Cow::Borrowed(&meta)];
            rows.extend(self.rows(self.function.call(&args, scene.context))?);
        }
        Ok(())
    }

    /// What becomes of the rows of a window.
    ///
    /// # Errors
    /// As for [`Script::each`].
    pub(crate) fn all(&self, rows: &[OutRow], context: &edgeward_functions::Context) -> Result<Vec<OutRow>, Error> {
        let rows: Vec<Value> = rows.iter().map(|row| Value::Map(row.to_map())).collect();
        let args = [Cow::Owned(Value::array(rows)), Cow::Owned(Value::Nil)];
        self.rows(self.function.call(&args, context))
    }

    /// A row, several, or none.
    fn rows(&self, answer: Result<Value, Error>) -> Result<Vec<OutRow>, Error> {
        let failed = |reason: &str| Error::call(format!("failed to execute script: {reason}"));
        let row = |value: &Value| match value {
            Value::Map(map) => Ok(OutRow::Free(Arc::<Map>::clone(map))),
            other => Err(failed(&format!("it answers {} instead of an object", other.type_name()))),
        };
        match answer.map_err(|error| failed(&error.to_string()))? {
            Value::Nil => Ok(Vec::new()),
            Value::Array(items) => items.iter().map(row).collect(),
            single => row(&single).map(|row| vec![row]),
        }
    }
}
