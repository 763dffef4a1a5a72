//! The keys that leave a container running: `ctrl-p,ctrl-q` unless somebody wants others.

use super::super::error::{Error, Result};

/// What leaves a container when nobody says.
pub const DEFAULT: &str = "ctrl-p,ctrl-q";

/// A sequence of keys, and how much of it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    keys: Vec<u8>,
    typed: usize,
}

impl DetachKeys {
    /// Parses keys with commas between them: a character, or `ctrl-` and one of `a`-`z`, `@`, `[`, `\`, `]`, `^`, `_`.
    /// An empty text gives none.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(text: &str) -> Result<Option<DetachKeys>> {
        if text.is_empty() {
            return Ok(None);
        }
        let key = |word: &str| {
            let bytes = word.as_bytes();
            match (bytes, word.strip_prefix("ctrl-").map(str::as_bytes)) {
                ([byte], _) => Some(*byte),
                (_, Some([byte @ (b'a'..=b'z' | b'@' | b'['..=b'_')])) => Some(byte.to_ascii_uppercase() - b'@'),
                _ => None,
            }
        };
        let bad = |word: &str| {
            Error::invalid(format!("invalid detach key '{word}' in '{text}'"))
                .with_hint("write such as ctrl-p,ctrl-q or ctrl-@,x")
        };
        let keys = text.split(',').map(|word| key(word).ok_or_else(|| bad(word))).collect::<Result<Vec<u8>>>()?;
        Ok(Some(DetachKeys { keys, typed: 0 }))
    }

    /// Takes input: what of it goes on to the container, and whether the keys were typed to their end. Keys that may be
    /// the beginning are held back until the next ones tell.
    pub fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut through = Vec::with_capacity(input.len());
        for byte in input {
            if *byte == self.keys[self.typed] {
                self.typed += 1;
                if self.typed == self.keys.len() {
                    self.typed = 0;
                    return (through, true);
                }
                continue;
            }
            through.extend_from_slice(&self.keys[..self.typed]);
            // A sequence of one key never gets here with its own.
            self.typed = usize::from(*byte == self.keys[0]);
            if self.typed == 0 {
                through.push(*byte);
            }
        }
        (through, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_and_everything_else_goes_through() {
        let mut keys = DetachKeys::parse(DEFAULT).unwrap().unwrap();
        assert_eq!(keys.filter(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x10\x11rest"), (b"\x10".to_vec(), true));
    }

    #[test]
    fn keys() {
        assert_eq!(DetachKeys::parse("").unwrap(), None);
        assert_eq!(DetachKeys::parse("ctrl-@,x,ctrl-[").unwrap().unwrap().keys, [0, b'x', 27]);
        for bad in ["ctrl-", "ctrl-1", "shift-a", "a,,b", "ctrl-pp"] {
            assert!(DetachKeys::parse(bad).is_err(), "{bad}");
        }
    }
}
