//! Authentication: who sent a request.

mod identity;
pub(crate) mod tokens;

use std::sync::Arc;

use edgeward_objects::{ApiError, GroupResource};
use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use identity::{Identity, MASTERS, NODES};
use tokens::TokenKeys;

/// How requests over a socket prove who they are.
pub(crate) struct Authenticator {
    admin_token: Option<String>,
    pub(crate) keys: TokenKeys,
}

impl Authenticator {
    pub(crate) fn new(admin_token: Option<String>, keys: TokenKeys) -> Self {
        Self { admin_token: admin_token.filter(|token| !token.is_empty()), keys }
    }

    /// The identity behind a request: its bearer token if it has one, else the connection's client certificate, else
    /// anonymous. A token that is not ours is 401, never anonymous.
    pub(crate) fn identify(
        &self,
        headers: &HeaderMap,
        peer: Option<&Arc<Identity>>,
    ) -> Result<Arc<Identity>, ApiError> {
        let caller = match bearer(headers) {
            Some(token) => self.token(token).map(Arc::new).ok_or_else(ApiError::unauthorized)?,
            None => peer.cloned().unwrap_or_else(|| Arc::new(Identity::anonymous())),
        };
        impersonated(headers, caller)
    }

    /// The identity a bearer token stands for.
    pub(crate) fn token(&self, token: &str) -> Option<Identity> {
        if self.admin_token.as_deref().is_some_and(|admin| same(admin.as_bytes(), token.as_bytes())) {
            return Some(Identity::admin());
        }
        self.keys.verify(token).map(|claims| claims.identity())
    }
}

/// `kubectl --as`: administrators may speak as somebody else. Headers that were ignored would let them act as themselves
/// while they believe they test the rights of another.
fn impersonated(headers: &HeaderMap, caller: Arc<Identity>) -> Result<Arc<Identity>, ApiError> {
    let Some(user) = headers.get("impersonate-user").and_then(|value| value.to_str().ok()) else {
        let other = headers.keys().any(|name| name.as_str().starts_with("impersonate-"));
        return if other {
            Err(ApiError::bad_request("impersonation needs the header Impersonate-User"))
        } else {
            Ok(caller)
        };
    };
    if !caller.is_in(MASTERS) {
        let why = format!(
            "User {:?} cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            caller.user
        );
        return Err(ApiError::forbidden(&GroupResource::new("", "users"), user, &why));
    }
    let groups: Vec<&str> =
        headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok()).collect();
    let account = Identity::new(user, groups.iter().copied());
    Ok(Arc::new(match account.as_service_account() {
        Some((namespace, name)) if groups.is_empty() => Identity::service_account(namespace, name, ""),
        _ => account,
    }))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Compares in a time that depends on the lengths only.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_may_speak_as_others() {
        let authenticator = Authenticator::new(None, TokenKeys::open(None).unwrap());
        let ask = |caller: Identity, headers: &[(&'static str, &str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            authenticator.identify(&headers, Some(&Arc::new(caller)))
        };
        let jane = ask(Identity::admin(), &[("impersonate-user", "jane"), ("impersonate-group", "dev")]).unwrap();
        assert!(jane.user == "jane" && jane.is_in("dev") && !jane.is_in(MASTERS));
        let account = ask(Identity::admin(), &[("impersonate-user", "system:serviceaccount:a:b")]).unwrap();
        assert!(account.is_in("system:serviceaccounts:a"));
        let refused = ask(Identity::node("n"), &[("impersonate-user", "jane")]).unwrap_err();
        assert_eq!(
            refused.message,
            "users \"jane\" is forbidden: User \"system:node:n\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
        );
        assert_eq!(ask(Identity::admin(), &[("impersonate-group", "dev")]).unwrap_err().code, 400);
    }

    #[test]
    fn bearer_tokens_and_their_absence() {
        let authenticator = Authenticator::new(Some("secret".into()), TokenKeys::open(None).unwrap());
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            authenticator.identify(&headers, None).map(|identity| identity.user.clone())
        };
        assert_eq!(with("Bearer secret").unwrap(), "system:admin");
        assert_eq!(with("bearer secret").unwrap(), "system:admin");
        for wrong in ["Bearer secre", "Bearer secret2", "Bearer ", "Bearer a.b.c"] {
            assert_eq!(with(wrong).unwrap_err().code, 401, "{wrong}");
        }
        assert_eq!(with("Basic eDp5").unwrap(), "system:anonymous");
        let peer = Arc::new(Identity::node("n"));
        assert_eq!(authenticator.identify(&HeaderMap::new(), Some(&peer)).unwrap(), peer);
    }
}
