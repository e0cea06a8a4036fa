//! `actions` of a case's rule: planned and validated as a rule's are, never opened.

use edgeward_connect::{ConnectError, Hosts, Props, SinkRequest, registry};
use edgeward_service::Tasks;
use serde_json::Value as Json;

use crate::case::Rule;

/// Sink types of eKuiper 2.4 whose properties are not looked at.
const FOREIGN: [&str; 12] =
    ["edgex", "image", "influx", "influx2", "kafka", "neuron", "redis", "redisPub", "sql", "tdengine3", "video", "zmq"];

/// Refuses what eKuiper would not start.
///
/// # Errors
/// Why.
pub(crate) fn check(rule: &Rule, hosts: &Hosts) -> Result<(), String> {
    for (kind, props) in rule.actions.iter().flatten() {
        let props = match props {
            Json::Object(props) => Props::new(props.clone()),
            Json::Null => Props::default(),
            other => {
                return Err(format!(
                    "expect map[string]interface{{}} type for the action properties, but found {other}"
                ));
            }
        };
        let request = SinkRequest { rule: "test".into(), props, tasks: Tasks::root("case") };
        match registry::sink(kind, &request, hosts) {
            Ok(_) | Err(ConnectError::Unsupported(_) | ConnectError::NotHere(_)) => {}
            Err(ConnectError::UnknownSink(_)) if FOREIGN.contains(&kind.as_str()) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}
