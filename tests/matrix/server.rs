//! A server as a stranger talks to it: collections of each kind are made, and everything that can be seen of them is read.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use elysiactl::weaviate::Connection;

use super::kinds::Kind;

/// A server as a stranger talks to it.
pub struct Server {
    pub connection: Connection,
    /// Major and minor.
    pub version: (u32, u32),
    url: String,
    http: reqwest::Client,
}

/// Everything of a collection that can be seen; two that are equal hold the same.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub definition: Value,
    pub tenants: BTreeMap<String, String>,
    pub aliases: Vec<String>,
    /// By tenant and id: properties, vector, named vectors, as the server writes them.
    pub objects: BTreeMap<(String, String), String>,
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
    pub async fn at(connection: &Connection) -> Self {
        // There may be one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut server = Server {
            connection: connection.clone(),
            version: (0, 0),
            url: format!("{}/v1", connection.url.trim_end_matches('/')),
            http: reqwest::Client::builder()
                .no_proxy()
                // The server closes idle connections after 10 s.
                .pool_idle_timeout(std::time::Duration::from_secs(5))
                .build()
                .unwrap(),
        };
        let meta = server.value("meta").await;
        let mut numbers = meta["version"].as_str().unwrap().split('.');
        let mut number = || numbers.next().unwrap().parse().unwrap();
        server.version = (number(), number());
        server
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

    /// The reply to a request that this server may refuse: its words then.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, String> {
        let (status, text) = self.call(method, path, body).await;
        match (200..300).contains(&status) {
            true => Ok(text),
            false => Err(format!("{path}: {status} {text:.600}")),
        }
    }

    async fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> String {
        self.ask(method, path, body).await.unwrap()
    }

    async fn value(&self, path: &str) -> Value {
        serde_json::from_str(&self.expect(Method::GET, path, None).await).unwrap()
    }

    pub async fn has(&self, class: &str) -> bool {
        let (status, _) = self
            .call(Method::GET, &format!("schema/{class}"), None)
            .await;
        status == 200
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
        // Older servers have none.
        let (status, text) = self.call(Method::GET, "aliases", None).await;
        if status == 404 {
            return Vec::new();
        }
        let all: Value = serde_json::from_str(&text).unwrap();
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
        self.define(kind, class).await?;
        for some in kind.objects.chunks(200) {
            self.fill(class, some).await?;
        }
        let states = kind.tenants.iter();
        let states = states.map(|(name, state)| ((*name).to_owned(), (*state).to_owned()));
        self.set_states(class, &states.collect()).await;
        for alias in &kind.aliases {
            let body = json!({"alias": format!("{class}{alias}"), "class": class});
            self.ask(Method::POST, "aliases", Some(&body)).await?;
        }
        Ok(())
    }

    async fn define(&self, kind: &Kind, class: &str) -> Result<(), String> {
        let mut definition = kind.definition.clone();
        definition["class"] = class.into();
        self.ask(Method::POST, "schema", Some(&definition)).await?;
        if let Some(update) = &kind.update {
            let mut made = self.value(&format!("schema/{class}")).await;
            let members = update.as_object().unwrap().iter();
            members.for_each(|(name, value)| made[name] = value.clone());
            let path = format!("schema/{class}");
            self.ask(Method::PUT, &path, Some(&made)).await?;
        }
        let named = |(name, _): &(&str, &str)| json!({"name": name});
        let active: Vec<Value> = kind.tenants.iter().map(named).collect();
        if !active.is_empty() {
            let path = format!("schema/{class}/tenants");
            self.ask(Method::POST, &path, Some(&json!(active))).await?;
        }
        Ok(())
    }

    async fn fill(&self, class: &str, objects: &[Value]) -> Result<(), String> {
        let mut objects = objects.to_vec();
        objects
            .iter_mut()
            .for_each(|object| object["class"] = class.into());
        let body = json!({"objects": objects});
        let reply = self.ask(Method::POST, "batch/objects", Some(&body)).await?;
        match reply.find("\"FAILED\"") {
            Some(at) => Err(format!(
                "batch/objects: {:.600}",
                &reply[at.saturating_sub(300)..]
            )),
            None => Ok(()),
        }
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

impl Seen {
    pub fn difference(&self, after: &Seen) -> Result<(), String> {
        if self == after {
            return Ok(());
        }
        if self.definition != after.definition {
            return Err(format!(
                "definition: {} against {}",
                self.definition, after.definition
            ));
        }
        if (&self.tenants, &self.aliases) != (&after.tenants, &after.aliases) {
            return Err(format!(
                "{:?} {:?} against {:?} {:?}",
                self.tenants, self.aliases, after.tenants, after.aliases
            ));
        }
        let odd = self
            .objects
            .iter()
            .find(|(key, text)| after.objects.get(key) != Some(text));
        Err(format!(
            "{} against {} objects; {odd:.400?}, found {:.400?}",
            self.objects.len(),
            after.objects.len(),
            odd.and_then(|(key, _)| after.objects.get(key))
        ))
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
