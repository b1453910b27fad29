//! Routes of aliases.

use serde_json::{Value, json};

use super::call::{Call, Shape};
use super::definition::is_class_name;
use super::reply::{Answer, Reply};
use super::store::{Data, capitalised};

const ALIAS: Shape = Shape::object("models.Alias");

fn shown(alias: &str, class: &str) -> Value {
    json!({"alias": alias, "class": class})
}

pub(super) fn list(call: &Call<'_>) -> Answer {
    let data = call.store.read();
    let wanted = call
        .query("class")
        .filter(|class| !class.is_empty())
        .map(capitalised);
    let found = data
        .aliases
        .iter()
        .filter(|_| !call.settings.hides_aliases)
        .filter(|(_, class)| wanted.as_ref().is_none_or(|wanted| wanted == *class));
    let listed: Vec<Value> = found.map(|(alias, class)| shown(alias, class)).collect();
    Ok(Reply::ok(&json!({"aliases": listed})))
}

pub(super) fn get(call: &Call<'_>, alias: &str) -> Answer {
    let data = call.store.read();
    let alias = capitalised(alias);
    let class = data
        .aliases
        .get(&alias)
        .ok_or_else(|| Reply::empty_json(404))?;
    Ok(Reply::ok(&shown(&alias, class)))
}

fn check_target(data: &Data, class: &str) -> Result<(), Reply> {
    if !is_class_name(class) {
        return Err(Reply::error(
            422,
            format!("validation: '{class}' is not a valid class name"),
        ));
    }
    match data.classes.contains_key(class) {
        true => Ok(()),
        false => Err(Reply::error(
            422,
            format!("validation: target class \"{class}\" does not exist"),
        )),
    }
}

pub(super) fn create(call: &Call<'_>) -> Answer {
    let body = call.json(&ALIAS)?;
    ALIAS.check_text(body.get("alias"), "Alias.alias")?;
    ALIAS.check_text(body.get("class"), "Alias.class")?;
    let [alias, class] = ["alias", "class"].map(|name| capitalised(body.text_of(name)));
    if !is_class_name(&alias) {
        return Err(Reply::error(
            422,
            format!("validation: '{alias}' is not a valid alias name"),
        ));
    }
    let mut data = call.store.write();
    check_target(&data, &class)?;
    let place = "updating schema: TYPE_CREATE_ALIAS: create alias";
    if data
        .aliases
        .keys()
        .any(|other| other.eq_ignore_ascii_case(&alias))
    {
        return Err(Reply::error(
            422,
            format!("validation: {place}: {alias}, alias already exists"),
        ));
    }
    if data.classes.contains_key(&alias) {
        return Err(Reply::error(
            500,
            format!("{place}: class {alias} already exists"),
        ));
    }
    data.aliases.insert(alias.clone(), class.clone());
    Ok(Reply::ok(&shown(&alias, &class)))
}

pub(super) fn update(call: &Call<'_>, alias: &str) -> Answer {
    let body = call.json(&ALIAS)?;
    let class = capitalised(body.text_of("class"));
    let alias = capitalised(alias);
    let mut data = call.store.write();
    if !data.aliases.contains_key(&alias) {
        return Err(Reply::empty_json(404));
    }
    check_target(&data, &class)?;
    data.aliases.insert(alias.clone(), class.clone());
    Ok(Reply::ok(&shown(&alias, &class)))
}

pub(super) fn delete(call: &Call<'_>, alias: &str) -> Answer {
    match call.store.write().aliases.remove(&capitalised(alias)) {
        Some(_) => Ok(Reply::empty(204)),
        None => Err(Reply::empty_json(404)),
    }
}
