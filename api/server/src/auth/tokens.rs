//! Service-account tokens: JSON Web Tokens signed with ES256, in the form TokenRequest gives them.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::error::Error;

/// The issuer named in every token, as Kubernetes' default.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Signs and checks tokens with one key.
pub(crate) struct TokenKeys {
    sign: EncodingKey,
    verify: DecodingKey,
}

/// What a token says. The nesting under `kubernetes.io` is what client libraries read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: Vec<String>,
    pub(crate) exp: u64,
    pub(crate) iat: u64,
    pub(crate) nbf: u64,
    pub(crate) iss: String,
    pub(crate) sub: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) subject: Subject,
}

/// The namespace, account and bound pod of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) namespace: String,
    pub(crate) serviceaccount: Named,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Named>,
}

/// A name and the uid it had when the token was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl TokenKeys {
    /// Reads the key (PKCS#8 DER) from a file, or makes it, readable by its owner only. Without a file the key lives in
    /// memory, and tokens end with the process.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let der = match path {
            None => generate()?,
            Some(path) => match std::fs::read(path) {
                Ok(der) => der,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    let der = generate()?;
                    write_private(path, &der)
                        .map_err(|source| Error::TokenKeyFile { path: path.to_owned(), source })?;
                    der
                }
                Err(source) => return Err(Error::TokenKeyFile { path: path.to_owned(), source }),
            },
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map_err(|_| {
            Error::TokenKeyBroken { path: path.map(|path| path.display().to_string()).unwrap_or_default() }
        })?;
        let verify = DecodingKey::from_ec_der(pair.public_key().as_ref());
        Ok(Self { sign: EncodingKey::from_ec_der(&der), verify })
    }

    /// A signed token.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &self.sign)
            .map_err(|error| Error::Sign(error.to_string()))
    }

    /// The claims of a token of ours that has not expired; `None` for anything else.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        // Audiences are compared by TokenReview; the API itself accepts any token it issued for itself.
        validation.validate_aud = false;
        validation.leeway = 0;
        jsonwebtoken::decode::<Claims>(token, &self.verify, &validation).ok().map(|data| data.claims)
    }
}

impl Claims {
    /// Who the token speaks for.
    pub(crate) fn identity(&self) -> Identity {
        let account = &self.subject.serviceaccount;
        Identity::service_account(&self.subject.namespace, &account.name, &account.uid)
    }
}

fn generate() -> Result<Vec<u8>, Error> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    document.map(|der| der.as_ref().to_vec()).map_err(|error| Error::Sign(error.to_string()))
}

/// Written aside and renamed, so that a crash leaves either no key or a whole one.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let aside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(exp: u64) -> Claims {
        let named = |name: &str| Named { name: name.into(), uid: "u".into() };
        let subject = Subject { namespace: "ns".into(), serviceaccount: named("sa"), pod: None };
        let sub = "system:serviceaccount:ns:sa".into();
        Claims { aud: vec!["a".into()], exp, iat: 0, nbf: 0, iss: ISSUER.into(), sub, subject }
    }

    #[test]
    fn tokens_survive_a_restart_and_nothing_else_passes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens/key");
        let token = TokenKeys::open(Some(&path)).unwrap().sign(&claims(4_000_000_000)).unwrap();
        let again = TokenKeys::open(Some(&path)).unwrap();
        assert_eq!(again.verify(&token).unwrap().identity(), Identity::service_account("ns", "sa", "u"));
        assert!(again.verify(&again.sign(&claims(1_000)).unwrap()).is_none(), "expired");
        assert!(TokenKeys::open(None).unwrap().verify(&token).is_none(), "another key");
        for junk in ["", "a.b.c", "x", &token[1..]] {
            assert!(again.verify(junk).is_none(), "{junk}");
        }
        std::fs::write(&path, b"broken").unwrap();
        assert!(TokenKeys::open(Some(&path)).is_err());
    }
}
