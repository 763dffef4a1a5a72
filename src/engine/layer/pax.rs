//! PAX extended header records: `LENGTH KEY=VALUE\n`, values being arbitrary bytes.
//!
//! Source: POSIX.1-2017, pax, "pax Extended Header". The parser of the `tar` crate splits at newlines, which cuts
//! binary attribute values (a file capability may hold the byte 10), hence this one.

use super::super::error::{Error, Result};

/// Splits a block of records of a stream that messages call `noun`. The length decides where a record ends, and must agree with its newline.
pub(super) fn parse<'a>(mut block: &'a [u8], noun: &str) -> Result<Vec<(&'a [u8], &'a [u8])>> {
    let malformed = || Error::integrity(format!("{noun} has a malformed pax header"));
    let mut records = Vec::new();
    while !block.is_empty() {
        let (record, rest) = split(block).ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        if equals == 0 || record[..equals].contains(&0) {
            return Err(malformed());
        }
        records.push((&record[..equals], &record[equals + 1..]));
        block = rest;
    }
    Ok(records)
}

/// The first record without length and newline, and what follows it.
fn split(block: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = block.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&block[..space])?).ok()?;
    if length <= space + 1 || length > block.len() {
        return None;
    }
    let (record, rest) = block.split_at(length);
    match record.split_last() {
        Some((b'\n', record)) => Some((&record[space + 1..], rest)),
        _ => None,
    }
}

/// A number of decimal digits and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A time: seconds, perhaps negative, perhaps with a fraction. Gives seconds (rounded down) and nanoseconds.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    let nanos = (0..9).fold(0, |sum, at| sum * 10 + fraction.get(at).map_or(0, |digit| u32::from(digit - b'0')));
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

/// Appends one record.
pub(super) fn push(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // Space, equals sign and newline; then the length's own digits, which may add one.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    length = rest + length.to_string().len();
    block.extend_from_slice(length.to_string().as_bytes());
    block.push(b' ');
    block.extend_from_slice(key);
    block.push(b'=');
    block.extend_from_slice(value);
    block.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_all_lengths_survive() {
        for length in 0..1200 {
            let value = vec![b'\n'; length];
            let mut block = Vec::new();
            push(&mut block, b"path", &value);
            push(&mut block, b"a", b"b=c");
            assert_eq!(parse(&block, "x").unwrap(), [(&b"path"[..], &value[..]), (b"a", b"b=c")], "{length}");
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"x"[..],
            b"5 a=b",
            b"6 a=b",
            b"7 a=b\n",
            b"+6 a=b\n",
            b"06",
            b"5 a=\n5 a=b",
            b"4 =\n",
            b"5 ab\n",
            b"99999999999999999999 a=b\n",
            b"0 a=b\n",
            b"2 ",
        ] {
            assert!(parse(bad, "x").is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn times() {
        for (text, want) in [
            ("0", Some((0, 0))),
            ("12.5", Some((12, 500_000_000))),
            ("12.1234567899", Some((12, 123_456_789))),
            ("-1", Some((-1, 0))),
            ("-1.25", Some((-2, 750_000_000))),
            ("1.", Some((1, 0))),
            ("", None),
            (".5", None),
            ("1.x", None),
            ("--1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text.as_bytes()), want, "{text}");
        }
    }
}
