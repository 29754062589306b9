//! An inactive spare key that `spare_key = "delete-inactive"` must not delete.

use rotator::adapters::sqlite_journal::SqliteJournal;
use rotator::journal::store::JournalStore;
use rotator::rotation::event::Opened;
use rotator::rotation::record::Rotation;
use rotator::sandbox::KeyStatus;
use rotator::types::name::{AccessKeyId, UserName};

use super::bench::Bench;
use crate::support::rotations::{Story, campaign_id, moment, rotation_id};

/// Journals an earlier rotation, closed, whose lost request may still deactivate this key.
async fn journal_a_lost_deactivation(bench: &Bench, user: &str, key: &AccessKeyId) {
    let (id, campaign) = (rotation_id(1), campaign_id(1));
    let journal = SqliteJournal::open(&bench.path("journal.db")).expect("a journal");
    journal.begin_campaign(campaign, moment(1)).await.expect("begun");
    let mut story = Story::new(id, campaign, 1);
    let user = UserName::new(user).expect("a name");
    let opened = Opened { user, may_turn_inactive: [key.clone()].into(), ..story.rotation.opened.clone() };
    story.rotation = Rotation::open(id, opened);
    let mut lines = vec![story.open()];
    lines.extend(story.finish(31));
    for (line, rotation) in lines {
        journal.append(line, &rotation).await.expect("appended");
    }
    journal.close_campaign(campaign).await.expect("closed");
}

#[tokio::test]
async fn an_inactive_spare_that_a_lost_request_of_an_earlier_rotation_may_have_deactivated_stays() {
    let bench = Bench::with_users(&["app1/production"]);
    let spare = bench.sandbox.create_key("app1/production").expect("a second key").id;
    bench.sandbox.set_status("app1/production", spare.as_str(), KeyStatus::Inactive).expect("set");
    bench.write("rotator.toml", "[policy]\nspare_key = \"delete-inactive\"\n");
    // The user had another name when that request was sent.
    journal_a_lost_deactivation(&bench, "app1/before", &spare).await;
    bench.run(&["plan"]).code(0).prints("may have deactivated it").prints("nothing can be rotated");
    bench.run(&["run"]).code(4).prints("may have deactivated it");
    assert!(bench.sandbox.keys_of("app1/production").iter().any(|key| key.id == spare), "it is still there");
}
