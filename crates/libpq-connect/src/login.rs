//! [`Login`]: the authentication requests of one connection, held against `require_auth` before anything answers them.

use crate::clear_text::ClearText;
use crate::require_auth::{AuthMethod, RequireAuth};
use crate::wire_fault::WireFault;

/// The codes of authentication requests, as the protocol numbers them.
const OK: u32 = 0;
const PASSWORD: u32 = 3;
const MD5: u32 = 5;
const GSS: u32 = 7;
const SSPI: u32 = 9;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// How far a login has come.
#[derive(Debug)]
pub(crate) struct Login {
    require_auth: RequireAuth,
    clear_text: ClearText,
    asked: Option<AuthMethod>,
    /// Whether the exchange that the server began is complete.
    is_complete: bool,
}

impl Login {
    pub(crate) fn new(require_auth: RequireAuth, clear_text: ClearText) -> Self {
        Self { require_auth, clear_text, asked: None, is_complete: false }
    }

    /// Checks a request. Returns whether the login is over.
    ///
    /// # Errors
    /// When it must not be answered.
    pub(crate) fn check(&mut self, body: &[u8]) -> Result<bool, WireFault> {
        let code = body.first_chunk().map(|code| u32::from_be_bytes(*code));
        match code {
            Some(OK) => self.check_end(),
            Some(PASSWORD) => self.check_clear_text(),
            Some(MD5) => self.begin(AuthMethod::Md5, true),
            Some(GSS) => self.begin(AuthMethod::Gss, false).and_then(|_| unsupported(AuthMethod::Gss)),
            Some(SSPI) => self.begin(AuthMethod::Sspi, false).and_then(|_| unsupported(AuthMethod::Sspi)),
            Some(SASL) => self.begin(AuthMethod::ScramSha256, false),
            Some(SASL_CONTINUE | SASL_FINAL) if self.asked == Some(AuthMethod::ScramSha256) => {
                self.is_complete = code == Some(SASL_FINAL);
                Ok(false)
            }
            Some(SASL_CONTINUE | SASL_FINAL) => {
                Err(WireFault::Protocol("continues a SCRAM login that it did not begin".to_owned()))
            }
            Some(code) => Err(WireFault::Method(format!(
                "the server asks for a login that is not supported (number {code}): have it ask for SCRAM"
            ))),
            None => Err(WireFault::Protocol("sent an authentication request without its number".to_owned())),
        }
    }

    fn begin(&mut self, method: AuthMethod, completes: bool) -> Result<bool, WireFault> {
        if self.asked.is_some() {
            return Err(WireFault::Protocol("asks for a second login on one connection".to_owned()));
        }
        self.check_permitted(method)?;
        (self.asked, self.is_complete) = (Some(method), completes);
        Ok(false)
    }

    fn check_permitted(&self, method: AuthMethod) -> Result<(), WireFault> {
        if self.require_auth.permits(method) {
            return Ok(());
        }
        let (text, does) = (self.require_auth.text(), method.description());
        Err(WireFault::Method(format!(
            "the server {does}, which require_auth={text} does not accept: change the method in the server's \
             pg_hba.conf, or require_auth"
        )))
    }

    fn check_clear_text(&mut self) -> Result<bool, WireFault> {
        self.begin(AuthMethod::Password, true)?;
        let is_named = self.require_auth.names(AuthMethod::Password);
        match self.clear_text {
            ClearText::Unencrypted if !is_named => Err(WireFault::ClearPassword(
                "the server asks for the password in clear text and the connection is not encrypted, so the password \
                 is not sent: use sslmode=verify-full, have the server ask for SCRAM, or accept it with \
                 require_auth=password",
            )),
            ClearText::Unverified if !is_named => Err(WireFault::ClearPassword(
                "the server asks for the password in clear text and its certificate is not verified, so the password \
                 is not sent: use sslmode=verify-full, have the server ask for SCRAM, or accept it with \
                 require_auth=password",
            )),
            ClearText::ForeignSocket if !is_named => Err(WireFault::ClearPassword(
                "the server asks for the password in clear text and everybody can make a socket in its directory, so the password \
                 is not sent: have the server use a directory of its own, have it ask for SCRAM, or accept it with \
                 require_auth=password",
            )),
            _ => Ok(false),
        }
    }

    fn check_end(&self) -> Result<bool, WireFault> {
        match self.asked {
            None => self.check_permitted(AuthMethod::None).map(|()| true),
            Some(_) if self.is_complete => Ok(true),
            Some(_) => Err(WireFault::Method(
                "the server ends the login without proving that it knows the password: it may be an impostor"
                    .to_owned(),
            )),
        }
    }
}

fn unsupported(method: AuthMethod) -> Result<bool, WireFault> {
    Err(WireFault::Method(format!(
        "the server {}, which is not supported: have it ask for SCRAM",
        method.description()
    )))
}
