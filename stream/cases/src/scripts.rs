//! JavaScript functions that a case brings along.

use std::sync::Arc;

use edgeward_functions::{UserFunctions, lookup};
use edgeward_sql::Functions;
use edgeward_sql::ast::Call;
use serde_json::{Map as Object, Value as Json};

use crate::run::{Result, Stop};

/// The functions of a case's scripts.
pub(crate) type Users = Arc<dyn UserFunctions>;

/// The built-in functions and those of a case, as the parser asks for them.
pub(crate) struct Known(pub(crate) Option<Users>);

impl Functions for Known {
    fn knows(&self, name: &str) -> bool {
        lookup(name).is_some() || self.0.as_ref().is_some_and(|users| users.find(name).is_some())
    }

    fn select_only(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("changed_cols")
    }

    fn check(&self, call: &Call) -> std::result::Result<(), String> {
        lookup(&call.name).map_or(Ok(()), |function| function.check(&call.args).map_err(|error| error.to_string()))
    }
}

/// The functions of `scripts`, each its source, or `{script, isAgg}` for one over the values of a group.
#[cfg(feature = "javascript")]
pub(crate) fn functions(scripts: &Object<String, Json>) -> Result<Option<Users>> {
    use edgeward_plugins::javascript::{JsFunction, Limits, Script};

    #[derive(Debug)]
    struct Scripts(Vec<Script>);

    impl UserFunctions for Scripts {
        fn find(&self, name: &str) -> Option<Arc<dyn edgeward_functions::UserFunction>> {
            let script = self.0.iter().find(|script| *script.name == *name)?;
            Some(Arc::new(JsFunction::new(script.clone(), Limits::default())))
        }

        fn script(&self, source: &str) -> Option<Arc<dyn edgeward_functions::UserFunction>> {
            Some(Arc::new(JsFunction::of_graph(source)))
        }
    }

    let mut read = Vec::with_capacity(scripts.len());
    for (name, json) in scripts {
        let (source, aggregate) = match json {
            Json::String(source) => (Some(source.as_str()), false),
            other => (
                other.get("script").and_then(Json::as_str),
                other.get("isAgg").and_then(Json::as_bool).unwrap_or(false),
            ),
        };
        let Some(source) = source else { return Err(Stop::Invalid(format!("the script {name} is no text"))) };
        let script = Script { name: name.as_str().into(), source: source.into(), aggregate };
        JsFunction::check(&script, &Limits::default())
            .map_err(|error| Stop::Refused(crate::Stage::Ddl, format!("script {name}: {error}")))?;
        read.push(script);
    }
    Ok(Some(Arc::new(Scripts(read))))
}

/// None: this program is built without JavaScript.
#[cfg(not(feature = "javascript"))]
pub(crate) fn functions(scripts: &Object<String, Json>) -> Result<Option<Users>> {
    match scripts.keys().next() {
        None => Ok(None),
        Some(name) => Err(Stop::Invalid(format!("script {name} cannot run: this program is built without JavaScript"))),
    }
}
