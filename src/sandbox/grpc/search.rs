//! Search: pages of objects, straight from the store into messages.

use std::ops::Bound;
use std::sync::Arc;

use uuid::Uuid;

use super::super::beacon::Target;
use super::super::call::Call;
use super::super::class::{Class, Objects};
use super::super::json::Json;
use super::super::listing::{compare, is_unreadable, unreadable_text, wake};
use super::super::object::{NamedVector, Object};
use super::super::store::Data;
use super::super::ttl;
use super::messages::{
    MetadataRequest, MetadataResult, PropertiesResult, RefPropertiesResult, SearchReply,
    SearchRequest, SearchResult,
};
use super::objects::{MULTI, NamedBytes, SINGLE};
use super::picks::{Follow, Picks};
use super::{filters, values};

type Found<'o> = (Uuid, &'o Arc<Object>);

/// Answers a search; the error is the server's text.
pub(super) fn search(call: &Call<'_>, request: &SearchRequest) -> Result<SearchReply, String> {
    let data = call.store.read();
    let (class, picks) = read(request, &data)?;
    let name = class.name.clone();
    cursor(request)?;
    drop(data);
    wake(call, &name, &request.tenant);
    let data = call.store.read();
    let class = data
        .classes
        .get(&name)
        .ok_or_else(|| format!("could not find class {name} in schema"))?;
    let page = Page {
        call,
        data: &data,
        class,
        picks: &picks,
        metadata: request.metadata.clone().unwrap_or_default(),
        tenant: &request.tenant,
    };
    let found = page.find(request)?;
    Ok(SearchReply {
        took: 0.0,
        results: found
            .into_iter()
            .map(|found| page.result(found))
            .collect::<Result<_, _>>()?,
        generative_grouped_result: Some(String::new()),
    })
}

fn read<'d>(request: &SearchRequest, data: &'d Data) -> Result<(&'d Class, Picks), String> {
    let class = class(data, &request.collection)?;
    if let Some(filter) = &request.filters {
        filters::read(filter, class)?;
    }
    let picks = Picks::read(request.properties.as_ref(), class, data)?;
    Ok((class, picks))
}

/// The class of a request; the error names what an alias points to.
pub(super) fn class<'d>(data: &'d Data, name: &str) -> Result<&'d Class, String> {
    let resolved = data.resolve(name);
    let class = data.classes.get(&resolved);
    class.ok_or_else(|| format!("could not find class {resolved} in schema"))
}

/// The lower bound of a page.
fn cursor(request: &SearchRequest) -> Result<Option<Uuid>, String> {
    if request.after.is_empty() {
        return Ok(None);
    }
    let refuse = |text: String| Err(format!("cursor api: invalid 'after' parameter: {text}"));
    let beside = [
        ("offset", request.offset > 0),
        ("where", request.filters.is_some()),
        ("sort", !request.sort_by.is_empty()),
    ];
    if let Some((name, _)) = beside.iter().find(|(_, is_set)| *is_set) {
        return refuse(format!(
            "{name} cannot be set with after and limit parameters"
        ));
    }
    match Uuid::try_parse(&request.after) {
        Ok(id) => Ok(Some(id)),
        Err(_) => refuse(format!(
            "after parameter '{}' is not a valid uuid: {}",
            request.after,
            malformed(&request.after)
        )),
    }
}

/// Why a text is no UUID, in the words of the server's parser.
pub(super) fn malformed(text: &str) -> String {
    match text.len() {
        32 | 36 | 38 | 45 => "invalid UUID format".to_owned(),
        length => format!("invalid UUID length: {length}"),
    }
}

struct Page<'a> {
    call: &'a Call<'a>,
    data: &'a Data,
    class: &'a Class,
    picks: &'a Picks,
    metadata: MetadataRequest,
    tenant: &'a str,
}

