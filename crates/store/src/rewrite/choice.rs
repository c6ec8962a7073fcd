//! Which files are rewritten next. Pure: the files' rows go in, a choice comes out.

use std::collections::BTreeSet;

use super::Survey;
use crate::commit::entry::FileNumber;
use crate::keys::FileRow;

/// One batch after another of one log should lie side by side for so long: then a
/// cold read of that log is as fast as a sequential one.
const RUN_BYTES_MIN: u64 = 64 * 1024;
/// Most files that are merged for the sake of longer runs.
const MERGED_MAX: usize = 8;
/// So many small files are merged into one.
const SMALL_FILES_MAX: usize = 8;
/// A file of less than this part of a whole one is small.
const SMALL_PART: u64 = 8;

/// Files to rewrite together, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) reason: Reason,
    pub(crate) files: Vec<FileNumber>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// More than a quarter of their bytes is dead.
    Garbage,
    /// The logs in them lie mixed, or in short runs.
    Locality,
    /// They are many and small.
    Fragments,
}

impl Reason {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Locality => "locality",
            Self::Fragments => "fragments",
        }
    }
}

/// What to rewrite next, if anything: space comes first.
pub(crate) fn choose(survey: &Survey, except: &BTreeSet<FileNumber>) -> Option<Choice> {
    let sealed: Vec<_> = survey
        .files
        .iter()
        .map(|(number, row)| (*number, *row))
        .filter(|(number, row)| *number < survey.flushed && row.live_pieces > 0)
        .filter(|(number, _)| !except.contains(number))
        .collect();
    garbage(&sealed, survey)
        .or_else(|| locality(&sealed))
        .or_else(|| fragments(&sealed, survey))
}

/// Whether the space that is kept for later writes is too much for what is stored:
/// the rest of the active file, what is dead in it, and spare files.
pub(crate) fn should_rest(survey: &Survey) -> bool {
    let stored: u64 = survey.files.values().map(|row| row.live_bytes).sum();
    let active = survey.files.get(&survey.end.file);
    let needed = active.map_or(0, |row| row.live_bytes);
    let idle = u64::from(survey.capacity).saturating_sub(needed);
    let spare = survey.spares as u64 * u64::from(survey.file_bytes);
    let is_small = u64::from(survey.capacity) <= RESTED_BYTES;
    (!is_small && idle > RESTED_BYTES.max(stored / 8)) || spare > stored / 8
}

/// An active file of this size takes no space that is worth giving back.
const RESTED_BYTES: u64 = 1024 * 1024;

type File = (FileNumber, FileRow);

fn garbage(sealed: &[File], survey: &Survey) -> Option<Choice> {
    let dead = |row: &FileRow| u64::from(row.length).saturating_sub(row.live_bytes);
    let mut wasteful: Vec<File> = sealed.to_vec();
    wasteful.retain(|(_, row)| dead(row) * 4 > u64::from(row.length));
    // The largest dead part first: it gives back most for what is copied.
    wasteful.sort_by_key(|(number, row)| {
        let live_share = row.live_bytes * 1_000 / u64::from(row.length.max(1));
        (live_share, *number)
    });
    of(Reason::Garbage, up_to_one_file(&wasteful, survey))
}

/// Files of the commit log whose logs lie mixed, as many neighbours together as make
/// the runs long enough.
fn locality(sealed: &[File]) -> Option<Choice> {
    let mixed: Vec<File> = sealed
        .iter()
        .copied()
        .filter(|(number, row)| !number.is_sorted() && is_mixed(row))
        .collect();
    let (_, first) = mixed.first()?;
    let run = first.live_bytes / u64::from(first.live_pieces.max(1));
    let together = RUN_BYTES_MIN.div_ceil(run.max(1));
    let together = usize::try_from(together).map_or(MERGED_MAX, |count| count.min(MERGED_MAX));
    let chosen = mixed.get(..together)?;
    of(Reason::Locality, chosen.to_vec())
}

/// Whether its runs are short, and would be much longer if it were sorted.
const fn is_mixed(row: &FileRow) -> bool {
    let runs = if row.runs == 0 { 1 } else { row.runs };
    row.live_bytes / (runs as u64) < RUN_BYTES_MIN && row.runs as u64 > 2 * row.live_pieces as u64
}

fn fragments(sealed: &[File], survey: &Survey) -> Option<Choice> {
    let small = u64::from(survey.file_bytes) / SMALL_PART;
    let mut few: Vec<File> = sealed.to_vec();
    few.retain(|(_, row)| u64::from(row.length) < small);
    if few.len() <= SMALL_FILES_MAX {
        return None;
    }
    of(Reason::Fragments, up_to_one_file(&few, survey))
}

