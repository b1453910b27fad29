//! Routes of tenants.

use serde_json::{Value, json};

use super::call::{Call, Shape};
use super::class::{Activity, Class};
use super::json::Json;
use super::reply::{Answer, Reply};
use super::schema::is_word;
use super::store::{Data, capitalised};

const TENANTS: Shape = Shape::list("[]*models.Tenant");
const NAMES: Shape = Shape::list("[]string");
const STATUSES: [&str; 10] = [
    "ACTIVE",
    "INACTIVE",
    "OFFLOADED",
    "OFFLOADING",
    "ONLOADING",
    "HOT",
    "COLD",
    "FROZEN",
    "FREEZING",
    "UNFREEZING",
];

struct Sent {
    name: String,
    status: String,
}

impl Sent {
    /// The activity asked for; `None` if none was.
    fn activity(&self) -> Result<Option<Activity>, Reply> {
        match self.status.as_str() {
            "" => Ok(None),
            "HOT" | "ACTIVE" => Ok(Some(Activity::Hot)),
            "COLD" | "INACTIVE" => Ok(Some(Activity::Cold)),
            "FROZEN" | "OFFLOADED" => Err(Reply::error(
                422,
                "can't offload tenants, because offload-s3 module is not enabled",
            )),
            other => Err(Reply::error(
                422,
                format!(
                    "invalid activity status '{other}' for tenant \"{}\"",
                    self.name
                ),
            )),
        }
    }
}

fn body(call: &Call<'_>) -> Result<Vec<Sent>, Reply> {
    let body = call.json(&TENANTS)?;
    let mut sent = Vec::new();
    for tenant in body.array().unwrap_or_default() {
        TENANTS.check_text(tenant.get("name"), "Tenant.name")?;
        if !is_word(tenant.get("activityStatus"), &STATUSES) {
            let known = STATUSES.join(" ");
            return Err(Reply::framework(
                606,
                format!("activityStatus in body should be one of [{known}]"),
            ));
        }
        sent.push(Sent {
            name: tenant.text_of("name").to_owned(),
            status: tenant.text_of("activityStatus").to_owned(),
        });
    }
    Ok(sent)
}

fn check_twice(sent: &[Sent]) -> Result<(), Reply> {
    let mut seen = std::collections::BTreeSet::new();
    match sent.iter().find(|tenant| !seen.insert(&tenant.name)) {
        Some(twice) => Err(Reply::error(
            422,
            format!("tenant name {} existed multiple times", twice.name),
        )),
        None => Ok(()),
    }
}

/// Refuses a name that a tenant cannot have; `at` is its place in the request.
pub(super) fn check_name(name: &str, at: usize) -> Result<(), String> {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_' || letter == b'-';
    if name.is_empty() {
        return Err(format!("tenant name at index {at}: empty tenant name"));
    }
    match name.len() <= 64 && name.bytes().all(is_letter) {
        true => Ok(()),
        false => Err(format!(
            "tenant name at index {at}:  '{name}' is not a valid tenant name. should only contain alphanumeric characters (a-z, A-Z, 0-9), underscore (_), and hyphen (-), with a length between 1 and 64 characters"
        )),
    }
}

/// The class to be written, by its own name: aliases are not resolved here.
fn class_to_write<'a>(data: &'a mut Data, name: &str, step: &str) -> Result<&'a mut Class, Reply> {
    let refuse = |text: String| Reply::error(422, format!("updating schema: {step}: {text}"));
    let class = data
        .classes
        .get_mut(&capitalised(name))
        .ok_or_else(|| refuse("class not found".to_owned()))?;
    match class.has_tenants() {
        true => Ok(class),
        false => Err(refuse(format!(
            "multi-tenancy is not enabled for class \"{}\"",
            class.name
        ))),
    }
}

fn class_to_read<'a>(data: &'a Data, name: &str) -> Result<&'a Class, Reply> {
    let place = "failed to execute query: could not get tenants: could not get tenants";
    let refuse = |text: String| Reply::error(422, format!("{place}: {text}"));
    let class = data
        .class(name)
        .ok_or_else(|| refuse("class not found".to_owned()))?;
    match class.has_tenants() {
        true => Ok(class),
        false => Err(refuse(format!(
            "multi-tenancy is not enabled for class \"{}\"",
            class.name
        ))),
    }
}

fn shown(name: &str, activity: Activity) -> Value {
    json!({"activityStatus": activity.word(), "name": name})
}

pub(super) fn list(call: &Call<'_>, name: &str) -> Answer {
    let data = call.store.read();
    let class = class_to_read(&data, name)?;
    if call.local {
        return Ok(Reply::ok(&json!([])));
    }
    let listed = class
        .partitions
        .iter()
        .filter(|(name, _)| is_readable(call, name))
        .map(|(name, partition)| shown(name, partition.activity));
    Ok(Reply::ok(&listed.collect()))
}

