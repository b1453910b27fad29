//! Properties of a class: their defaults, and the rules for names, types and tokenization.

use serde_json::{Map, Value};

use super::class::Kind;
use super::definition::Purpose;
use super::reply::Reply;
use super::store::Data;

const TOKENIZATIONS: [&str; 9] = [
    "word",
    "lowercase",
    "whitespace",
    "field",
    "trigram",
    "gse",
    "kagome_kr",
    "kagome_ja",
    "gse_ch",
];
const SUFFIXES: [&str; 6] = [
    "_searchable",
    "_rangeable",
    "_temp",
    "__meta_count",
    "_propertyLength",
    "_nullState",
];
const KEPT: [&str; 5] = [
    "bucketGeneration",
    "description",
    "disableDuplicatedReferences",
    "moduleConfig",
    "textAnalyzer",
];

/// The checks that the framework makes before the handler is called.
pub(super) fn check_framework(sent: &Value) -> Result<(), Reply> {
    let list = sent["properties"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    list.iter()
        .enumerate()
        .try_for_each(|(at, property)| check_tokenization(property, &format!("properties.{at}.")))
}

/// The framework's check of one property; `place` is where it stands in the body.
pub(super) fn check_tokenization(property: &Value, place: &str) -> Result<(), Reply> {
    match property["tokenization"].as_str() {
        Some(word) if !word.is_empty() && !TOKENIZATIONS.contains(&word) => {
            let known = TOKENIZATIONS.join(" ");
            Err(Reply::framework(
                606,
                format!("{place}tokenization in body should be one of [{known}]"),
            ))
        }
        _ => Ok(()),
    }
}

/// The properties of a definition with all defaults; null if none were sent.
pub(super) fn define_all(
    sent: &Value,
    class: &str,
    data: &Data,
    purpose: Purpose,
) -> Result<Value, Reply> {
    let Some(list) = sent["properties"].as_array() else {
        return Ok(Value::Null);
    };
    let mut known: Vec<Value> = Vec::new();
    for property in list {
        let property = define(property, class, &known)?;
        if purpose == Purpose::Creation && missing_target(&property, class, data) {
            return Err(Reply::schema_error(
                "bad request: reference property to nonexistent class",
            ));
        }
        known.push(property);
    }
    Ok(Value::Array(known))
}

/// One property with all defaults, beside those that the class already has.
pub(super) fn define(sent: &Value, class: &str, known: &[Value]) -> Result<Value, Reply> {
    let mut property = define_one(sent, class, known)?;
    // Blobs inside objects are not filterable by default, unlike those at the top.
    hide_nested_blobs(&mut property, sent);
    Ok(property)
}

fn hide_nested_blobs(property: &mut Value, sent: &Value) {
    let Some(members) = property
        .get_mut("nestedProperties")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    for (at, member) in members.iter_mut().enumerate() {
        let given = &sent["nestedProperties"][at];
        let is_blob = member["dataType"][0]
            .as_str()
            .is_some_and(|kind| kind.starts_with("blob"));
        if is_blob && given["indexFilterable"].is_null() {
            member["indexFilterable"] = false.into();
        }
        hide_nested_blobs(member, given);
    }
}

fn define_one(sent: &Value, class: &str, known: &[Value]) -> Result<Value, Reply> {
    let name =
        property_name(sent["name"].as_str().unwrap_or_default()).map_err(Reply::schema_error)?;
    if known.iter().any(|other| {
        other["name"]
            .as_str()
            .is_some_and(|other| other.eq_ignore_ascii_case(&name))
    }) {
        let text = format!(
            "class \"{class}\": conflict for property \"{name}\": already in use or provided multiple times"
        );
        return Err(Reply::schema_error(text));
    }
    let types = data_types(sent, &name).map_err(Reply::schema_error)?;
    check_nested(sent, &name, &types).map_err(Reply::schema_error)?;
    let mut out = settings(sent, &types).map_err(Reply::schema_error)?;
    let nested = sent["nestedProperties"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if !nested.is_empty() {
        let mut members: Vec<Value> = Vec::new();
        for member in nested {
            members.push(define_one(member, class, &members)?);
        }
        out.insert("nestedProperties".into(), Value::Array(members));
    }
    let types: Vec<String> = types
        .iter()
        .map(|name| name.replace("string", "text"))
        .collect();
    out.insert("dataType".into(), types.into());
    out.insert("name".into(), name.into());
    Ok(Value::Object(out))
}

/// Whether a reference property names a class that does not exist; a class may refer to itself.
pub(super) fn missing_target(property: &Value, class: &str, data: &Data) -> bool {
    let types = property["dataType"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut names = types.iter().filter_map(Value::as_str);
    names.any(|name| {
        Kind::primitive(name).is_none() && name != class && !data.classes.contains_key(name)
    })
}

/// Whether a list of properties has that name.
pub(super) fn has(properties: &Value, name: &str) -> bool {
    properties
        .as_array()
        .is_some_and(|list| list.iter().any(|property| property["name"] == name))
}

/// The name with a small first letter, if the server accepts it.
pub(super) fn property_name(name: &str) -> Result<String, String> {
    let name = small(name);
    if matches!(name.as_str(), "id" | "_id" | "_additional") {
        return Err(format!("'{name}' is a reserved property name"));
    }
    if name.len() > 231 {
        let limit = "Name should not be longer than 231 characters";
        return Err(format!("'{name}' is not a valid property name. {limit}"));
    }
    if !is_graphql_name(&name, 230) {
        let rule = "Property names in Weaviate are restricted to valid GraphQL names, which must be \u{201c}/[_A-Za-z][_0-9A-Za-z]{0,230}/\u{201d}";
        return Err(format!("'{name}' is not a valid property name. {rule}"));
    }
    match SUFFIXES.iter().find(|suffix| name.ends_with(**suffix)) {
        Some(suffix) => Err(format!(
            "'{name}' is not a valid property name: suffix '{suffix}' is reserved for internal indices"
        )),
        None => Ok(name),
    }
}

/// The name with its first letter made small.
pub(super) fn small(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| format!("{}{}", first.to_ascii_lowercase(), letters.as_str()))
        .unwrap_or_default()
}

/// Whether `name` is a letter or underscore and at most `rest` more letters, digits or underscores.
pub(super) fn is_graphql_name(name: &str, rest: usize) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphabetic() || letter == b'_';
    let mut letters = name.bytes();
    letters.next().is_some_and(is_letter)
        && name.len() <= rest + 1
        && letters.all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

fn data_types(sent: &Value, name: &str) -> Result<Vec<String>, String> {
    let list = sent["dataType"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let types: Vec<String> = list
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let refuse = |text: String| {
        Err(format!(
            "property '{name}': invalid dataType: [{}]: {text}",
            types.join(" ")
        ))
    };
    let Some(first) = types.first() else {
        return refuse("dataType must have at least one element".to_owned());
    };
    let is_class = first.starts_with(|letter: char| letter.is_ascii_uppercase());
    if !is_class && Kind::primitive(first).is_none() {
        return refuse(format!("unknown primitive data type '{first}'"));
    }
    Ok(types)
}

fn check_nested(sent: &Value, name: &str, types: &[String]) -> Result<(), String> {
    let nested = sent["nestedProperties"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    let is_object = types
        .first()
        .is_some_and(|first| first == "object" || first == "object[]");
    match (is_object, nested) {
        (true, false) => Err(format!(
            "property '{name}': At least one nested property is required for data type object/object[]"
        )),
        (false, true) => Err(format!(
            "property '{name}': nestedProperties not allowed for data types other than object/object[]"
        )),
        _ => Ok(()),
    }
}

/// Index flags, tokenization and what is kept as sent; old type names become the new ones.
fn settings(sent: &Value, types: &[String]) -> Result<Map<String, Value>, String> {
    let mut out = Map::new();
    let kind = types.first().map(String::as_str).unwrap_or_default();
    let is_text = matches!(kind, "text" | "text[]" | "string" | "string[]");
    let old_flag = sent["indexInverted"].as_bool();
    let flags = ["indexFilterable", "indexSearchable", "indexRangeFilters"];
    if old_flag.is_some() && flags.iter().any(|flag| !sent[*flag].is_null()) {
        return Err("`indexInverted` is deprecated and can not be set together with `indexFilterable`, `indexSearchable` or `indexRangeFilters`".to_owned());
    }
    let indexed = old_flag.unwrap_or(true);
    for (flag, default) in flags.iter().zip([indexed, indexed && is_text, false]) {
        out.insert(
            (*flag).to_owned(),
            sent[*flag].as_bool().unwrap_or(default).into(),
        );
    }
    if let Some(word) = tokenization(sent, kind, is_text)? {
        out.insert("tokenization".into(), word.into());
    }
    for name in KEPT {
        if !sent[name].is_null() {
            out.insert(name.to_owned(), sent[name].clone());
        }
    }
    Ok(out)
}

fn tokenization(sent: &Value, kind: &str, is_text: bool) -> Result<Option<String>, String> {
    let word = sent["tokenization"]
        .as_str()
        .filter(|word| !word.is_empty());
    match word {
        Some(_) if !is_text => Err(format!(
            "tokenization is not allowed for data type '{kind}'"
        )),
        Some(word) if word.starts_with("gse") => Err(
            "the GSE tokenizer is not enabled; set 'ENABLE_TOKENIZER_GSE' to 'true' to enable"
                .to_owned(),
        ),
        Some(word) if word.starts_with("kagome") => {
            Err(format!("the {word} tokenizer is not enabled"))
        }
        Some(word) => Ok(Some(word.to_owned())),
        None if kind.starts_with("string") => Ok(Some("whitespace".to_owned())),
        None => Ok(is_text.then(|| "word".to_owned())),
    }
}
