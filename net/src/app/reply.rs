//! What a handler writes to.

use crate::text::Text;
use core::fmt;

/// Bytes of an answer, in memory of a fixed size: what does not fit is cut off.
pub struct Writer<'a> {
    pub(crate) text: &'a mut Text,
}

impl Writer<'_> {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.text.push(bytes);
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.text.room()
    }

    /// Whether something may have been cut off.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.text.is_full()
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// An answer without a stream: status, header fields and content. Fields and content have
/// 6000 bytes each; an answer with more becomes a 500.
pub struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) fields: &'a mut Text,
    pub(crate) content: Writer<'a>,
}

impl<'a> Reply<'a> {
    /// Sets the status code; 200 if nobody does.
    ///
    /// # Panics
    /// It is not between 200 and 599.
    pub fn status(&mut self, code: u16) {
        assert!((200..=599).contains(&code), "no final status: {code}");
        self.status = code;
    }

    /// Adds a header field. `Content-Length`, `Date`, `Connection` and what else frames an answer
    /// is the server's business. Control characters in the value become blanks.
    ///
    /// # Panics
    /// The name is not a token (RFC 9110, 5.6.2), or the server's business.
    pub fn field(&mut self, name: &'static str, value: &str) {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        assert!(
            !name.is_empty() && name.bytes().all(token),
            "no name of a header field: {name:?}"
        );
        let own = [
            "content-length",
            "transfer-encoding",
            "connection",
            "date",
            "server",
        ];
        assert!(
            !own.iter().any(|own| name.eq_ignore_ascii_case(own)),
            "the server writes {name} itself"
        );
        self.fields.push(name.as_bytes());
        self.fields.push(b": ");
        for byte in value.bytes() {
            let plain = !byte.is_ascii_control();
            self.fields.push(&[if plain { byte } else { b' ' }]);
        }
        self.fields.push(b"\r\n");
    }

    /// Adds bytes to the content.
    pub fn push(&mut self, bytes: &[u8]) {
        self.content.push(bytes);
    }

    /// Where the content goes.
    pub fn content(&mut self) -> &mut Writer<'a> {
        &mut self.content
    }
}

impl fmt::Write for Reply<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.content.write_str(text)
    }
}
