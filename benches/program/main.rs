//! What a server can give and take, and how much of that this program uses, measured side by side.
//!
//! `cargo run --release --example bench -- --url http://localhost:8080 --grpc http://localhost:50051` makes its own
//! collections (`Bench…`, deleted at the end), measures clients that do as little as possible (the ceilings) and this
//! program's own jobs in turn, several rounds, each in a process of its own, and prints a table of ratios. Without an address
//! it starts the sandbox. Quote ratios: client and server share the machine.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is what this program is for"
)]

mod ceiling;
mod data;
mod measure;
mod ours;
mod table;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use elysiactl::archive::Format;
use elysiactl::commands::ClearMethod;
use elysiactl::format::Codec;
use elysiactl::model::{CollectionName, Tenant};
use elysiactl::sandbox::{Sandbox, Settings};
use elysiactl::weaviate::{Client, Connection, GrpcMethod, Role};

use data::{DataSet, Ids};
use measure::{Measured, child, report};
use table::Table;

#[derive(Parser)]
struct Args {
    /// The server's REST address; without it a sandbox is measured
    #[arg(long, requires = "grpc")]
    url: Option<String>,
    /// The server's gRPC address
    #[arg(long)]
    grpc: Option<String>,
    /// Times that each thing is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Objects of 384 dimensions
    #[arg(long, default_value_t = 100_000)]
    d1: u64,
    /// Objects of 1536 dimensions
    #[arg(long, default_value_t = 20_000)]
    d2: u64,
    /// Seconds to wait after loading, until the server has written its memory to segments (it does after 60)
    #[arg(long, default_value_t = 65)]
    settle: u64,
    /// What to measure: read, ids, load, index (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "read,ids,load,index")]
    only: Vec<String>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = elysiactl::engine::threads()?;
    match words.split_first() {
        Some((first, rest)) if first == "child" => runtime.block_on(one(rest)),
        _ => runtime.block_on(all(Args::parse())),
    }
}

/// A server to measure.
#[derive(Clone)]
struct Server {
    url: String,
    grpc: String,
}

impl Server {
    fn connection(&self) -> Connection {
        Connection {
            grpc_url: Some(self.grpc.clone()),
            ..Connection::to(&self.url)
        }
    }

    async fn client(&self) -> Result<Arc<Client>, Failure> {
        let client = Client::new(&self.connection(), Role::Target)?;
        client
            .reach_grpc(client.meta().await?.grpc_max_message_size)
            .await?;
        Ok(Arc::new(client))
    }

    /// Runs a measurement in a process of its own.
    fn measure(&self, words: &[&str]) -> Measured {
        let mut all = vec![self.url.clone(), self.grpc.clone()];
        all.extend(words.iter().map(|word| (*word).to_owned()));
        child(&all)
    }
}

async fn all(args: Args) -> Result<(), Failure> {
    let sandbox = match &args.url {
        Some(_) => None,
        None => Some(Sandbox::start(Settings::default()).await?),
    };
    let server = match &sandbox {
        Some(sandbox) => Server {
            url: sandbox.url(),
            grpc: sandbox.grpc_url(),
        },
        None => Server {
            url: args.url.clone().unwrap_or_default(),
            grpc: args.grpc.clone().unwrap_or_default(),
        },
    };
    let settle = if sandbox.is_some() { 0 } else { args.settle };
    let folder = tempfile::tempdir()?;
    let run = Run {
        args,
        server,
        folder: folder.path().to_owned(),
        settle,
    };
    let mut table = Table::default();
    // The sandbox must go on serving while a child is waited for.
    let work = tokio::spawn(async move {
        let worked = run.everything(&mut table).await;
        run.clean_up().await?;
        worked.map(|()| table)
    });
    println!("{}", work.await??);
    Ok(())
}

struct Run {
    args: Args,
    server: Server,
    folder: PathBuf,
    settle: u64,
}

const COLLECTIONS: [&str; 8] = [
    "BenchD1",
    "BenchD2",
    "BenchSeq",
    "BenchSecond",
    "BenchLoad",
    "BenchCopy",
    "BenchIndexLoad",
    "BenchIndexCopy",
];

fn set(collection: &str, objects: u64, dimensions: usize) -> DataSet {
    DataSet {
        collection: collection.to_owned(),
        objects,
        dimensions,
        ids: Ids::Random,
        has_index: false,
    }
}

