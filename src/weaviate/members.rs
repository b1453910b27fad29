//! The members of a JSON object, one after another, without building it.

use std::borrow::Cow;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// Calls `take` with name and raw value of each member of a JSON object; `null` has none. `wrong` names what is no object.
pub(super) fn members(
    json: &str,
    take: impl FnMut(&str, &str) -> Result<()>,
    wrong: impl FnOnce(serde_json::Error) -> Error,
) -> Result<()> {
    struct Members<F> {
        take: F,
        failed: Option<Error>,
    }
    impl<'de, F: FnMut(&str, &str) -> Result<()>> Visitor<'de> for &mut Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
            while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                let raw: &'de RawValue = map.next_value()?;
                if let Err(error) = (self.take)(&name, raw.get()) {
                    self.failed = Some(error);
                    return Err(serde::de::Error::custom("stopped"));
                }
            }
            Ok(())
        }
    }
    if json == "null" {
        return Ok(());
    }
    let mut members = Members { take, failed: None };
    let parsed = serde_json::Deserializer::from_str(json).deserialize_map(&mut members);
    match (members.failed.take(), parsed) {
        (Some(error), _) => Err(error),
        (None, Err(cause)) => Err(wrong(cause)),
        (None, Ok(())) => Ok(()),
    }
}
