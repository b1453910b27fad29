//! Is an archive whole? Reads every byte, decodes every object, and compares with what the archive says.

use std::path::Path;

use super::open::{Archive, Layout};
use super::selection::Selection;
use super::source::Unit;
use super::trailer::{Frame, Hex, Trailer};
use crate::error::{Error, Kind, Result};
use crate::format::{Digest, Digester, Lines, Shape, Tallies};
use crate::job::TenantTally;
use crate::pipe::{Budget, Walk};

/// What a verification found in a whole archive; one that is not whole is an error.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Objects read.
    pub object_count: u64,
    /// Frames or parts read; 0 for a foreign document.
    pub frames: u64,
    /// The digest over all objects, recomputed.
    pub digest: Digest,
    /// Count and digest per tenant, by name.
    pub tenants: Vec<TenantTally>,
    /// What could not be checked.
    pub warnings: Vec<String>,
    /// False if objects were lost while it was made, or if another program wrote it and says that it has another number.
    pub is_whole: bool,
    /// Objects that were lost while it was made, as it says itself.
    pub lost: u64,
}

/// Reads all of the archive at `path`. Damage of any single byte is an error of kind `Difference` (or
/// `Incompatible`, if it looks like another version).
pub fn verify(path: &Path) -> Result<Verdict> {
    Archive::open(path)?.verify()
}

const BUDGET: Budget = Budget::of(1000, 4 << 20);

impl Archive {
    /// Reads all of it; see [`verify`].
    pub fn verify(&self) -> Result<Verdict> {
        let mut digester = Digester::new(Shape::of(self.definition())?);
        match self.trailer() {
            Some(trailer) => {
                self.read_units(trailer, &mut digester)?;
                let tallies = digester.take();
                check_tallies(trailer, &tallies)?;
                Ok(self.verdict(tallies, trailer.integrity.frames.len() as u64))
            }
            None => {
                self.read_foreign(&mut digester)?;
                Ok(self.verdict(digester.take(), 0))
            }
        }
    }

    /// Compares the hashes of the stored bytes of what is selected; nothing is decoded. `stop` may end it early. Of a foreign
    /// document nothing is known.
    pub async fn check_stored(
        &self,
        selection: &Selection,
        mut stop: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        for (index, frame) in self.0.frames().iter().enumerate() {
            stop()?;
            if selection.touches(frame) {
                let sound = self.0.sound(frame);
                sound.map_err(|error| self.0.blame(error, index as u64))?;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn verdict(&self, tallies: Tallies, frames: u64) -> Verdict {
        let mut warnings = self.warnings();
        if self
            .trailer()
            .is_some_and(|trailer| trailer.integrity.digest.is_none())
        {
            warnings.push(
                "the archive was made without a digest; frames were checked by their hashes"
                    .to_owned(),
            );
        }
        Verdict {
            object_count: tallies.count(),
            frames,
            digest: tallies.digest(),
            tenants: tallies.sorted(),
            warnings,
            is_whole: self.doubt().is_none(),
            lost: self.lost(),
        }
    }

    fn read_units(&self, trailer: &Trailer, digester: &mut Digester) -> Result<()> {
        for (index, frame) in trailer.integrity.frames.iter().enumerate() {
            self.read_unit(index as u64, frame, digester)
                .map_err(|error| self.0.blame(error, index as u64))?;
        }
        Ok(())
    }

    fn read_unit(&self, index: u64, frame: &Frame, digester: &mut Digester) -> Result<()> {
        let mut unit = Unit::open(&self.0, index)?;
        let (mut first, mut last) = (None, None);
        loop {
            let mut lines = Lines::with_room(BUDGET.bytes, &self.0.buffers);
            unit.take(BUDGET, &mut lines)?;
            let mut keys = lines.keys();
            last = keys.pop().or(last);
            first = first.or_else(|| keys.into_iter().next().or(last.clone()));
            lines.walk(digester)?;
            if unit.is_over() {
                break;
            }
        }
        let said = |key: &Option<super::trailer::KeyText>| key.as_ref().map(|key| key.0.clone());
        match (first, last) == (said(&frame.first), said(&frame.last)) {
            true => Ok(()),
            false => Err(differs("its keys are not those of its entry".to_owned())),
        }
    }

    fn read_foreign(&self, digester: &mut Digester) -> Result<()> {
        debug_assert!(matches!(self.0.layout, Layout::Foreign));
        if self.object_count() == 0 {
            return Ok(());
        }
        let archive = &self.0;
        let mut objects =
            super::foreign::Objects::at(&*archive.storage, &archive.key, archive.codec, 0)?;
        while objects.ordinal < self.object_count() {
            let mut lines = Lines::default();
            objects.take(BUDGET, self.object_count(), &mut lines)?;
            lines.walk(digester)?;
        }
        Ok(())
    }
}

fn check_tallies(trailer: &Trailer, found: &Tallies) -> Result<()> {
    let tenants = found.sorted();
    let said = &trailer.integrity.tenants;
    let differing = tenants.iter().zip(said).find(|(found, said)| {
        found.tenant != said.tenant
            || found.count != said.count
            || said.vectors.is_some() && said.vectors != found.vectors
            || said
                .digest
                .is_some_and(|digest| digest != Hex(found.digest))
    });
    if let Some((found, _)) = differing {
        return Err(differs(match found.tenant.name() {
            Some(tenant) => {
                format!("the objects of tenant `{tenant}` differ from the archive's own digest")
            }
            None => "the objects differ from the archive's own digest".to_owned(),
        }));
    }
    let total = trailer
        .integrity
        .digest
        .is_none_or(|digest| digest == Hex(found.digest().0));
    match total && tenants.len() == said.len() && found.count() == trailer.object_count {
        true => Ok(()),
        false => Err(differs(
            "the objects differ from the archive's own counts".to_owned(),
        )),
    }
}

fn differs(message: String) -> Error {
    Error::new(Kind::Difference, message)
}
