//! Names of images.

/// The registry host an image comes from, as `host` or `host:port`.
pub(super) fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        },
        _ => "registry-1.docker.io",
    }
}

/// Whether this can be an image name at all; what cannot is refused before anybody is asked.
pub(super) fn is_valid(image: &str) -> bool {
    let (path, digest) = image.split_once('@').map_or((image, None), |(path, digest)| (path, Some(digest)));
    let slash = path.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match path[slash..].rfind(':') {
        Some(colon) => (&path[..slash + colon], Some(&path[slash + colon + 1..])),
        None => (path, None),
    };
    let tag_is_valid = |tag: &str| {
        (1..=128).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let digest_is_valid = |digest: &str| {
        digest
            .split_once(':')
            .is_some_and(|(_, hex)| hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    image.len() <= 512 && name_is_valid(name) && tag.is_none_or(tag_is_valid) && digest.is_none_or(digest_is_valid)
}

/// Components of lower-case letters, digits and separators; the first one may be a host with port and capitals.
fn name_is_valid(name: &str) -> bool {
    name.split('/').enumerate().all(|(at, part)| {
        let host = at == 0 && name.contains('/');
        !part.is_empty()
            && part.bytes().all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || b"._-".contains(&byte)
                    || (host && (byte == b':' || byte.is_ascii_uppercase()))
            })
    })
}

/// The kubelet's default policy: `Always` for `:latest` or no tag, else `IfNotPresent`.
pub(super) fn default_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn registries_and_policies() {
        let cases = [
            ("nginx", "registry-1.docker.io", "Always"),
            ("library/nginx:1.2", "registry-1.docker.io", "IfNotPresent"),
            ("docker.io/library/nginx:latest", "registry-1.docker.io", "Always"),
            ("ghcr.io/your-org/edge-app:latest", "ghcr.io", "Always"),
            ("localhost:5000/a", "localhost:5000", "Always"),
            ("10.0.0.1:5000/a/b:v1", "10.0.0.1:5000", "IfNotPresent"),
            ("a/b@sha256:0123", "registry-1.docker.io", "IfNotPresent"),
        ];
        for (image, host, policy) in cases {
            assert_eq!((registry(image), default_policy(image)), (host, policy), "{image}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_not(text: String, name in "[a-z0-9]{1,9}(/[a-z0-9._-]{1,9}){0,3}(:[A-Za-z0-9_.-]{1,9})?") {
            let (_, _, _) = (is_valid(&text), registry(&text), default_policy(&text));
            prop_assert!(is_valid(&name), "{}", name);
        }
    }

    #[test]
    fn names() {
        let digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let good = ["nginx", "a.b/c_d-e:V1.2_x", "localhost:5000/a/b", "Ghcr.io/x", &format!("a@sha256:{digest}")];
        for image in good {
            assert!(is_valid(image), "{image}");
        }
        for image in ["", "Nginx", "a b", "a//b", "/a", "a:", "a:b c", "a@sha256:zz", "a/b:c:d", "http://a/b"] {
            assert!(!is_valid(image), "{image}");
        }
    }
}
