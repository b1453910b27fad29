//! Which part of an archive is restored, and what of it cannot come back: found before anything is written.

use std::collections::BTreeSet;

use super::lengths::{self, Known, There};
use super::survey::{Measure, Survey, check_fit, survey, vector_words};
use super::verb::Restore;
use super::*;
use crate::commands::report::{self, Account};

/// Servers before this one have no aliases.
pub(super) const ALIASES_SINCE: (u32, u32) = (1, 32);

/// Facts of a restore.
const SELECTION: &str = "selection";
const LEFT_OUT: &str = "left out";
pub(super) const ALIASES_TAKEN: &str = "aliases taken";
pub(super) const ALIASES_LACKING: &str = "aliases lacking";

impl Restore<'_> {
    /// What the objects are like; the archive is read for it once.
    async fn survey(&self) -> Result<&Survey> {
        let selection = fit::selection(&self.request, &self.archive, &self.definition)?;
        let read = async || {
            self.session.reporter.event(&Event::Stage {
                doing: "look through the archive",
            });
            let measure = Measure {
                definition: &self.definition,
                selection: &selection,
                with_types: !self.request.reshape.is_empty(),
            };
            survey(&self.archive, &measure, || self.session.stop.check()).await
        };
        self.survey.get_or_try_init(read).await
    }

    /// What is taken out of the archive and what that leaves out, as facts. Refuses objects that would not be what they are.
    pub(super) async fn look_through(&self) -> Result<Facts> {
        let mut selection = fit::selection(&self.request, &self.archive, &self.definition)?;
        let mut left_out = creatable(&self.definition)?.left_out;
        let mut expected = 0;
        if self.request.moves_objects(&self.archive) {
            let survey = self.survey().await?;
            check_fit(survey, !self.request.reshape.is_empty())?;
            selection.lengths = self.wanted_lengths(survey).await?;
            self.name_misfits(survey, &selection).await?;
            for (name, some) in &survey.strange_vectors {
                selection.left_out.insert(name.clone());
                left_out.push(format!(
                    "{} is not in the definition; it is not restored of {} objects",
                    vector_words(name),
                    grouped(some.count)
                ));
            }
            self.choose_foreign_tenants(survey, &mut selection)?;
            expected = expected_of(survey, &selection);
        }
        left_out.extend(self.lost_anyway(expected)?);
        self.folder
            .update_state(|state| state.total = Some(expected))?;
        Ok(Facts::from([
            ("expected".into(), expected.to_string()),
            (SELECTION.into(), to_text(&selection)?),
            (LEFT_OUT.into(), left_out.join("\n")),
        ]))
    }

    /// How long vectors must be, where some of the archive are of another length.
    async fn wanted_lengths(&self, survey: &Survey) -> Result<Known> {
        let there = match self.request.merge {
            true => self.client.collection(&self.name).await?,
            false => Collection::Missing,
        };
        let Collection::Found(definition) = there else {
            let unindexed = lengths::unindexed(&self.definition)?;
            return Ok(survey.lengths.wanted(&Known::new(), &unindexed));
        };
        let tenants = match definition.has_tenants()? {
            true => super::super::kept::active(&self.client.tenants(&self.name).await?),
            false => vec![Tenant::NONE],
        };
        if let Some(tenant) = tenants.first() {
            target::confirm_grpc(self.session, &self.client, &self.name, tenant).await?;
        }
        let there = There {
            client: &self.client,
            name: &self.name,
            definition: &definition,
            tenants,
        };
        let policy = self.session.context().policy;
        let known = there.lengths(&policy, &survey.lengths).await?;
        let unindexed = lengths::unindexed(&definition)?;
        Ok(survey.lengths.wanted(&known, &unindexed))
    }

    /// Says which objects are left out because their vectors are of another length; refuses if that are all.
    async fn name_misfits(&self, survey: &Survey, selection: &Selection) -> Result<()> {
        if selection.lengths.is_empty() {
            return Ok(());
        }
        let stop = || self.session.stop.check();
        let (words, count) = lengths::misfits(&self.archive, selection, stop).await?;
        if count == survey.count {
            return Err(Error::new(
                Kind::Incompatible,
                format!(
                    "no object of the archive fits the vectors of `{}`: {}",
                    self.name,
                    words.join("; ")
                ),
            )
            .with_kept("nothing was written")
            .with_hint(
                "restore beside it with --name <NEW>, or without vectors with --skip-vectors",
            ));
        }
        words.iter().for_each(|odd| self.session.warn(odd));
        Ok(())
    }

    /// A document of another program shows its tenants in its objects alone.
    fn choose_foreign_tenants(&self, survey: &Survey, selection: &mut Selection) -> Result<()> {
        if self.archive.is_ours() || !self.definition.has_tenants()? {
            return Ok(());
        }
        let names = survey.tenants.keys().filter_map(Tenant::name);
        let chosen: BTreeSet<Tenant> = match self.request.tenants.is_empty() {
            // Also those without a tenant: each is refused, and none left out without a word.
            true => survey.tenants.keys().cloned().collect(),
            false => target::matching(&self.request.tenants, names, self.name.as_str())?
                .iter()
                .map(|name| Tenant::named(name))
                .collect(),
        };
        selection.tenants = Some(chosen);
        selection.tenants_only = true;
        Ok(())
    }

    /// What no restore brings back, as far as this archive has it; one sentence each.
    fn lost_anyway(&self, objects: u64) -> Result<Vec<String>> {
        let mut lost = Vec::new();
        let asleep = |status: &str| serde_json::from_value(status.into()).is_ok_and(is_offloaded);
        let offloaded: Vec<&str> = self
            .archive
            .tenants()
            .iter()
            .filter(|tenant| asleep(&tenant.status))
            .map(|tenant| tenant.name.as_str())
            .collect();
        if !offloaded.is_empty() {
            lost.push(format!(
                "offloaded tenants could not be read and are not restored: {}",
                some_of(&offloaded)
            ));
        }
        let skipped = &self.archive.header().options.skipped_tenants;
        let skipped: Vec<&str> = skipped
            .iter()
            .map(String::as_str)
            .filter(|name| !offloaded.contains(name))
            .collect();
        if !skipped.is_empty() {
            lost.push(format!(
                "inactive tenants that the backup left out are not restored: {}",
                some_of(&skipped)
            ));
        }
        let hashes: Vec<String> = self
            .definition
            .properties()?
            .into_iter()
            .filter(has_blob_hash)
            .map(|property| format!("`{}`", property.name))
            .collect();
        if !hashes.is_empty() && objects > 0 {
            lost.push(format!(
                "the originals behind blobHash are on no server; these properties are empty: {}",
                hashes.join(", ")
            ));
        }
        Ok(lost)
    }

    /// The tenants to be made, with the states they are to have.
    pub(super) fn tenants(&self, job: &Job) -> Result<Vec<TenantState>> {
        if !self.definition.has_tenants()? {
            return Ok(Vec::new());
        }
        let selection = selected(job)?;
        if !self.archive.is_ours() {
            let names = selection.tenants.unwrap_or_default();
            let made = names
                .iter()
                .filter_map(Tenant::name)
                .map(|name| TenantState {
                    name: name.to_owned(),
                    status: TenantStatus::Hot,
                });
            return Ok(made.collect());
        }
        let skipped: BTreeSet<&String> = self
            .archive
            .header()
            .options
            .skipped_tenants
            .iter()
            .collect();
        let mut tenants = Vec::new();
        for tenant in self.archive.tenants() {
            let is_chosen = selection
                .tenants
                .as_ref()
                .is_none_or(|chosen| chosen.contains(&Tenant::named(&tenant.name)));
            let status = status_of(&tenant.status)?;
            if is_chosen && !is_offloaded(status) && !skipped.contains(&tenant.name) {
                tenants.push(TenantState {
                    name: tenant.name.clone(),
                    status,
                });
            }
        }
        Ok(tenants)
    }

    /// What a reader of the report should know although nothing is missing.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let value = self.definition.value().unwrap_or_default();
        let is_on = value.pointer("/objectTtlConfig/enabled") == Some(&true.into());
        let field = value.pointer("/objectTtlConfig/deleteOn");
        let field = field.and_then(|field| field.as_str()).unwrap_or_default();
        if is_on && field.starts_with('_') {
            remarks.push(format!(
                "the time to live counts from `{field}`, which is that of the restore"
            ));
        }
        let unreadable = self
            .archive
            .trailer()
            .map(|trailer| trailer.integrity.rejected);
        if let Some(unreadable) = unreadable.filter(|count| *count > 0) {
            remarks.push(format!(
                "{} objects could not be read when the archive was made and are not in it",
                grouped(unreadable)
            ));
        }
        remarks
    }

    /// The rest of the report, for which the archive has to be looked at.
    pub(super) fn complete_report(&self, notes: &[String]) -> Result<()> {
        verification::complete_report(&self.folder)?;
        let account = Account {
            archive: &self.archive,
            selection: &fit::selection(&self.request, &self.archive, &self.definition)?,
            left_out: notes.to_vec(),
        };
        report::complete(&self.folder, &account)
    }

    /// What did not come back although nothing was refused, one sentence each.
    pub(super) fn left_out(&self, job: &Job) -> Result<Vec<String>> {
        let mut left_out: Vec<String> = fact(job, LEFT_OUT)?.lines().map(str::to_owned).collect();
        left_out.extend(self.archive.doubt().map(str::to_owned));
        let (taken, lacking) = (fact(job, ALIASES_TAKEN)?, fact(job, ALIASES_LACKING)?);
        if !taken.is_empty() {
            left_out.push(format!(
                "these aliases are taken and were left as they are: {taken}"
            ));
        }
        if !lacking.is_empty() {
            left_out.push(format!(
                "this server has no aliases; these were not made: {lacking}"
            ));
        }
        Ok(left_out)
    }
}

