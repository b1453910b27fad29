//! One table for the sandbox and for a real server: every kind of collection by every layout, deleted and restored,
//! looked at over plain HTTP before and after. What is compared is the server's own text.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::print_stdout, reason = "the table is there to be read")]

pub mod kinds;

use std::collections::BTreeMap;
use std::path::Path;

use elysiactl::archive::Format;
use elysiactl::commands::{
    BackupRequest, Inactive, RestoreRequest, Session, backup, restore, verify,
};
use elysiactl::format::Codec;
use elysiactl::weaviate::{Connection, Transport};
use kinds::Kind;
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub const LAYOUTS: [(&str, Format, Codec); 4] = [
    ("json", Format::Json, Codec::None),
    ("json -z", Format::Json, Codec::Gzip),
    ("jsonl", Format::Jsonl, Codec::Zstd),
    ("jsonl lz4", Format::Jsonl, Codec::Lz4),
];

/// How objects move. Another protocol is another column.
pub const PROTOCOLS: [(&str, Transport); 2] =
    [("rest", Transport::Rest), ("grpc", Transport::Grpc)];

/// A server as a stranger talks to it.
pub struct Server {
    url: String,
    http: reqwest::Client,
}

/// Everything of a collection that can be seen; two that are equal hold the same.
#[derive(Debug, PartialEq)]
pub struct Seen {
    definition: Value,
    tenants: BTreeMap<String, String>,
    aliases: Vec<String>,
    /// By tenant and id: properties, vector, named vectors, as the server writes them.
    objects: BTreeMap<(String, String), String>,
}

#[derive(Deserialize)]
struct Listed {
    objects: Option<Vec<Object>>,
}

#[derive(Deserialize)]
struct Object {
    id: String,
    properties: Box<RawValue>,
    vector: Option<Box<RawValue>>,
    vectors: Option<BTreeMap<String, Box<RawValue>>>,
}

