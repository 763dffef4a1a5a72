//! 'Did you mean': the known word nearest to a misspelt one.

use super::error::Error;

/// The candidate nearest to `name`, when one is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate));
    let (distance, candidate) = scored.min()?;
    // A third of the letters may be wrong, at least one.
    (distance <= (name.chars().count() / 3).max(1)).then_some(candidate)
}

/// Adds `did you mean 'x'?`, when there is an x.
pub fn suggest<'a>(error: Error, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Error {
    match nearest(name, candidates) {
        Some(near) => error.with_hint(format!("did you mean '{near}'?")),
        None => error,
    }
}
