//! What servers of different versions know of a definition: the table by which one moves to an older server.
//!
//! A setting that the target does not know and that says nothing (its default, or the server's own working) is left
//! out; one that says something is named before anything is written. The table is what was seen on 1.27, 1.32 and
//! 1.40 and what the released sources have; whatever it does not know shows when the created definition is read back.

use serde_json::Value;

use crate::error::Result;
use crate::model::Definition;

/// Major and minor version.
type Version = (u32, u32);

/// What is lost where a setting is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The setting: the collection works otherwise, and holds everything.
    Setting,
    /// Objects could not be written as they are.
    Data,
}

/// Where in a definition a setting stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Class,
    Property,
    /// The settings of an index, of the legacy vector or of a named one.
    Index,
    /// Of a flat one alone, which learned some things later.
    Flat,
}

/// A setting that only younger servers know.
struct Feature {
    since: Version,
    place: Place,
    pointer: &'static str,
    what: &'static str,
    /// True if the value says something; `None` if no value does.
    means: Option<fn(&Value) -> bool>,
    loss: Loss,
}

const FEATURES: [Feature; 14] = [
    Feature {
        since: (1, 30),
        place: Place::Class,
        pointer: "/invertedIndexConfig/usingBlockMaxWAND",
        what: "the layout of the keyword index",
        means: None,
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 29),
        place: Place::Index,
        pointer: "/multivector",
        what: "multi-vectors",
        means: Some(is_enabled),
        loss: Loss::Data,
    },
    Feature {
        since: (1, 31),
        place: Place::Index,
        pointer: "/multivector/muvera",
        what: "MUVERA encoding",
        means: Some(is_enabled),
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 32),
        place: Place::Index,
        pointer: "/rq",
        what: "rotational quantization",
        means: Some(is_enabled),
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 33),
        place: Place::Index,
        pointer: "/rq",
        what: "rotational quantization of 1 bit",
        means: Some(is_one_bit),
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 39),
        place: Place::Index,
        pointer: "/rq",
        what: "rotational quantization of 4 bits",
        means: Some(is_four_bits),
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 34),
        place: Place::Flat,
        pointer: "/rq",
        what: "rotational quantization of a flat index",
        means: Some(is_enabled),
        loss: Loss::Setting,
    },
    // Within 1.32.
    Feature {
        since: (1, 33),
        place: Place::Index,
        pointer: "/skipDefaultQuantization",
        what: "opting out of a default quantization",
        means: None,
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 35),
        place: Place::Flat,
        pointer: "/skipDefaultQuantization",
        what: "opting out of a default quantization",
        means: None,
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 36),
        place: Place::Class,
        pointer: "/invertedIndexConfig/tokenizerUserDict",
        what: "a dictionary of the tokenizer",
        means: Some(is_something),
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 37),
        place: Place::Class,
        pointer: "/invertedIndexConfig/stopwordPresets",
        what: "stopword presets of its own",
        means: Some(is_something),
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 37),
        place: Place::Property,
        pointer: "/textAnalyzer",
        what: "a text analyzer",
        means: Some(is_something),
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 35),
        place: Place::Class,
        pointer: "/objectTtlConfig",
        what: "a time to live",
        means: Some(is_enabled),
        loss: Loss::Setting,
    },
    Feature {
        since: (1, 36),
        place: Place::Property,
        pointer: "/disableDuplicatedReferences",
        what: "dropping of duplicated references",
        means: Some(is_something),
        loss: Loss::Setting,
    },
];

/// Named vectors beside the one without a name.
const BOTH_VECTORS: Version = (1, 30);

fn is_enabled(value: &Value) -> bool {
    value.get("enabled") == Some(&Value::Bool(true))
}

fn is_one_bit(value: &Value) -> bool {
    is_enabled(value) && value.get("bits") == Some(&Value::from(1))
}

fn is_four_bits(value: &Value) -> bool {
    is_enabled(value) && value.get("bits") == Some(&Value::from(4))
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

/// A definition as a server of some version can be asked for it.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Without the settings that say nothing and that the server would not know.
    pub definition: Definition,
    /// What it asks for and the server lacks, one sentence each.
    pub lacks: Vec<(Loss, String)>,
}

