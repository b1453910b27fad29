//! A server, a state directory, and a clear of one collection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use elysiactl::commands::{self, ClearMethod, ClearRequest, Outcome, Session, Unfinished};
use elysiactl::error::{Kind, Result};
use elysiactl::journal::{Listed, StateDir};
use elysiactl::sandbox::{
    Activity, Fault, Rule, Sandbox, Settings, Store, When, sample_definition,
};
use serde_json::{Value, json};

use crate::common;

pub const NAME: &str = "Article";
pub const OBJECTS: usize = 200;
/// The one with which a collection is deleted.
pub const DELETION: (&str, &str) = ("DELETE", "/v1/schema/Article");
/// The one with which a collection is created; the first one makes the scratch collection.
pub const CREATION: (&str, &str) = ("POST", "/v1/schema");

pub struct Bench {
    pub sandbox: Sandbox,
    folder: tempfile::TempDir,
    pub request: ClearRequest,
}

impl Bench {
    pub async fn of(store: Store, settings: Settings) -> Self {
        let sandbox = Sandbox::start_with(settings, store).await.unwrap();
        Bench {
            request: common::clear_request(&common::rest(&sandbox), NAME),
            folder: tempfile::tempdir().unwrap(),
            sandbox,
        }
    }

    /// A collection without tenants.
    pub async fn plain() -> Self {
        Bench::of(filled(), Settings::default()).await
    }

    /// Tenants `a` and `c` are active, `b` is not.
    pub async fn with_tenants() -> Self {
        let store = Store::new();
        make_with_tenants(&store);
        Bench::of(store, Settings::default()).await
    }

    pub fn by(mut self, method: ClearMethod) -> Self {
        self.request.method = method;
        self
    }

    pub fn store(&self) -> &Store {
        self.sandbox.store()
    }

    pub fn session(&self) -> Session {
        common::session(self.folder.path())
    }

    pub async fn clear(&self) -> Result<Outcome> {
        self.clear_in(&self.session()).await
    }

    pub async fn clear_in(&self, session: &Session) -> Result<Outcome> {
        let plan = commands::plan_clear(session, &self.request).await?;
        commands::clear(session, &self.request, plan).await
    }

    pub async fn restart(&self) -> Result<Outcome> {
        let mut session = self.session();
        session.unfinished = Unfinished::Restart;
        self.clear_in(&session).await
    }

    pub async fn cancel(&self) -> Result<()> {
        let id = self.jobs().remove(0).id;
        commands::cancel_job(&self.session(), &id, &self.request.connection, false).await
    }

    /// Another server from here on, with the same data and the same jobs.
    pub async fn move_to(&mut self, settings: Settings) {
        let store = self.store().clone();
        self.sandbox = Sandbox::start_with(settings, store).await.unwrap();
        self.request.connection = common::rest(&self.sandbox);
    }

    pub fn strike(&self, of: (&str, &str), when: When, fault: Fault) -> usize {
        self.sandbox
            .faults()
            .add(Rule::new(of.0, of.1, when, fault))
    }

    /// Takes the credentials away, so that the run ends right there as a crash would, and its job stays.
    pub async fn break_at(&self, of: (&str, &str), nth: u64) {
        let nth = self.nth(of, nth);
        self.strike(of, When::Nth(nth..=nth), refusal(401));
        self.clear().await.unwrap_err();
        self.sandbox.faults().clear();
        assert!(!self.jobs()[0].state.as_ref().unwrap().is_done);
    }

    /// Which of these requests is the one meant: the tenants of the scratch collection are made between two creations.
    pub fn nth(&self, of: (&str, &str), nth: u64) -> u64 {
        let is_after_tenants = of == CREATION && nth > 1 && !self.store().tenants(NAME).is_empty();
        nth + u64::from(is_after_tenants)
    }

    pub async fn kind(&self) -> Kind {
        self.clear().await.unwrap_err().kind()
    }

    pub fn jobs(&self) -> Vec<Listed> {
        self.state().jobs().unwrap()
    }

    pub fn state(&self) -> StateDir {
        StateDir::open(self.folder.path()).unwrap()
    }

    pub fn shape(&self) -> Value {
        shape(self.store())
    }

    /// Does something once, when the request begins (`status` none) or is done.
    pub fn once(
        &self,
        of: (&str, &str),
        is_done: bool,
        deed: impl Fn(&Store, &str) + Send + Sync + 'static,
    ) {
        let (store, did) = (self.store().clone(), AtomicBool::new(false));
        let of = (of.0.to_owned(), of.1.to_owned());
        self.sandbox.on_request(move |request| {
            let is_it = request.method == of.0
                && request.path.starts_with(&of.1)
                && request.status.is_some() == is_done;
            if is_it && !did.swap(true, Ordering::SeqCst) {
                tokio::task::block_in_place(|| deed(&store, &request.path));
            }
        });
    }

    /// The application deletes the collection and makes one of the same definition with objects of its own.
    pub fn made_anew_by_somebody(&self) {
        let aside = Store::new();
        match self.store().tenants(NAME).is_empty() {
            true => aside.fill(NAME, 7, 8, 99),
            false => make_with_tenants(&aside),
        }
        self.store().restore(&aside.snapshot());
    }
}

pub fn filled() -> Store {
    let store = Store::new();
    store.fill(NAME, OBJECTS, 8, 1);
    store
}

pub fn make_with_tenants(store: &Store) {
    let mut definition = sample_definition(NAME);
    definition["multiTenancyConfig"] = json!({
        "enabled": true, "autoTenantCreation": true, "autoTenantActivation": true,
    });
    store.create(&definition).unwrap();
    for (tenant, activity) in [
        ("a", Activity::Hot),
        ("b", Activity::Cold),
        ("c", Activity::Hot),
    ] {
        store.add_tenant(NAME, tenant, activity);
    }
    store.fill(NAME, OBJECTS, 8, 1);
}

/// Definition and tenants; updates change the order of properties.
pub fn shape(store: &Store) -> Value {
    let mut definition = store.definition(NAME).unwrap();
    let properties = definition["properties"].as_array_mut().unwrap();
    properties.sort_by_key(|property| property["name"].to_string());
    let tenants = format!("{:?}", store.tenants(NAME));
    json!([definition, tenants])
}

pub fn refusal(status: u16) -> Fault {
    Fault::Status {
        status,
        retry_after: None,
        body: r#"{"error":[{"message":"not now"}]}"#.to_owned(),
    }
}

/// The server tells its time in seconds: what is written after this is younger than what was there before.
pub fn wait_for_the_next_second() {
    std::thread::sleep(Duration::from_millis(1_100));
}
