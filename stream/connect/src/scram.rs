//! SCRAM (RFC 5802, RFC 7677): logging in with a password that is never sent.

use std::num::NonZeroU32;

use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA512};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512, derive};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};

/// Rounds a server may ask for: a hostile one must not keep the processor busy. PostgreSQL's default is 4096.
const MAX_ROUNDS: u32 = 200_000;

/// The hash of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    /// SCRAM-SHA-256, of PostgreSQL.
    Sha256,
    /// SCRAM-SHA-512, of Kafka.
    Sha512,
}

impl Hash {
    fn digest(self, text: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(text).to_vec(),
            Hash::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    fn sign(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        let algorithm = if self == Hash::Sha256 { HMAC_SHA256 } else { HMAC_SHA512 };
        hmac::sign(&hmac::Key::new(algorithm, key), text).as_ref().to_vec()
    }

    fn salted(self, password: &str, salt: &[u8], rounds: NonZeroU32) -> Vec<u8> {
        let (algorithm, size) = match self {
            Hash::Sha256 => (PBKDF2_HMAC_SHA256, 32),
            Hash::Sha512 => (PBKDF2_HMAC_SHA512, 64),
        };
        let mut out = vec![0; size];
        derive(algorithm, rounds, salt, password.as_bytes(), &mut out);
        out
    }
}

/// One login.
pub(crate) struct Login {
    hash: Hash,
    user: String,
    nonce: String,
    /// What the server must prove it knows, once the password has been shown.
    expected: Option<Vec<u8>>,
}

impl Login {
    /// A login with a name; PostgreSQL takes it from elsewhere and wants none here.
    pub(crate) fn new(hash: Hash, user: &str) -> Login {
        Login::with_nonce(hash, user, uuid::Uuid::new_v4().simple().to_string())
    }

    fn with_nonce(hash: Hash, user: &str, nonce: String) -> Login {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Login { hash, user, nonce, expected: None }
    }

    /// The first message.
    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.bare())
    }

    fn bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }

    /// The answer to the server's first message: the proof that the password is known.
    ///
    /// # Errors
    /// The message makes no sense.
    pub(crate) fn prove(&mut self, password: &str, server: &str) -> Result<String, &'static str> {
        let nonce = attribute(server, "r=").filter(|nonce| nonce.starts_with(&self.nonce)).ok_or("a foreign nonce")?;
        let salt = attribute(server, "s=").and_then(|salt| STANDARD.decode(salt).ok()).ok_or("no salt")?;
        let rounds = attribute(server, "i=").and_then(|rounds| rounds.parse::<NonZeroU32>().ok());
        let rounds = rounds.filter(|rounds| rounds.get() <= MAX_ROUNDS).ok_or("a number of rounds out of bounds")?;
        let hash = self.hash;
        let salted = hash.salted(password, &salt, rounds);
        let client_key = hash.sign(&salted, b"Client Key");
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{server},{last}", self.bare());
        let signature = hash.sign(&hash.digest(&client_key), all.as_bytes());
        self.expected = Some(hash.sign(&hash.sign(&salted, b"Server Key"), all.as_bytes()));
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, byte)| key ^ byte).collect();
        Ok(format!("{last},p={}", STANDARD.encode(proof)))
    }

    /// Checks that the server knows the password too.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn verify(&self, server: &str) -> Result<(), &'static str> {
        let shown = attribute(server, "v=").and_then(|text| STANDARD.decode(text).ok());
        if shown.is_some() && shown == self.expected { Ok(()) } else { Err("it does not know the password itself") }
    }
}

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|part| part.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by Python's hashlib and hmac.
    const PROOF_512: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
    const SERVER_512: &str =
        "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";

    /// The examples of RFC 7677, and the same exchange with the longer hash.
    #[test]
    fn logs_in_as_the_standard_shows() {
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let mut login = Login::with_nonce(Hash::Sha256, "user", "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(login.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let proof = login.prove("pencil", server).unwrap();
        let expect = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(proof, expect);
        assert_eq!(login.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert!(login.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=").is_err());
        assert!(login.verify("e=other-error").is_err());
        let mut login = Login::with_nonce(Hash::Sha512, "user", "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(login.prove("pencil", server).unwrap(), PROOF_512);
        assert_eq!(login.verify(SERVER_512), Ok(()));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for server in ["", "r=x,s=YQ==,i=1", "r=nonce2,i=1", "r=nonce2,s=YQ==,i=0", "r=nonce2,s=YQ==,i=9999999"] {
            assert!(Login::with_nonce(Hash::Sha256, "u", "nonce".into()).prove("p", server).is_err(), "{server}");
        }
        assert!(Login::new(Hash::Sha512, "u").verify("v=").is_err());
        assert_eq!(Login::with_nonce(Hash::Sha256, "a=b,c", "n".into()).first(), "n,,n=a=3Db=2Cc,r=n");
    }
}
