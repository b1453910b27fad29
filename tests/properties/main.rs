//! Random collections, batch sizes, lane counts, layouts, faults and stops end like the clean run: equality.

#[path = "../common/mod.rs"]
mod common;

mod shapes;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{backup_request, restore_request, session_told};
use elysiactl::archive::Format;
use elysiactl::commands::{Inactive, Outcome, Session, backup, restore, verify};
use elysiactl::engine::Stop;
use elysiactl::error::{Error, Kind, Result};
use elysiactl::event::{Event, Reporter};
use elysiactl::format::Codec;
use elysiactl::journal::StoreKind;
use elysiactl::model::CollectionName;
use elysiactl::sandbox::{Activity, Fault, Rule, Sandbox, Settings, When};
use elysiactl::weaviate::{Client, Connection, Role, Transport};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use serde_json::{Value, json};
use shapes::{Shape, shape};
use world::{World, body, definition, world};

/// How it is moved.
#[derive(Debug, Clone)]
struct Way {
    batch_size: u32,
    workers: u32,
    format: Format,
    codec: Codec,
    /// REST alone, or gRPC where that is exact.
    transport: Transport,
    faults: Vec<(Fault, u64, f64)>,
    /// After how many events the runs of each verb are stopped.
    stops: Vec<u64>,
}

fn way() -> impl Strategy<Value = Way> {
    let layout = prop_oneof![
        Just((Format::Json, Codec::None)),
        Just((Format::Json, Codec::Gzip)),
        Just((Format::Json, Codec::Zstd)),
        Just((Format::Json, Codec::Lz4)),
        Just((Format::Jsonl, Codec::None)),
        Just((Format::Jsonl, Codec::Zstd)),
    ];
    let fault = prop_oneof![
        Just(Fault::ResetBefore),
        Just(Fault::ResetAfter),
        (0..900usize).prop_map(Fault::Truncate),
        Just(Fault::EmptyBefore),
        Just(Fault::EmptyAfter),
        (1..20usize).prop_map(Fault::ShortPage),
        prop_oneof![Just(500u16), Just(502), Just(503), Just(504), Just(429)].prop_map(|status| {
            Fault::Status {
                status,
                retry_after: None,
                body: "{}".to_owned(),
            }
        }),
    ];
    let faults = proptest::collection::vec((fault, any::<u64>(), 0.01..0.2f64), 0..4);
    let stops = proptest::collection::vec(1..60u64, 0..4);
    (
        prop_oneof![1 => 1..8u32, 5 => 8..120u32],
        1..6u32,
        layout,
        prop_oneof![2 => Just(Transport::Auto), 1 => Just(Transport::Rest)],
        faults,
        stops,
    )
        .prop_map(
            |(batch_size, workers, (format, codec), transport, faults, stops)| Way {
                batch_size,
                workers,
                format,
                codec,
                transport,
                faults,
                stops,
            },
        )
}

/// Asks for a stop at the n-th event.
struct StopAt {
    left: AtomicU64,
    stop: Stop,
}

impl Reporter for StopAt {
    fn event(&self, _: &Event<'_>) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.ask();
        }
    }
}

/// Runs a verb, stopped as the way says, until it ends by itself.
async fn run(
    way: &Way,
    state: &std::path::Path,
    verb: impl AsyncFn(&Session) -> Result<Outcome>,
) -> Result<Outcome> {
    for stop_at in way.stops.iter().copied().chain([u64::MAX]) {
        let stop = Stop::new(std::time::Duration::from_secs(20));
        let reporter = StopAt {
            left: AtomicU64::new(stop_at),
            stop: stop.clone(),
        };
        let mut session = session_told(state, Arc::new(reporter));
        session.stop = stop;
        session.store = if way.batch_size.is_multiple_of(4) {
            StoreKind::Sled
        } else {
            StoreKind::File
        };
        session.tuning.batch_size = Some(way.batch_size);
        session.tuning.workers = Some(way.workers);
        match verb(&session).await {
            Err(error) if error.kind() == Kind::Interrupted && stop_at < u64::MAX => {}
            outcome => return outcome,
        }
    }
    Err(Error::new(Kind::Failed, "never ended"))
}

/// Fills a sandbox over the wire, so that every value went through the server's own checks.
async fn build(sandbox: &Sandbox, world: &World) {
    sandbox.store().create(&definition(world)).unwrap();
    for tenant in 0..world.tenants {
        sandbox
            .store()
            .add_tenant("World", &format!("tenant{tenant}"), Activity::Hot);
    }
    let objects: Vec<Value> = world
        .objects
        .iter()
        .map(|generated| body(world, generated))
        .collect();
    if objects.is_empty() {
        return;
    }
    let (address, body) = (sandbox.addr(), json!({"objects": objects}).to_string());
    let reply =
        tokio::task::spawn_blocking(move || common::post(address, "/v1/batch/objects", &body))
            .await
            .unwrap();
    assert!(
        !reply.contains("FAILED") && reply.starts_with("HTTP/1.1 200"),
        "{reply:.2000}"
    );
}