/// Major and minor version, if `text` reads like one: `1.40.0-dev`.
pub fn version_numbers(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What becomes of a definition on a server of this version.
pub fn fit_to(definition: &Definition, version: (u32, u32)) -> Result<Fitted> {
    let mut value = definition.value()?;
    let mut lacks = Vec::new();
    let mut has_changed = false;
    for feature in FEATURES.iter().filter(|feature| version < feature.since) {
        for (owner, settings) in places(&mut value, feature.place) {
            has_changed |= feature.fit(&owner, settings, &mut lacks);
        }
    }
    if version < BOTH_VECTORS && has_both_vectors(&value) {
        let what = "named vectors beside the one without a name";
        lacks.push((Loss::Data, sentence(what, "", BOTH_VECTORS)));
    }
    let definition = match has_changed {
        true => Definition::parse(value.to_string())?,
        false => definition.clone(),
    };
    Ok(Fitted { definition, lacks })
}

impl Feature {
    /// True if the setting was taken out.
    fn fit(&self, owner: &str, settings: &mut Value, lacks: &mut Vec<(Loss, String)>) -> bool {
        let Some(value) = settings.pointer(self.pointer) else {
            return false;
        };
        if self.means.is_some_and(|means| means(value)) {
            lacks.push((self.loss, sentence(self.what, owner, self.since)));
            return false;
        }
        if self.is_extended() {
            return false;
        }
        let (parent, name) = self.pointer.rsplit_once('/').unwrap_or_default();
        let parent = settings.pointer_mut(parent).and_then(Value::as_object_mut);
        parent.is_some_and(|parent| parent.remove(name).is_some())
    }

    /// True if servers before it know the setting, in other values.
    fn is_extended(&self) -> bool {
        let is_same = |other: &Feature| (other.place, other.pointer) == (self.place, self.pointer);
        FEATURES
            .iter()
            .any(|other| is_same(other) && other.since < self.since)
    }
}

fn sentence(what: &str, owner: &str, since: Version) -> String {
    format!("{what}{owner} came with Weaviate {}.{}", since.0, since.1)
}

/// The parts of a class that a setting may stand in, each with words that say whose it is.
fn places(class: &mut Value, place: Place) -> Vec<(String, &mut Value)> {
    match place {
        Place::Class => vec![(String::new(), class)],
        Place::Property => {
            let properties = class.get_mut("properties").and_then(Value::as_array_mut);
            let named = |property: &Value| {
                format!(" (property `{}`)", property["name"].as_str().unwrap_or(""))
            };
            properties
                .into_iter()
                .flatten()
                .map(|property| (named(property), property))
                .collect()
        }
        Place::Index => indexes(class, |_| true),
        Place::Flat => indexes(class, |kind| kind == "flat"),
    }
}

/// The settings of the indexes of some kinds; a dynamic one has those of two.
fn indexes(class: &mut Value, is_wanted: impl Fn(&str) -> bool) -> Vec<(String, &mut Value)> {
    let mut found = Vec::new();
    let kind = kind_of(class);
    for (name, member) in class.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "vectorIndexConfig" => found.push((String::new(), kind.clone(), member)),
            "vectorConfig" => {
                for (name, vector) in member.as_object_mut().into_iter().flatten() {
                    let (kind, owner) = (kind_of(vector), format!(" (vector `{name}`)"));
                    let config = vector.get_mut("vectorIndexConfig");
                    found.extend(config.map(|config| (owner, kind, config)));
                }
            }
            _ => {}
        }
    }
    let found = found.into_iter().flat_map(parts_of_dynamic);
    let wanted = found.filter(|(_, kind, _)| is_wanted(kind));
    wanted.map(|(owner, _, config)| (owner, config)).collect()
}

fn kind_of(vector: &Value) -> String {
    let kind = vector.get("vectorIndexType").and_then(Value::as_str);
    kind.unwrap_or("hnsw").to_owned()
}

type Index<'a> = (String, String, &'a mut Value);