fn status_of(word: &str) -> Result<TenantStatus> {
    match word {
        "" => Ok(TenantStatus::Hot),
        word => serde_json::from_value(word.into()).map_err(|_| {
            Error::new(
                Kind::Incompatible,
                format!("the archive has a tenant of the unknown status `{word}`"),
            )
        }),
    }
}

fn is_offloaded(status: TenantStatus) -> bool {
    !matches!(status, TenantStatus::Hot | TenantStatus::Cold)
}

fn has_blob_hash(property: &crate::model::PropertyType) -> bool {
    property.data_type == "blobHash" || property.nested.iter().any(has_blob_hash)
}

fn expected_of(survey: &Survey, selection: &Selection) -> u64 {
    match &selection.tenants {
        None => survey.count,
        Some(chosen) => {
            let counts = survey.tenants.iter();
            counts
                .filter(|(tenant, _)| chosen.contains(tenant))
                .map(|(_, count)| count)
                .sum()
        }
    }
}

/// The first names, and how many there are.
fn some_of(names: &[&str]) -> String {
    match names.len() {
        0..=10 => names.join(", "),
        count => format!("{}, … ({count} in all)", names[..10].join(", ")),
    }
}

fn to_text(selection: &Selection) -> Result<String> {
    serde_json::to_string(selection).map_err(|cause| {
        Error::new(Kind::Failed, "the selection cannot be written down").with_cause(cause)
    })
}

/// What this job takes out of its archive.
pub(super) fn selected(job: &Job) -> Result<Selection> {
    serde_json::from_str(fact(job, SELECTION)?).map_err(|cause| {
        Error::new(
            Kind::JournalDamaged,
            "the journal holds another selection than was written",
        )
        .with_cause(cause)
    })
}
