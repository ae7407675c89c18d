//! Rows of one table, packed so that another thread can have them: numbers, and all texts in one piece of memory.

use crate::rows::{Cell, Cells};

/// A value that lies in a [`Sheet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packed {
    Null,
    Int(i64),
    /// Where the text lies.
    Text(usize, usize),
}

/// A value as it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a str),
}

/// Rows of one table.
#[derive(Debug)]
pub(super) struct Sheet {
    width: usize,
    cells: Vec<Packed>,
    texts: String,
}

impl Sheet {
    /// Packs rows of `width` columns each; `put` writes the values of one.
    pub(super) fn of<R>(width: usize, rows: &[R], put: impl Fn(&R, &mut Sheet)) -> Sheet {
        let mut sheet = Sheet {
            width,
            cells: Vec::with_capacity(width * rows.len()),
            texts: String::with_capacity(160 * rows.len()),
        };
        for (at, row) in rows.iter().enumerate() {
            put(row, &mut sheet);
            debug_assert_eq!(sheet.cells.len(), width * (at + 1), "a row has all columns");
        }
        sheet
    }

    /// Packs rows whose values stand there already.
    pub(super) fn of_cells(width: usize, rows: &[Vec<Cell>]) -> Sheet {
        Sheet::of(width, rows, |row, sheet| {
            for cell in row {
                match cell {
                    Cell::Int(value) => sheet.int(*value),
                    Cell::Text(value) => sheet.text(value.as_deref()),
                }
            }
        })
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.cells.len() / self.width
    }

    /// The values of row `at` that differ from those of the row above, each with its place from 1; of the first row,
    /// all.
    pub(super) fn changes(&self, at: usize) -> impl Iterator<Item = (usize, Value<'_>)> {
        let row = &self.cells[at * self.width..(at + 1) * self.width];
        let above = at.checked_sub(1).map(|above| &self.cells[above * self.width..at * self.width]);
        row.iter().enumerate().filter_map(move |(place, value)| match above {
            Some(above) if above[place] == *value => None,
            _ => Some((place + 1, self.value(*value))),
        })
    }

    fn value(&self, packed: Packed) -> Value<'_> {
        match packed {
            Packed::Null => Value::Null,
            Packed::Int(value) => Value::Int(value),
            Packed::Text(from, to) => Value::Text(&self.texts[from..to]),
        }
    }
}

impl Cells for Sheet {
    fn int(&mut self, value: Option<i64>) {
        self.cells.push(value.map_or(Packed::Null, Packed::Int));
    }

    /// A text that stands in the row above, too, is shared with it: most do.
    fn text(&mut self, value: Option<&str>) {
        let Some(text) = value else { return self.cells.push(Packed::Null) };
        let above = self.cells.len().checked_sub(self.width).map(|at| self.cells[at]);
        let packed = match above {
            Some(Packed::Text(from, to)) if self.texts[from..to] == *text => Packed::Text(from, to),
            _ => {
                let from = self.texts.len();
                self.texts.push_str(text);
                Packed::Text(from, self.texts.len())
            }
        };
        self.cells.push(packed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_tells_what_differs_from_the_one_above() {
        let text = |text: &'static str| Cell::Text(Some(text.into()));
        let rows = [
            vec![text("a"), Cell::Int(Some(0)), Cell::Text(None)],
            vec![text("a"), Cell::Int(Some(1)), Cell::Text(None)],
            vec![text("a"), Cell::Int(Some(1)), Cell::Text(None)],
            vec![text("ab"), Cell::Int(None), text("")],
        ];
        let sheet = Sheet::of_cells(3, &rows);
        assert_eq!(sheet.len(), 4);
        let changes = |at| sheet.changes(at).collect::<Vec<_>>();
        assert_eq!(changes(0), [(1, Value::Text("a")), (2, Value::Int(0)), (3, Value::Null)]);
        assert_eq!(changes(1), [(2, Value::Int(1))]);
        assert_eq!(changes(2), []);
        assert_eq!(changes(3), [(1, Value::Text("ab")), (2, Value::Null), (3, Value::Text(""))]);
        assert_eq!(sheet.texts, "aab", "a text that repeats stands once");
    }
}