fn parts_of_dynamic((owner, kind, config): Index<'_>) -> Vec<Index<'_>> {
    if kind != "dynamic" {
        return vec![(owner, kind, config)];
    }
    let parts = config.as_object_mut().into_iter().flatten();
    let parts = parts.filter(|(_, part)| part.is_object());
    parts
        .map(|(kind, part)| (owner.clone(), kind.clone(), part))
        .collect()
}

fn has_both_vectors(class: &Value) -> bool {
    let named = class.get("vectorConfig").and_then(Value::as_object);
    named.is_some_and(|named| !named.is_empty())
        && class.get("vectorIndexType").is_some_and(is_something)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(text: &str, version: (u32, u32)) -> Fitted {
        fit_to(&Definition::parse(text.to_owned()).unwrap(), version).unwrap()
    }

    const PLAIN: &str = r#"{"class":"A","invertedIndexConfig":{"usingBlockMaxWAND":true},"vectorIndexType":"hnsw","vectorIndexConfig":{"ef":-1,"rq":{"enabled":false,"bits":8},"multivector":{"enabled":false,"muvera":{"enabled":false}},"skipDefaultQuantization":false}}"#;

    #[test]
    fn settings_at_rest_are_left_out_for_an_older_server_and_nothing_is_lacking() {
        let old = fitted(PLAIN, (1, 27));
        assert!(old.lacks.is_empty(), "{:?}", old.lacks);
        let value = old.definition.value().unwrap();
        assert_eq!(value["vectorIndexConfig"], serde_json::json!({"ef": -1}));
        assert_eq!(value["invertedIndexConfig"], serde_json::json!({}));
        assert_eq!(fitted(PLAIN, (1, 40)).definition.text(), PLAIN);
    }

    #[test]
    fn what_is_lacking_is_named_with_its_owner_and_what_it_costs() {
        let text = r#"{"class":"A","objectTtlConfig":{"enabled":true},"vectorConfig":{"rows":{"vectorIndexConfig":{"multivector":{"enabled":true},"rq":{"enabled":true,"bits":1}}}}}"#;
        let lacks = fitted(text, (1, 27)).lacks;
        let (losses, words): (Vec<Loss>, Vec<String>) = lacks.into_iter().unzip();
        assert_eq!(
            losses,
            [Loss::Data, Loss::Setting, Loss::Setting, Loss::Setting]
        );
        assert_eq!(
            words[0],
            "multi-vectors (vector `rows`) came with Weaviate 1.29"
        );
        assert!(words[3].starts_with("a time to live came"), "{words:?}");
        assert_eq!(fitted(text, (1, 32)).lacks.len(), 2);
        assert_eq!(fitted(text, (1, 34)).lacks.len(), 1);
        assert!(fitted(text, (1, 40)).lacks.is_empty());
    }

    #[test]
    fn a_setting_of_which_only_some_values_are_too_young_is_left_in() {
        let text = r#"{"class":"A","vectorIndexConfig":{"rq":{"enabled":false,"bits":8}}}"#;
        for version in [(1, 32), (1, 38)] {
            assert_eq!(fitted(text, version).definition.text(), text);
        }
        let text = r#"{"class":"A","vectorIndexConfig":{"rq":{"enabled":true,"bits":4}}}"#;
        let lacks = fitted(text, (1, 38)).lacks;
        assert_eq!(
            lacks[0].1,
            "rotational quantization of 4 bits came with Weaviate 1.39"
        );
    }

    #[test]
    fn a_flat_index_learned_some_settings_later_also_within_a_dynamic_one() {
        let rq = r#"{"rq":{"enabled":false},"skipDefaultQuantization":false}"#;
        let flat = format!(r#"{{"vectorIndexType":"flat","vectorIndexConfig":{rq}}}"#);
        let both = format!(r#"{{"hnsw":{rq},"flat":{rq},"threshold":1}}"#);
        let dynamic = format!(r#"{{"vectorIndexType":"dynamic","vectorIndexConfig":{both}}}"#);
        let text = format!(r#"{{"class":"A","vectorConfig":{{"a":{flat},"b":{dynamic}}}}}"#);
        let at = |version, pointer: &str| {
            let value = fitted(&text, version).definition.value().unwrap();
            value.pointer(&format!("/vectorConfig{pointer}")).cloned()
        };
        assert_eq!(
            at((1, 33), "/a/vectorIndexConfig"),
            Some(serde_json::json!({}))
        );
        assert!(at((1, 33), "/b/vectorIndexConfig/flat/rq").is_none());
        assert!(at((1, 33), "/b/vectorIndexConfig/hnsw/rq").is_some());
        assert!(at((1, 34), "/a/vectorIndexConfig/rq").is_some());
        assert!(at((1, 31), "/b/vectorIndexConfig/hnsw/rq").is_none());
        assert_eq!(fitted(&text, (1, 35)).definition.text(), text);
    }

    #[test]
    fn both_sorts_of_vectors_in_one_collection_need_a_server_that_has_them() {
        let text = r#"{"class":"A","vectorIndexType":"hnsw","vectorConfig":{"a":{}}}"#;
        assert_eq!(fitted(text, (1, 27)).lacks[0].0, Loss::Data);
        assert!(fitted(text, (1, 32)).lacks.is_empty());
    }
}
