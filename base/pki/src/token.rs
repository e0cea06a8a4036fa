//! Join tokens: `hex(sha256(CA DER)).JWT`. The hash lets a node check the cloud before it trusts it, the JWT lets the cloud
//! check the node. The JWT is HS256, keyed with the CA's private key in DER form, with `exp` as its only claim
//! (KubeEdge 1.23).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::identity::sha256_hex;

/// Why a token does not let its bearer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token at all.
    #[error("join token is empty; create one with `edgeward token create`")]
    Empty,
    /// Not `hash.header.claims.signature`, or a part that is not what it should be.
    #[error("join token is malformed: {0}; copy the whole text that `edgeward token create` printed")]
    Malformed(&'static str),
    /// The token was made by another authority than the one that answered.
    #[error(
        "join token belongs to another cloud: its CA hash is not that of the CA this server presents; check the server address and the token"
    )]
    WrongAuthority,
    /// Not signed by this authority.
    #[error(
        "join token has a bad signature: it was not made by this cloud; create one there with `edgeward token create`"
    )]
    BadSignature,
    /// Its time is over.
    #[error("join token has expired; create a new one with `edgeward token create`")]
    Expired,
}

/// A join token as an operator hands it to a node.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    authority_hash: String,
    bearer: String,
}

/// Shows which authority it is for, not the secret.
impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinToken").field("authority_hash", &self.authority_hash).finish_non_exhaustive()
    }
}

impl JoinToken {
    /// Takes the text apart; checks its shape only.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if text.split('.').count() != 4 {
            return Err(TokenError::Malformed("it must have four parts joined by dots"));
        }
        let (hash, bearer) = text.split_once('.').ok_or(TokenError::Malformed("it has no dot"))?;
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(TokenError::Malformed("its first part is not a SHA-256 in hex"));
        }
        Ok(Self { authority_hash: hash.to_ascii_lowercase(), bearer: bearer.to_owned() })
    }

    /// Checks the certificate (DER) that a server calls its CA: only the right one has this hash.
    pub fn check_authority(&self, ca_der: &[u8]) -> Result<(), TokenError> {
        if sha256_hex(ca_der) == self.authority_hash { Ok(()) } else { Err(TokenError::WrongAuthority) }
    }

    /// What to send as `Authorization: Bearer …`: the JWT without the hash.
    pub fn bearer(&self) -> &str {
        &self.bearer
    }
}

#[derive(Deserialize)]
struct Head {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    exp: i64,
}

/// Makes the whole token.
pub(crate) fn create(ca_der: &[u8], key_der: &[u8], expires_s: i64) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{expires_s}}}"#));
    let signed = format!("{head}.{claims}");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key_der), signed.as_bytes());
    format!("{}.{signed}.{}", sha256_hex(ca_der), URL_SAFE_NO_PAD.encode(signature))
}

/// Verifies a bearer JWT: shape, algorithm, signature, then time.
pub(crate) fn verify(bearer: &str, key_der: &[u8], now_s: i64) -> Result<(), TokenError> {
    if bearer.is_empty() {
        return Err(TokenError::Empty);
    }
    let (signed, signature) = bearer.rsplit_once('.').ok_or(TokenError::Malformed("it has no dot"))?;
    let (head, claims) =
        signed.split_once('.').ok_or(TokenError::Malformed("it must have three parts joined by dots"))?;
    let head: Head = part(head, "its header is not JSON in base64url")?;
    if head.alg != "HS256" {
        return Err(TokenError::Malformed("its algorithm is not HS256"));
    }
    let claims: Claims = part(claims, "its claims are not JSON with `exp` in base64url")?;
    let signature =
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed("its signature is not base64url"))?;
    // Constant-time comparison.
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key_der), signed.as_bytes(), &signature)
        .map_err(|_| TokenError::BadSignature)?;
    if claims.exp > now_s { Ok(()) } else { Err(TokenError::Expired) }
}

fn part<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed(what))?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed(what))
}
