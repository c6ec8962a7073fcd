//! The list of what is known to differ, `docs/differences.md`.
//!
//! A row of its tables has three columns: cases, places, and why. The first two
//! are patterns in which `*` stands for anything; several stand in one cell with
//! `<br>` between them.

use std::cell::Cell;

use anyhow::ensure;

use crate::transcript::Difference;

/// One row.
#[derive(Debug)]
pub struct Listed {
    line: usize,
    cases: Vec<String>,
    places: Vec<Place>,
}

/// A pattern of places.
#[derive(Debug)]
struct Place {
    pattern: String,
    /// Whether something like it was seen.
    is_seen: Cell<bool>,
}

/// The whole list.
#[derive(Debug)]
pub struct Differences {
    rows: Vec<Listed>,
}

impl Differences {
    /// The rows of the tables in a text.
    ///
    /// # Errors
    /// If a row has another form.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        for (at, line) in text.lines().enumerate() {
            // The head of a table, and the line below it.
            let is_head = line.starts_with("| Cases |") || line.starts_with("|--");
            if !line.starts_with('|') || is_head {
                continue;
            }
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            ensure!(cells.len() == 3, "line {}: a row has three columns", at + 1);
            rows.push(Listed {
                line: at + 1,
                cases: patterns(cells[0]),
                places: patterns(cells[1]).into_iter().map(Place::new).collect(),
            });
        }
        Ok(Self { rows })
    }

    /// Whether a difference in a case is on the list; it is then marked as seen.
    pub fn holds(&self, case: &str, difference: &Difference) -> bool {
        let rows = self.rows.iter().filter(|row| row.concerns(case));
        let mut is_listed = false;
        for place in rows.flat_map(|row| &row.places) {
            if matches(&place.pattern, &difference.place) {
                place.is_seen.set(true);
                is_listed = true;
            }
        }
        is_listed
    }

    /// The places that nothing was like, each with its line, in the rows that
    /// concern one of these cases.
    pub fn unseen(&self, cases: &[String]) -> Vec<(usize, &str)> {
        let concerns = |row: &&Listed| cases.iter().any(|case| row.concerns(case));
        let rows = self.rows.iter().filter(concerns);
        let places = rows.flat_map(|row| row.places.iter().map(|place| (row.line, place)));
        let unseen = places.filter(|(_, place)| !place.is_seen.get());
        unseen
            .map(|(line, place)| (line, &*place.pattern))
            .collect()
    }
}

impl Listed {
    fn concerns(&self, case: &str) -> bool {
        self.cases.iter().any(|pattern| matches(pattern, case))
    }
}

impl Place {
    fn new(pattern: String) -> Self {
        Self {
            pattern,
            is_seen: Cell::new(false),
        }
    }
}

fn patterns(cell: &str) -> Vec<String> {
    cell.split("<br>")
        .map(|it| it.trim().trim_matches('`').to_owned())
        .collect()
}

/// Whether a pattern, in which `*` stands for anything, fits the whole text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((front, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(front) else {
        return false;
    };
    loop {
        if matches(rest, text) {
            return true;
        }
        let mut letters = text.chars();
        if letters.next().is_none() {
            return false;
        }
        text = letters.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# What differs

| Cases | Places | Why |
|---|---|---|
| `apis/*` | `Metadata v*/ClusterId`<br>`*.Rack` | no racks |
| `apis/fetch` | `Fetch v4/*` | not yet |
";

    fn difference(place: &str) -> Difference {
        Difference {
            place: place.to_owned(),
            title: String::new(),
            expected: None,
            actual: None,
        }
    }

    #[test]
    fn what_is_listed_is_known_and_what_is_not_is_not() {
        let list = Differences::read(TEXT).unwrap();
        assert!(list.holds("apis/metadata", &difference("Metadata v9/ClusterId")));
        assert!(list.holds("apis/metadata", &difference("Metadata v9/Brokers[0].Rack")));
        assert!(!list.holds("apis/metadata", &difference("Metadata v9/ClusterIds")));
        assert!(!list.holds("groups/metadata", &difference("Metadata v9/ClusterId")));
    }

    #[test]
    fn a_row_that_nothing_is_like_is_told() {
        let list = Differences::read(TEXT).unwrap();
        assert!(list.holds("apis/metadata", &difference("Metadata v9/ClusterId")));
        let row = [(5, "*.Rack")];
        assert_eq!(list.unseen(&["apis/metadata".to_owned()]), row);
        let both = [(5, "*.Rack"), (6, "Fetch v4/*")];
        assert_eq!(list.unseen(&["apis/fetch".to_owned()]), both);
    }
}
