//! Where the API itself is found from inside the cluster: the endpoints of Service `default/kubernetes`. Only this
//! program knows on which address it listens.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const NAME: &str = "kubernetes";

/// Publishes the address, unless it is one that nobody else can reach.
pub(crate) async fn publish(client: Client, listening: SocketAddr, own: &[String]) -> anyhow::Result<()> {
    let Some(address) = reachable(listening.ip(), own) else {
        tracing::debug!(%listening, "the API listens on loopback: Service default/kubernetes has no endpoints");
        return Ok(());
    };
    let port = json!({"name": "https", "port": listening.port(), "protocol": "TCP"});
    let endpoints = json!({
        "metadata": {"name": NAME},
        "subsets": [{"addresses": [{"ip": address}], "ports": [port]}],
    });
    let slice = json!({
        "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": if address.contains(':') { "IPv6" } else { "IPv4" },
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": [port],
    });
    put::<Endpoints>(Api::namespaced(client.clone(), "default"), endpoints).await?;
    put::<EndpointSlice>(Api::namespaced(client, "default"), slice).await
}

/// The address that others use for what listens on `ip`.
fn reachable(ip: IpAddr, own: &[String]) -> Option<String> {
    if ip.is_loopback() {
        return None;
    }
    if !ip.is_unspecified() {
        return Some(ip.to_string());
    }
    own.iter().find(|address| address.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback())).cloned()
}

async fn put<K>(api: Api<K>, document: Value) -> anyhow::Result<()>
where
    K: kube::Resource + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    if api.get_metadata_opt(NAME).await?.is_some() {
        api.patch(NAME, &PatchParams::default(), &Patch::Merge(document)).await?;
    } else {
        api.create(&PostParams::default(), &serde_json::from_value(document)?).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_not_advertised() {
        let own = ["127.0.0.1".to_owned(), "192.0.2.7".to_owned()];
        let check = |ip: &str, expected: Option<&str>| {
            assert_eq!(reachable(ip.parse().expect("an address"), &own).as_deref(), expected, "{ip}");
        };
        check("127.0.0.1", None);
        check("0.0.0.0", Some("192.0.2.7"));
        check("192.0.2.9", Some("192.0.2.9"));
    }
}
