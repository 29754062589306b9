//! T2: a model of the protocol, explored exhaustively. The machine in it is the real one (`plan`, `reconcile`, `apply`);
//! its environment is small: IAM's keys, the places of a pair, requests under way, an operator.
//!
//! Each row below is a bound, and within it every state is visited. A row bounds the numbers of crashes, lost replies
//! (executed at once, late or never), lagging lists, pauses between an observation and its effect, acts of an operator,
//! permanently revoked rights, users that are renamed, deleted or created again, and answers to blocks.

mod dates;
mod execute;
mod facts;
mod fingerprint;
mod machine;
mod moves;
mod operator;
mod promises;
mod rights;
mod rows;
mod search;
mod seen;
mod setup;
mod take;
mod users;
mod visit;
mod windows;
mod world;

use search::Model;
use windows::WINDOWS;

use crate::support::proof::{self, Proof};

#[test]
fn no_way_through_the_protocol_breaks_a_promise() {
    let mut proof = Proof::of("T2", "every state of the protocol within its bounds", &WINDOWS);
    let rows = if proof::is_full() { [rows::in_ci(), rows::in_full()].concat() } else { rows::in_ci() };
    for setup in rows {
        let mut model = Model::new(setup);
        model.explore();
        for (window, times) in &model.hits {
            if WINDOWS.contains(window) { proof.hit(window, *times) } else { proof.count(window, *times) }
        }
        proof.count("states", model.states);
        proof.count("transitions", model.transitions);
        proof.count("ends", model.ends);
        proof.count("questions to the machine", model.machine.questions() as u64);
        proof.case();
    }
    proof.conclude();
}
