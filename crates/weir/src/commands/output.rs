//! What commands print: tables for people, JSON for programs.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// Where a command's answer goes, and in which form.
pub struct Output<'w> {
    answer: &'w mut dyn Write,
    notes: &'w mut dyn Write,
    /// Whether the answer is JSON.
    pub json: bool,
    /// Columns of the terminal; `None` if the answer goes elsewhere.
    pub width: Option<u16>,
}

impl<'w> Output<'w> {
    /// Answers go to `answer`, remarks to `notes` so that they never mix with what a program reads.
    pub fn new(answer: &'w mut dyn Write, notes: &'w mut dyn Write, json: bool) -> Self {
        Self { answer, notes, json, width: None }
    }

    /// Prints text as it is.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.answer.write_all(text.as_bytes())
    }

    /// Lets what was printed be seen.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.answer.flush()
    }

    /// Prints a value as JSON.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        writeln!(self.answer, "{text}")
    }

    /// Prints rows under their titles; those columns are aligned right whose numbers are in `right`.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn table(&mut self, titles: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(titles.iter().copied()).add_rows(rows);
        match self.width {
            Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            writeln!(self.answer, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Tells the user something beside the answer.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.notes, "{text}")
    }
}

/// Columns of the terminal; `None` where there is none.
pub fn terminal_width() -> Option<u16> {
    Table::new().width()
}

/// Runs a command's function and gives back its answer and its notes.
#[cfg(test)]
pub(crate) fn captured(
    json: bool,
    run: impl FnOnce(&mut Output<'_>) -> Result<(), super::CommandError>,
) -> (Result<(), super::CommandError>, String, String) {
    let (mut answer, mut notes) = (Vec::new(), Vec::new());
    let result = run(&mut Output::new(&mut answer, &mut notes, json));
    (result, String::from_utf8(answer).unwrap(), String::from_utf8(notes).unwrap())
}
