//! JWT authentication, when it is switched on.

use std::path::Path;

use axum::extract::Request;
use http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous};
use serde::Deserialize;

#[derive(Deserialize)]
struct Claims {
    iss: String,
}

/// Whether a request may pass: `Authorization` holds a JWT signed with RS256, without "Bearer", whose issuer names a file of
/// `keys` with the public key and whose audience is eKuiper. The error is the text of the 401.
pub(super) fn check(request: &Request, keys: &Path) -> Result<(), String> {
    if ["/", "/ping"].contains(&request.uri().path()) {
        return Ok(());
    }
    verify(request.headers(), keys)
}

fn verify(headers: &HeaderMap, keys: &Path) -> Result<(), String> {
    let token = headers.get(header::AUTHORIZATION).and_then(|token| token.to_str().ok()).unwrap_or_default();
    if token.is_empty() {
        return Err("missing_token".into());
    }
    let claims: Claims = dangerous::insecure_decode_claims(token).map_err(|error| error.to_string())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || [b'_', b'-', b'.'].contains(&byte);
    if claims.iss.starts_with('.') || !claims.iss.bytes().all(plain) {
        return Err("not found issuer".into());
    }
    let pem = std::fs::read(keys.join(&claims.iss)).map_err(|_| format!("not found issuer {}", claims.iss))?;
    let key = DecodingKey::from_rsa_pem(&pem).map_err(|error| error.to_string())?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["eKuiper"]);
    validation.set_required_spec_claims(&["aud", "iss"]);
    jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation).map_err(|error| error.to_string())?;
    Ok(())
}
