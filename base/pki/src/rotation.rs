//! When a certificate should be replaced.

use std::time::Duration;

use edgeward_service::clock::now_ms;

use crate::{Error, identity};

/// How long to wait until this certificate should be replaced: until a random moment between 70 and 90 % of its life,
/// so that nodes that joined together do not renew together (KubeEdge 1.23 rotates in the same window). Zero when
/// that moment is past.
pub fn rotate_after(certificate: &[u8]) -> Result<Duration, Error> {
    let (from, until) = validity_ms(certificate)?;
    let moment = from + ((until - from) as f64 * (0.7 + 0.2 * random_fraction())) as i64;
    Ok(Duration::from_millis(u64::try_from(moment - now_ms()).unwrap_or(0)))
}

/// Whether less than a tenth of the certificate's life is left (or it has not begun).
pub fn near_expiry(certificate: &[u8]) -> Result<bool, Error> {
    let (from, until) = validity_ms(certificate)?;
    let now = now_ms();
    Ok(now < from || until - now < (until - from) / 10)
}

/// When the certificate ends, in milliseconds since 1970.
pub fn expires_ms(certificate: &[u8]) -> Result<i64, Error> {
    Ok(validity_ms(certificate)?.1)
}

fn validity_ms(certificate: &[u8]) -> Result<(i64, i64), Error> {
    let certificate = identity::parse(certificate)?;
    let validity = certificate.validity();
    let ms = |time: x509_parser::time::ASN1Time| time.timestamp().saturating_mul(1000);
    Ok((ms(validity.not_before), ms(validity.not_after)))
}

/// Uniform in [0, 1). Without system randomness TLS could not work either; then there is just no jitter.
fn random_fraction() -> f64 {
    let mut bytes = [0u8; 4];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}