impl Run {
    async fn everything(&self, table: &mut Table) -> Result<(), Failure> {
        let wants = |what: &str| self.args.only.iter().any(|only| only == what);
        let (d1, d2) = (
            set("BenchD1", self.args.d1, 384),
            set("BenchD2", self.args.d2, 1536),
        );
        self.load(&d1).await?;
        if wants("read") {
            self.load(&d2).await?;
        }
        if wants("ids") {
            self.load(&DataSet {
                ids: Ids::Sequential,
                ..set("BenchSeq", d1.objects, 384)
            })
            .await?;
            self.load(&DataSet {
                ids: Ids::OneSecond,
                ..set("BenchSecond", d1.objects, 384)
            })
            .await?;
        }
        eprintln!("waiting {} s for the server to settle", self.settle);
        tokio::time::sleep(Duration::from_secs(self.settle)).await;
        for round in 1..=self.args.rounds {
            eprintln!("round {round} of {}", self.args.rounds);
            if wants("read") {
                self.read(table);
            }
            if wants("ids") {
                self.clustered_ids(table);
            }
        }
        // Apart: what is read while a server still sorts what was written is no measure of reading.
        for round in 1..=self.args.rounds {
            eprintln!("writing, round {round} of {}", self.args.rounds);
            if wants("load") {
                self.write(
                    table,
                    "index skipped",
                    ("BenchLoad", "BenchCopy"),
                    "BenchD1",
                    round,
                )
                .await?;
            }
            if wants("index") {
                self.write_indexed(table).await?;
            }
        }
        self.clear(table);
        Ok(())
    }

    fn read(&self, table: &mut Table) {
        let rows: [(&str, &[&str], &str, f64); 8] = [
            (
                "D1 discard, 4 lanes",
                &["discard", "BenchD1", "4", "1000"],
                "",
                0.0,
            ),
            (
                "D1 backup jsonl zstd",
                &["backup", "BenchD1", "jsonl", "-", "journal"],
                "D1 discard, 4 lanes",
                0.62,
            ),
            (
                "D1 backup jsonl zstd, no journal",
                &["backup", "BenchD1", "jsonl", "-", "none"],
                "D1 backup jsonl zstd",
                0.0,
            ),
            (
                "D1 backup json plain",
                &["backup", "BenchD1", "json", "-", "journal"],
                "D1 discard, 4 lanes",
                0.42,
            ),
            (
                "D1 discard, 1 lane",
                &["discard", "BenchD1", "1", "1000"],
                "",
                0.0,
            ),
            (
                "D1 backup jsonl zstd, 1 worker",
                &["backup", "BenchD1", "jsonl", "1", "journal"],
                "D1 discard, 1 lane",
                0.88,
            ),
            (
                "D2 discard, 4 lanes",
                &["discard", "BenchD2", "4", "500"],
                "",
                0.0,
            ),
            (
                "D2 backup jsonl zstd",
                &["backup", "BenchD2", "jsonl", "-", "journal"],
                "D2 discard, 4 lanes",
                0.55,
            ),
        ];
        for (name, words, ceiling, goal) in rows {
            table.add(name, ceiling, goal, self.server.measure(words));
        }
    }

    fn clustered_ids(&self, table: &mut Table) {
        for (name, collection) in [
            ("random ids, backup jsonl zstd", "BenchD1"),
            ("sequential ids, backup jsonl zstd", "BenchSeq"),
            ("UUIDv7 of one second, backup jsonl zstd", "BenchSecond"),
        ] {
            let measured = self
                .server
                .measure(&["backup", collection, "jsonl", "-", "journal"]);
            let against = if collection == "BenchD1" {
                ""
            } else {
                "random ids, backup jsonl zstd"
            };
            table.add(
                name,
                against,
                if against.is_empty() { 0.0 } else { 0.85 },
                measured,
            );
        }
    }

    /// Loads, and deletes by id, each in both ways; the one way's objects are deleted the other way.
    async fn write(
        &self,
        table: &mut Table,
        what: &str,
        (by_hand, by_us): (&str, &str),
        from: &str,
        round: usize,
    ) -> Result<(), Failure> {
        let objects = self.args.d1.to_string();
        let archive = self.archive(from).await?;
        let archive = archive.to_str().unwrap_or_default();
        let ceiling = format!("load, {what}, encoded before");
        self.create(&set(by_hand, self.args.d1, 384)).await?;
        self.drop_collection(by_us).await?;
        let load = || self.server.measure(&["load", by_hand, &objects]);
        let restore = || self.server.measure(&["restore", by_us, archive]);
        // Whoever comes second meets a server that still sorts what the first has written: they take turns.
        let (loaded, restored) = match round % 2 {
            1 => (load(), restore()),
            _ => {
                let restored = restore();
                (load(), restored)
            }
        };
        table.add(&ceiling, "", 0.0, loaded);
        table.add(&format!("restore jsonl, {what}"), &ceiling, 0.92, restored);
        let bare = self.server.measure(&["delete", by_us]);
        table.add("delete by ids, bare loop", "", 0.0, bare);
        let ours = self.server.measure(&["clear", by_hand, "by-id", &objects]);
        table.add("clear by id", "delete by ids, bare loop", 0.95, ours);
        Ok(())
    }

    /// A tenth of the objects: the index is what takes the time.
    async fn write_indexed(&self, table: &mut Table) -> Result<(), Failure> {
        let objects = (self.args.d1 / 10).max(1);
        let source = DataSet {
            has_index: true,
            ..set("BenchIndexLoad", objects, 384)
        };
        self.create(&source).await?;
        let words = ["load", "BenchIndexLoad", &objects.to_string()];
        table.add(
            "load, indexed, encoded before",
            "",
            0.0,
            self.server.measure(&words),
        );
        let archive = self.archive("BenchIndexLoad").await?;
        self.drop_collection("BenchIndexCopy").await?;
        let words = [
            "restore",
            "BenchIndexCopy",
            archive.to_str().unwrap_or_default(),
        ];
        let restored = self.server.measure(&words);
        table.add(
            "restore jsonl, indexed",
            "load, indexed, encoded before",
            0.95,
            restored,
        );
        Ok(())
    }

