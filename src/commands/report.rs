//! What report.json says beyond the job itself: counts per tenant, rejects, what cannot come back and why.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde_json::{Value, json};

use crate::archive::{Archive, Selection};
use crate::error::{Error, IoContext, Kind, Result};
use crate::journal::JobFolder;
use crate::model::Tenant;

/// So many rejects are shown whole.
const SHOWN: usize = 10;

/// What a job of one archive has to tell.
pub(super) struct Account<'a> {
    pub archive: &'a Archive,
    /// The part of it that the job moved.
    pub selection: &'a Selection,
    /// One sentence each.
    pub left_out: Vec<String>,
}

/// Rejects as they were written, counted.
#[derive(Default)]
struct Rejects {
    count: u64,
    by_tenant: BTreeMap<String, u64>,
    first: Vec<Value>,
}

impl Rejects {
    fn read(folder: &JobFolder) -> Result<Self> {
        let path = folder.path().join("rejects.jsonl");
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Rejects::default());
            }
            Err(cause) => {
                return Err(
                    Error::new(Kind::Failed, format!("cannot read `{}`", path.display()))
                        .with_cause(cause),
                );
            }
        };
        let mut rejects = Rejects::default();
        for line in std::io::BufReader::new(file).lines() {
            let line = line.doing(|| format!("cannot read `{}`", path.display()))?;
            rejects.add(&line);
        }
        Ok(rejects)
    }

    fn add(&mut self, line: &str) {
        let reject: Value = serde_json::from_str(line).unwrap_or_else(|_| line.into());
        self.count += 1;
        let tenant = reject["tenant"].as_str().unwrap_or_default().to_owned();
        *self.by_tenant.entry(tenant).or_default() += 1;
        if self.first.len() < SHOWN {
            self.first.push(reject);
        }
    }
}

/// Adds the account to the report that the job wrote.
pub(super) fn complete(folder: &JobFolder, account: &Account<'_>) -> Result<()> {
    let Some(text) = folder.report()? else {
        return Ok(());
    };
    let mut report: Value = serde_json::from_str(&text).map_err(|cause| {
        Error::new(Kind::Failed, "the report is not what was written").with_cause(cause)
    })?;
    let rejects = Rejects::read(folder)?;
    let integrity = account.archive.trailer().map(|trailer| &trailer.integrity);
    report["tenants"] = tenants(account, &rejects);
    report["rejects"] = json!({"count": rejects.count, "first": rejects.first});
    report["not_restored"] = not_restored(account);
    report["archive"] = json!({
        "objects": account.archive.object_count(),
        "unreadable": integrity.map(|integrity| integrity.rejected),
        "digest": integrity.and_then(|integrity| integrity.digest),
        "seal": account.archive.hash(),
    });
    folder.write_report(&format!("{report:#}\n"))
}

/// Objects of each tenant in the archive with their digest, and how many of them were refused; null where there are no tenants.
fn tenants(account: &Account<'_>, rejects: &Rejects) -> Value {
    let Some(trailer) = account.archive.trailer() else {
        return Value::Null;
    };
    let held: BTreeMap<&str, _> = trailer
        .integrity
        .tenants
        .iter()
        .map(|entry| (entry.tenant.as_str(), entry))
        .collect();
    if trailer.tenants.is_empty() {
        return Value::Null;
    }
    let is_chosen = |name: &str| match &account.selection.tenants {
        None => true,
        Some(chosen) => chosen.contains(&Tenant::named(name)),
    };
    trailer
        .tenants
        .iter()
        .filter(|tenant| is_chosen(&tenant.name))
        .map(|tenant| {
            let held = held.get(tenant.name.as_str());
            json!({
                "tenant": tenant.name,
                "status": tenant.status,
                "objects": held.map_or(0, |held| held.count),
                "digest": held.map(|held| held.digest),
                "rejected": rejects.by_tenant.get(&tenant.name).unwrap_or(&0),
            })
        })
        .collect()
}

fn not_restored(account: &Account<'_>) -> Value {
    let mut lost = vec![json!(
        "creation and update times: a server sets its own; the archive keeps the old ones"
    )];
    lost.extend(account.left_out.iter().map(|left_out| json!(left_out)));
    lost.into()
}
