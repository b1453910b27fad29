//! `--verify`: the archive is read back, then compared with the collection as it is now.
//!
//! The archive has its name by then, so the job comes to its end whatever is found. Only a server that cannot be asked,
//! or a signal, leaves the comparison to the next run.

use super::verb::Backup;
use super::*;
use crate::commands::diff::{Comparison, SinceBackup, another_life, verify_backup};

impl Backup<'_> {
    pub(super) async fn verify(&self, job: &Job) -> Result<Facts> {
        // They are compared in the states that they are meant to have, and woken as they were for the backup.
        owed::settle(self.session, &self.folder, &self.client).await?;
        self.session.reporter.event(&Event::Stage {
            doing: "verify the archive",
        });
        let archive = match self.read_back(job).await {
            Err(error) if is_damage(&error) => return damaged(&error),
            archive => archive?,
        };
        let comparison = self.compare(archive);
        let made = verification::make(self.session, &self.folder, comparison).await;
        made.or_else(|error| match error.kind() {
            _ if error.is_transient() => Err(not_compared(error)),
            Kind::Difference => damaged(&error),
            // No later run could compare it either.
            Kind::NotFound | Kind::SourceRefused | Kind::Incompatible => {
                verification::finding(3, not_compared(error).to_string())
            }
            _ => Err(not_compared(error)),
        })
    }

    /// Every byte of it.
    async fn read_back(&self, job: &Job) -> Result<Archive> {
        let (storage, name) = (self.storage.clone(), fact(job, "archive")?.to_owned());
        let reading = tokio::task::spawn_blocking(move || {
            let archive = Archive::open_in(storage, &name)?;
            archive.verify()?;
            Ok(archive)
        });
        let read = async {
            reading.await.map_err(|cause| {
                Error::new(Kind::Failed, "the archive could not be read back").with_cause(cause)
            })?
        };
        self.session.stop.cuts_short(read).await
    }

    async fn compare(&self, archive: Archive) -> Result<Comparison> {
        self.check_life().await?;
        let since = SinceBackup {
            rejected: census::read_rejected(&self.folder)?,
            started: self.started_on_server()?,
            incarnation: self.seen.incarnation.clone(),
        };
        let sleepers = Sleepers {
            tenants: self.seen.asleep.clone(),
            folder: self.folder.clone(),
        };
        let connection = &self.request.connection;
        verify_backup(self.session, archive, connection, since, sleepers).await
    }

    /// Of another life of the collection everything would be younger than the backup, and nothing a loss.
    async fn check_life(&self) -> Result<()> {
        let (name, policy) = (&self.request.collection, self.session.context().policy);
        let (now, source) = (
            &self.seen.incarnation,
            self.seen.filled_source(&self.client, name),
        );
        match is_same_life(&policy, &self.state, &self.client, now, &source).await? {
            true => Ok(()),
            false => Err(another_life(name)),
        }
    }
}

fn is_damage(error: &Error) -> bool {
    let is_permanent = !error.is_transient();
    is_permanent
        && matches!(
            error.kind(),
            Kind::Difference | Kind::NotFound | Kind::Incompatible
        )
}

fn damaged(error: &Error) -> Result<Facts> {
    verification::finding(13, error.to_string())
}

fn not_compared(error: Error) -> Error {
    error.within("the archive was not compared with the collection")
}
