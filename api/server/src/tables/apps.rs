//! Workloads: `apps` and `batch`, and what scales them.

use edgeward_objects::Object;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cells, Printer, age, containers, name, number, own_age, pairs, str_of, template, text};

pub(super) fn printer(group: &str, plural: &str) -> Option<Printer> {
    let (columns, cells): (&str, Cells) = match (group, plural) {
        ("apps", "deployments") => {
            ("Name:name|Ready|Up-to-date|Available|Age|Containers:wide|Images:wide|Selector:wide", deployment)
        }
        ("apps", "replicasets") => (
            "Name:name|Desired:integer|Current:integer|Ready:integer|Age|Containers:wide|Images:wide|Selector:wide",
            replica_set,
        ),
        ("apps", "daemonsets") => (
            "Name:name|Desired:integer|Current:integer|Ready:integer|Up-to-date:integer|Available:integer|Node Selector|Age|\
             Containers:wide|Images:wide|Selector:wide",
            daemon_set,
        ),
        ("apps", "statefulsets") => ("Name:name|Ready|Age|Containers:wide|Images:wide", stateful_set),
        ("apps", "controllerrevisions") => ("Name:name|Controller|Revision|Age", revision),
        ("batch", "jobs") => {
            ("Name:name|Status|Completions|Duration|Age|Containers:wide|Images:wide|Selector:wide", job)
        }
        ("batch", "cronjobs") => (
            "Name:name|Schedule|Timezone|Suspend:boolean|Active:integer|Last Schedule|Age|Containers:wide|Images:wide|Selector:wide",
            cron_job,
        ),
        ("autoscaling", "horizontalpodautoscalers") => {
            ("Name:name|Reference|Targets|MinPods|MaxPods|Replicas|Age", autoscaler)
        }
        ("policy", "poddisruptionbudgets") => {
            ("Name:name|Min Available|Max Unavailable|Allowed Disruptions:integer|Age", budget)
        }
        _ => return None,
    };
    Some(Printer { columns, cells })
}

fn of(object: &Object, part: &[&str], whole: &[&str], default: i64) -> Value {
    json!(format!("{}/{}", object.get_i64(part).unwrap_or(0), object.get_i64(whole).unwrap_or(default)))
}

fn deployment(object: &Object, now: Timestamp) -> Vec<Value> {
    let count = |key: &str| json!(object.get_i64(&["status", key]).unwrap_or(0).to_string());
    let mut cells = vec![
        name(object),
        of(object, &["status", "readyReplicas"], &["spec", "replicas"], 1),
        count("updatedReplicas"),
        count("availableReplicas"),
        own_age(object, now),
    ];
    cells.extend(template(object));
    cells
}

fn replica_set(object: &Object, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![
        name(object),
        number(object, &["spec", "replicas"]),
        number(object, &["status", "replicas"]),
        number(object, &["status", "readyReplicas"]),
        own_age(object, now),
    ];
    cells.extend(template(object));
    cells
}

fn daemon_set(object: &Object, now: Timestamp) -> Vec<Value> {
    let counts = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let mut cells = vec![name(object)];
    cells.extend(counts.map(|key| number(object, &["status", key])));
    cells.push(pairs(object, &["spec", "template", "spec", "nodeSelector"]));
    cells.push(own_age(object, now));
    cells.extend(template(object));
    cells
}

fn stateful_set(object: &Object, now: Timestamp) -> Vec<Value> {
    let [names, images, _] = template(object);
    let ready = of(object, &["status", "readyReplicas"], &["spec", "replicas"], 1);
    vec![name(object), ready, own_age(object, now), names, images]
}

fn revision(object: &Object, now: Timestamp) -> Vec<Value> {
    let owner = object.controller().map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let group = owner.api_version.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
            format!("{}{group}/{}", owner.kind.to_lowercase(), owner.name)
        },
    );
    vec![
        name(object),
        json!(owner),
        json!(object.get_i64(&["revision"]).unwrap_or(0).to_string()),
        own_age(object, now),
    ]
}