impl<'a> Page<'a> {
    /// The objects of the page: expired ones are taken out of it after it was cut.
    fn find(&self, request: &SearchRequest) -> Result<Vec<Found<'a>>, String> {
        let place = "explorer: list class: search";
        let settings = self.call.settings;
        let limit = match request.limit {
            0 => settings.query_defaults_limit,
            limit => limit as usize,
        };
        let offset = request.offset as usize;
        let maximum = settings.query_maximum_results;
        if offset.saturating_add(limit) > maximum {
            return Err(format!(
                "{place}: invalid pagination params: query maximum results exceeded: the total limit calculated from the provided offset '{offset}' and limit '{limit}' exceeds the configured value for QUERY_MAXIMUM_RESULTS '{maximum}'. If you've supplied a negative offset or limit, this may be an underflow error"
            ));
        }
        let index = self.class.name.to_ascii_lowercase();
        let partition = self
            .class
            .partition(self.tenant)
            .map_err(|text| format!("{place}: object search at index {index}: {text}"))?;
        let limit = self.call.short_page.map_or(limit, |most| most.min(limit));
        let mut found = self.order(request, &partition.objects, offset, limit)?;
        if let Some(expiry) = ttl::Expiry::of(self.class) {
            found.retain(|(_, object)| !expiry.is_over(object));
        }
        Ok(found)
    }

    fn order(
        &self,
        request: &SearchRequest,
        objects: &'a Objects,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Found<'a>>, String> {
        let from = cursor(request)?.map_or(Bound::Unbounded, Bound::Excluded);
        if request.filters.is_none() && request.sort_by.is_empty() {
            let rest = objects.range((from, Bound::Unbounded));
            return Ok(rest
                .skip(offset)
                .take(limit)
                .map(|(id, object)| (*id, object))
                .collect());
        }
        let mut found: Vec<Found<'a>> = match &request.filters {
            None => objects.iter().map(|(id, object)| (*id, object)).collect(),
            Some(filter) => {
                let ids = filters::read(filter, self.class)?.matches(objects);
                let stored = ids.into_iter().filter_map(|id| objects.get_key_value(&id));
                stored.map(|(id, object)| (*id, object)).collect()
            }
        };
        if let Some(sort) = request.sort_by.first() {
            let name = sort.path.first().map(String::as_str).unwrap_or_default();
            sorted(&mut found, name, sort.ascending);
        }
        Ok(found.into_iter().skip(offset).take(limit).collect())
    }

    fn result(&self, (id, object): Found<'_>) -> Result<SearchResult, String> {
        let asks_properties = !(self.picks.plain.is_empty() && self.picks.references.is_empty());
        if asks_properties && is_unreadable(self.call, id, object) {
            let text = unreadable_text(object);
            return Err(format!(
                "explorer: list class: search: object search at index {}: {text}",
                self.class.name.to_ascii_lowercase()
            ));
        }
        Ok(SearchResult {
            properties: Some(self.properties(&self.class.name, object, self.picks)?),
            metadata: Some(metadata(&self.metadata, id, object)),
        })
    }

    fn properties(
        &self,
        label: &str,
        object: &Object,
        picks: &Picks,
    ) -> Result<PropertiesResult, String> {
        let mut result = PropertiesResult {
            target_collection: label.to_owned(),
            ref_props_requested: !picks.references.is_empty(),
            ..PropertiesResult::default()
        };
        if picks.plain.is_empty() && picks.references.is_empty() {
            return Ok(result);
        }
        let stored = Json::parse(&object.properties)?;
        if !picks.plain.is_empty() {
            result.non_ref_props = Some(values::read(&stored, &picks.plain)?);
        }
        for follow in &picks.references {
            if let Some(list) = stored.get(&follow.name) {
                result.ref_props.push(self.targets(list, follow)?);
            }
        }
        Ok(result)
    }

    /// The targets of a reference that exist; all carry the label of one class.
    fn targets(&self, list: &Json<'_>, follow: &Follow) -> Result<RefPropertiesResult, String> {
        let mut properties = Vec::new();
        for item in list.array().unwrap_or_default() {
            let Ok(target) = Target::parse(item.text_of("beacon")) else {
                continue;
            };
            if let Some(object) = self.target(&target, follow) {
                let mut one = self.properties(&follow.label, object, &follow.picks)?;
                one.metadata = Some(metadata(&follow.metadata, target.id, object));
                properties.push(one);
            }
        }
        Ok(RefPropertiesResult {
            properties,
            prop_name: follow.name.clone(),
        })
    }

    fn target(&self, target: &Target, follow: &Follow) -> Option<&'a Object> {
        let class = self
            .data
            .class(target.class.as_ref().unwrap_or(&follow.label))?;
        let in_tenant = |tenant| class.partitions.get(tenant)?.objects.get(&target.id);
        in_tenant(self.tenant)
            .or_else(|| in_tenant(""))
            .map(|object| &**object)
    }
}

fn sorted(found: &mut [Found<'_>], name: &str, ascending: bool) {
    let key = |object: &Object| {
        let properties: serde_json::Value =
            serde_json::from_str(&object.properties).unwrap_or_default();
        properties[name].clone()
    };
    found.sort_by(|(_, one), (_, other)| match ascending {
        true => compare(&key(one), &key(other)),
        false => compare(&key(other), &key(one)),
    });
}

fn metadata(asked: &MetadataRequest, id: Uuid, object: &Object) -> MetadataResult {
    let mut result = MetadataResult {
        score_present: asked.score,
        explain_score_present: asked.explain_score,
        creation_time_unix_present: asked.creation_time_unix,
        last_update_time_unix_present: asked.last_update_time_unix,
        ..MetadataResult::default()
    };
    if asked.uuid {
        result.id = id.to_string();
        result.id_as_bytes = id.into_bytes().to_vec();
    }
    if asked.creation_time_unix {
        result.creation_time_unix = object.created;
    }
    if asked.last_update_time_unix {
        result.last_update_time_unix = object.updated;
    }
    if let Some(vector) = object.vector.as_ref().filter(|_| asked.vector) {
        result.vector = vector.to_vec();
        result.vector_bytes = bytes(vector);
    }
    let wanted = |name: &str| asked.vector || asked.vectors.iter().any(|other| other == name);
    let named = object.vectors.iter().filter(|(name, _)| wanted(name));
    result.vectors = named
        .map(|(name, vector)| named_bytes(name, vector))
        .collect();
    result
}

fn bytes(row: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(row.len() * 4);
    row.iter()
        .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    bytes
}

fn named_bytes(name: &str, vector: &NamedVector) -> NamedBytes {
    let (kind, vector_bytes) = match vector {
        NamedVector::Single(row) => (SINGLE, bytes(row)),
        NamedVector::Multi(rows) => {
            let dimension = rows.first().map_or(0, |row| row.len());
            let mut all = u16::try_from(dimension)
                .unwrap_or(u16::MAX)
                .to_le_bytes()
                .to_vec();
            rows.iter().for_each(|row| all.extend(bytes(row)));
            (MULTI, all)
        }
    };
    NamedBytes {
        name: name.to_owned(),
        vector_bytes,
        kind,
    }
}