/// The first of them, and as many more as fit into one file with it.
fn up_to_one_file(files: &[File], survey: &Survey) -> Vec<File> {
    let mut room = u64::from(survey.file_bytes);
    let mut chosen = Vec::new();
    for (number, row) in files {
        if !chosen.is_empty() && row.live_bytes > room {
            continue;
        }
        room = room.saturating_sub(row.live_bytes);
        chosen.push((*number, *row));
    }
    chosen
}

fn of(reason: Reason, files: Vec<File>) -> Option<Choice> {
    if files.is_empty() {
        return None;
    }
    let mut files: Vec<_> = files.into_iter().map(|(number, _)| number).collect();
    files.sort_unstable();
    Some(Choice { reason, files })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::commit::entry::Position;

    const MIB: u32 = 1024 * 1024;

    fn survey(files: &[(FileNumber, FileRow)]) -> Survey {
        Survey {
            files: files.iter().copied().collect::<BTreeMap<_, _>>(),
            end: Position {
                file: FileNumber(90),
                at: 0,
            },
            capacity: MIB,
            flushed: FileNumber(80),
            file_bytes: 16 * MIB,
            spares: 0,
            next_sorted: 1,
        }
    }

    /// A file of 16 MiB.
    fn row(live_mib: u32, live_pieces: u32, runs: u32) -> FileRow {
        FileRow {
            length: 16 * MIB,
            live_bytes: u64::from(live_mib * MIB),
            live_pieces,
            runs,
        }
    }

    fn check(files: &[(FileNumber, FileRow)], expected: Option<(Reason, &[FileNumber])>) {
        let expected = expected.map(|(reason, files)| Choice {
            reason,
            files: files.to_vec(),
        });
        let chosen = choose(&survey(files), &BTreeSet::new());
        assert_eq!(chosen, expected, "{files:?}");
    }

    #[test]
    fn files_with_much_garbage_are_rewritten_together() {
        let (one, two, three) = (FileNumber(1), FileNumber(2), FileNumber::sorted(3));
        check(&[(one, row(12, 1, 1))], None);
        check(&[(one, row(11, 1, 1))], Some((Reason::Garbage, &[one])));
        // What is wholly dead just goes, and what a replay may read stays.
        check(&[(one, row(0, 0, 1)), (FileNumber(80), row(1, 1, 1))], None);
        check(
            &[
                (one, row(6, 1, 1)),
                (two, row(9, 1, 1)),
                (three, row(5, 1, 1)),
            ],
            Some((Reason::Garbage, &[three, one])),
        );
    }

    #[test]
    fn mixed_logs_are_sorted_as_many_files_together_as_it_takes() {
        let (one, two, three) = (FileNumber(1), FileNumber(2), FileNumber(3));
        let runs_of_16_kib = row(16, 4, 1024);
        check(&[(one, runs_of_16_kib)], Some((Reason::Locality, &[one])));
        check(&[(one, row(16, 4, 4))], None);
        check(&[(FileNumber::sorted(1), runs_of_16_kib)], None);
        // 32 KiB a log in each file.
        let many = row(16, 512, 2048);
        check(&[(one, many)], None);
        check(
            &[(one, many), (two, many), (three, many)],
            Some((Reason::Locality, &[one, two])),
        );
    }

    #[test]
    fn many_small_files_become_one() {
        let small = FileRow {
            length: MIB,
            live_bytes: u64::from(MIB),
            live_pieces: 1,
            runs: 1,
        };
        let files: Vec<_> = (1..=9)
            .map(|number| (FileNumber::sorted(number), small))
            .collect();
        check(&files[..8], None);
        let numbers: Vec<_> = files.iter().map(|(number, _)| *number).collect();
        check(&files, Some((Reason::Fragments, &numbers)));
    }

    #[test]
    fn unused_space_is_given_back_where_it_is_much_for_what_is_stored() {
        let end = FileNumber(90);
        let mut idle = survey(&[(FileNumber(1), row(16, 1, 1)), (end, row(1, 1, 1))]);
        assert!(!should_rest(&idle), "the active file is small");
        idle.capacity = 16 * MIB;
        assert!(should_rest(&idle), "15 MiB wait for writes");
        idle.files.insert(end, row(15, 1, 1));
        assert!(!should_rest(&idle), "most of the active file is needed");
        idle.spares = 1;
        assert!(
            should_rest(&idle),
            "a spare file is as much as half of the store"
        );
    }
}
