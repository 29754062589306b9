//! Budgets of work that do not depend on the clock: calls and journal lines of a rotation, and the memory that parts of
//! a run allocate. A budget that is exceeded is a change that costs every user: find out why, before it is raised.

use std::collections::BTreeMap;

use rotator::adapters::sqlite_journal::SqliteJournal;
use rotator::discovery::{Needles, StoredEntry, discover};
use rotator::journal::store::JournalStore;
use rotator::sandbox::Action;
use rotator::types::name::{AccessKeyId, EntryName, StoreName};
use rotator::types::secret::SecretValue;
use rotator::types::time::Timestamp;

use crate::support::allocations::bytes;
use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};
use crate::support::rotations::{Story, campaign_id, rotation_id};

/// Rotations in one run.
const KEYS: u64 = 40;

/// How many runs are counted: one of them has to be within the budget.
const TRIES: usize = 3;

/// The journal lines of one rotation without overlap and quarantine: opened, and intent and outcome of the create, the
/// store and the delete.
const LINES: u64 = 7;

/// The pages that the eleven lines after the first one of a rotation change at most, each in a commit of its own: five or
/// six for each line. These are the row of the rotation, the line, an index of each, and a counter or a page beside the
/// row.
const PAGES_OF_ELEVEN_LINES: u64 = 60;

/// The memory in bytes that the search of 1 KB of ordinary text allocates at most.
const SEARCH_OF_A_KILOBYTE: u64 = 6_000;

/// The memory in bytes that `status` allocates at most to read one open rotation. To parse its JSON takes several times that.
const STATUS_OF_AN_OPEN_ROTATION: u64 = 2_000;

/// The memory in bytes that discovery allocates at most for each entry of 1 KB.
const DISCOVERY_OF_AN_ENTRY: u64 = 45_000;

fn rotated() -> (BTreeMap<Action, u64>, String) {
    let sandbox = sandbox_with_slashes();
    let mut program = Program::at(&sandbox).with("ROTATOR_POLICY_CONFIRMATIONS", "1");
    let mut entries = BTreeMap::new();
    for number in 0..KEYS {
        user_with_entries(&sandbox, &format!("app{number}/live"), &mut entries);
    }
    program.import(&entries);
    program.set("ROTATOR_LOG", "rotator::adapters::sqlite_journal=debug");
    let before = sandbox.calls();
    let ended = program.ends_with(0, &["run", "--yes"]);
    let calls = sandbox.calls().into_iter().map(|(action, count)| (action, count - before.get(&action).unwrap_or(&0)));
    (calls.filter(|(_, count)| *count > 0).collect(), ended.stderr)
}

