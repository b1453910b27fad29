//! Media for the tests of this room: one that writes down the order of calls, one that can be looked into.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::ledger::{Changes, Medium, Take};
use super::record::Address;
use crate::error::{Error, Kind, Result};

pub(super) type Calls = Arc<Mutex<Vec<&'static str>>>;

/// Writes down the order of the calls, and fails in one of them.
pub(super) struct Recorder<M> {
    pub(super) inner: M,
    pub(super) calls: Calls,
    pub(super) failing: Option<&'static str>,
}

impl<M: Medium> Recorder<M> {
    fn call(&self, name: &'static str) -> Result<()> {
        self.calls.lock().unwrap().push(name);
        match self.failing == Some(name) {
            true => Err(Error::new(
                Kind::Exhausted,
                format!("no room left in {name}"),
            )),
            false => Ok(()),
        }
    }
}

impl<M: Medium> Medium for Recorder<M> {
    fn load(&mut self, take: &mut Take<'_>) -> Result<()> {
        self.inner.load(take)
    }
    fn write(&mut self, changes: &Changes) -> Result<()> {
        self.call("write")?;
        self.inner.write(changes)
    }
    fn flush(&mut self) -> Result<()> {
        self.call("flush")?;
        self.inner.flush()
    }
    fn sync_data(&mut self) -> Result<()> {
        self.call("sync_data")?;
        self.inner.sync_data()
    }
}

/// Records in memory, which can be looked into.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<BTreeMap<Address, Vec<u8>>>>);

impl Memory {
    pub(super) fn records(&self) -> BTreeMap<Address, Vec<u8>> {
        self.0.lock().unwrap().clone()
    }
    pub(super) fn of(records: BTreeMap<Address, Vec<u8>>) -> Self {
        Memory(Arc::new(Mutex::new(records)))
    }
}

impl Medium for Memory {
    fn load(&mut self, take: &mut Take<'_>) -> Result<()> {
        let records = self.records();
        records
            .iter()
            .try_for_each(|(address, value)| take(&address.to_bytes(), Some(value)))
    }
    fn write(&mut self, changes: &Changes) -> Result<()> {
        let mut records = self.0.lock().unwrap();
        for (address, value) in changes {
            match value {
                Some(value) => drop(records.insert(*address, value.clone())),
                None => drop(records.remove(address)),
            }
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
    fn sync_data(&mut self) -> Result<()> {
        Ok(())
    }
}
