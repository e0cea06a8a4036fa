//! All functions that are not built in: of plugins, scripts and modules, and of external services.

use std::sync::Arc;

use edgeward_connect::Services;
use edgeward_functions::{UserFunction, UserFunctions};

/// Those of plugins come first.
#[derive(Debug)]
pub(crate) struct Functions {
    pub(crate) plugins: Option<Arc<dyn UserFunctions>>,
    pub(crate) services: Arc<Services>,
}

impl UserFunctions for Functions {
    fn find(&self, name: &str) -> Option<Arc<dyn UserFunction>> {
        self.plugins.as_ref().and_then(|plugins| plugins.find(name)).or_else(|| self.services.find(name))
    }

    fn script(&self, source: &str) -> Option<Arc<dyn UserFunction>> {
        self.plugins.as_ref().and_then(|plugins| plugins.script(source))
    }
}
