//! Permission bits as COPY's `--chmod` has them: octal digits, or chmod(1)'s words.
//!
//! ```text
//! 0755    u=rwX,go=rX    a+x    g=u    +t
//! ```
//!
//! Without a letter before the sign the words are about everybody; no mask takes anything away.

use super::super::error::{Error, Result};

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeChange {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Octal(u32),
    /// The letters before the sign, the sign, and what follows it.
    Words(Vec<u8>, u8, Vec<u8>),
}

impl std::str::FromStr for ModeChange {
    type Err = Error;

    /// Parses octal digits or words.
    ///
    /// # Errors
    /// `invalid_argument`.
    fn from_str(text: &str) -> Result<ModeChange> {
        let bad = || {
            Error::invalid(format!("invalid mode '{text}'"))
                .with_hint("write octal digits in a string, such as \"0755\", or words, such as \"u=rwX,go=rX\"")
        };
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777).ok_or_else(bad)?;
            return Ok(ModeChange { parts: vec![Part::Octal(bits)] });
        }
        let mut parts = Vec::new();
        for words in text.split(',') {
            let mut rest = words.as_bytes();
            let who = take(&mut rest, b"ugoa");
            if rest.is_empty() {
                return Err(bad());
            }
            while let Some((sign, after)) = rest.split_first() {
                if !b"+-=".contains(sign) {
                    return Err(bad());
                }
                rest = after;
                let copies = rest.first().is_some_and(|byte| b"ugo".contains(byte));
                let what = if copies { take_one(&mut rest) } else { take(&mut rest, b"rwxXst") };
                parts.push(Part::Words(who.clone(), *sign, what));
            }
        }
        Ok(ModeChange { parts })
    }
}

fn take(rest: &mut &[u8], letters: &[u8]) -> Vec<u8> {
    let count = rest.iter().take_while(|byte| letters.contains(byte)).count();
    let (taken, after) = rest.split_at(count);
    *rest = after;
    taken.to_vec()
}

fn take_one(rest: &mut &[u8]) -> Vec<u8> {
    let (taken, after) = rest.split_at(1);
    *rest = after;
    taken.to_vec()
}

impl ModeChange {
    /// The bits of a file or folder that had `mode`.
    pub fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        self.parts.iter().fold(mode & 0o7777, |mode, part| match part {
            Part::Octal(bits) => *bits,
            Part::Words(who, sign, what) => change(mode, who, *sign, what, is_folder),
        })
    }
}

fn change(mode: u32, who: &[u8], sign: u8, what: &[u8], is_folder: bool) -> u32 {
    let everybody = who.is_empty() || who.contains(&b'a');
    let about = |letter: u8| everybody || who.contains(&letter);
    let places = [(b'u', 6, 0o4000), (b'g', 3, 0o2000), (b'o', 0, 0)];
    let (mut bits, mut cleared) = (0, 0);
    for (_, shift, special) in places.into_iter().filter(|(letter, ..)| about(*letter)) {
        cleared |= 0o7 << shift | special;
        for word in what {
            bits |= match word {
                b'r' => 0o4 << shift,
                b'w' => 0o2 << shift,
                b'x' => 0o1 << shift,
                b'X' if is_folder || mode & 0o111 != 0 => 0o1 << shift,
                b's' => special,
                b'u' => (mode >> 6 & 0o7) << shift,
                b'g' => (mode >> 3 & 0o7) << shift,
                b'o' => (mode & 0o7) << shift,
                _ => 0,
            };
        }
    }
    if everybody || about(b'o') {
        cleared |= 0o1000;
        if what.contains(&b't') {
            bits |= 0o1000;
        }
    }
    match sign {
        b'+' => mode | bits,
        b'-' => mode & !bits,
        _ => mode & !cleared | bits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_words() {
        for (text, mode, folder, want) in [
            ("0755", 0o600, false, 0o755),
            ("4711", 0o600, false, 0o4711),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("a+x", 0o644, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("go-w", 0o666, false, 0o644),
            ("u+x,go-w", 0o666, false, 0o744),
            ("g=u", 0o640, false, 0o660),
            ("u+s", 0o755, false, 0o4755),
            ("g+s", 0o755, true, 0o2755),
            ("+t", 0o777, true, 0o1777),
            ("a=", 0o755, false, 0),
            ("u=r-w+x", 0o600, false, 0o500),
            ("o=", 0o1777, true, 0o770),
        ] {
            assert_eq!(text.parse::<ModeChange>().unwrap().apply(mode, folder), want, "{text}");
        }
        for bad in ["", "999", "10000", "u", "u+rz", "x+u", "u+x,", ",", "u+ug", "-"] {
            assert!(bad.parse::<ModeChange>().is_err() || bad == "-", "{bad}");
        }
    }
}
