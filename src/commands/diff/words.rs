//! A difference as one line for people.

use std::fmt;

use super::found::{Change, Difference};

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Setting { detail } => write!(f, "setting {detail}"),
            Difference::Alias { name, change } => write!(f, "{change}: alias `{name}`"),
            Difference::Tenant { name, one, two } => tenant(f, name, one.as_ref(), two.as_ref()),
            Difference::Object {
                key,
                change,
                parts,
                part_count,
            } => {
                write!(f, "{change}: {key}")?;
                for (index, part) in parts.iter().enumerate() {
                    write!(f, "{} {part}", if index == 0 { ":" } else { ";" })?;
                }
                match part_count.saturating_sub(parts.len()) {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
        }
    }
}

fn tenant(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    one: Option<&String>,
    two: Option<&String>,
) -> fmt::Result {
    match (one, two) {
        (Some(one), Some(two)) => write!(f, "tenant `{name}`: {one} against {two}"),
        (Some(_), None) => write!(f, "{}: tenant `{name}`", Change::Missing),
        _ => write!(f, "{}: tenant `{name}`", Change::Extra),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Change::Missing => "only in one",
            Change::Extra => "only in other",
            Change::Different => "differs",
            Change::RepeatedInOne => "repeated in one",
            Change::RepeatedInTwo => "repeated in other",
        })
    }
}
