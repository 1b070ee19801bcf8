//! Certificates made for a test: authorities, and what they issue.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// An authority that issues certificates.
pub struct Authority {
    params: CertificateParams,
    issuer: Issuer<'static, KeyPair>,
    pub certificate: Certificate,
}

/// A certificate with its key, both as PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate alone.
    pub certificate: String,
    pub key: String,
    /// What an authority revokes.
    pub serial: u64,
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Ecdsa,
    Rsa,
}

/// What a certificate is for and until when; good until 2999 unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    pub names: &'w [&'w str],
    pub common_name: &'w str,
    pub kind: KeyKind,
    pub serial: u64,
    /// Years: from the first of January of the one to that of the other.
    pub years: (i32, i32),
}

impl Wanted<'_> {
    /// A certificate with ECDSA for hosts.
    pub fn names<'w>(names: &'w [&'w str]) -> Wanted<'w> {
        let years = (2020, 2999);
        Wanted { names, common_name: "test", kind: KeyKind::Ecdsa, serial: 1, years }
    }
}

impl Authority {
    /// One that has issued itself.
    pub fn root(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let certificate = params.self_signed(&key).unwrap();
        Authority { issuer: Issuer::new(params.clone(), key), params, certificate }
    }

    /// One that this one has issued.
    pub fn intermediate(&self, name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Authority { issuer: Issuer::new(params.clone(), key), params, certificate }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The name that it goes by, as text.
    pub fn name(&self) -> String {
        match self.params.distinguished_name.get(&DnType::CommonName) {
            Some(rcgen::DnValue::Utf8String(name)) => format!("CN={name}"),
            other => panic!("{other:?}"),
        }
    }

    pub fn issue(&self, wanted: &Wanted<'_>) -> Issued {
        let key = match wanted.kind {
            KeyKind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            KeyKind::Rsa => KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
        };
        let names: Vec<String> = wanted.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, wanted.common_name);
        params.serial_number = Some(SerialNumber::from(wanted.serial));
        params.not_before = date_time_ymd(wanted.years.0, 1, 1);
        params.not_after = date_time_ymd(wanted.years.1, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), serial: wanted.serial }
    }

    /// A list with these revoked.
    pub fn revocation_list(&self, revoked: &[u64]) -> String {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2999, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2999, 1, 1);
    params
}

impl Issued {
    /// Writes `NAME.pem`, with `behind` after the certificate, and `NAME.key`, which nobody else
    /// may read.
    pub fn write(&self, folder: &Path, name: &str, behind: &str) -> (PathBuf, PathBuf) {
        use std::os::unix::fs::PermissionsExt;
        let (chain, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&chain, format!("{}{behind}", self.certificate)).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        (chain, key)
    }
}

/// Writes the files that a configuration names in quotes: for each `NAME.key` a certificate in
/// `NAME.pem` with its key, for `NAME.crl.pem` a revocation list, and an authority for any other
/// `NAME.pem`.
pub fn write_named_certificates(config: &str, folder: &Path) {
    let authority = Authority::root("Authority");
    let quoted: Vec<&str> = config.split('"').skip(1).step_by(2).collect();
    for name in quoted.iter().filter_map(|name| name.strip_suffix(".pem")) {
        let path = folder.join(format!("{name}.pem"));
        if quoted.contains(&&*format!("{name}.key")) {
            let names = ["localhost", "www.example.com", "example.com"];
            authority.issue(&Wanted::names(&names)).write(folder, name, &authority.pem());
        } else if name.ends_with(".crl") {
            std::fs::write(path, authority.revocation_list(&[])).unwrap();
        } else {
            std::fs::write(path, authority.pem()).unwrap();
        }
    }
}
