//! GraphQL: counts of classes and tenants, and plain reads with a cursor.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::call::{Call, Shape};
use super::class::Class;
use super::filter::Filter;
use super::listing::wake;
use super::query::{self, Field};
use super::reply::{Answer, Reply};

const QUERY: Shape = Shape::object("models.GraphQLQuery");
const QUERIES: Shape = Shape::list("models.GraphQLQueries");

/// An error inside a 200: where, why, and the field it belongs to.
struct Failure {
    column: usize,
    message: String,
    path: Option<[String; 2]>,
}

impl Failure {
    fn shown(&self) -> Value {
        json!({"locations": [{"column": self.column, "line": 1}], "message": self.message, "path": self.path})
    }
}

pub(super) fn one(call: &Call<'_>) -> Answer {
    let body = call.json(&QUERY)?;
    QUERY.check_text(body.get("query"), "GraphQLQuery.query")?;
    check_on(call)?;
    if call.store.read().classes.is_empty() {
        let text = "no graphql provider present, this is most likely because no schema is present. Import a schema first!";
        return Err(Reply::error(422, text));
    }
    match body.text_of("query") {
        "" => Err(Reply::error(422, "query cannot be empty")),
        query => Ok(Reply::ok(&answer(call, query))),
    }
}

pub(super) fn batch(call: &Call<'_>) -> Answer {
    let body = call.json(&QUERIES)?;
    check_on(call)?;
    let queries = body.array().unwrap_or_default();
    if queries.is_empty() {
        return Err(Reply::error(422, "query cannot be empty"));
    }
    Ok(Reply::ok(
        &queries
            .iter()
            .map(|query| answer(call, query.text_of("query")))
            .collect(),
    ))
}

/// Seen on 1.40, of every query that is JSON.
fn check_on(call: &Call<'_>) -> Result<(), Reply> {
    match call.settings.graphql {
        true => Ok(()),
        false => Err(Reply::error(422, "graphql api is disabled")),
    }
}

fn answer(call: &Call<'_>, text: &str) -> Value {
    let refused = |failure: Failure| json!({"errors": [failure.shown()]});
    let fields = match query::parse(text) {
        Ok(fields) => fields,
        Err(broken) => {
            return refused(Failure {
                column: broken.column,
                message: broken.message,
                path: None,
            });
        }
    };
    let mut data = Map::new();
    let mut failures = Vec::new();
    for root in &fields {
        let mut members = Map::new();
        for field in &root.fields {
            let value = match one_class(call, root, field) {
                Ok(value) => value,
                Err(failure) if failure.path.is_none() => return refused(failure),
                Err(failure) => {
                    failures.push(failure.shown());
                    Value::Null
                }
            };
            members.insert(field.shown.clone(), value);
        }
        data.insert(root.shown.clone(), Value::Object(members));
    }
    match failures.is_empty() {
        true => json!({"data": data}),
        false => json!({"data": data, "errors": failures}),
    }
}

/// What is asked of one class.
fn one_class(call: &Call<'_>, root: &Field, field: &Field) -> Result<Value, Failure> {
    let is_count = root.name == "Aggregate";
    let object = if is_count {
        "AggregateObjectsObj"
    } else {
        "GetObjectsObj"
    };
    let unknown = |field: &Field, type_name: &str| Failure {
        column: field.column,
        message: format!(
            "Cannot query field \"{}\" on type \"{type_name}\".",
            field.name
        ),
        path: None,
    };
    let tenant = field
        .argument("tenant")
        .and_then(Value::as_str)
        .unwrap_or_default();
    wake(call, &field.name, tenant);
    let data = call.store.read();
    let class = data
        .class(&field.name)
        .filter(|_| is_count || root.name == "Get");
    let class = class.ok_or_else(|| unknown(field, object))?;
    check_tenant_argument(class, field, object)?;
    let failed = |message: String| Failure {
        column: field.column,
        message,
        path: Some([root.shown.clone(), field.shown.clone()]),
    };
    let partition = class.partition(tenant).map_err(failed)?;
    let filter = field
        .argument("where")
        .map(|condition| Filter::read(condition, class))
        .transpose()
        .map_err(failed)?;
    let ids: Option<Vec<Uuid>> = filter.map(|filter| filter.matches(&partition.objects));
    if !is_count {
        return Ok(read(class, tenant, field, ids));
    }
    for asked in field
        .fields
        .iter()
        .filter(|asked| asked.name == "meta")
        .flat_map(|meta| &meta.fields)
    {
        if asked.name != "count" {
            return Err(unknown(
                asked,
                &format!("Aggregate{}MetaObject", class.name),
            ));
        }
    }
    let count = ids.map_or(partition.objects.len(), |ids| ids.len());
    Ok(json!([{"meta": {"count": count}}]))
}

fn check_tenant_argument(class: &Class, field: &Field, object: &str) -> Result<(), Failure> {
    match field
        .arguments
        .iter()
        .find(|argument| argument.name == "tenant" && !class.has_tenants())
    {
        Some(argument) => Err(Failure {
            column: argument.column,
            message: format!(
                "Unknown argument \"tenant\" on field \"{}\" of type \"{object}\".",
                field.name
            ),
            path: None,
        }),
        None => Ok(()),
    }
}

fn read(class: &Class, tenant: &str, field: &Field, ids: Option<Vec<Uuid>>) -> Value {
    let Some(partition) = class.partitions.get(tenant) else {
        return Value::Null;
    };
    let limit = field
        .argument("limit")
        .and_then(Value::as_u64)
        .unwrap_or(10);
    let after = field
        .argument("after")
        .and_then(Value::as_str)
        .and_then(|text| Uuid::try_parse(text).ok());
    let chosen = partition.objects.iter().filter(|(id, _)| {
        after.is_none_or(|after| **id > after)
            && ids.as_ref().is_none_or(|ids| ids.binary_search(id).is_ok())
    });
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let shown = chosen.take(limit).map(|(id, object)| {
        let properties: Value = serde_json::from_str(&object.properties).unwrap_or_default();
        let member = |asked: &Field| match asked.name.as_str() {
            "_additional" => json!({"id": id.to_string()}),
            name => properties[name].clone(),
        };
        field
            .fields
            .iter()
            .map(|asked| (asked.name.clone(), member(asked)))
            .collect::<Map<String, Value>>()
    });
    shown.map(Value::Object).collect()
}