async fn comes_back_equal(world: World, way: Way) {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    build(&sandbox, &world).await;
    let folder = tempfile::tempdir().unwrap();
    for (fault, seed, chance) in &way.faults {
        sandbox
            .faults()
            .add(Rule::any(When::Chance(*chance, *seed), fault.clone()));
    }
    let server = Connection {
        transport: way.transport,
        ..sandbox.connection()
    };
    let mut request = backup_request(&server, "World", &folder.path().join("out"));
    (request.format, request.codec) = (way.format, way.codec);
    let saved = run(&way, &folder.path().join("backup"), async |session| {
        backup(session, &request).await
    })
    .await
    .unwrap();
    let expected = sandbox.store().dump("World");
    assert_eq!(
        (saved.exit_code, saved.tally.accepted),
        (0, expected.len() as u64),
        "{saved:?}"
    );
    let archive = saved.archive.unwrap();
    assert_eq!(
        verify(&archive).unwrap().object_count,
        expected.len() as u64
    );
    let request = restore_request(&server, &archive, Some("Copy"));
    let back = run(&way, &folder.path().join("restore"), async |session| {
        restore(session, &request).await
    })
    .await
    .unwrap();
    assert_eq!(
        (back.exit_code, back.tally.accepted),
        (0, expected.len() as u64),
        "{back:?}"
    );
    assert!(
        sandbox.store().dump("Copy") == expected,
        "other objects came back"
    );
    assert_eq!(
        sandbox.store().tenants("Copy"),
        sandbox.store().tenants("World")
    );
    sandbox.stop().await;
}

proptest! {
    #![proptest_config(Config {
        cases: 70,
        max_shrink_iters: 60,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/properties.txt"))),
        ..Config::default()
    })]

    #[test]
    fn every_collection_comes_back_equal_whatever_the_network_and_the_user_do(world in world(), way in way()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(comes_back_equal(world, way));
    }
}

/// Many cases share one server, and a memory file system where there is one: what is looked for is in the values.
struct Bench {
    runtime: tokio::runtime::Runtime,
    sandbox: Sandbox,
    cases: AtomicU64,
}

static BENCH: std::sync::LazyLock<Bench> = std::sync::LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let sandbox = runtime
        .block_on(Sandbox::start(Settings::default()))
        .unwrap();
    Bench {
        runtime,
        sandbox,
        cases: AtomicU64::new(0),
    }
});

async fn make(sandbox: &Sandbox, shape: &Shape, class: &str) {
    let client = Client::new(&Connection::to(sandbox.url()), Role::Target).unwrap();
    let name = CollectionName::parse(class).unwrap();
    sandbox.store().create(&shape.definition(class)).unwrap();
    if let Some(named) = shape.update() {
        let mut definition = sandbox.store().definition(class).unwrap();
        definition["vectorConfig"] = named;
        client.update(&name, &definition).await.unwrap();
    }
    for number in 0..shape.tenants.len() {
        sandbox
            .store()
            .add_tenant(class, &shapes::tenant(number), Activity::Hot);
    }
    let objects = shape.posted(class);
    if !objects.is_empty() {
        let (address, body) = (sandbox.addr(), json!({"objects": objects}).to_string());
        let reply =
            tokio::task::spawn_blocking(move || common::post(address, "/v1/batch/objects", &body));
        let reply = reply.await.unwrap();
        assert!(
            reply.starts_with("HTTP/1.1 200") && !reply.contains("FAILED"),
            "{reply:.2000}"
        );
    }
    for (number, is_active) in shape.tenants.iter().enumerate() {
        let activity = if *is_active {
            Activity::Hot
        } else {
            Activity::Cold
        };
        sandbox
            .store()
            .set_activity(class, &shapes::tenant(number), activity);
    }
}

async fn shape_comes_back(bench: &Bench, shape: Shape, is_document: bool) {
    let number = bench.cases.fetch_add(1, Ordering::Relaxed);
    let (class, copy) = (format!("Case{number}"), format!("Copy{number}"));
    let (sandbox, store) = (&bench.sandbox, bench.sandbox.store());
    make(sandbox, &shape, &class).await;
    let folder = common::scratch();
    let mut session = common::session(&folder.path().join("state"));
    (session.store, session.tuning.batch_size) = (StoreKind::File, Some(7));
    let mut request = backup_request(&sandbox.connection(), &class, &folder.path().join("out"));
    request.inactive = Inactive::Wake;
    (request.format, request.codec) = match is_document {
        true => (Format::Json, Codec::None),
        false => (Format::Jsonl, Codec::Zstd),
    };
    let saved = backup(&session, &request).await.unwrap();
    assert_eq!(saved.exit_code, 0, "{saved:?}");
    let back = restore_request(&sandbox.connection(), &saved.archive.unwrap(), Some(&copy));
    let back = restore(&session, &back).await.unwrap();
    assert_eq!(
        (back.exit_code, back.tally.accepted),
        (0, saved.tally.accepted),
        "{back:?}"
    );
    assert_eq!(store.dump(&copy), store.dump(&class));
    assert_eq!(store.tenants(&copy), store.tenants(&class));
    let (mut old, new) = (
        store.definition(&class).unwrap(),
        store.definition(&copy).unwrap(),
    );
    old["class"] = new["class"].clone();
    assert_eq!(old, new);
    let client = Client::new(&Connection::to(sandbox.url()), Role::Target).unwrap();
    for name in [class, copy] {
        client
            .delete(&CollectionName::parse(&name).unwrap())
            .await
            .unwrap();
    }
}

proptest! {
    #![proptest_config(Config {
        cases: 1_000,
        max_shrink_iters: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/shapes.txt"))),
        ..Config::default()
    })]

    #[test]
    fn every_definition_comes_back_equal_with_whatever_fits_it(shape in shape(), is_document in any::<bool>()) {
        BENCH.runtime.block_on(shape_comes_back(&BENCH, shape, is_document));
    }
}
