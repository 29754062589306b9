//! T7: `kill -9` of `run` and `resume` against moto, which checks signatures. moto holds no reply back and its clock is
//! the host's: proofs spread over time hold the window between create and store open, and what waits is waited out.
//!
//! Several rigs share one moto: while one waits, the others work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::kills::{LINES_EACH, RESUME_KILLED, WINDOWS, window_of};
use super::reader::Reader;
use super::rig::{CheckedMoto, Iam, Rig};
use crate::support::aws::{Pair, element};
use crate::support::moto::Moto;
use crate::support::program::AGAIN;
use crate::support::program::Program;
use crate::support::program::again;
use crate::support::proof::{self, Draw, Proof};

const RIGS: u64 = 4;
const USERS: u64 = 6;
/// moto answers some hundred calls a second: most of them are to be rotator's.
const READER_PAUSE: Duration = Duration::from_millis(150);

/// One more store and its users, at the same moto.
fn rig(iam: &Arc<CheckedMoto>, number: u64) -> Rig {
    let mut pairs = BTreeMap::new();
    for user in 0..USERS {
        let user = format!("app{user}/rig{number}");
        iam.administer("CreateUser", &user);
        let made = iam.administer("CreateAccessKey", &user);
        let part = |name| element(&made, name).expect("moto makes a key");
        pairs.insert(user, Pair::new(part("AccessKeyId"), part("SecretAccessKey")));
    }
    let program = Program::new(&format!("http://{}", iam.moto.addr()), &iam.admin)
        // A create in doubt is waited for as long.
        .with("ROTATOR_AWS_CALL_TIMEOUT", "1500ms")
        .with("ROTATOR_POLICY_PROOF_SPAN", "200ms");
    Rig::new(Arc::clone(iam) as Arc<dyn Iam>, program, &pairs)
}

/// One kill and what follows, or how a promise was broken. `typical` is how long a run takes.
fn round(rig: &Rig, typical: Duration, draw: &mut Draw, proof: &Mutex<Proof>) -> Result<(), String> {
    let reader = Reader::of(rig, READER_PAUSE);
    let kill = |command, draw: &mut Draw| {
        let mut running = rig.program.spawn(&[&again(command)[..], &["-q"]].concat());
        match draw.below(8) {
            0 => std::thread::sleep(typical.mul_f64(draw.fraction())),
            1..3 => rig.wait_for_store(1 + draw.below(USERS), &mut running),
            // The steps after a store write: its outcome, the proofs and the delete.
            3 => {
                rig.wait_for_store(1 + draw.below(USERS), &mut running);
                rig.wait_for_journal(1 + draw.below(LINES_EACH), &mut running);
            }
            _ => rig.wait_for_journal(1 + draw.below(LINES_EACH * USERS), &mut running),
        }
        let killed = running.kill().signal.is_some();
        rig.all_accepted()?;
        let status = rig.program.ends_with(0, &["status", "--output", "json"]).json();
        let mut proof = proof.lock().expect("no thread panicked");
        for window in status["rotations"].as_array().expect("rotations").iter().filter_map(window_of) {
            proof.hit(window, 1);
        }
        Ok::<_, String>((killed, status["counts"]["in_flight"] != 0))
    };
    let (killed, mut in_flight) = kill("run", draw)?;
    proof.lock().expect("no thread panicked").count(if killed { "killed" } else { "ended before" }, 1);
    for _ in 0..1 + draw.below(6) {
        if in_flight {
            let (killed, still) = kill("resume", draw)?;
            in_flight = still;
            proof.lock().expect("no thread panicked").hit(RESUME_KILLED, u64::from(killed));
        }
    }
    let resume = || rig.program.until_settled(&["resume", "-q", "--output", "json"], Duration::from_millis(500)).0;
    let mut ended = resume();
    if ended.code == Some(4) {
        // A rotation whose keys were lost as often as it may make one is to be aborted.
        let answered = rig.answer_blocks(&ended.json())?.len();
        proof.lock().expect("no thread panicked").count("blocks resolved by the command given", answered as u64);
        ended = resume();
    }
    if ended.code != Some(0) {
        return Err(format!("resume ends with {:?}: {}{}", ended.code, ended.stdout, ended.stderr));
    }
    proof.lock().expect("no thread panicked").count("pairs that the reader tried", reader.end()?);
    rig.all_settled()
}

#[tokio::test]
async fn killed_at_any_moment_it_recovers_where_signatures_are_checked() {
    let moto = Moto::start();
    let admin = moto.check_signatures().await;
    let iam = Arc::new(CheckedMoto { moto, admin });
    let (seed, next, cases) = (proof::seed(), AtomicU64::new(1), proof::cases(50, 1_000));
    let what = "kill -9 of run and resume against moto, signatures checked, a reader authenticating all the while";
    let proof = Mutex::new(Proof::of("T7", what, &WINDOWS));
    std::thread::scope(|threads| {
        for number in 0..RIGS {
            let (rig, next, proof) = (rig(&iam, number), &next, &proof);
            threads.spawn(move || {
                let began = Instant::now();
                rig.program.ends_with(0, &AGAIN);
                let typical = began.elapsed();
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if !proof.lock().expect("no thread panicked").needs(case, cases) {
                        return;
                    }
                    let outcome = round(&rig, typical, &mut Draw::new(seed, case), proof);
                    if let Err(broken) = outcome {
                        let status = rig.program.rotator(&["status"]).stdout;
                        panic!("kill {case} of seed {seed}: {broken}\n{status}");
                    }
                    proof.lock().expect("no thread panicked").case();
                }
            });
        }
    });
    proof.into_inner().expect("no thread panicked").conclude();
}
