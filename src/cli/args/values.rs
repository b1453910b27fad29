//! Values as people write them: durations, sizes, rates, lists, time-outs.
//!
//! A parser's message may end in `; hint: …`, which becomes the hint of the usage error.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use crate::cli::protect::matches_glob;
use crate::error::{Error, IoContext, Kind, Result};

/// What parts a parser's message from its hint.
pub(super) const HINT: &str = "; hint: ";

/// A duration: `15m`, `90s`, `1h 30m`, and `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| {
        "this is not a duration; hint: write a number with its unit, such as 90s, 15m or 26h"
            .to_owned()
    })
}

/// A duration above zero.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => {
            Err("zero is no time at all; hint: leave the flag out for the default".to_owned())
        }
        time => Ok(time),
    }
}

/// A number of bytes: `256MB` (10^6), `256MiB` (2^20), `4096`.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = unit_factor(unit.trim());
    match (number.parse::<f64>(), factor) {
        (Ok(number), Some(factor)) if number * factor >= 1.0 && number * factor < 1e18 => {
            Ok((number * factor) as u64)
        }
        _ => Err(
            "this is not a size; hint: write a number with its unit, such as 256MB or 1GiB"
                .to_owned(),
        ),
    }
}

fn unit_factor(unit: &str) -> Option<f64> {
    let binary = |power: i32| Some(1024f64.powi(power));
    match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1.0),
        "k" | "kb" => Some(1e3),
        "m" | "mb" => Some(1e6),
        "g" | "gb" => Some(1e9),
        "t" | "tb" => Some(1e12),
        "kib" => binary(1),
        "mib" => binary(2),
        "gib" => binary(3),
        "tib" => binary(4),
        _ => None,
    }
}

/// A bound per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Objects per second: `500/s`.
    Objects(f64),
    /// Bytes per second: `20MB/s`.
    Bytes(f64),
}

/// A rate: `500/s` or `20MB/s`.
pub fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || {
        "this is not a rate; hint: write objects or bytes per second, such as 500/s or 20MB/s"
            .to_owned()
    };
    let amount = text.trim().strip_suffix("/s").ok_or_else(wrong)?;
    if let Ok(objects) = amount.parse::<f64>() {
        return if objects > 0.0 && objects.is_finite() {
            Ok(Rate::Objects(objects))
        } else {
            Err(wrong())
        };
    }
    size(amount)
        .map(|bytes| Rate::Bytes(bytes as f64))
        .map_err(|_| wrong())
}

/// Objects in a batch, at least one.
pub fn batch_size(text: &str) -> Result<NonZeroU32, String> {
    text.parse::<NonZeroU32>().map_err(|_| {
        "a batch holds at least one object; hint: leave --batch-size out and it adapts to the objects".to_owned()
    })
}

/// A number of something, at least one.
pub fn at_least_one(text: &str) -> Result<NonZeroU32, String> {
    text.parse::<NonZeroU32>().map_err(|_| {
        "this is not a number of at least 1; hint: leave the flag out for the default".to_owned()
    })
}

/// How long a silent server is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Without a byte while reading.
    pub read: Duration,
    /// Without a byte while writing.
    pub write: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            write: Duration::from_secs(90),
        }
    }
}

/// Time-outs: `60s` for reads and writes, or `connect=5s,read=60s,write=2m` in any part.
pub fn timeouts(text: &str) -> Result<Timeouts, String> {
    let mut timeouts = Timeouts::default();
    if !text.contains('=') {
        let both = positive_duration(text)?;
        return Ok(Timeouts {
            read: both,
            write: both,
            ..timeouts
        });
    }
    for part in text.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = positive_duration(value)?;
        match name.trim() {
            "connect" => timeouts.connect = value,
            "read" => timeouts.read = value,
            "write" => timeouts.write = value,
            _ => {
                return Err(format!(
                    "`{name}` has no time-out; hint: write connect=, read= or write="
                ));
            }
        }
    }
    Ok(timeouts)
}

/// The values of a list: comma lists are taken apart, `@FILE` is read (a value a line, `#` begins a comment),
/// repeats are dropped. Globs stay: only the server knows what they match.
pub fn expand_list(values: &[String]) -> Result<Vec<String>> {
    let mut list: Vec<String> = Vec::new();
    for value in values {
        let found = match value.strip_prefix('@') {
            Some(file) => lines_of(Path::new(file))?,
            None => value
                .split(',')
                .map(|part| part.trim().to_owned())
                .collect(),
        };
        for one in found {
            if !one.is_empty() && !list.contains(&one) {
                list.push(one);
            }
        }
    }
    Ok(list)
}