fn is_readable(call: &Call<'_>, tenant: &str) -> bool {
    let readable = call.settings.readable_tenants;
    readable.is_none_or(|readable| readable.contains(&tenant))
}

/// Whether the key may read it is asked before whether it is there.
pub(super) fn get(call: &Call<'_>, name: &str, tenant: &str) -> Answer {
    if !is_readable(call, tenant) {
        let text = "rbac: authorization, forbidden action: user 'reader' has insufficient permissions to read_tenants";
        return Err(Reply::error(
            403,
            format!("{text} [[Domain: tenants, Collection: {name}, Tenant: {tenant}]]"),
        ));
    }
    let data = call.store.read();
    let class = class_to_read(&data, name)?;
    let partition = class
        .partitions
        .get(tenant)
        .ok_or_else(|| Reply::empty(404))?;
    Ok(Reply::ok(&shown(tenant, partition.activity)))
}

pub(super) fn head(call: &Call<'_>, name: &str, tenant: &str) -> Answer {
    get(call, name, tenant).map(|_| Reply::empty(200))
}

pub(super) fn create(call: &Call<'_>, name: &str) -> Answer {
    let sent = body(call)?;
    check_twice(&sent)?;
    for (at, tenant) in sent.iter().enumerate() {
        check_name(&tenant.name, at).map_err(|text| Reply::error(422, text))?;
    }
    let asked: Vec<Option<Activity>> = sent.iter().map(Sent::activity).collect::<Result<_, _>>()?;
    let mut data = call.store.write();
    let class = class_to_write(&mut data, name, "TYPE_ADD_TENANT")?;
    check_limit(call, class, sent.iter().map(|tenant| tenant.name.as_str()))?;
    let mut echo = Vec::new();
    for (tenant, activity) in sent.iter().zip(asked) {
        class.add_tenant(&tenant.name, activity.unwrap_or(Activity::Hot));
        echo.push(activity.map_or_else(
            || json!({"name": tenant.name}),
            |activity| shown(&tenant.name, activity),
        ));
    }
    Ok(Reply::ok(&Value::Array(echo)))
}

/// Refuses names that would exceed the operator's cap.
pub(super) fn check_limit<'n>(
    call: &Call<'_>,
    class: &Class,
    names: impl Iterator<Item = &'n str>,
) -> Result<(), Reply> {
    let new = names
        .filter(|name| !class.partitions.contains_key(*name))
        .count();
    let limit = call.settings.usage_limits.tenants;
    match limit.filter(|limit| class.partitions.len() + new > *limit) {
        Some(limit) => Err(Reply::usage_limit("tenants", limit)),
        None => Ok(()),
    }
}

pub(super) fn update(call: &Call<'_>, name: &str) -> Answer {
    let sent = body(call)?;
    if sent.len() > 100 {
        let text = "maximum number of tenants allowed to be updated simultaneously is 100. Please reduce the number of tenants in your request and try again";
        return Err(Reply::error(422, text));
    }
    check_twice(&sent)?;
    let mut asked = Vec::new();
    for tenant in &sent {
        let none = || {
            Reply::error(
                422,
                format!("invalid activity status '' for tenant \"{}\"", tenant.name),
            )
        };
        asked.push(tenant.activity()?.ok_or_else(none)?);
    }
    let mut data = call.store.write();
    let class = class_to_write(&mut data, name, "TYPE_UPDATE_TENANT")?;
    if let Some(unknown) = sent
        .iter()
        .find(|tenant| !class.partitions.contains_key(&tenant.name))
    {
        let text = format!(
            "updating schema: TYPE_UPDATE_TENANT: shard not found: {}",
            unknown.name
        );
        return Err(Reply::error(422, text));
    }
    let mut echo = Vec::new();
    for (tenant, activity) in sent.iter().zip(asked) {
        if let Some(partition) = class.partitions.get_mut(&tenant.name) {
            partition.activity = activity;
        }
        echo.push(shown(&tenant.name, activity));
    }
    Ok(Reply::ok(&Value::Array(echo)))
}

pub(super) fn delete(call: &Call<'_>, name: &str) -> Answer {
    let body = call.json(&NAMES)?;
    let mut data = call.store.write();
    let class = class_to_write(&mut data, name, "TYPE_DELETE_TENANT")?;
    for tenant in body
        .array()
        .unwrap_or_default()
        .iter()
        .filter_map(Json::text)
    {
        class.remove_tenant(tenant);
    }
    Ok(Reply::empty(200))
}
