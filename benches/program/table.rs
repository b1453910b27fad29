//! The rows in the order in which they were first measured, each with its median and its share of a ceiling.

use std::fmt;

use crate::measure::{Measured, median};

struct Row {
    name: String,
    /// The row that this one is compared with; empty for none.
    against: String,
    goal: f64,
    rounds: Vec<Measured>,
}

/// All that was measured.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn add(&mut self, name: &str, against: &str, goal: f64, measured: Measured) {
        eprintln!("  {name}: {:.0} objects/s", measured.rate());
        match self.0.iter_mut().find(|row| row.name == name) {
            Some(row) => row.rounds.push(measured),
            None => self.0.push(Row {
                name: name.to_owned(),
                against: against.to_owned(),
                goal,
                rounds: vec![measured],
            }),
        }
    }

    fn rate(&self, name: &str) -> Option<f64> {
        let row = self.0.iter().find(|row| row.name == name)?;
        Some(row.median(Measured::rate))
    }
}

impl Row {
    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| | objects/s | seconds | of its ceiling | goal | client CPU s per 100 K | peak MB |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for row in &self.0 {
            let share = self
                .rate(&row.against)
                .map(|ceiling| row.median(Measured::rate) / ceiling);
            let share = share.map_or("–".to_owned(), |share| format!("{share:.2}"));
            let goal = if row.goal > 0.0 {
                format!("{:.2}", row.goal)
            } else {
                "–".to_owned()
            };
            writeln!(
                f,
                "| {} | {:.0} | {:.2} | {share} | {goal} | {:.2} | {:.0} |",
                row.name,
                row.median(Measured::rate),
                row.median(|measured| measured.seconds),
                row.median(Measured::cpu_per_100k),
                row.median(|measured| measured.peak_mb),
            )?;
        }
        Ok(())
    }
}