    fn clear(&self, table: &mut Table) {
        let objects = self.args.d1.to_string();
        let measured = self
            .server
            .measure(&["clear", "BenchD1", "recreate", &objects]);
        table.add("clear by re-creation", "", 0.0, measured);
    }

    async fn archive(&self, collection: &str) -> Result<PathBuf, Failure> {
        let folder = tempfile::tempdir_in(&self.folder)?.keep();
        let session = ours::session(&folder, None, true)?;
        let output = folder.join("out");
        let format = (Format::Jsonl, Codec::Zstd);
        ours::backup(
            &session,
            &self.server.connection(),
            collection,
            &output,
            format,
        )
        .await?;
        let mut entries = std::fs::read_dir(output)?
            .filter_map(Result::ok)
            .map(|entry| entry.path());
        let visible = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            !name.as_encoded_bytes().starts_with(b".")
        };
        Ok(entries.find(visible).ok_or("the backup left no archive")?)
    }

    async fn create(&self, set: &DataSet) -> Result<(), Failure> {
        self.drop_collection(&set.collection).await?;
        self.server
            .client()
            .await?
            .create(&set.definition())
            .await?;
        Ok(())
    }

    async fn load(&self, set: &DataSet) -> Result<(), Failure> {
        eprintln!("loading {} objects into {}", set.objects, set.collection);
        self.create(set).await?;
        let client = self.server.client().await?;
        ceiling::send(
            client.clone(),
            GrpcMethod::BatchObjects,
            set.batches(1_000),
            4,
        )
        .await?;
        let name = CollectionName::parse(&set.collection)?;
        let count = client.count(&name, &Tenant::NONE).await?;
        if count != set.objects {
            return Err(format!(
                "`{name}` holds {count} objects after loading {}",
                set.objects
            )
            .into());
        }
        Ok(())
    }

    async fn drop_collection(&self, name: &str) -> Result<(), Failure> {
        Ok(self
            .server
            .client()
            .await?
            .delete(&CollectionName::parse(name)?)
            .await?)
    }

    async fn clean_up(&self) -> Result<(), Failure> {
        for name in COLLECTIONS {
            self.drop_collection(name).await?;
        }
        Ok(())
    }
}

/// One measurement, in a process of its own.
async fn one(words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [url, grpc, work, collection, rest @ ..] = &words[..] else {
        return Err("too few words".into());
    };
    let server = Server {
        url: (*url).to_owned(),
        grpc: (*grpc).to_owned(),
    };
    let connection = server.connection();
    let folder = tempfile::tempdir()?;
    match (*work, rest) {
        ("discard", [lanes, limit]) => {
            let (client, lanes, limit) = (server.client().await?, lanes.parse()?, limit.parse()?);
            report(ceiling::discard(client, collection, lanes, limit, false)).await;
        }
        ("load", [objects]) => {
            let objects = objects.parse()?;
            let messages: Vec<_> = set(collection, objects, 384).batches(1_000).collect();
            let client = server.client().await?;
            report(async move {
                ceiling::send(client, GrpcMethod::BatchObjects, messages.into_iter(), 4).await?;
                Ok::<u64, elysiactl::error::Error>(objects)
            })
            .await;
        }
        ("delete", []) => {
            let client = server.client().await?;
            let ids = ceiling::ids(&client, collection).await?;
            let objects = ids.len() as u64;
            let messages: Vec<_> = ids
                .chunks(1_000)
                .map(|ids| wire::delete(collection, ids))
                .collect();
            report(async move {
                ceiling::send(client, GrpcMethod::BatchDelete, messages.into_iter(), 2).await?;
                Ok::<u64, elysiactl::error::Error>(objects)
            })
            .await;
        }
        ("backup", [format, workers, journal]) => {
            let session =
                ours::session(folder.path(), workers.parse().ok(), *journal == "journal")?;
            let format = match *format {
                "json" => (Format::Json, Codec::None),
                _ => (Format::Jsonl, Codec::Zstd),
            };
            let output = folder.path().join("out");
            report(ours::backup(
                &session,
                &connection,
                collection,
                &output,
                format,
            ))
            .await;
        }
        ("restore", [archive]) => {
            let session = ours::session(folder.path(), None, true)?;
            report(ours::restore(
                &session,
                &connection,
                Path::new(archive),
                collection,
            ))
            .await;
        }
        ("clear", [method, objects]) => {
            let session = ours::session(folder.path(), None, true)?;
            let (method, objects) = (ClearMethod::parse(method)?, objects.parse()?);
            report(ours::clear(
                &session,
                &connection,
                collection,
                method,
                objects,
            ))
            .await;
        }
        _ => return Err(format!("unknown work `{work}`").into()),
    }
    Ok(())
}
