//! One table for the sandbox and for real servers: every kind of collection by every layout, saved, restored in its own
//! place or on another server, and looked at over plain HTTP before and after. What is compared is the server's own text.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::print_stdout, reason = "the table is there to be read")]

pub mod clears;
pub mod kinds;
mod server;

use std::path::{Path, PathBuf};

use elysiactl::archive::Format;
use elysiactl::commands::{
    BackupRequest, DiffRequest, End, Inactive, Outcome, Session, backup, diff, restore, verify,
};
use elysiactl::error::{Error, Kind as ErrorKind};
use elysiactl::format::Codec;
use elysiactl::weaviate::{Connection, Transport};
use kinds::Kind;
use server::{Seen, Server};

pub const LAYOUTS: [(&str, Format, Codec); 4] = [
    ("json", Format::Json, Codec::None),
    ("json -z", Format::Json, Codec::Gzip),
    ("jsonl", Format::Jsonl, Codec::Zstd),
    ("jsonl lz4", Format::Jsonl, Codec::Lz4),
];

/// How objects move. Another protocol is another column.
pub const PROTOCOLS: [(&str, Transport); 2] =
    [("rest", Transport::Rest), ("grpc", Transport::Grpc)];

/// Servers before this one have no aliases.
const ALIASES_SINCE: (u32, u32) = (1, 32);

/// What a table says of one kind by one layout.
enum Cell {
    Equal,
    /// The target cannot hold it, and said so before anything was written.
    Refused(String),
    Differs(String),
}

/// Where collections are saved, and where they are restored.
struct Route {
    from: Server,
    to: Server,
    /// Both at one place: the collection is deleted in between.
    is_round_trip: bool,
}

/// The whole table in one place, printed as it comes; the cells that are not equal.
pub async fn table(
    connection: &Connection,
    class: &str,
    new_session: impl Fn(&Path) -> Session,
) -> Vec<String> {
    let route = Route {
        from: Server::at(connection).await,
        to: Server::at(connection).await,
        is_round_trip: true,
    };
    route.table(class, new_session).await
}

/// The whole table from one server to another.
pub async fn table_across(
    (from, to): (&Connection, &Connection),
    class: &str,
    new_session: impl Fn(&Path) -> Session,
) -> Vec<String> {
    let route = Route {
        from: Server::at(from).await,
        to: Server::at(to).await,
        is_round_trip: false,
    };
    route.table(class, new_session).await
}

impl Route {
    async fn table(&self, class: &str, new_session: impl Fn(&Path) -> Session) -> Vec<String> {
        let (from, to) = (self.from.version, self.to.version);
        println!("from {from:?} to {to:?}");
        let columns = LAYOUTS.map(|(name, ..)| format!("{name:18}"));
        println!("{:34}{}", "kind", columns.concat());
        let columns = LAYOUTS.map(|_| PROTOCOLS.map(|(name, _)| format!("{name:9}")).concat());
        println!("{:34}{}", "", columns.concat());
        let mut bad = Vec::new();
        for kind in kinds::all() {
            self.row(&kind, class, &new_session, &mut bad).await;
        }
        self.from.delete(class).await;
        self.to.delete(class).await;
        bad
    }

    async fn row(
        &self,
        kind: &Kind,
        class: &str,
        new_session: &impl Fn(&Path) -> Session,
        bad: &mut Vec<String>,
    ) {
        self.from.delete(class).await;
        let mut row = format!("{:34}", kind.name);
        if let Err(refusal) = self.from.build(kind, class).await {
            let is_expected = kind.may_be_refused || self.from.version < kind.since;
            assert!(is_expected, "{}: {refusal}", kind.name);
            println!("{row}the server cannot have it: {refusal:.160}");
            return;
        }
        let before = self.from.look(class, &kind.ignored).await;
        assert_eq!(before.objects.len(), kind.objects.len(), "{}", kind.name);
        let mut reasons = Vec::new();
        for (name, format, codec) in LAYOUTS {
            for (protocol, transport) in PROTOCOLS {
                let layout = (format, codec, transport);
                let cell = self.cell(kind, class, layout, new_session, &before).await;
                row += &format!("{:9}", cell.word());
                match cell {
                    Cell::Equal => {}
                    Cell::Refused(why) => reasons.push(why),
                    Cell::Differs(why) => {
                        reasons.push(why.clone());
                        bad.push(format!("{} as {name} over {protocol}: {why}", kind.name));
                        // The next layout begins with the same collection.
                        self.from.delete(class).await;
                        self.from.build(kind, class).await.unwrap();
                    }
                }
            }
        }
        println!("{row}");
        reasons.dedup();
        reasons.iter().for_each(|why| println!("    {why}"));
    }

