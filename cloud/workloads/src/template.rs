//! Names and hashes derived from a pod template.

use k8s_openapi::api::core::v1::PodTemplateSpec;

/// Letters and digits that Kubernetes uses in generated names: no vowels, so no words; no look-alikes.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A short text that changes when the template does. `collisions` is the owner's `status.collisionCount`.
pub(crate) fn hash(template: &PodTemplateSpec, collisions: i32) -> Result<String, serde_json::Error> {
    // Serialised from typed structs and sorted maps, so equal templates give equal bytes.
    let mut digest = fnv(0x811c_9dc5, &serde_json::to_vec(template)?);
    if collisions > 0 {
        digest = fnv(digest, &collisions.to_le_bytes());
    }
    Ok(digest.to_string().bytes().map(|digit| char::from(SAFE[usize::from(digit) % SAFE.len()])).collect())
}

/// FNV-1a over 32 bits.
fn fnv(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_follows_the_template_and_nothing_else() {
        let template = |value| serde_json::from_value::<PodTemplateSpec>(value).expect("a template");
        let one = template(json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": []}}));
        let same = template(json!({"spec": {"containers": []}, "metadata": {"labels": {"b": "2", "a": "1"}}}));
        let other = template(json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": []}}));
        let hash = |template, collisions| hash(template, collisions).expect("a hash");
        assert_eq!(hash(&one, 0), hash(&same, 0));
        assert_ne!(hash(&one, 0), hash(&other, 0));
        assert_ne!(hash(&one, 0), hash(&one, 1));
        assert!(hash(&one, 0).bytes().all(|byte| SAFE.contains(&byte)));
    }
}
