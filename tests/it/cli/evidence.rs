//! Late facts of IAM: the former status of a key, a key that IAM does not know yet, a use that is reported ten minutes
//! later; and a create that arrives twice.

use std::time::Duration;

use rotator::sandbox::{Action, ApiError, Behaviour, Fault, FaultKind, KeyStatus, SentAnswer};

use super::bench::Bench;
use crate::support::aws::{self, Pair};

const USER: &str = "app1/production";

fn behaves(bench: &Bench, behaviour: Behaviour) {
    bench.sandbox.set_behaviour(Behaviour { allow_slash_in_user_names: true, ..behaviour });
}

fn status(bench: &Bench, key: &str) -> Option<KeyStatus> {
    bench.sandbox.keys_of(USER).iter().find(|has| has.id.as_str() == key).map(|has| has.status)
}

#[test]
fn a_reactivation_in_doubt_is_sent_again_whatever_a_late_list_shows() {
    for fault in [FaultKind::LostReplyBefore, FaultKind::InternalFailure, FaultKind::LostReplyAfter] {
        let bench = Bench::with_users(&[USER]);
        let old = bench.key_of(USER);
        behaves(&bench, Behaviour { status_lag: Duration::from_secs(3600), ..Behaviour::default() });
        bench.run(&["run", "--quarantine", "7d"]).code(3).prints("deactivated-old");
        assert_eq!(status(&bench, &old), Some(KeyStatus::Inactive));
        let (id, _) = bench.rotation_of(USER);
        // The list shows the key active, as it was before rotator itself deactivated it.
        bench.sandbox.arm(Fault::new(fault.clone()).on(Action::UpdateAccessKey));
        let mut ended = bench.run(&["reactivate", &id]);
        for _ in 0..10 {
            if ended.code != 3 {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
            ended = bench.run(&["resume"]);
        }
        ended.code(4);
        assert_eq!(status(&bench, &old), Some(KeyStatus::Active), "{fault:?}: it is said to be active, and is not");
    }
}

#[test]
fn a_new_key_that_iam_does_not_know_yet_is_deleted_all_the_same() {
    for times in [1, 2] {
        let bench = Bench::with_users(&[USER]);
        let old = bench.key_of(USER);
        bench.sandbox.advance(Duration::from_secs(120));
        // The new pair is not accepted, so its key is discarded a second after it was made; IAM does not know it yet.
        let invalid = ApiError::new(403, "InvalidClientTokenId", "The security token is invalid.".to_owned());
        let refused = Fault::new(FaultKind::Refuse(invalid)).on(Action::GetCallerIdentity).for_user(USER);
        bench.sandbox.arm(refused.nth(2).always());
        let unknown = ApiError::new(404, "NoSuchEntity", "The Access Key with id AKIA cannot be found.".to_owned());
        bench.sandbox.arm(Fault::new(FaultKind::Refuse(unknown)).on(Action::DeleteAccessKey).times(times));
        let run = || {
            let mut command = bench.command(&["run"]);
            command.env("ROTATOR_POLICY_SETTLE", "60s").env("ROTATOR_POLICY_PROOF_TIMEOUT", "1s");
            super::bench::Ended::from(command.output().expect("it starts"))
        };
        let mut said = String::new();
        for _ in 0..10 {
            let ended = run();
            said.push_str(&ended.stdout);
            let is_alone = bench.sandbox.keys_of(USER).len() == 1;
            assert!(
                is_alone || ended.code == 3,
                "{times} times unknown: a key is left in IAM and not reported:\n{said}"
            );
            if is_alone {
                break;
            }
            bench.sandbox.advance(Duration::from_secs(61));
        }
        assert_eq!(bench.key_of(USER), old, "{times} times unknown:\n{said}");
    }
}

#[tokio::test]
async fn a_strangers_key_that_is_used_all_the_time_is_never_deleted_however_late_aws_tells_of_it() {
    for lag in [Duration::from_secs(10 * 60), Duration::from_secs(14 * 60)] {
        let bench = Bench::with_users(&[USER]);
        behaves(&bench, Behaviour { last_used_lag: lag, ..Behaviour::default() });
        // The request of our create is lost, and another IAM client creates a key for the user at the same moment.
        bench.sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::CreateAccessKey));
        let mut command = bench.command(&["run"]);
        command.env("ROTATOR_POLICY_UNCLAIMED_AFTER", "15m").env("ROTATOR_AWS_CALL_TIMEOUT", "1s");
        let mut run = command.spawn().expect("started");
        tokio::time::timeout(Duration::from_secs(30), bench.sandbox.held(1)).await.expect("a create is held");
        let strangers = bench.sandbox.create_key(USER).expect("a key");
        run.wait().expect("it ends");
        bench.sandbox.disarm_all();
        let pair = Pair::new(strangers.id.as_str(), strangers.secret.expose());
        let mut said = String::new();
        let mut is_asked = false;
        for _ in 0..60 {
            // An error means that rotator has deactivated it for now.
            let _ = aws::sts(bench.sandbox.addr(), &pair).get_caller_identity().send().await;
            let ended = bench.run(&["resume"]);
            said.push_str(&format!("{}{}{}\n", ended.code, ended.stdout, ended.stderr));
            is_asked = ended.code == 4;
            if is_asked {
                break;
            }
            bench.sandbox.advance(Duration::from_secs(60));
        }
        assert!(is_asked, "a lag of {lag:?}: no operator is asked:\n{said}");
        assert_eq!(status(&bench, strangers.id.as_str()), Some(KeyStatus::Active), "a lag of {lag:?}");
    }
}

#[test]
fn a_create_that_arrives_twice_leaves_no_key_behind() {
    for reported in [SentAnswer::First, SentAnswer::Second] {
        let bench = Bench::with_users(&[USER]);
        bench.sandbox.arm(Fault::new(FaultKind::Twice(reported)).on(Action::CreateAccessKey));
        let mut said = String::new();
        for _ in 0..40 {
            let ended = bench.run(&["run"]);
            said.push_str(&ended.stdout);
            if ended.code != 3 {
                break;
            }
            bench.sandbox.advance(Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(200));
        }
        let keys = bench.sandbox.keys_of(USER).len();
        let is_told = said.contains("resolve") || said.contains("--delete-key");
        assert!(keys == 1 || is_told, "{reported:?}: {keys} keys, and no command is given:\n{said}");
        assert!(!said.contains("not ours"), "{said}");
    }
}
