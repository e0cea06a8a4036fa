//! Authentication: who sent a request.

mod identity;
pub(crate) mod tokens;

use std::sync::Arc;

use edgeward_objects::ApiError;
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
        if let Some(token) = bearer(headers) {
            return self.token(token).map(Arc::new).ok_or_else(ApiError::unauthorized);
        }
        Ok(peer.cloned().unwrap_or_else(|| Arc::new(Identity::anonymous())))
    }

    /// The identity a bearer token stands for.
    pub(crate) fn token(&self, token: &str) -> Option<Identity> {
        if self.admin_token.as_deref().is_some_and(|admin| same(admin.as_bytes(), token.as_bytes())) {
            return Some(Identity::admin());
        }
        self.keys.verify(token).map(|claims| claims.identity())
    }
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
