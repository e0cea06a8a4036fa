//! SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL's clients speak it.

use std::num::NonZeroU32;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Rounds a server may ask for: a hostile one must not keep the processor busy. PostgreSQL's default is 4096.
const MAX_ROUNDS: u32 = 200_000;

/// One login.
pub(super) struct Login {
    nonce: String,
    /// What the server must prove it knows, once the password has been shown.
    expected: Option<Vec<u8>>,
}

impl Login {
    pub(super) fn new() -> Login {
        Login::with_nonce(uuid::Uuid::new_v4().simple().to_string())
    }

    fn with_nonce(nonce: String) -> Login {
        Login { nonce, expected: None }
    }

    /// The first message. PostgreSQL takes the user's name from elsewhere.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare(""))
    }

    fn bare(&self, user: &str) -> String {
        format!("n={user},r={}", self.nonce)
    }

    /// The answer to the server's first message: the proof that the password is known.
    ///
    /// # Errors
    /// The message makes no sense.
    pub(super) fn prove(&mut self, user: &str, password: &str, server: &str) -> Result<String, &'static str> {
        let nonce = attribute(server, "r=").filter(|nonce| nonce.starts_with(&self.nonce)).ok_or("a foreign nonce")?;
        let salt = attribute(server, "s=").and_then(|salt| STANDARD.decode(salt).ok()).ok_or("no salt")?;
        let rounds = attribute(server, "i=").and_then(|rounds| rounds.parse::<NonZeroU32>().ok());
        let rounds = rounds.filter(|rounds| rounds.get() <= MAX_ROUNDS).ok_or("a number of rounds out of bounds")?;
        let mut salted = [0; 32];
        derive(PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
        let client_key = sign(&salted, b"Client Key");
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{server},{last}", self.bare(user));
        let signature = sign(&Sha256::digest(&client_key), all.as_bytes());
        self.expected = Some(sign(&sign(&salted, b"Server Key"), all.as_bytes()));
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, byte)| key ^ byte).collect();
        Ok(format!("{last},p={}", STANDARD.encode(proof)))
    }

    /// Checks that the server knows the password too.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn verify(&self, server: &str) -> Result<(), &'static str> {
        let shown = attribute(server, "v=").and_then(|text| STANDARD.decode(text).ok());
        if shown.is_some() && shown == self.expected { Ok(()) } else { Err("it does not know the password itself") }
    }
}

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|part| part.strip_prefix(name))
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn logs_in_as_the_standard_shows() {
        let mut login = Login::with_nonce("rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(login.first(), "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = login.prove("user", "pencil", server).unwrap();
        let expect = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(proof, expect);
        assert_eq!(login.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert!(login.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=").is_err());
        assert!(login.verify("e=other-error").is_err());
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for server in ["", "r=x,s=YQ==,i=1", "r=nonce2,i=1", "r=nonce2,s=YQ==,i=0", "r=nonce2,s=YQ==,i=9999999"] {
            assert!(Login::with_nonce("nonce".into()).prove("u", "p", server).is_err(), "{server}");
        }
        assert!(Login::new().verify("v=").is_err());
    }
}
