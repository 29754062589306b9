//! What the table of rotations looks like, at several widths.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::cli::output::columns::Paint;

const NOW: i64 = 1_700_000_000;

fn look(width: Option<usize>, color: bool, wide: bool) -> Look {
    let times = Times::at(Timestamp::from_unix_seconds(NOW), TimeZone::UTC);
    Look { paint: Paint(color), width, wide, times, at_work: None }
}

/// The names that the rows borrow.
struct Names {
    account: AccountId,
    users: Vec<UserName>,
    old: AccessKeyId,
    new: AccessKeyId,
    block: BlockShown,
}

const ID: &str = "01a21df5-5a61-76c3-a60a-efe63916d494";

impl Names {
    fn new(users: &[&str]) -> Self {
        let key = |id: &str| AccessKeyId::new(id).expect("valid");
        Self {
            account: AccountId::new("123456789012").expect("valid"),
            users: users.iter().map(|user| UserName::new(*user).expect("valid")).collect(),
            old: key("AKIAOLDOLDOLDOLDOLDO"),
            new: key("AKIANEWNEWNEWNEWNEWN"),
            block: BlockShown {
                reason: "spare-key",
                message: "the user has a second key, AKIASPARESPARESPARES, and IAM allows no third: decide about it"
                    .to_owned(),
                command: format!("rotator resolve {ID} --delete-key AKIASPARESPARESPARES"),
                docs: "docs/operations.md#blocked-spare-key".to_owned(),
            },
        }
    }

