//! Choosing containers by what is said of them.

use super::super::Engine;
use super::super::error::{Error, Result};
use super::super::suggest::suggest;
use super::find::Listed;
use super::options::{Network, Source};
use super::record::{Status, Time};

/// Whether a container passes.
type Test<'a> = Box<dyn Fn(&Listed) -> bool + 'a>;

/// What can be said.
const NAMES: [&str; 12] =
    ["status", "name", "id", "label", "ancestor", "exited", "health", "network", "volume", "before", "since", "until"];

impl Engine {
    /// Containers that pass all filters, newest first. Values of one name are alternatives, but for labels.
    ///
    /// # Errors
    /// `invalid_argument` for an unknown filter or a value it cannot have; `not_found` for a container to compare with.
    pub fn container_select(&self, filters: &[(String, String)]) -> Result<Vec<Listed>> {
        for (name, value) in filters {
            self.check_filter(name, value)?;
        }
        let mut found = self.container_list()?;
        for name in NAMES {
            let values: Vec<&str> =
                filters.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect();
            if values.is_empty() {
                continue;
            }
            let test = self.test(name, &values)?;
            found.retain(|listed| test(listed));
        }
        Ok(found)
    }

    fn check_filter(&self, name: &str, value: &str) -> Result<()> {
        if !NAMES.contains(&name) {
            return Err(suggest(Error::invalid(format!("unknown filter '{name}'")), name, NAMES));
        }
        let words: &[&str] = match name {
            "status" => &["created", "running", "paused", "restarting", "exited", "removing", "dead"],
            "health" => &["none", "starting", "healthy", "unhealthy"],
            _ => return Ok(()),
        };
        if words.contains(&value) {
            return Ok(());
        }
        Err(suggest(Error::invalid(format!("invalid filter {name}={value}")), value, words.iter().copied()))
    }

    fn test<'a>(&self, name: &str, values: &'a [&'a str]) -> Result<Test<'a>> {
        let any = move |test: fn(&Listed, &str) -> bool| -> Test<'a> {
            Box::new(move |listed| values.iter().any(|value| test(listed, value)))
        };
        Ok(match name {
            "status" => any(|listed, value| listed.state.status.name() == value),
            "name" => any(|listed, value| listed.record.name.contains(value.trim_start_matches('/'))),
            "id" => any(|listed, value| listed.record.id.starts_with(value)),
            "label" => Box::new(move |listed| values.iter().all(|value| has_label(listed, value))),
            "exited" => any(|listed, value| {
                listed.state.status == Status::Exited && value.parse() == Ok(listed.state.exit_code)
            }),
            "health" => any(|listed, value| {
                listed.state.health.as_ref().map_or("none", |health| health.status.as_str()) == value
            }),
            "network" => any(|listed, value| match &listed.record.options.network {
                Network::None => value == "none",
                Network::Host => value == "host",
                Network::Container(id) => value.strip_prefix("container:").is_some_and(|other| id.starts_with(other)),
            }),
            "volume" => any(|listed, value| {
                listed.record.options.mounts.iter().any(|mount| {
                    mount.target.as_os_str() == value
                        || matches!(&mount.source, Source::Host(path) if path.as_os_str() == value)
                })
            }),
            "ancestor" => self.ancestor(values)?,
            _ => self.by_time(name, values)?,
        })
    }

    fn ancestor<'a>(&self, values: &'a [&'a str]) -> Result<Test<'a>> {
        let ids: Vec<_> =
            values.iter().filter_map(|value| self.image_get(value).ok().flatten()).map(|i| i.id).collect();
        Ok(Box::new(move |listed| {
            listed.record.image_id.is_some_and(|id| ids.contains(&id)) || values.contains(&listed.record.image.as_str())
        }))
    }

    fn by_time<'a>(&self, name: &str, values: &'a [&'a str]) -> Result<Test<'a>> {
        let times: Vec<Time> = values
            .iter()
            .map(|value| match name {
                "until" => when(value),
                _ => self.container(value).map(|record| record.created),
            })
            .collect::<Result<_>>()?;
        let later = name == "since";
        Ok(Box::new(move |listed| {
            times.iter().all(|time| if later { listed.record.created > *time } else { listed.record.created < *time })
        }))
    }
}

fn has_label(listed: &Listed, wanted: &str) -> bool {
    let (name, value) = wanted.split_once('=').map_or((wanted, None), |(name, value)| (name, Some(value)));
    listed.record.labels.get(name).is_some_and(|have| value.is_none_or(|value| have == value))
}

/// A point in time as people write it: seconds since 1970, RFC 3339, or a span before now (`10m`).
///
/// # Errors
/// `invalid_argument`.
pub fn when(text: &str) -> Result<Time> {
    let nanos = |time: std::time::SystemTime| {
        Time(time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64)
    };
    if let Ok(seconds) = text.parse::<f64>()
        && seconds >= 0.0
    {
        return Ok(Time((seconds * 1e9) as u64));
    }
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(nanos(time));
    }
    if let Ok(span) = humantime::parse_duration(text) {
        return Ok(Time(Time::now().0.saturating_sub(span.as_nanos() as u64)));
    }
    // With an offset, as `date --iso-8601=seconds` writes it, or only a day.
    let day = format!("{text}T00:00:00Z");
    humantime::parse_rfc3339_weak(&day).map(nanos).map_err(|_| {
        Error::invalid(format!("invalid time '{text}'"))
            .with_hint("write 2026-01-31T12:00:00Z, seconds since 1970, or a span such as 10m")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        assert_eq!(when("1.5").unwrap(), Time(1_500_000_000));
        assert_eq!(when("1970-01-01T00:00:02Z").unwrap(), Time(2_000_000_000));
        assert_eq!(when("1970-01-02").unwrap(), Time(86_400_000_000_000));
        assert!(when("10m").unwrap() < Time::now());
        assert!(when("soon").is_err() && when("-5").is_err());
    }
}
