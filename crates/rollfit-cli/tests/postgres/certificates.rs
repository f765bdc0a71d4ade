//! Certificates for servers, each signed by an authority of its own, so that another server's authority is a stranger.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::programs::write_for_server;

/// What a server presents to those who connect.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Presented {
    /// A certificate for `localhost` and 127.0.0.1.
    Good,
    /// One for another host.
    WrongHost,
    /// One for the right host whose time is over.
    Expired,
}

impl Presented {
    /// Writes certificate and key where the server looks for them, and the authority's certificate for the clients.
    pub(crate) fn place(self, data: &Path, authority_file: &Path) {
        let authority = authority(authority_file);
        let key = KeyPair::generate().unwrap();
        let certificate = self.parameters().signed_by(&key, &authority).unwrap();
        write_for_server(authority_file, &authority.pem(), 0o644);
        write_for_server(&data.join("server.crt"), &certificate.pem(), 0o644);
        // PostgreSQL refuses a key that others can read.
        write_for_server(&data.join("server.key"), &key.serialize_pem(), 0o600);
    }

    fn parameters(self) -> CertificateParams {
        let hosts: &[&str] = match self {
            Self::Good | Self::Expired => &["localhost", "127.0.0.1"],
            Self::WrongHost => &["elsewhere.example"],
        };
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut parameters = CertificateParams::new(hosts).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, "rollfit test server");
        if matches!(self, Self::Expired) {
            parameters.not_after = date_time_ymd(2001, 1, 1);
        }
        parameters
    }
}

/// An authority whose name no other has, after the file that it will be in.
fn authority(file: &Path) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, file.display().to_string());
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}
