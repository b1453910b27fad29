//! Objects of a document that say they are of another collection than the one that the document defines.
//!
//! A dump of several collections in one file looks like that, or one that was put together by hand. Such objects are
//! never taken for those of the collection: each is handed out as one that cannot be read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Error, Kind, Result};
use crate::format::Lines;
use crate::model::CollectionName;
use crate::pipe::Reject;

/// So many names are told apart: a document may make up any number of them.
const MOST: usize = 1_000;
/// So many are named.
const NAMED: usize = 5;

/// The collections that the objects of a document name.
#[derive(Default)]
pub(super) struct Classes {
    by_name: BTreeMap<CollectionName, u64>,
    /// Names that no collection can have, and those beyond [`MOST`].
    others: u64,
}

impl Classes {
    /// Takes in what an object says of itself.
    pub fn add(&mut self, object: &str) -> Result<()> {
        let Some(class) = class_of(object)? else {
            return Ok(());
        };
        match CollectionName::parse(&class) {
            Ok(name) if self.by_name.len() < MOST || self.by_name.contains_key(&name) => {
                *self.by_name.entry(name).or_default() += 1;
            }
            _ => self.others += 1,
        }
        Ok(())
    }

    /// All that name another collection than `own`.
    pub fn strangers(mut self, own: &CollectionName) -> Strangers {
        self.by_name.remove(own);
        let count = self.others + self.by_name.values().sum::<u64>();
        let named = self.by_name.iter().take(NAMED);
        let mut words: Vec<String> = named
            .map(|(name, count)| format!("`{name}` ({count})"))
            .collect();
        let rest = count - self.by_name.values().take(NAMED).sum::<u64>();
        if rest > 0 {
            words.push(format!("others ({rest})"));
        }
        Strangers {
            count,
            own: own.clone(),
            words: words.join(", "),
        }
    }
}

/// How many there are, and of what.
pub(super) struct Strangers {
    pub count: u64,
    own: CollectionName,
    words: String,
}

impl Strangers {
    /// What is said of a document that has some.
    pub fn doubt(&self) -> Option<String> {
        let (count, own, words) = (self.count, &self.own, &self.words);
        let words = format!(
            "{count} of its objects are not of collection `{own}`, which it defines, and are not restored: {words}"
        );
        (count > 0).then_some(words)
    }

    /// Refuses a document that has so many objects, none of them of the collection that it defines.
    pub fn refuse_all_of(&self, objects: u64) -> Result<()> {
        if self.count == 0 || self.count < objects {
            return Ok(());
        }
        let (own, words) = (&self.own, &self.words);
        Err(self.refusal(format!("none of its {objects} objects is of collection `{own}`, which it defines: they are of {words}")))
    }

    /// Refuses a document that has any.
    pub fn refuse_any(&self) -> Result<()> {
        self.doubt()
            .map_or(Ok(()), |doubt| Err(self.refusal(doubt)))
    }

    fn refusal(&self, what: String) -> Error {
        Error::new(Kind::Incompatible, what).with_hint(format!(
            "if they belong to `{}`, name it as the `class` of the objects, or leave that out",
            self.own
        ))
    }
}

/// Why an object is not one of `own`, if it is not.
pub(super) fn stranger(object: &str, own: &CollectionName) -> Result<Option<Reject>> {
    let Some(class) = class_of(object)? else {
        return Ok(None);
    };
    if CollectionName::parse(&class).is_ok_and(|name| name == *own) {
        return Ok(None);
    }
    let mut lines = Lines::default();
    lines.push(object)?;
    let reason = format!("its class is `{class}`, and the document is of `{own}`; it was not sent");
    let key = lines.keys().pop();
    Ok(key.map(|key| Reject { key, reason }))
}

/// The class that an object names; one without a name is of the document's.
fn class_of(object: &str) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        class: Option<&'a RawValue>,
    }
    let named: Named<'_> = serde_json::from_str(object).map_err(|cause| {
        Error::new(Kind::Difference, format!("it is not an object: {cause}")).with_cause(cause)
    })?;
    let class = named.class.map(|class| {
        // What is no text is no name either, and is shown as it is.
        serde_json::from_str(class.get()).unwrap_or_else(|_| class.get().to_owned())
    });
    Ok(class.filter(|class: &String| !class.is_empty()))
}