/// The number after this name in the line that the journal writes when it is closed.
fn logged(stderr: &str, name: &str) -> u64 {
    let line = stderr.lines().rfind(|line| line.contains("the journal is closed")).expect("logged");
    let value = line.split(&format!("{name}=")).nth(1).expect("a field");
    value.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

#[test]
fn a_rotation_makes_four_calls_to_iam_and_three_to_sts() {
    let expected = BTreeMap::from([
        (Action::ListAccessKeys, 2 * KEYS),
        (Action::CreateAccessKey, KEYS),
        (Action::DeleteAccessKey, KEYS),
        // The old pair, the new pair and the stored pair, and once rotator's own credentials.
        (Action::GetCallerIdentity, 3 * KEYS + 1),
    ]);
    // On a machine that stalls, a call times out or a list becomes too old, and more calls are made. Not each time.
    let runs: Vec<_> = (0..TRIES).map(|_| rotated().0).collect();
    assert!(runs.contains(&expected), "{runs:#?}");
}

#[test]
fn a_rotation_writes_few_journal_lines() {
    let (_, stderr) = rotated();
    let changes = logged(&stderr, "changes");
    // A run notes its campaign four times.
    assert!(changes <= LINES * KEYS + 4, "{changes} changes for {KEYS} rotations");
}

/// Documents of about 1 KB, each with a pair.
fn entries(count: usize) -> Vec<StoredEntry> {
    let entry = |number: usize| {
        let text = format!(
            "{{\"note\": \"{}\", \"AWS_ACCESS_KEY_ID\": \"AKIA{number:0>16}\", \"AWS_SECRET_ACCESS_KEY\": \"{number:0>40}\"}}",
            "the settings of a service, line by line; ".repeat(21)
        )
        .replace("0000", "AB2D");
        StoredEntry {
            store: StoreName::new("sqlite:store.db").expect("a name"),
            name: EntryName::new(format!("app{number}/live/aws")).expect("a name"),
            value: SecretValue::new(text.into_bytes()),
        }
    };
    (0..count).map(entry).collect()
}

#[test]
fn a_search_allocates_little_whatever_the_number_of_ids() {
    let entries = entries(100);
    let all: Vec<AccessKeyId> =
        (0..10_000).map(|number| AccessKeyId::new(format!("AKIA{number:0>16}")).expect("an id")).collect();
    for count in [10, 10_000] {
        let needles = Needles::new(&all[..count]);
        let search = || entries.iter().map(|entry| needles.search(&entry.value).named.len()).sum::<usize>();
        let (_, allocated) = bytes(search);
        assert!(allocated / 100 < SEARCH_OF_A_KILOBYTE, "{count} ids: {} bytes for each entry", allocated / 100);
    }
}

#[test]
fn discovery_is_linear_in_the_number_of_keys() {
    let of = |count: usize| {
        let entries = entries(count);
        let (findings, allocated) = bytes(|| discover(&entries));
        assert_eq!(findings.candidates.len(), count);
        allocated
    };
    let (small, large) = (of(200), of(800));
    assert!(small / 200 < DISCOVERY_OF_AN_ENTRY, "{} bytes for each entry", small / 200);
    assert!(large < small * 9 / 2, "{small} bytes for 200 entries, {large} for 800");
}

#[tokio::test]
async fn status_parses_no_json_and_reads_no_closed_rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    let read = || {
        let reader = SqliteJournal::open_read_only(&path).expect("opens").expect("is there");
        reader.overview().expect("read");
        let (overview, allocated) = bytes(|| reader.overview().expect("read"));
        assert_eq!(overview.open.len() as u64, KEYS);
        allocated
    };
    let journal = SqliteJournal::open(&path).expect("opens");
    journal.begin_campaign(campaign_id(1), Timestamp::from_unix_seconds(0)).await.expect("begun");
    for number in 1..=KEYS {
        let (line, after) = Story::new(rotation_id(number.into()), campaign_id(1), number).open();
        journal.append(line, &after).await.expect("appended");
    }
    let few = read();
    for number in KEYS + 1..=KEYS + 100 {
        let mut story = Story::new(rotation_id(number.into()), campaign_id(1), number);
        let (line, after) = story.open();
        journal.append(line, &after).await.expect("appended");
        for (line, after) in story.finish(10_000 + number) {
            journal.append(line, &after).await.expect("appended");
        }
    }
    let many = read();
    assert!(few / KEYS < STATUS_OF_AN_OPEN_ROTATION, "{} bytes for each open rotation", few / KEYS);
    // The counts of the campaign have one row more.
    assert!(many < few + 500, "{few} bytes without closed rotations, {many} with 100");
}

/// Every changed page is written twice, and a run writes tens of them for each rotation.
#[tokio::test]
async fn a_journal_line_changes_few_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).expect("opens");
    journal.begin_campaign(campaign_id(1), Timestamp::from_unix_seconds(0)).await.expect("begun");
    // Enough that no two of the pages are the same.
    let mut stories: Vec<Story> =
        (1..=200).map(|number| Story::new(rotation_id(number.into()), campaign_id(1), number)).collect();
    for story in &mut stories {
        let (line, after) = story.open();
        journal.append(line, &after).await.expect("appended");
    }
    let file = rusqlite::Connection::open(&path).expect("opens");
    let busy: i64 = file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).expect("applied");
    assert_eq!(busy, 0);
    let lines = stories[99].finish(10_000);
    assert_eq!(lines.len(), 11);
    for (line, after) in lines {
        journal.append(line, &after).await.expect("appended");
    }
    let page: u32 = file.query_row("PRAGMA page_size", [], |row| row.get(0)).expect("read");
    let log = std::fs::metadata(folder.path().join("journal.db-wal")).expect("is there").len();
    // The log has a header of 32 bytes, and one of 24 bytes before each page (<https://sqlite.org/fileformat2.html#walformat>).
    let pages = (log - 32) / (u64::from(page) + 24);
    assert!(pages <= PAGES_OF_ELEVEN_LINES, "{pages} pages for 11 lines");
}
