//! `demo`: shows the main promise. The real binary is killed between creating keys and storing them, and recovers.
//! Everything is on loopback and in a temporary folder; the keys are not AWS keys. The command fails if a promise is
//! broken.

mod scene;

use std::time::Duration;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::paragraph::paragraph;
use crate::cli::output::printable::printable;
use crate::cli::output::terminal::{LEAST_WIDTH, to_stdout};
use crate::cli::runtime::block_on;
use crate::sandbox::{Action, Fault, FaultKind};

use scene::{Child, Scene};

/// How long the first run may take until its new keys exist in IAM.
const PATIENCE: Duration = Duration::from_secs(30);

/// The text before each line of a command.
const INDENT: &str = "  ";

/// How many times `resume` may be needed.
const MOST_TRIES: u32 = 10;

/// Runs `rotator demo`.
///
/// # Errors
/// Exit code 1 if a promise is broken.
pub fn demo(context: &Context) -> Result<Exit, CliError> {
    let width = context.terminal.look().width;
    let scene = Scene::build(width.map(|width| width.saturating_sub(INDENT.len())))?;
    let demo = Demo { scene: &scene, width };
    demo.prepare()?;
    demo.kill_between()?;
    demo.recover()?;
    demo.show_the_end()?;
    Ok(Exit::Done)
}

/// The demo on a terminal of this width.
struct Demo<'a> {
    scene: &'a Scene,
    width: Option<usize>,
}

impl Demo<'_> {
    fn prepare(&self) -> Result<(), CliError> {
        let scene = self.scene;
        self.tell("A look-alike of AWS IAM runs on this machine. A new secret store gets these entries:\n")?;
        let import = scene.rotator(&["store", "import", "-"], Some(&scene.secrets_as_json()))?;
        expect(import.code == Some(0), "the import succeeds", &import)?;
        self.indent(&scene.rotator(&["store", "list"], None)?.stdout)?;
        let users = scene.users().len();
        self.tell(&format!("\nFive apps, {users} of them with an AWS access key. Each key belongs to an IAM user.\n"))
    }

    fn kill_between(&self) -> Result<(), CliError> {
        let scene = self.scene;
        let users = scene.users().len();
        self.tell("\n$ rotator run\n")?;
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
        self.tell(&format!(
            "  … killed (SIGKILL) when IAM had made {users} new keys, and none was stored yet.\n  \
         Their secrets are lost for ever: only IAM's one reply ever held them.\n  \
         The apps have not noticed: the store still holds the old pairs, and they work.\n"
        ))?;
        self.tell("\n$ rotator status\n")?;
        let status = scene.rotator(&["status"], None)?;
        expect(status.code == Some(0), "status succeeds", &status)?;
        self.indent(&status.stdout)
    }

    fn recover(&self) -> Result<(), CliError> {
        let scene = self.scene;
        self.tell("\n$ rotator resume --wait\n")?;
        let mut last = scene.rotator(&["resume", "--wait"], None)?;
        for _ in 1..MOST_TRIES {
            if last.code == Some(0) {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
            last = scene.rotator(&["resume", "--wait"], None)?;
        }
        expect(last.code == Some(0), "`rotator resume` ends", &last)?;
        self.indent(&last.stdout)?;
        self.tell(
            "  The keys whose secrets were lost are deleted; others are made, proved and\n  \
         stored, and only then the old ones deleted.\n  \
         The new keys are not those of the killed run.\n",
        )
    }

    fn show_the_end(&self) -> Result<(), CliError> {
        let scene = self.scene;
        self.tell("\nEach rotation, as the journal has it:\n")?;
        let status = scene.rotator(&["status", "--all", "--output", "json"], None)?;
        let mut states = scene::states(&status.stdout)?;
        states.sort();
        expect(states.len() == scene.users().len(), "each user has one rotation", &status)?;
        expect(states.iter().all(|(_, state)| state == "deleted-old"), "each rotation ends deleted-old", &status)?;
        self.tell(&states.iter().map(|(user, state)| format!("  {user}: {state}\n")).collect::<String>())?;

        self.tell("\nWhat IAM and the store hold now:\n")?;
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
            self.tell(&format!("  {user}: {} in IAM and in the store; it works\n", key.id))?;
        }
        for entry in scene.untouched() {
            if !scene.is_unchanged(entry)? {
                return Err(broken(&format!("{entry} is unchanged"), ""));
            }
            self.tell(&format!("  {entry}: not a byte has changed\n"))?;
        }
        self.tell("\nNothing of this is left behind. Next: `rotator init`, then `rotator doctor`.\n")
    }

    fn tell(&self, text: &str) -> Result<(), CliError> {
        to_stdout(paragraph(text, 2, self.width).as_bytes())
    }

    /// What a command printed. It is folded already, for a terminal that is narrower by the indent.
    fn indent(&self, text: &str) -> Result<(), CliError> {
        let indent = if self.width.is_some_and(|width| width < LEAST_WIDTH + INDENT.len()) { "" } else { INDENT };
        let lines: String = text.lines().map(|line| format!("{indent}{}\n", printable(line).trim_end())).collect();
        to_stdout(lines.as_bytes())
    }
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
