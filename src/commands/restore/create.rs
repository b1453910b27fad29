//! The collection that is restored into: made, found to be our own, or the one to merge into.

use super::verb::Restore;
use super::*;

impl Restore<'_> {
    /// Makes sure that the collection is there and is ours, or is the one to merge into.
    pub(super) async fn make_collection(&self) -> Result<Facts> {
        let mut facts = self.look_through().await?;
        self.session.reporter.event(&Event::Stage {
            doing: "create the collection",
        });
        let made = match self.client.collection(&self.name).await? {
            Collection::Found(definition) => self.accept(definition).await?,
            Collection::Alias(_) | Collection::Missing => self.create().await?,
        };
        let incarnation = Incarnation::of(&self.client, &self.name, &made).await?;
        degraded::keep(self.session, &self.client, &self.folder)?;
        if !self.request.merge {
            self.folder
                .save_obligation(&Obligation::CreatedCollection {
                    url: self.client.address().to_owned(),
                    name: self.name.to_string(),
                    shards: incarnation.shards.clone(),
                })?;
        }
        // What is in a collection of our own was written by an earlier run.
        let before = match self.request.merge {
            true => self.count_all(&made).await?,
            false => 0,
        };
        if self.request.merge {
            self.pin_automation(&made).await?;
        }
        facts.extend([
            ("incarnation".into(), incarnation.to_text()),
            ("definition".into(), made.text().to_owned()),
            ("before".into(), before.to_string()),
        ]);
        Ok(facts)
    }

    /// An existing collection: the one to merge into, or our own whose creation was not acknowledged.
    async fn accept(&self, found: Definition) -> Result<Definition> {
        let differences = definition_holds(&self.definition, &found)?;
        if !self.request.merge && !self.is_ours(&found).await? {
            return Err(Error::new(
                Kind::TargetRefused,
                format!("collection `{}` already exists", self.name),
            )
            .with_hint("pass --merge to restore into it, or --name <NEW> to restore beside it"));
        }
        if !self.request.merge && !differences.is_empty() {
            return match self.count_all(&found).await? {
                0 => self.complete_anew().await,
                _ => self.complete(&self.definition).await,
            };
        }
        self.check_definition(&differences)?;
        Ok(found)
    }

    /// True if this job created it: its shards were written down, or the crash came before and it is empty.
    /// The journal may have gone back behind that, so it is not asked.
    async fn is_ours(&self, found: &Definition) -> Result<bool> {
        let now = Incarnation::of(&self.client, &self.name, found).await?;
        let mut is_claimed = false;
        for obligation in self.folder.obligations()? {
            match obligation {
                Obligation::CreatedCollection { name, shards, .. }
                    if name == self.name.as_str() =>
                {
                    if !shards.is_empty() && shards == now.shards {
                        return Ok(true);
                    }
                    is_claimed = true;
                }
                _ => {}
            }
        }
        Ok(is_claimed && self.count_all(found).await? == 0)
    }

    async fn create(&self) -> Result<Definition> {
        let creatable = creatable(&self.definition)?;
        for left_out in &creatable.left_out {
            self.session.warn(left_out);
        }
        // The name is claimed before the effect: after a lost reply an empty collection of it is taken for ours.
        self.folder
            .save_obligation(&Obligation::CreatedCollection {
                url: self.client.address().to_owned(),
                name: self.name.to_string(),
                shards: Vec::new(),
            })?;
        self.owe_automation(&automation(&self.definition)?)?;
        self.client.create(&creatable.create).await?;
        match self.complete_anew().await {
            Err(error) if session::is_refusal(&error) => {
                // Made by this very call: ours beyond doubt.
                self.client.delete(&self.name).await?;
                Err(error)
            }
            outcome => outcome,
        }
    }

    /// Strikes out claims to a collection that is not there; one that was merged into gets its flags back.
    pub(super) async fn disclaim(&self) -> Result<()> {
        let policy = self.session.context().policy;
        if self.request.merge {
            return owed::settle(self.session, &self.folder, &self.client).await;
        }
        let there = policy.run("look for the collection", || {
            self.client.collection(&self.name)
        });
        if !matches!(there.await?, Collection::Missing) {
            return Ok(());
        }
        for owed in self.folder.obligations()? {
            self.folder.discharge(&owed)?;
        }
        Ok(())
    }

    /// As [`Restore::complete`], of a collection of our own that is empty: it is made once more if the server has added a
    /// quantization that the archive does not know. With `--force-schema` it stays.
    async fn complete_anew(&self) -> Result<Definition> {
        let made = match self.complete(&self.definition).await {
            Err(error) if error.kind() == Kind::Incompatible => error,
            outcome => return outcome,
        };
        let Collection::Found(quantized) = self.client.collection(&self.name).await? else {
            return Err(made);
        };
        let Some(declining) = declining_quantization(&self.definition, &quantized)? else {
            return Err(made);
        };
        self.client.delete(&self.name).await?;
        self.client.create(&creatable(&declining)?.create).await.map_err(|error| match session::is_refusal(&error) {
            true => error.with_hint("it quantizes vectors by default, the archive has them as they are: pass --force-schema to have them quantized"),
            false => error,
        })?;
        let made = self.complete(&declining).await?;
        self.session.warn(&format!("{} quantizes vectors by default; `{}` is made with `skipDefaultQuantization`, as the archive has none quantized", self.client.address(), self.name));
        Ok(made)
    }

    /// The second step of a creation, and a look at what came of both. May be repeated.
    async fn complete(&self, asked: &Definition) -> Result<Definition> {
        if let Some(update) = creatable(asked)?.then_update {
            self.client.update(&self.name, &update).await?;
        }
        let Collection::Found(made) = self.client.collection(&self.name).await? else {
            return Err(Error::new(
                Kind::TargetRefused,
                format!(
                    "collection `{}` is not there right after its creation",
                    self.name
                ),
            ));
        };
        self.check_definition(&definition_holds(&self.definition, &made)?)?;
        Ok(made)
    }

    fn check_definition(&self, differences: &[String]) -> Result<()> {
        if differences.is_empty() {
            return Ok(());
        }
        let list = differences
            .iter()
            .take(5)
            .cloned()
            .collect::<Vec<_>>()
            .join("; ");
        if self.request.force_schema {
            self.session.warn(&format!(
                "collection `{}` differs from the archive: {list}",
                self.name
            ));
            return Ok(());
        }
        Err(Error::new(
            Kind::Incompatible,
            format!(
                "collection `{}` has another definition than the archive: {list}",
                self.name
            ),
        )
        .with_hint(match self.request.merge {
            true => "pass --force-schema to go on all the same, or --name <NEW> to restore beside it",
            false => "pass --force-schema to go on all the same, or ask for another definition with --schema-patch",
        }))
    }

    /// A typo must not make or wake tenants while data is loaded; the flags that are on are set back at the end.
    pub(super) async fn pin_automation(&self, found: &Definition) -> Result<()> {
        let on = automation(found)?;
        if on.is_empty() {
            return Ok(());
        }
        self.owe_automation(&on)?;
        let off: Vec<(String, bool)> = on.into_iter().map(|flag| (flag, false)).collect();
        let body = with_automation(found, &off)?;
        self.client.update(&self.name, &body).await
    }

    fn owe_automation(&self, on: &[String]) -> Result<()> {
        if on.is_empty() {
            return Ok(());
        }
        self.folder.save_obligation(&Obligation::PinnedFlags {
            url: self.client.address().to_owned(),
            collection: self.name.to_string(),
            flags: on.iter().map(|flag| (flag.clone(), true)).collect(),
        })
    }

    /// Tenants are made active; they get their states back at the end.
    pub(super) async fn make_tenants(&self, job: &Job) -> Result<Facts> {
        let active = |tenant: TenantState| TenantState {
            status: TenantStatus::Hot,
            ..tenant
        };
        let tenants: Vec<TenantState> = self.tenants(job)?.into_iter().map(active).collect();
        for some in tenants.chunks(1_000) {
            match self.client.create_tenants(&self.name, some).await {
                Err(error) if session::is_refusal(&error) && !self.request.merge => {
                    return Err(self.unmake(error).await?);
                }
                outcome => outcome?,
            }
        }
        Ok(Facts::new())
    }

    /// A collection that cannot have its tenants is taken away again, as long as it is ours beyond doubt and empty.
    async fn unmake(&self, error: Error) -> Result<Error> {
        if let Collection::Found(found) = self.client.collection(&self.name).await?
            && self.is_ours(&found).await?
            && self.count_all(&found).await? == 0
        {
            self.client.delete(&self.name).await?;
        }
        Ok(error)
    }
}
