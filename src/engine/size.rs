//! Sizes as people write them.

/// Bytes from `"512m"`, `"1.5g"`, `"10kb"`, `"4096"`; `None` for what is no size. Units are powers of 1024.
pub fn parse(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().ok()?;
    let shift = match lower[digits..].trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let bytes = number * (1u64 << shift) as f64;
    (bytes.is_finite() && bytes < 9.2e18).then_some(bytes as u64)
}
