//! The files of `configMap`, `secret`, `downwardAPI` and `projected` volumes.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccountTokenProjection, Volume,
};

use crate::references::References;
use crate::spec::{Facts, field, resource_field};
use crate::{NodeApi, TokenRequest, pod};

/// Files by their path below the volume.
pub(super) type Files = BTreeMap<String, File>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
}

/// A token is renewed when this part of its life is over.
const RENEW_AT_PERCENT: i64 = 80;
const DEFAULT_MODE: i32 = 0o644;

/// All files of the volume. Fails with the text of `FailedMount`.
pub(super) async fn collect(
    api: &dyn NodeApi,
    pod: &Pod,
    volume: &Volume,
    references: &References,
    facts: &Facts,
    renew_in: &mut Option<Duration>,
) -> Result<Files, String> {
    let mut files = Files::new();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let map = references.config_maps.get(&source.name).map(|map| map.as_ref());
        config_map(&mut files, &source.name, map, source.items.as_deref(), source.optional, mode)?;
    }
    if let Some(source) = &volume.secret {
        let (mode, name) =
            (source.default_mode.unwrap_or(DEFAULT_MODE), source.secret_name.clone().unwrap_or_default());
        let secret = references.secrets.get(&name).map(|secret| secret.as_ref());
        self::secret(&mut files, &name, secret, source.items.as_deref(), source.optional, mode)?;
    }
    if let Some(source) = &volume.downward_api {
        downward(&mut files, pod, facts, source.items.as_deref(), source.default_mode.unwrap_or(DEFAULT_MODE))?;
    }
    let Some(projected) = &volume.projected else { return Ok(files) };
    let mode = projected.default_mode.unwrap_or(DEFAULT_MODE);
    for source in projected.sources.iter().flatten() {
        if let Some(one) = &source.config_map {
            let map = references.config_maps.get(&one.name).map(|map| map.as_ref());
            config_map(&mut files, &one.name, map, one.items.as_deref(), one.optional, mode)?;
        } else if let Some(one) = &source.secret {
            let secret = references.secrets.get(&one.name).map(|secret| secret.as_ref());
            self::secret(&mut files, &one.name, secret, one.items.as_deref(), one.optional, mode)?;
        } else if let Some(one) = &source.downward_api {
            downward(&mut files, pod, facts, one.items.as_deref(), mode)?;
        } else if let Some(one) = &source.service_account_token {
            token(&mut files, api, pod, one, mode, renew_in).await?;
        } else {
            return Err("this kind of projected source is not supported on this node".to_owned());
        }
    }
    Ok(files)
}

fn config_map(
    files: &mut Files,
    name: &str,
    map: Option<&ConfigMap>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
) -> Result<(), String> {
    let optional = optional == Some(true);
    let data = match map {
        Some(map) => {
            let text = map.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
            text.chain(map.binary_data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()))).collect()
        }
        None if optional => BTreeMap::new(),
        None => return Err(format!("configmap \"{name}\" not found")),
    };
    place(files, &data, items, optional, mode)
}

fn secret(
    files: &mut Files,
    name: &str,
    secret: Option<&Secret>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
) -> Result<(), String> {
    let optional = optional == Some(true);
    let data = match secret {
        Some(secret) => secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect(),
        None if optional => BTreeMap::new(),
        None => return Err(format!("secret \"{name}\" not found")),
    };
    place(files, &data, items, optional, mode)
}

/// All keys under their names, or the named ones under the paths given.
fn place(
    files: &mut Files,
    data: &BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: bool,
    mode: i32,
) -> Result<(), String> {
    let Some(items) = items else {
        return data.iter().try_for_each(|(key, content)| add(files, key, content.clone(), mode));
    };
    for item in items {
        match data.get(&item.key) {
            Some(content) => add(files, &item.path, content.clone(), item.mode.unwrap_or(mode))?,
            None if optional => {}
            None => return Err(format!("references non-existent config key: {}", item.key)),
        }
    }
    Ok(())
}

fn downward(
    files: &mut Files,
    pod: &Pod,
    facts: &Facts,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: i32,
) -> Result<(), String> {
    for item in items.unwrap_or_default() {
        let content = if let Some(reference) = &item.field_ref {
            field(pod, facts, &reference.field_path)?
        } else if let Some(reference) = &item.resource_field_ref {
            resource_field(pod, "", reference)?
        } else {
            return Err(format!("downward API file {} has no source", item.path));
        };
        add(files, &item.path, content.into_bytes(), item.mode.unwrap_or(mode))?;
    }
    Ok(())
}

async fn token(
    files: &mut Files,
    api: &dyn NodeApi,
    pod: &Pod,
    source: &ServiceAccountTokenProjection,
    mode: i32,
    renew_in: &mut Option<Duration>,
) -> Result<(), String> {
    let account = pod::spec(pod).service_account_name.clone().filter(|name| !name.is_empty());
    let request = TokenRequest {
        pod: pod::key(pod),
        service_account: account.unwrap_or_else(|| "default".to_owned()),
        audiences: source.audience.iter().cloned().collect(),
        expiration_seconds: source.expiration_seconds.unwrap_or(3600),
    };
    let token = api.service_account_token(request).await.map_err(|error| error.to_string())?;
    let left = token.expires_at.saturating_sub(edgeward_service::clock::now_ms() / 1000);
    let wait = Duration::from_secs(u64::try_from(left * RENEW_AT_PERCENT / 100).unwrap_or(0).max(10));
    *renew_in = Some(renew_in.map_or(wait, |known| known.min(wait)));
    add(files, &source.path, token.token.into_bytes(), mode)
}

/// Paths come from documents: they stay below the volume and out of the writer's own names.
fn add(files: &mut Files, path: &str, content: Vec<u8>, mode: i32) -> Result<(), String> {
    let plain = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !plain || path.starts_with("..") || path.len() > 4096 {
        return Err(format!("file path \"{path}\" must be relative and without \"..\""));
    }
    let mode = u32::try_from(mode).unwrap_or(0o644) & 0o777;
    files.insert(path.to_owned(), File { content, mode });
    Ok(())
}
