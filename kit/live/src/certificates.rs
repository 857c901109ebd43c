//! The certificates of a cluster: its authority, the server's and the administrator's; and the key of its tokens.
//!
//! They lie as PEM files in one folder, as those of kubeadm do (`/etc/kubernetes/pki`), and are made where there are none.
//! Who shows a certificate of the authority is the user that its common name says, in the groups that its organizations
//! say (`apiserver/pkg/authentication/request/x509/x509.go`).

use crate::keys::{self, Keys};
use crate::signer::Authority;
use kit_server::{Signer, User};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// What the server's certificate is good for, besides the address that it listens on.
const NAMES: [&str; 7] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "10.96.0.1",
];

/// The certificates, as PEM.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's certificate.
    pub authority: String,
    /// Its key; none in a folder of an earlier kit, where nothing new can be signed.
    authority_key: Option<String>,
    /// The administrator's certificate and key.
    pub admin: (String, String),
    server: (String, String),
    /// The key that signs tokens of service accounts, and its public part.
    accounts: (String, String),
}

impl Certificates {
    /// Those in a folder; new ones if there are none.
    ///
    /// # Errors
    ///
    /// If the folder can't be read or written.
    pub fn in_folder(folder: &Path) -> io::Result<Certificates> {
        const FILES: [&str; 5] = ["ca.crt", "admin.crt", "admin.key", "apiserver.crt", "apiserver.key"];
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        if let [Ok(authority), Ok(admin), Ok(admin_key), Ok(server), Ok(server_key)] = FILES.map(read) {
            // A folder of an earlier kit has no key for tokens.
            let accounts = match ["sa.key", "sa.pub"].map(read) {
                [Ok(key), Ok(public)] => (key, public),
                _ => keys::new_pem().map_err(io::Error::other)?,
            };
            write_private(&folder.join("sa.key"), &accounts.0)?;
            write_private(&folder.join("sa.pub"), &accounts.1)?;
            let authority_key = read("ca.key").ok();
            let (admin, server) = ((admin, admin_key), (server, server_key));
            return Ok(Certificates { authority, authority_key, admin, server, accounts });
        }
        let made = Certificates::new().map_err(io::Error::other)?;
        std::fs::create_dir_all(folder)?;
        let texts = [&made.authority, &made.admin.0, &made.admin.1, &made.server.0, &made.server.1];
        for (name, text) in FILES.iter().zip(texts) {
            write_private(&folder.join(name), text)?;
        }
        write_private(&folder.join("ca.key"), made.authority_key.as_deref().unwrap_or_default())?;
        write_private(&folder.join("sa.key"), &made.accounts.0)?;
        write_private(&folder.join("sa.pub"), &made.accounts.1)?;
        Ok(made)
    }

    /// New ones, signed by a new authority.
    ///
    /// # Errors
    ///
    /// If the machine gives no chance to draw keys from.
    pub fn new() -> Result<Certificates, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "kubernetes");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = authority.self_signed(&key)?.pem();
        let authority_key = Some(key.serialize_pem());
        let issuer = Issuer::new(authority, key);
        let sign = |name: &str, group: Option<&str>, names: &[&str], usage| -> Result<_, rcgen::Error> {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
            params.distinguished_name.push(DnType::CommonName, name);
            if let Some(group) = group {
                params.distinguished_name.push(DnType::OrganizationName, group);
            }
            params.extended_key_usages = vec![usage];
            Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
        };
        Ok(Certificates {
            authority: certificate,
            authority_key,
            admin: sign("kubernetes-admin", Some("system:masters"), &[], ExtendedKeyUsagePurpose::ClientAuth)?,
            server: sign("kube-apiserver", None, &NAMES, ExtendedKeyUsagePurpose::ServerAuth)?,
            accounts: keys::new_pem()?,
        })
    }

    /// Who signs certificates for users, if the authority's key is there.
    ///
    /// # Errors
    ///
    /// If it is broken.
    pub(crate) fn signing(&self) -> io::Result<Option<Authority>> {
        let key = self.authority_key.as_deref();
        key.map(|key| Authority::new(&self.authority, key)).transpose().map_err(io::Error::other)
    }

    /// What signs tokens of service accounts.
    ///
    /// # Errors
    ///
    /// If the key is broken.
    pub(crate) fn signer(&self) -> io::Result<Arc<dyn Signer>> {
        Ok(Arc::new(Keys::from_pem(&self.accounts.0)?))
    }

    /// The same for a cluster without certificates, until it ends.
    pub(crate) fn key_of_its_own() -> io::Result<Arc<dyn Signer>> {
        let (key, _) = keys::new_pem().map_err(io::Error::other)?;
        Ok(Arc::new(Keys::from_pem(&key)?))
    }

    /// How the server shakes hands: it shows its certificate, and looks at the client's if there is one.
    pub(crate) fn server_config(&self) -> io::Result<Arc<ServerConfig>> {
        let certificates = |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority).map_err(io::Error::other)? {
            roots.add(certificate).map_err(io::Error::other)?;
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(self.server.1.as_bytes()).map_err(io::Error::other)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(clients)
            .with_single_cert(certificates(&self.server.0).map_err(io::Error::other)?, key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The user that a certificate says, which the authority was found to have signed.
pub(crate) fn user_of(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_string();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
    let groups = groups.map(ToString::to_string).chain(["system:authenticated".to_string()]);
    let print = Sha256::digest(certificate);
    let id = print.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let extra = [("authentication.kubernetes.io/credential-id".to_string(), vec![format!("X509SHA256={id}")])];
    Some(User { name, groups: groups.collect(), extra: extra.into(), ..User::default() })
}

/// Writes a file that nobody but its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