fn job(object: &Object, now: Timestamp) -> Vec<Value> {
    let succeeded = object.get_i64(&["status", "succeeded"]).unwrap_or(0);
    let completions =
        match (object.get_i64(&["spec", "completions"]), object.get_i64(&["spec", "parallelism"]).unwrap_or(0)) {
            (Some(completions), _) => format!("{succeeded}/{completions}"),
            (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
            (None, _) => format!("{succeeded}/1"),
        };
    let seconds = |path: &[&str]| object.get_str(path)?.parse::<Timestamp>().ok().map(Timestamp::as_second);
    let duration = seconds(&["status", "startTime"])
        .map(|start| age::human(seconds(&["status", "completionTime"]).unwrap_or(now.as_second()) - start));
    let mut cells = vec![
        name(object),
        json!(job_status(object)),
        json!(completions),
        json!(duration.unwrap_or_default()),
        own_age(object, now),
    ];
    cells.extend(template(object));
    cells
}

fn job_status(object: &Object) -> &'static str {
    let conditions = object.get_list(&["status", "conditions"]);
    let has = |kind: &str| conditions.iter().any(|c| str_of(c, "type") == kind && str_of(c, "status") == "True");
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if object.is_deleting() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn cron_job(object: &Object, now: Timestamp) -> Vec<Value> {
    let last = object.get_str(&["status", "lastScheduleTime"]);
    let [names, images] = containers(object, &["spec", "jobTemplate", "spec", "template", "spec", "containers"]);
    vec![
        name(object),
        text(object, &["spec", "schedule"]),
        text(object, &["spec", "timeZone"]),
        json!(object.get_bool(&["spec", "suspend"]).unwrap_or(false)),
        json!(object.get_list(&["status", "active"]).len()),
        last.map_or_else(|| json!("<none>"), |time| json!(age::age(Some(time), now))),
        own_age(object, now),
        names,
        images,
        super::selector(object, &["spec", "jobTemplate", "spec", "selector"]),
    ]
}

fn autoscaler(object: &Object, now: Timestamp) -> Vec<Value> {
    let target = |key: &str| object.get_str(&["spec", "scaleTargetRef", key]).unwrap_or_default();
    let minimum =
        object.get_i64(&["spec", "minReplicas"]).map_or_else(|| "<unset>".to_owned(), |number| number.to_string());
    vec![
        name(object),
        json!(format!("{}/{}", target("kind"), target("name"))),
        json!("<unknown>"),
        json!(minimum),
        json!(object.get_i64(&["spec", "maxReplicas"]).unwrap_or(0).to_string()),
        json!(object.get_i64(&["status", "currentReplicas"]).unwrap_or(0).to_string()),
        own_age(object, now),
    ]
}

fn budget(object: &Object, now: Timestamp) -> Vec<Value> {
    let either = |key: &str| match object.get(&["spec", key]) {
        Some(Value::String(text)) => json!(text),
        Some(other) => json!(other.to_string()),
        None => json!("N/A"),
    };
    vec![
        name(object),
        either("minAvailable"),
        either("maxUnavailable"),
        number(object, &["status", "disruptionsAllowed"]),
        own_age(object, now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_print_as_kubectl_prints_them() {
        let now: Timestamp = "2026-01-01T00:01:30Z".parse().unwrap();
        let template = json!({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}], "nodeSelector": {"n": "1", "m": "2"}}});
        let document = json!({
            "metadata": {"name": "w", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "w"}}, "template": template, "completions": 2},
            "status": {"readyReplicas": 1, "replicas": 2, "updatedReplicas": 2, "desiredNumberScheduled": 4, "succeeded": 1, "startTime": "2026-01-01T00:00:30Z"},
        });
        let object = Object::from_value(document).unwrap();
        let cases = [
            ("apps", "deployments", json!(["w", "1/3", "2", "0", "90s", "a,b", "x,y", "app=w"])),
            ("apps", "replicasets", json!(["w", 3, 2, 1, "90s", "a,b", "x,y", "app=w"])),
            ("apps", "daemonsets", json!(["w", 4, 0, 0, 0, 0, "m=2,n=1", "90s", "a,b", "x,y", "app=w"])),
            ("apps", "statefulsets", json!(["w", "1/3", "90s", "a,b", "x,y"])),
            ("batch", "jobs", json!(["w", "Running", "1/2", "60s", "90s", "a,b", "x,y", "app=w"])),
        ];
        for (group, plural, expected) in cases {
            let printer = printer(group, plural).unwrap();
            let cells = (printer.cells)(&object, now);
            assert_eq!(cells.len(), printer.columns.split('|').count(), "{plural}");
            assert_eq!(Value::from(cells), expected, "{plural}");
        }
    }
}
