//! The certificate authority of one cloud.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edgeward_service::clock::now_ms;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{
    ADMINS_ORGANIZATION, Error, Identity, JoinToken, NODES_ORGANIZATION, TokenError, certificate_fingerprint, files,
    identity, near_expiry, node_common_name, request, token,
};

const DAY: Duration = Duration::from_secs(86_400);
/// Life of server and administrator certificates; both are made anew long before.
const LEAF_LIFETIME: Duration = DAY.saturating_mul(365);
/// Certificates begin this much in the past, for nodes whose clocks are behind.
const BACKDATE_SECONDS: u64 = 300;

/// A CA: its certificate and key, and the folder they are kept in.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// A node certificate that was just issued.
#[derive(Clone, Debug)]
pub struct SignedNode {
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// Fingerprint of its public key, see [`certificate_fingerprint`].
    pub fingerprint: String,
}

impl Authority {
    /// Loads the CA of a folder (`ca.crt`, `ca.key`), or makes one there: ECDSA P-256, common name `KubeEdge`, serial
    /// 1024, 100 × 364 days, as KubeEdge 1.23 does. The key may be PKCS#8 or, taken over from a KubeEdge cloud, SEC1.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let (certificate_path, key_path) = (folder.join("ca.crt"), folder.join("ca.key"));
        if let Some(found) = Identity::load(&certificate_path, &key_path)? {
            let certificate = found.certificate()?.clone();
            if identity::parse(&certificate)?.public_key().raw
                != KeyPair::try_from(&found.key)?.subject_public_key_info()
            {
                return Err(Error::Refused("ca.key does not belong to ca.crt; restore the pair from a backup".into()));
            }
            return Ok(Self { folder: folder.into(), certificate, key: found.key });
        }
        let key = KeyPair::generate()?;
        let certificate = authority_params()?.self_signed(&key)?.der().clone();
        let made = Identity { chain: vec![certificate.clone()], key: key.into() };
        made.save(&certificate_path, &key_path)?;
        Ok(Self { folder: folder.into(), certificate, key: made.key })
    }

    /// The CA certificate: body of `GET /ca.crt`.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The CA certificate as PEM, for kubeconfig files.
    pub fn certificate_pem(&self) -> String {
        files::pem("CERTIFICATE", &self.certificate)
    }

    /// A server certificate for these host names and addresses, kept as `<name>.crt` and `<name>.key` in the folder.
    /// It is made anew when the list changes, when it nears its end, or when the CA is another one.
    pub fn server_identity(&self, name: &str, hosts: &[String]) -> Result<Identity, Error> {
        let (certificate_path, key_path) =
            (self.folder.join(format!("{name}.crt")), self.folder.join(format!("{name}.key")));
        if let Some(found) = Identity::load(&certificate_path, &key_path)?
            && self.still_serves(found.certificate()?, hosts)?
        {
            return Ok(found);
        }
        let mut params = leaf_params(subject("KubeEdge", "KubeEdge"), LEAF_LIFETIME)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = alternative_names(hosts)?;
        let made = self.issue(&params)?;
        made.save(&certificate_path, &key_path)?;
        Ok(made)
    }

    /// A client certificate for people and programs: `user` in organisation `group`; [`ADMINS_ORGANIZATION`] may do all.
    pub fn client_identity(&self, user: &str, group: &str, lifetime: Duration) -> Result<Identity, Error> {
        let mut params = leaf_params(subject(user, group), lifetime)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    /// A client certificate that may do everything, for a year.
    pub fn admin_identity(&self) -> Result<Identity, Error> {
        self.client_identity("kubernetes-admin", ADMINS_ORGANIZATION, LEAF_LIFETIME)
    }

    /// Signs a node's request (PKCS#10 DER), or says which rule it breaks. The certificate keeps the common name, the
    /// organisation and alternative names, and is good for client authentication only.
    pub fn sign_node(&self, request: &[u8], node: &str, lifetime: Duration) -> Result<SignedNode, Error> {
        let request = request::check(request, node)?;
        let mut params = leaf_params(subject(&node_common_name(node), NODES_ORGANIZATION), lifetime)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = request.params.subject_alt_names;
        let certificate = params.signed_by(&request.public_key, &self.issuer()?)?.der().clone();
        let fingerprint = certificate_fingerprint(&certificate)?;
        Ok(SignedNode { certificate, fingerprint })
    }

    /// A join token that is good for `lifetime` from now.
    pub fn create_token(&self, lifetime: Duration) -> String {
        let expires = now_ms() / 1000 + i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX / 2000);
        token::create(&self.certificate, self.key.secret_der(), expires)
    }

    /// Verifies what a node sent as `Authorization: Bearer …`.
    pub fn verify_bearer(&self, bearer: &str) -> Result<(), TokenError> {
        token::verify(bearer, self.key.secret_der(), now_ms() / 1000)
    }

    /// Verifies a whole join token, hash and all.
    pub fn verify_token(&self, token: &JoinToken) -> Result<(), TokenError> {
        token.check_authority(&self.certificate)?;
        self.verify_bearer(token.bearer())
    }

    fn issue(&self, params: &CertificateParams) -> Result<Identity, Error> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer()?)?.der().clone();
        Ok(Identity { chain: vec![certificate], key: key.into() })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, Error> {
        Ok(Issuer::from_ca_cert_der(&self.certificate, KeyPair::try_from(&self.key)?)?)
    }

    fn still_serves(&self, certificate: &[u8], hosts: &[String]) -> Result<bool, Error> {
        if near_expiry(certificate)? {
            return Ok(false);
        }
        let (parsed, authority) = (identity::parse(certificate)?, identity::parse(&self.certificate)?);
        if parsed.verify_signature(Some(authority.public_key())).is_err() {
            return Ok(false);
        }
        let mut found = alternative_names_of(&parsed);
        let mut wanted: Vec<String> = hosts.to_vec();
        for names in [&mut found, &mut wanted] {
            names.sort();
            names.dedup();
        }
        Ok(found == wanted)
    }
}

fn authority_params() -> Result<CertificateParams, Error> {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "KubeEdge");
    let mut params = leaf_params(name, DAY * 364 * 100)?;
    params.serial_number = Some(SerialNumber::from(1024u64));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.use_authority_key_identifier_extension = false;
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn leaf_params(name: DistinguishedName, lifetime: Duration) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    let begin = rcgen::date_time_ymd(1970, 1, 1)
        + Duration::from_secs(u64::try_from(now_ms() / 1000).unwrap_or(0).saturating_sub(BACKDATE_SECONDS));
    params.not_before = begin;
    params.not_after = begin + lifetime;
    params.distinguished_name = name;
    params.serial_number = Some(random_serial()?);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    Ok(params)
}

fn subject(common_name: &str, organization: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organization);
    name.push(DnType::CommonName, common_name);
    name
}

/// 63 random bits: positive, and never the same twice for one key.
fn random_serial() -> Result<SerialNumber, Error> {
    let mut bytes = [0u8; 8];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::Refused("the system gives no randomness for a serial".into()))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn alternative_names(hosts: &[String]) -> Result<Vec<SanType>, Error> {
    hosts
        .iter()
        .map(|host| match host.parse::<IpAddr>() {
            Ok(address) => Ok(SanType::IpAddress(address)),
            Err(_) => Ok(SanType::DnsName(host.as_str().try_into()?)),
        })
        .collect()
}

fn alternative_names_of(certificate: &x509_parser::certificate::X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let address = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}