    async fn cell(
        &self,
        kind: &Kind,
        class: &str,
        (format, codec, transport): (Format, Codec, Transport),
        new_session: &impl Fn(&Path) -> Session,
        before: &Seen,
    ) -> Cell {
        let folder = crate::common::scratch();
        let session = new_session(&folder.path().join("state"));
        let over = |server: &Server| Connection {
            transport,
            ..server.connection.clone()
        };
        let out = folder.path().join("out");
        let mut request = crate::common::backup_request(&over(&self.from), class, &out);
        (request.format, request.codec, request.inactive) = (format, codec, Inactive::Wake);
        let archive = match saved(&session, &request, before).await {
            Ok(archive) => archive,
            Err(why) => return Cell::Differs(why),
        };
        self.to.delete(class).await;
        let request = crate::common::restore_request(&over(&self.to), &archive, None);
        match restore(&session, &request).await {
            Err(error) if self.may_refuse(kind, &error) => match self.to.has(class).await {
                true => Cell::Differs(format!("refused, but made: {error}")),
                false => Cell::Refused(error.to_string()),
            },
            Err(error) => Cell::Differs(format!("restore: {error}")),
            Ok(outcome) => match self.judge(&session, kind, class, &outcome, before).await {
                Ok(()) => Cell::Equal,
                Err(why) => Cell::Differs(why),
            },
        }
    }

    /// By its own words, or the server's.
    fn may_refuse(&self, kind: &Kind, error: &Error) -> bool {
        let is_older = self.to.version < kind.since;
        let is_refusal = [ErrorKind::Incompatible, ErrorKind::TargetRefused];
        (kind.may_be_refused || is_older) && is_refusal.contains(&error.kind())
    }

    async fn judge(
        &self,
        session: &Session,
        kind: &Kind,
        class: &str,
        outcome: &Outcome,
        before: &Seen,
    ) -> Result<(), String> {
        let lacks_aliases = !kind.aliases.is_empty() && self.to.version < ALIASES_SINCE;
        let expected = if lacks_aliases { 3 } else { kind.exit_code };
        if outcome.exit_code != expected {
            return Err(format!("restore: {outcome:?}"));
        }
        let mut after = self.to.look(class, &kind.ignored).await;
        if lacks_aliases {
            after.aliases.clone_from(&before.aliases);
        }
        if self.is_round_trip {
            return before.difference(&after);
        }
        // What the versions make of one definition is the product's to tell.
        after.definition.clone_from(&before.definition);
        before.difference(&after)?;
        self.compare(session, class, lacks_aliases).await
    }

    /// The product's own comparison of the two live collections.
    async fn compare(
        &self,
        session: &Session,
        class: &str,
        lacks_aliases: bool,
    ) -> Result<(), String> {
        let end = |server: &Server| End::Collection {
            connection: Box::new(server.connection.clone()),
            name: elysiactl::model::CollectionName::parse(class).unwrap(),
        };
        let request = DiffRequest {
            one: end(&self.from),
            two: end(&self.to),
            limit: 10,
            skip_inactive: true,
        };
        let found = diff(session, &request)
            .await
            .map_err(|error| format!("diff: {error}"))?;
        let differences = found.counts.differences() - found.counts.aliases;
        match differences == 0 && (lacks_aliases || found.counts.aliases == 0) {
            true => Ok(()),
            false => Err(format!("diff: {:?}", found.shown)),
        }
    }
}

impl Cell {
    fn word(&self) -> &'static str {
        match self {
            Cell::Equal => "equal",
            Cell::Refused(_) => "refused",
            Cell::Differs(_) => "DIFFERS",
        }
    }
}

/// Saves the collection, and looks at the archive.
async fn saved(
    session: &Session,
    request: &BackupRequest,
    before: &Seen,
) -> Result<PathBuf, String> {
    let outcome = backup(session, request)
        .await
        .map_err(|error| format!("backup: {error}"))?;
    if outcome.exit_code != 0 {
        return Err(format!("backup: {outcome:?}"));
    }
    let archive = outcome.archive.ok_or("no archive")?;
    let verdict = verify(&archive).map_err(|error| format!("verify: {error}"))?;
    match verdict.object_count == before.objects.len() as u64 {
        true => Ok(archive),
        false => Err(format!(
            "{} objects are in the archive",
            verdict.object_count
        )),
    }
}
