//! JWT authentication, when it is switched on.

use std::path::Path;

use axum::extract::Request;
use http::{HeaderMap, header};
use jsonwebtoken::errors::{Error, ErrorKind};
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
    let claims: Claims = dangerous::insecure_decode_claims(token).map_err(|error| reason(&error))?;
    let key = public_key(keys, &claims.iss)
        .map_err(|reason| format!("token is unverifiable: error while executing keyfunc: {reason}"))?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["eKuiper"]);
    validation.set_required_spec_claims(&["aud", "iss"]);
    validation.validate_nbf = true;
    // eKuiper's library knows no leeway.
    validation.leeway = 0;
    jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation).map_err(|error| reason(&error))?;
    Ok(())
}

/// The public key of an issuer: the file of its name.
fn public_key(keys: &Path, issuer: &str) -> Result<DecodingKey, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || [b'_', b'-', b'.'].contains(&byte);
    if issuer.is_empty() || issuer.starts_with('.') || !issuer.bytes().all(plain) {
        return Err(format!("not found issuer {issuer}"));
    }
    let pem = std::fs::read(keys.join(issuer)).map_err(|_| format!("not found issuer {issuer}"))?;
    DecodingKey::from_rsa_pem(&pem).map_err(|error| error.to_string())
}

/// Why a token is refused, in the words of eKuiper's library (golang-jwt 5).
fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::InvalidSignature => "token signature is invalid: crypto/rsa: verification error".into(),
        ErrorKind::ExpiredSignature => "token has invalid claims: token is expired".into(),
        ErrorKind::ImmatureSignature => "token has invalid claims: token is not valid yet".into(),
        ErrorKind::InvalidAudience => "token has invalid claims: token has invalid audience".into(),
        ErrorKind::MissingRequiredClaim(_) => "token has invalid claims: token is missing required claim".into(),
        ErrorKind::InvalidAlgorithm => "token signature is invalid: signing method is invalid".into(),
        ErrorKind::InvalidToken => "token is malformed: token contains an invalid number of segments".into(),
        _ => format!("token is malformed: {error}"),
    }
}
