//! From the words of `kubectl logs` to a log file.

use tokio_util::sync::CancellationToken;

use super::{LogOptions, LogStream, instance_path, read};
use crate::context::Context;
use crate::spec::labels;
use crate::{Error, PodKey, cri};

/// Opens the log of a container's newest instance, or of the one before.
pub(crate) async fn find(
    context: &Context,
    namespace: &str,
    pod: &str,
    container: &str,
    options: LogOptions,
) -> Result<LogStream, Error> {
    let pairs = [
        (labels::NODE, context.options.node_name.as_str()),
        (labels::POD_NAMESPACE, namespace),
        (labels::POD_NAME, pod),
    ];
    let selector = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut all = context.cri.list_containers(selector).await?;
    all.sort_by_key(|container| std::cmp::Reverse(container.created_at));
    let name_of = |one: &cri::v1::Container| one.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default();
    let wanted = if container.is_empty() { only_name(&all, name_of, namespace, pod)? } else { container.to_owned() };
    let mut instances = all.into_iter().filter(|one| name_of(one) == wanted);
    let instance = if options.previous { instances.nth(1) } else { instances.next() };
    let Some(instance) = instance else {
        let what = if options.previous { "previous terminated container" } else { "container" };
        return Err(Error::NotFound(format!("{what} \"{wanted}\" in pod \"{pod}\" not found")));
    };
    let mark = |name: &str| instance.labels.get(name).cloned().unwrap_or_default();
    let key = PodKey { namespace: namespace.to_owned(), name: pod.to_owned(), uid: mark(labels::POD_UID) };
    let count = instance.annotations.get(labels::RESTART_COUNT).and_then(|count| count.parse().ok()).unwrap_or(0);
    let path = instance_path(&context.options, &key, &wanted, count);
    if !path.is_file() {
        return Err(Error::NotFound(format!("container \"{wanted}\" in pod \"{pod}\" has no log yet")));
    }
    let ended = if instance.state() == cri::v1::ContainerState::ContainerRunning {
        context.ended.token(&instance.id)
    } else {
        let ended = CancellationToken::new();
        ended.cancel();
        ended
    };
    Ok(read(path, options, ended))
}

fn only_name(
    all: &[cri::v1::Container],
    name_of: impl Fn(&cri::v1::Container) -> String,
    namespace: &str,
    pod: &str,
) -> Result<String, Error> {
    let mut names: Vec<String> = all.iter().map(name_of).collect();
    names.sort();
    names.dedup();
    match names.as_slice() {
        [] => Err(Error::NotFound(format!("pod {namespace}/{pod} has no containers on this node"))),
        [name] => Ok(name.clone()),
        names => Err(Error::NotFound(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]",
            names.join(" ")
        ))),
    }
}
