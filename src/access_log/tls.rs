//! What lines of both kinds say of the client's TLS session.

use std::io::{self, Write};

use super::text::{Foreign, Shown, write_foreign_token, write_json_field};

/// A client's TLS session. Without one, what a client that is passed through asks for is known all
/// the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientTls<'a> {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: Option<&'static str>,
    /// The cipher suite, by its name in the registry of IANA.
    pub cipher: Option<&'static str>,
    /// An earlier session was resumed.
    pub is_resumed: Option<bool>,
    /// The name that the client asks for (SNI).
    pub server_name: Option<&'a str>,
    /// The subject of the certificate that the client has shown (RFC 4514).
    pub client_subject: Option<&'a str>,
}

impl ClientTls<'_> {
    /// What the client chose the words of.
    fn texts(&self) -> [(&'static str, Option<&str>); 2] {
        [("tls_server_name", self.server_name), ("tls_client_subject", self.client_subject)]
    }

    /// From `tls_version` to `tls_client_subject`.
    pub(super) fn write_json(&self, line: &mut Vec<u8>) -> io::Result<()> {
        write_json_field(line, "tls_version", &self.version)?;
        write_json_field(line, "tls_cipher", &self.cipher)?;
        write_json_field(line, "tls_resumed", &self.is_resumed)?;
        for (key, value) in self.texts() {
            let value = value.map(|value| Foreign(value.as_bytes()));
            write_json_field(line, key, &value.as_ref().map(|value| Shown(value)))?;
        }
        Ok(())
    }

    /// The same as pairs.
    pub(super) fn write_combined(&self, line: &mut Vec<u8>) -> io::Result<()> {
        let resumed =
            self.is_resumed.map_or("-", |is_resumed| if is_resumed { "yes" } else { "no" });
        let (version, cipher) = (self.version.unwrap_or("-"), self.cipher.unwrap_or("-"));
        write!(line, " tls_version={version} tls_cipher={cipher} tls_resumed={resumed}")?;
        for (key, value) in self.texts() {
            write!(line, " {key}=")?;
            write_foreign_token(line, value.unwrap_or_default().as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::written;
    use super::*;

    #[test]
    fn a_session_is_told_whole() {
        let tls = ClientTls {
            version: Some("TLSv1.3"),
            cipher: Some("TLS13_AES_128_GCM_SHA256"),
            is_resumed: Some(true),
            server_name: Some("a.example"),
            client_subject: Some("CN=a \"b\",O=\u{e4}\n"),
        };
        assert_eq!(
            written(|line| tls.write_json(line)),
            concat!(
                r#","tls_version":"TLSv1.3","tls_cipher":"TLS13_AES_128_GCM_SHA256","#,
                r#""tls_resumed":true,"tls_server_name":"a.example","#,
                "\"tls_client_subject\":\"CN=a \\\"b\\\",O=\u{e4}\\n\""
            )
        );
        assert_eq!(
            written(|line| tls.write_combined(line)),
            " tls_version=TLSv1.3 tls_cipher=TLS13_AES_128_GCM_SHA256 tls_resumed=yes \
             tls_server_name=a.example tls_client_subject=CN=a\\x20\\x22b\\x22,O=\\xC3\\xA4\\x0A"
        );
    }

    #[test]
    fn none_has_a_sign() {
        let tls = ClientTls::default();
        assert_eq!(
            written(|line| tls.write_json(line)),
            concat!(
                r#","tls_version":null,"tls_cipher":null,"tls_resumed":null,"#,
                r#""tls_server_name":null,"tls_client_subject":null"#
            )
        );
        assert_eq!(
            written(|line| tls.write_combined(line)),
            " tls_version=- tls_cipher=- tls_resumed=- tls_server_name=- tls_client_subject=-"
        );
    }
}
