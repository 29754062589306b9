//! `demo`: shows the main promise. The real binary is killed between creating keys and storing them, and recovers.
//! Everything is on loopback and in a temporary folder; the keys are not AWS keys. The command fails if a promise is
//! broken.

mod scene;

use std::time::Duration;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::printable::printable;
use crate::cli::output::terminal::to_stdout;
use crate::cli::runtime::block_on;
use crate::sandbox::{Action, Fault, FaultKind};

use scene::{Child, Scene};

/// How long the first run may take until its new keys exist in IAM.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many times `resume` may be needed.
const MOST_TRIES: u32 = 10;

/// Runs `rotator demo`.
///
/// # Errors
/// Exit code 1 if a promise is broken.
pub fn demo(_: &Context) -> Result<Exit, CliError> {
    let scene = Scene::build()?;
    prepare(&scene)?;
    kill_between(&scene)?;
    recover(&scene)?;
    show_the_end(&scene)?;
    Ok(Exit::Done)
}

fn prepare(scene: &Scene) -> Result<(), CliError> {
    tell("A look-alike of AWS IAM runs on this machine, and a new secret store is filled with these entries:\n")?;
    let import = scene.rotator(&["store", "import", "-"], Some(&scene.secrets_as_json()))?;
    expect(import.code == Some(0), "the import succeeds", &import)?;
    indent(&scene.rotator(&["store", "list"], None)?.stdout)?;
    let users = scene.users().len();
    tell(&format!("\nFive apps, {users} of them with an AWS access key. Each key belongs to an IAM user.\n"))
}

fn kill_between(scene: &Scene) -> Result<(), CliError> {
    let users = scene.users().len();
    tell("\n$ rotator run\n")?;
    // The first call that is signed with a user's pair is the proof of the old pair. Later calls are proofs of new
    // pairs, before they are stored. Holding those calls keeps every rotation between creating a key and storing it.
    for user in scene.users() {
        let proofs = Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).for_user(user);
        scene.sandbox.arm(proofs.nth(2).always());
    }
    let mut run = scene.spawn(&["run"])?;
    let held = block_on(async { Ok(tokio::time::timeout(PATIENCE, scene.sandbox.held(users)).await.is_ok()) })?;
    let killed = run.kill()?;
    scene.sandbox.disarm_all();
    scene.sandbox.release(None);
    expect(held, "each user gets a new key before rotator is killed", &killed)?;
    expect(killed.signal == Some(9), "rotator is killed by SIGKILL", &killed)?;
    for user in scene.users() {
        expect(scene.sandbox.keys_of(user).len() == 2, "the killed run has left two keys", &killed)?;
        expect(scene.store_holds_the_old_pair(user)?, "the store still holds the old pair", &killed)?;
    }
    tell(&format!(
        "  … killed (SIGKILL) just after IAM had made {users} new keys, and before any was stored.\n  \
         The secrets of these new keys are lost for ever: nothing but IAM's one reply ever held them.\n  \
         The apps have not noticed: the store still holds the old pairs, and they work.\n"
    ))?;
    tell("\n$ rotator status\n")?;
    let status = scene.rotator(&["status"], None)?;
    expect(status.code == Some(0), "status succeeds", &status)?;
    indent(&status.stdout)
}

fn recover(scene: &Scene) -> Result<(), CliError> {
    tell("\n$ rotator resume --wait\n")?;
    let mut last = scene.rotator(&["resume", "--wait"], None)?;
    for _ in 1..MOST_TRIES {
        if last.code == Some(0) {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
        last = scene.rotator(&["resume", "--wait"], None)?;
    }
    expect(last.code == Some(0), "`rotator resume` ends", &last)?;
    indent(&last.stdout)?;
    tell(
        "  The keys whose secrets were lost are deleted; others are made, proved and stored, and only then the old ones\n  \
         deleted. Note that the new keys are not those of the killed run.\n",
    )
}

fn show_the_end(scene: &Scene) -> Result<(), CliError> {
    tell("\nEach rotation, as the journal has it:\n")?;
    let status = scene.rotator(&["status", "--all", "--output", "json"], None)?;
    let states = scene::states(&status.stdout)?;
    expect(states.len() == scene.users().len(), "each user has one rotation", &status)?;
    expect(states.iter().all(|(_, state)| state == "deleted-old"), "each rotation ends deleted-old", &status)?;
    indent(&states.iter().map(|(user, state)| format!("{user}: {state}\n")).collect::<String>())?;

    tell("\nWhat IAM and the store hold now:\n")?;
    for user in scene.users() {
        let keys = scene.sandbox.keys_of(user);
        let [key] = keys.as_slice() else {
            return Err(broken(&format!("{user} has one key, not {}", keys.len()), ""));
        };
        if !scene.store_holds_a_working_pair(user, key.id.as_str())? {
            return Err(broken(&format!("the pair of {user} in the store is {} and works", key.id), ""));
        }
        if scene.old_id(user) == Some(key.id.as_str()) {
            return Err(broken(&format!("the key of {user} is a new one"), ""));
        }
        indent(&format!("{user}: {} in IAM, the same in the store, and the stored pair works\n", key.id))?;
    }
    for entry in scene.untouched() {
        if !scene.is_unchanged(entry)? {
            return Err(broken(&format!("{entry} is unchanged"), ""));
        }
        indent(&format!("{entry}: not a byte has changed\n"))?;
    }
    tell("\nNothing of this is left behind. Next: `rotator init`, then `rotator doctor`.\n")
}

fn tell(text: &str) -> Result<(), CliError> {
    to_stdout(text.as_bytes())
}

fn indent(text: &str) -> Result<(), CliError> {
    let lines: String = text.lines().map(|line| format!("  {}\n", printable(line))).collect();
    to_stdout(lines.as_bytes())
}

fn expect(holds: bool, promise: &str, child: &Child) -> Result<(), CliError> {
    if holds { Ok(()) } else { Err(broken(promise, &format!("{}\n{}", child.stdout.trim(), child.stderr.trim()))) }
}

fn broken(promise: &str, said: &str) -> CliError {
    let said = said.trim();
    let said = if said.is_empty() { String::new() } else { format!("; rotator said:\n{said}") };
    CliError::failed(
        format!("the demo broke its promise that {promise}{said}"),
        "this is a defect: please report it, with what is printed above",
    )
}