/// Archives as typed: `@FILE` is read, and a last component with `*` or `?` that names no file is matched
/// against its folder, in the order of names. A glob that matches nothing is an error.
pub fn expand_files(values: &[String]) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for value in values {
        match value.strip_prefix('@') {
            Some(list) if !Path::new(value).exists() => {
                for line in lines_of(Path::new(list))? {
                    files.extend(matching_files(&line)?);
                }
            }
            _ => files.extend(matching_files(value)?),
        }
    }
    Ok(files)
}

fn lines_of(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file)
        .doing(|| format!("cannot read the list `{}`", file.display()))
        .map_err(|error| error.with_kind(Kind::Usage))?;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim());
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

fn matching_files(pattern: &str) -> Result<Vec<String>> {
    if !pattern.contains(['*', '?']) || pattern.contains("://") || Path::new(pattern).exists() {
        return Ok(vec![pattern.to_owned()]);
    }
    let (folder, glob) = pattern
        .rsplit_once('/')
        .map_or((".", pattern), |(folder, glob)| (folder, glob));
    let entries = std::fs::read_dir(if folder.is_empty() { "/" } else { folder })
        .doing(|| format!("cannot list `{folder}`"))?;
    let mut found: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && matches_glob(glob, name))
        .map(|name| pattern.strip_suffix(glob).unwrap_or("").to_owned() + &name)
        .collect();
    found.sort();
    match found.is_empty() {
        true => Err(Error::new(
            Kind::NotFound,
            format!("no file matches `{pattern}`"),
        )),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_unless_zero() {
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "15", "m", "-1s", "abc"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn sizes_know_both_families_of_units() {
        let cases = [
            ("4096", 4096),
            ("256MB", 256_000_000),
            ("256 mb", 256_000_000),
            ("1GiB", 1 << 30),
            ("1.5k", 1500),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "0", "MB", "-5MB", "12XB", "1e3", "9999999TB", "1.2.3"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_of_objects_or_of_bytes() {
        assert_eq!(rate("500/s"), Ok(Rate::Objects(500.0)));
        assert_eq!(rate("20MB/s"), Ok(Rate::Bytes(20e6)));
        for bad in ["500", "0/s", "/s", "20MB", "-1/s", "inf/s", "NaN/s", "5/m"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_out_is_for_both_ways_or_named() {
        let seconds = Duration::from_secs;
        let both = timeouts("60s").unwrap();
        assert_eq!(
            (both.connect, both.read, both.write),
            (seconds(10), seconds(60), seconds(60))
        );
        let named = timeouts("connect=5s,write=2m").unwrap();
        assert_eq!(
            (named.connect, named.read, named.write),
            (seconds(5), seconds(30), seconds(120))
        );
        for bad in ["0", "read=0", "reed=5s", "read", "read="] {
            assert!(timeouts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_are_commas_files_and_repeats() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tenants");
        std::fs::write(&file, "c\n\n# all of these\nd # the last\nProd*\n").unwrap();
        let list =
            expand_list(&["a,b".into(), format!("@{}", file.display()), "a".into()]).unwrap();
        assert_eq!(list, ["a", "b", "c", "d", "Prod*"]);
        let missing = expand_list(&["@/nonexistent".into()]).unwrap_err();
        assert_eq!(missing.kind(), Kind::Usage);
        assert_eq!(
            missing.message(),
            "cannot read the list `/nonexistent`: no such file or directory"
        );
    }

    #[test]
    fn archives_may_be_named_by_a_glob() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["B.json", "A.json", ".C.json", "A.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let path = |name: &str| format!("{}/{name}", folder.path().display());
        assert_eq!(
            expand_files(&[path("*.json")]).unwrap(),
            [path("A.json"), path("B.json")]
        );
        assert_eq!(
            expand_files(&["s3://bucket/*".into(), "a,b".into()]).unwrap(),
            ["s3://bucket/*", "a,b"]
        );
        assert_eq!(
            expand_files(&[path("*.gz")]).unwrap_err().kind(),
            Kind::NotFound
        );
    }
}
