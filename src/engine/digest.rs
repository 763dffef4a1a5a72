//! Content digests (`sha256:HEX`) and readers and writers that compute or check them on the way.
//!
//! Source: OCI image specification 1.1, descriptor.md, "Digests".

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::{Error, Result, to_io};

/// A SHA-256 digest. Other algorithms the specification registers are refused as unsupported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Digest {
        Digest(Sha256::digest(bytes.as_ref()).into())
    }

    /// The 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        use fmt::Write;
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The first 12 digits, as listings show them.
    pub fn short(&self) -> String {
        self.hex()[..12].to_string()
    }

    /// From exactly 64 lower-case hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Digest> {
        let bytes = hex.as_bytes();
        if bytes.len() != 64 {
            return None;
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut out = [0u8; 32];
        for (at, pair) in bytes.chunks(2).enumerate() {
            out[at] = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Digest(out))
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Parses `sha256:HEX`.
    ///
    /// # Errors
    /// `unsupported` for another registered algorithm, `invalid_argument` for anything malformed.
    fn from_str(text: &str) -> Result<Digest> {
        if let Some(digest) = text.strip_prefix("sha256:").and_then(Digest::from_hex) {
            return Ok(digest);
        }
        if text.starts_with("sha512:") || text.starts_with("blake3:") {
            return Err(Error::new(
                super::error::Kind::Unsupported,
                format!("digest algorithm of '{text}' is not sha256"),
            ));
        }
        Err(Error::invalid(format!("invalid digest '{text}': expected sha256: and 64 lower-case hexadecimal digits")))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes the digest and length of what passes through, in either direction.
pub struct Hashing<T> {
    inner: T,
    hasher: Sha256,
    bytes: u64,
}

impl<T> Hashing<T> {
    /// Wraps a reader or writer.
    pub fn new(inner: T) -> Hashing<T> {
        Hashing { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// How many bytes passed.
    pub fn passed(&self) -> u64 {
        self.bytes
    }

    /// The inner value, the digest and the number of bytes that passed.
    pub fn finish(self) -> (T, Digest, u64) {
        (self.inner, Digest(self.hasher.finalize().into()), self.bytes)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A reader whose end is an error unless exactly `size` bytes with digest `expected` went through.
pub struct Verifying<R> {
    inner: Option<Hashing<R>>,
    expected: Digest,
    size: Option<u64>,
}

impl<R: Read> Verifying<R> {
    /// Wraps `inner`. `size` is checked when given.
    pub fn new(inner: R, expected: Digest, size: Option<u64>) -> Verifying<R> {
        Verifying { inner: Some(Hashing::new(inner)), expected, size }
    }
}

impl<R: Read> Read for Verifying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(inner) = &mut self.inner else { return Ok(0) };
        let count = inner.read(buffer)?;
        if let Some(size) = self.size
            && inner.passed() > size
        {
            return Err(to_io(Error::integrity(format!("{} is longer than its {size} bytes", self.expected))));
        }
        if count == 0
            && !buffer.is_empty()
            && let Some(inner) = self.inner.take()
        {
            let (_, digest, bytes) = inner.finish();
            if let Some(size) = self.size
                && bytes != size
            {
                return Err(to_io(Error::integrity(format!("{} has {bytes} bytes, expected {size}", self.expected))));
            }
            if digest != self.expected {
                return Err(to_io(Error::integrity(format!(
                    "content has digest {digest}, expected {}",
                    self.expected
                ))));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_only_well_formed_digests() {
        let good = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
        for bad in ["", "sha256:", "sha256:ab", &good[1..], &good.to_uppercase(), &format!("{good}0"), "sha256:../../x"]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert_eq!(format!("sha512:{}", "ab".repeat(64)).parse::<Digest>().unwrap_err().kind().name(), "unsupported");
    }

    #[test]
    fn a_verifying_reader_refuses_wrong_content_and_length() {
        let read = |content: &[u8], digest, size| {
            io::copy(&mut Verifying::new(content, digest, size), &mut io::sink()).map_err(|e| e.to_string())
        };
        let digest = Digest::of("hello");
        assert_eq!(read(b"hello", digest, Some(5)), Ok(5));
        assert!(read(b"hellO", digest, Some(5)).unwrap_err().starts_with("content has digest"));
        assert!(read(b"hell", digest, Some(5)).unwrap_err().ends_with("has 4 bytes, expected 5"));
        assert!(read(b"hello!", digest, Some(5)).unwrap_err().ends_with("is longer than its 5 bytes"));
    }
}