impl Server {
    pub fn at(url: &str) -> Self {
        // There may be one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Server {
            url: format!("{}/v1", url.trim_end_matches('/')),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, String) {
        let mut request = self.http.request(method, format!("{}/{path}", self.url));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    async fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> String {
        let (status, text) = self.call(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {text:.600}");
        text
    }

    async fn value(&self, path: &str) -> Value {
        serde_json::from_str(&self.expect(Method::GET, path, None).await).unwrap()
    }

    pub async fn delete(&self, class: &str) {
        for alias in self.aliases(class).await {
            self.expect(Method::DELETE, &format!("aliases/{alias}"), None)
                .await;
        }
        self.expect(Method::DELETE, &format!("schema/{class}"), None)
            .await;
    }

    async fn aliases(&self, class: &str) -> Vec<String> {
        let all = self.value("aliases").await;
        let ours = all["aliases"].as_array().into_iter().flatten();
        let mut names: Vec<String> = ours
            .filter(|alias| alias["class"] == class)
            .map(|alias| alias["alias"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Makes the collection; the server's words if it cannot have such a one.
    pub async fn build(&self, kind: &Kind, class: &str) -> Result<(), String> {
        let mut definition = kind.definition.clone();
        definition["class"] = class.into();
        let (status, text) = self.call(Method::POST, "schema", Some(&definition)).await;
        if status != 200 {
            return Err(text);
        }
        if let Some(update) = &kind.update {
            let mut made = self.value(&format!("schema/{class}")).await;
            update
                .as_object()
                .unwrap()
                .iter()
                .for_each(|(name, value)| made[name] = value.clone());
            self.expect(Method::PUT, &format!("schema/{class}"), Some(&made))
                .await;
        }
        let active: Vec<Value> = kind
            .tenants
            .iter()
            .map(|(name, _)| json!({"name": name}))
            .collect();
        if !active.is_empty() {
            self.expect(
                Method::POST,
                &format!("schema/{class}/tenants"),
                Some(&json!(active)),
            )
            .await;
        }
        for some in kind.objects.chunks(200) {
            let mut objects = some.to_vec();
            objects
                .iter_mut()
                .for_each(|object| object["class"] = class.into());
            let reply = self
                .expect(
                    Method::POST,
                    "batch/objects",
                    Some(&json!({"objects": objects})),
                )
                .await;
            assert!(
                !reply.contains("\"FAILED\""),
                "{}: {reply:.2000}",
                kind.name
            );
        }
        self.set_states(
            class,
            &kind
                .tenants
                .iter()
                .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
                .collect(),
        )
        .await;
        for alias in &kind.aliases {
            let body = json!({"alias": format!("{class}{alias}"), "class": class});
            self.expect(Method::POST, "aliases", Some(&body)).await;
        }
        Ok(())
    }

    async fn set_states(&self, class: &str, states: &BTreeMap<String, String>) {
        let states: Vec<Value> = states
            .iter()
            .map(|(name, state)| json!({"name": name, "activityStatus": state}))
            .collect();
        if !states.is_empty() {
            self.expect(
                Method::PUT,
                &format!("schema/{class}/tenants"),
                Some(&json!(states)),
            )
            .await;
        }
    }

    pub async fn look(&self, class: &str, ignored: &[&str]) -> Seen {
        let definition = self.value(&format!("schema/{class}")).await;
        let has_tenants = definition["multiTenancyConfig"]["enabled"] == true;
        let mut tenants = BTreeMap::new();
        if has_tenants {
            for tenant in self
                .value(&format!("schema/{class}/tenants"))
                .await
                .as_array()
                .unwrap()
            {
                let text = |name: &str| tenant[name].as_str().unwrap().to_owned();
                tenants.insert(text("name"), text("activityStatus"));
            }
        }
        // Only an active tenant can be looked into.
        let awake = tenants
            .keys()
            .map(|name| (name.clone(), "HOT".to_owned()))
            .collect();
        self.set_states(class, &awake).await;
        let mut objects = BTreeMap::new();
        let parts = match has_tenants {
            true => tenants.keys().cloned().collect(),
            false => vec![String::new()],
        };
        for tenant in parts {
            self.list(class, &tenant, ignored, &mut objects).await;
        }
        self.set_states(class, &tenants).await;
        Seen {
            definition,
            tenants,
            aliases: self.aliases(class).await,
            objects,
        }
    }

    async fn list(
        &self,
        class: &str,
        tenant: &str,
        ignored: &[&str],
        into: &mut BTreeMap<(String, String), String>,
    ) {
        let mut after = String::new();
        loop {
            let of = if tenant.is_empty() {
                String::new()
            } else {
                format!("&tenant={tenant}")
            };
            let path = format!("objects?class={class}&limit=200&include=vector&after={after}{of}");
            let page: Listed =
                serde_json::from_str(&self.expect(Method::GET, &path, None).await).unwrap();
            let Some(objects) = page.objects.filter(|objects| !objects.is_empty()) else {
                return;
            };
            after = objects.last().unwrap().id.clone();
            for object in objects {
                into.insert((tenant.to_owned(), object.id.clone()), object.text(ignored));
            }
        }
    }
}

impl Object {
    fn text(&self, ignored: &[&str]) -> String {
        let mut properties: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(self.properties.get()).unwrap();
        properties.retain(|name, _| !ignored.contains(&name.as_str()));
        let properties: Vec<String> = properties
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let vectors: Vec<String> = self
            .vectors
            .iter()
            .flatten()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let vector = self.vector.as_ref().map_or("none", |vector| vector.get());
        format!(
            "{} | {vector} | {}",
            properties.join(","),
            vectors.join(",")
        )
    }
}

/// What a table says of one kind by one layout.
type Cell = Result<(), String>;

fn difference(before: &Seen, after: &Seen) -> Cell {
    if before == after {
        return Ok(());
    }
    if before.definition != after.definition {
        return Err(format!(
            "definition: {} against {}",
            before.definition, after.definition
        ));
    }
    if (&before.tenants, &before.aliases) != (&after.tenants, &after.aliases) {
        return Err(format!(
            "{:?} {:?} against {:?} {:?}",
            before.tenants, before.aliases, after.tenants, after.aliases
        ));
    }
    let odd = before
        .objects
        .iter()
        .find(|(key, text)| after.objects.get(key) != Some(text));
    Err(format!(
        "{} against {} objects; {odd:.400?}, found {:.400?}",
        before.objects.len(),
        after.objects.len(),
        odd.and_then(|(key, _)| after.objects.get(key))
    ))
}

/// Saves the collection, deletes it, restores it under its own name, and looks again.
async fn there_and_back(
    server: &Server,
    session: &Session,
    folder: &Path,
    kind: &Kind,
    saved: BackupRequest,
    back: impl Fn(&Path) -> RestoreRequest,
    before: &Seen,
) -> Cell {
    let class = saved.collection.to_string();
    let outcome = backup(session, &saved)
        .await
        .map_err(|error| format!("backup: {error}"))?;
    if outcome.exit_code != 0 {
        return Err(format!("backup: {outcome:?}"));
    }
    let archive = outcome.archive.ok_or("no archive")?;
    let verdict = verify(&archive).map_err(|error| format!("verify: {error}"))?;
    if verdict.object_count != before.objects.len() as u64 {
        return Err(format!(
            "{} objects are in the archive",
            verdict.object_count
        ));
    }
    server.delete(&class).await;
    let outcome = restore(session, &back(&archive))
        .await
        .map_err(|error| format!("restore: {error}"))?;
    if outcome.exit_code != kind.exit_code {
        return Err(format!("restore: {outcome:?}"));
    }
    let _ = folder;
    difference(before, &server.look(&class, &kind.ignored).await)
}

/// The whole table, printed as it comes; the cells that are not equal.
pub async fn table(
    connection: &Connection,
    class: &str,
    new_session: impl Fn(&Path) -> Session,
) -> Vec<String> {
    let server = Server::at(&connection.url);
    let mut bad = Vec::new();
    println!(
        "{:34}{}",
        "kind",
        LAYOUTS.map(|(name, ..)| format!("{name:22}")).concat()
    );
    println!(
        "{:34}{}",
        "",
        LAYOUTS
            .map(|_| PROTOCOLS.map(|(name, _)| format!("{name:11}")).concat())
            .concat()
    );
    for kind in kinds::all() {
        server.delete(class).await;
        let mut row = format!("{:34}", kind.name);
        if let Err(refusal) = server.build(&kind, class).await {
            assert!(kind.may_be_refused, "{}: {refusal}", kind.name);
            println!("{row}this server cannot have it: {refusal:.120}");
            continue;
        }
        let before = server.look(class, &kind.ignored).await;
        assert_eq!(before.objects.len(), kind.objects.len(), "{}", kind.name);
        let cells = LAYOUTS
            .iter()
            .flat_map(|layout| PROTOCOLS.map(|protocol| (*layout, protocol)));
        for ((name, format, codec), (protocol, transport)) in cells {
            let connection = Connection {
                transport,
                ..connection.clone()
            };
            let folder = crate::common::scratch();
            let session = new_session(&folder.path().join("state"));
            let out = folder.path().join("out");
            let mut saved = crate::common::backup_request(&connection, class, &out);
            (saved.format, saved.codec, saved.inactive) = (format, codec, Inactive::Wake);
            let back = |archive: &Path| crate::common::restore_request(&connection, archive, None);
            let cell = there_and_back(
                &server,
                &session,
                folder.path(),
                &kind,
                saved,
                back,
                &before,
            )
            .await;
            row += &format!("{:11}", if cell.is_ok() { "equal" } else { "DIFFERS" });
            if let Err(why) = cell {
                bad.push(format!("{} as {name} over {protocol}: {why}", kind.name));
                // The next layout begins with the same collection.
                server.delete(class).await;
                server.build(&kind, class).await.unwrap();
            }
        }
        println!("{row}");
    }
    server.delete(class).await;
    bad
}
