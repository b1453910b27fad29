//! What a listing or a look shows: a table for people, rows with `--json`.

use serde_json::{Value, json};

use super::super::numbers;
use super::super::render::{render_fields, render_table};
use super::Run;
use crate::error::Result;

impl Run {
    /// Names and values on standard output; with `--json` as a plan has them.
    pub(super) fn print_fields(&self, fields: &[(String, String)]) -> Result<()> {
        let members: Vec<Value> = fields
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        self.screen
            .data(|| render_fields(fields), json!({"fields": members}))
    }

    /// Rows on standard output. What is missing is null, for people a dash.
    pub(super) fn print_rows(&self, heading: &[&str], rows: Vec<Vec<Value>>) -> Result<()> {
        if !self.invocation.cli.output.json {
            let is_number = |column: &usize| rows.iter().any(|row| row[*column].is_number());
            let numbers: Vec<usize> = (0..heading.len()).filter(is_number).collect();
            let rows = rows.iter().map(|row| row.iter().map(cell).collect());
            let table = render_table(heading, rows, &numbers);
            return self.screen.stdout().data(&table);
        }
        for row in rows {
            let names = heading.iter().map(|name| (*name).to_owned());
            let members = Value::Object(names.zip(row).collect());
            self.screen.data(String::new, members)?;
        }
        Ok(())
    }
}

fn cell(value: &Value) -> String {
    match (value, value.as_u64()) {
        (_, Some(number)) => numbers::count(number),
        (Value::Null, _) => "-".to_owned(),
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}