    fn row(&self, user: usize, state: &'static str) -> RotationRow<'_> {
        RotationRow {
            id: ID.parse().expect("valid"),
            account: &self.account,
            user: &self.users[user],
            old_key_id: &self.old,
            new_key_id: Some(&self.new),
            state,
            in_doubt: None,
            blocked: None,
            waiting_until: None,
            last_error: None,
            sinks: &[],
            requests: None,
            ended_at: None,
        }
    }

    fn waiting(&self, user: usize, state: &'static str, seconds: u64) -> RotationRow<'_> {
        let until = Timestamp::from_unix_seconds(NOW).plus(Duration::from_secs(seconds));
        let why = if state == "stored-new" { OVERLAP } else { QUARANTINE };
        RotationRow { waiting_until: Some(until), last_error: Some(why), ..self.row(user, state) }
    }

    /// One rotation of each kind, not in the order of the table.
    fn rows(&self) -> Vec<RotationRow<'_>> {
        vec![
            self.row(0, "deleted-old"),
            self.waiting(1, "deactivated-old", 601_000),
            RotationRow { last_error: Some("IAM throttled the call"), ..self.row(2, "opened") },
            RotationRow { in_doubt: Some("create-new"), new_key_id: None, ..self.row(3, "opened") },
            self.waiting(4, "stored-new", 3_541),
            RotationRow { blocked: Some(&self.block), ..self.row(5, "opened") },
        ]
    }
}

const USERS: [&str; 6] = ["alice", "shop-staging", "mailer", "cron", "shop-production", "web-prod"];

#[test]
fn what_needs_an_operator_comes_first_and_every_line_fits_80_columns() {
    let names = Names::new(&USERS);
    let expected = "\
USER             STEP                       NEXT
web-prod         BLOCKED  spare-key         see below
cron             opened: making the new key outcome not known yet
mailer           opened: no new key yet             failed for now, see below
shop-production  stored-new: both keys work             old key off in 1 h
shop-staging     deactivated-old: old key off   deleted in 6 d 23 h
alice            deleted-old: rotated   new key AKIANEWNEWNEWNEWNEWN

blocked web-prod: the user has a second key, AKIASPARESPARESPARES, and IAM
  allows no third: decide about it
  rotator resolve web-prod --delete-key AKIASPARESPARESPARES
  see docs/operations.md#blocked-spare-key

failed for now mailer: IAM throttled the call
";
    let text = rotation_rows(names.rows(), &look(Some(80), false, false));
    let squeezed =
        |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    assert_eq!(squeezed(&text), squeezed(expected), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn a_narrow_terminal_folds_the_cells() {
    let names = Names::new(&USERS);
    let text = rotation_rows(names.rows(), &look(Some(48), false, false));
    assert!(text.lines().all(|line| line.len() <= 48), "{text}");
    let command = "  rotator resolve web-prod \\\n    --delete-key AKIASPARESPARESPARES\n";
    assert!(text.contains(command), "{text}");
}

#[test]
fn colours_say_what_the_words_say() {
    let names = Names::new(&USERS);
    let text = rotation_rows(names.rows(), &look(Some(80), true, false));
    for coloured in [
        "\u{1b}[31mBLOCKED  spare-key\u{1b}[0m",
        "\u{1b}[33mstored-new: both keys work\u{1b}[0m",
        "\u{1b}[32mdeleted-old: rotated\u{1b}[0m",
        "\u{1b}[31mopened: no new key yet\u{1b}[0m",
        "\n\u{1b}[31mblocked\u{1b}[0m web-prod:",
    ] {
        assert!(text.contains(coloured), "{coloured:?} in {text}");
    }
}

#[test]
fn the_wide_table_has_the_ids_and_the_states() {
    let names = Names::new(&USERS);
    // A terminal that is too narrow for the table: no id is cut, and no word of a state.
    let text = rotation_rows(names.rows(), &look(Some(80), false, true));
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    for line in [format!("ROTATION  {ID}"), "NEW KEY   AKIANEWNEWNEWNEWNEWN".to_owned()] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let text = rotation_rows(names.rows(), &look(None, false, true));
    let head = text.lines().next().expect("a line");
    assert_eq!(head.split_whitespace().collect::<Vec<_>>().join(" "), "ROTATION USER OLD KEY NEW KEY STATE");
    let line = text.lines().nth(1).expect("a line");
    for word in [ID, "web-prod", "AKIAOLDOLDOLDOLDOLDO", "AKIANEWNEWNEWNEWNEWN", "opened, blocked: spare-key"] {
        assert!(line.contains(word), "{word} in {line}");
    }
}

#[test]
fn there_is_one_line_for_all_that_wait_for_the_same_and_none_for_the_usual_waits() {
    let names = Names::new(&USERS);
    let throttled = |user| RotationRow { last_error: Some("IAM throttled the call"), ..names.row(user, "opened") };
    let rows = vec![throttled(0), throttled(1), names.waiting(2, "stored-new", 60)];
    let text = rotation_rows(rows, &look(None, false, false));
    assert!(text.ends_with("\n\nfailed for now alice, shop-staging: IAM throttled the call\n"), "{text}");
    let mut unusual = names.waiting(2, "stored-new", 60);
    unusual.last_error = Some("the old key was still used");
    let text = rotation_rows(vec![unusual], &look(None, false, false));
    assert!(text.contains("goes on in 1 min"), "{text}");
    assert!(text.ends_with("\n\nwaiting mailer: the old key was still used\n"), "{text}");
}

#[test]
fn two_rotations_of_one_name_are_named_by_their_ids() {
    let names = Names::new(&["shop", "shop"]);
    let blocked = |user| RotationRow { blocked: Some(&names.block), ..names.row(user, "opened") };
    let text = rotation_rows(vec![blocked(0), blocked(1)], &look(None, false, false));
    assert!(text.contains(&format!("rotator resolve {ID} --delete-key")), "{text}");
    let one = rotation_rows(vec![blocked(0), names.row(1, "deleted-old")], &look(None, false, false));
    assert!(one.contains("rotator resolve shop --delete-key"), "a closed rotation is not meant: {one}");
}

#[test]
fn many_that_ended_well_are_counted() {
    let users: Vec<String> = (0..30).map(|number| format!("user-{number:02}")).collect();
    let names = Names::new(&users.iter().map(String::as_str).collect::<Vec<_>>());
    let mut rows: Vec<_> = (0..28).map(|user| names.row(user, "deleted-old")).collect();
    rows.push(names.waiting(28, "stored-new", 60));
    rows.push(RotationRow { last_error: Some("why"), ..names.row(29, "aborted") });
    let text = rotation_rows(rows, &look(Some(80), false, false));
    assert_eq!(text.lines().filter(|line| line.contains("deleted-old: rotated")).count(), MOST_DONE, "{text}");
    assert!(text.contains("… and 8 more rotated (`rotator status --all`"), "{text}");
    assert!(text.contains("user-28") && text.contains("user-29"), "{text}");
}

/// A key that is off can come back, a deleted one cannot.
#[test]
fn the_end_of_an_overlap_says_whether_the_old_key_is_turned_off_or_deleted() {
    let names = Names::new(&USERS);
    let row = |why| RotationRow { last_error: Some(why), ..names.waiting(4, "stored-new", 3_541) };
    for (why, next) in [(OVERLAP, "old key off in 1 h"), (OVERLAP_THEN_DELETE, "old key deleted in 1 h")] {
        let text = rotation_rows(vec![row(why)], &look(Some(80), false, false));
        assert!(text.contains(next), "{text}");
    }
}
