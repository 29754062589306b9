//! Whether IAM allows what a rotation changes, as far as IAM can tell without a change: `iam:SimulatePrincipalPolicy`.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::aws::{Aws, Decision, Simulated, Verdict};
use crate::cli::commands::policy::{Found, Needed, Principal, needed};
use crate::cli::config::Config;
use crate::cli::wiring::aws::AwsAccounts;
use crate::engine::rate_limit::{Operation, RateLimiter};
use crate::engine::session::Session;
use crate::ports::call::CallErrorKind;
use crate::ports::identity::{Caller, Identity};

/// How many resources one call names, and one statement at most. The call is slow, and its quota is low.
const RESOURCES_OF_A_CALL: usize = 50;
const MOST_RESOURCES: usize = 100;

/// How many resources a message names for each action.
const MOST_NAMED: usize = 3;

/// What IAM says about the credentials of one account.
pub(super) enum Rights {
    /// Everything that is needed is allowed. The text says which part of it was asked about, if not all was.
    Allowed(String),
    /// IAM cannot be asked. The text says why.
    Untested(String),
    /// Something is denied, as far as a simulation can tell.
    Unsure(String),
    Denied(String),
}

/// Asks IAM about the credentials of each account. Each answer begins with its account if there are several.
pub(super) async fn ask(
    config: &Config,
    session: &Session,
    aws: &AwsAccounts,
    found: Option<&Found>,
    needs_last_use: bool,
) -> Vec<(String, Rights)> {
    let mut all = Vec::new();
    let stores_only = aws.of_stores_only(config);
    let are_several = session.accounts.are_several() || stores_only.is_some();
    for account in session.accounts.reachable() {
        let (configured, clients) = aws.of_label(&account.ports.label);
        let asked = Asked { aws: clients, caller: &account.caller, limiter: &account.limiter };
        let name = if are_several { format!("account {}: ", account.caller.account) } else { String::new() };
        let principal = Principal::Account(configured);
        let region = clients.region().unwrap_or("*");
        let wanted = needed(config, &principal, &account.caller, region, found, needs_last_use);
        all.push((name, asked.rights(&wanted, found.is_some()).await));
    }
    if let (Some(clients), Some(account)) = (stores_only, session.accounts.reachable().first()) {
        let name = "the credentials of the stores: ".to_owned();
        all.push(match account.limiter.read(Operation::GetCallerIdentity, || clients.caller()).await {
            Ok(caller) => {
                let asked = Asked { aws: clients, caller: &caller, limiter: &account.limiter };
                let region = clients.region().unwrap_or("*");
                let wanted = needed(config, &Principal::OnlyStores, &caller, region, found, needs_last_use);
                (name, asked.rights(&wanted, found.is_some()).await)
            }
            Err(error) => (name, Rights::Untested(error.message)),
        });
    }
    all
}

/// Credentials that are asked about.
struct Asked<'a> {
    aws: &'a Aws,
    caller: &'a Caller,
    limiter: &'a RateLimiter,
}

/// The actions that are denied on resources for the same reason.
type Denials = BTreeMap<(String, Verdict), BTreeSet<String>>;

impl Asked<'_> {
    /// `is_found`: the resources are those of a search, and no patterns.
    async fn rights(&self, wanted: &[Needed], is_found: bool) -> Rights {
        let principal = match self.principal().await {
            Ok(principal) => principal,
            Err(why) => return Rights::Untested(why),
        };
        let (mut denied, mut unsure, mut conditions) = (Denials::new(), Denials::new(), BTreeSet::new());
        let mut left_out = 0;
        for needed in wanted {
            left_out += needed.resources.len().saturating_sub(MOST_RESOURCES);
            let asked = needed.resources.get(..MOST_RESOURCES).unwrap_or(&needed.resources);
            for resources in asked.chunks(RESOURCES_OF_A_CALL) {
                let simulate = || self.aws.simulate(&principal.arn, &needed.actions, resources);
                let decisions = match self.limiter.read(Operation::SimulatePrincipalPolicy, simulate).await {
                    Ok(Simulated::Decided(decisions)) => decisions,
                    Ok(other) => return Rights::Untested(principal.why_untested(other)),
                    Err(error) => return Rights::Untested(error.message),
                };
                let is_sure = is_found || needed.resources == ["*"];
                sort(&decisions, needed, is_sure, &mut denied, &mut unsure, &mut conditions);
            }
        }
        let rest = if left_out > 0 { format!(", without {left_out} more users or entries") } else { String::new() };
        match (denied.is_empty(), unsure.is_empty()) {
            (true, true) => Rights::Allowed(rest),
            (true, false) => Rights::Unsure(format!("{}\n{}", in_words(&unsure), why_unsure(is_found, &conditions))),
            (false, _) => {
                denied.extend(unsure);
                Rights::Denied(in_words(&denied))
            }
        }
    }

    /// The user or role whose policies count. The ARN of a session has neither the path of its role nor the right form.
    async fn principal(&self) -> Result<SimulatedPrincipal, String> {
        let arn = &self.caller.arn;
        match resource_of(arn) {
            resource if resource.starts_with("user/") => Ok(SimulatedPrincipal { arn: arn.clone(), guessed: None }),
            "root" => {
                Err("IAM does not simulate the root user; use a user or a role of its own for rotator".to_owned())
            }
            resource => {
                let role = resource.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next());
                let role = role.ok_or("IAM simulates only users and roles")?;
                match self.limiter.read(Operation::GetRole, || self.aws.role_arn(role)).await {
                    Ok(arn) => Ok(SimulatedPrincipal { arn, guessed: None }),
                    Err(error) if error.kind == CallErrorKind::Throttled => Err(error.message),
                    Err(_) => {
                        let (partition, account) = (self.caller.partition(), &self.caller.account);
                        let arn = format!("arn:{partition}:iam::{account}:role/{role}");
                        Ok(SimulatedPrincipal { arn, guessed: Some(role.to_owned()) })
                    }
                }
            }
        }
    }
}

/// The last part of an ARN.
fn resource_of(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or_default()
}

struct SimulatedPrincipal {
    arn: String,
    /// The name of the role, if its path could not be read.
    guessed: Option<String>,
}

impl SimulatedPrincipal {
    fn why_untested(&self, outcome: Simulated) -> String {
        match (outcome, &self.guessed) {
            (Simulated::NotAllowed, None) => "iam:SimulatePrincipalPolicy is not allowed".to_owned(),
            (Simulated::NotAllowed | Simulated::NoSuchPrincipal, Some(role)) => format!(
                "iam:SimulatePrincipalPolicy is not allowed, or the role {role} has a path, which is not known without \
                 iam:GetRole"
            ),
            (Simulated::NotKnown, _) => "the endpoint does not know SimulatePrincipalPolicy".to_owned(),
            (Simulated::NoSuchPrincipal, None) => format!("IAM does not know {}", self.arn),
            (Simulated::Failed(why), _) => format!("{why}; an endpoint that is not AWS's may not know the call"),
            (Simulated::Decided(_), _) => "nothing was decided".to_owned(),
        }
    }
}

/// Sorts what is denied by whether that is sure. A simulation that denies what has just been allowed lacks something.
fn sort(
    decisions: &BTreeMap<(String, String), Decision>,
    needed: &Needed,
    is_found: bool,
    denied: &mut Denials,
    unsure: &mut Denials,
    conditions: &mut BTreeSet<String>,
) {
    let is_denied = |decision: &Decision| decision.verdict != Verdict::Allowed;
    let contradicted: BTreeSet<&String> = decisions
        .iter()
        .filter(|((action, _), decision)| needed.proven == Some(action.as_str()) && is_denied(decision))
        .map(|((_, resource), _)| resource)
        .collect();
    for ((action, resource), decision) in decisions.iter().filter(|(_, decision)| is_denied(decision)) {
        let may_be_allowed = !is_found
            || contradicted.contains(resource)
            || !decision.unknown_conditions.is_empty()
            || (needed.has_own_policy && decision.verdict == Verdict::ImplicitDeny);
        conditions.extend(decision.unknown_conditions.iter().cloned());
        let kept = if may_be_allowed { &mut *unsure } else { &mut *denied };
        kept.entry((action.clone(), decision.verdict)).or_default().insert(resource.clone());
    }
}

/// One line for each action and reason.
fn in_words(denials: &Denials) -> String {
    let line = |((action, verdict), resources): (&(String, Verdict), &BTreeSet<String>)| {
        let why = match verdict {
            Verdict::Allowed => "it is allowed",
            Verdict::ImplicitDeny => "no policy allows it",
            Verdict::Boundary => "the permissions boundary does not allow it",
            Verdict::Organization => "a policy of the organization does not allow it",
            Verdict::ExplicitDeny => "a policy denies it expressly",
        };
        let named: Vec<&str> = resources.iter().take(MOST_NAMED).map(String::as_str).collect();
        let more = resources.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("\n{action}: {why}, on {}{more}", named.join(", "))
    };
    denials.iter().map(line).collect()
}

fn why_unsure(is_found: bool, conditions: &BTreeSet<String>) -> String {
    let mut text = "it may be allowed all the same: ".to_owned();
    text.push_str(if is_found {
        "a simulation knows neither the path of a user, the last letters of a secret's ARN, the policy of a secret nor that \
         of a session"
    } else {
        "no key was found, so that only patterns were asked about, and a narrower policy may be enough"
    });
    if !conditions.is_empty() {
        let named: Vec<&str> = conditions.iter().map(String::as_str).collect();
        text.push_str(&format!("; conditions whose values it does not know: {}", named.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "arn:aws:iam::123456789012:user/alice";

    fn of_user() -> Needed {
        let actions = vec!["iam:CreateAccessKey", "iam:ListAccessKeys"];
        let proven = Some("iam:ListAccessKeys");
        Needed { actions, resources: vec![USER.to_owned()], proven, has_own_policy: false }
    }

    fn sorted(needed: &Needed, is_found: bool, decided: &[(&str, Verdict, &[&str])]) -> (String, String) {
        let decision = |(action, verdict, unknown): &(&str, Verdict, &[&str])| {
            let unknown_conditions = unknown.iter().map(|key| (*key).to_owned()).collect();
            (((*action).to_owned(), USER.to_owned()), Decision { verdict: *verdict, unknown_conditions })
        };
        let decisions = decided.iter().map(decision).collect();
        let (mut denied, mut unsure, mut conditions) = (Denials::new(), Denials::new(), BTreeSet::new());
        sort(&decisions, needed, is_found, &mut denied, &mut unsure, &mut conditions);
        (in_words(&denied), in_words(&unsure))
    }

    #[test]
    fn a_denial_is_told_by_its_cause() {
        for (verdict, why) in [
            (Verdict::ImplicitDeny, "no policy allows it"),
            (Verdict::ExplicitDeny, "a policy denies it expressly"),
            (Verdict::Boundary, "the permissions boundary does not allow it"),
            (Verdict::Organization, "a policy of the organization does not allow it"),
        ] {
            let decided = [("iam:CreateAccessKey", verdict, &[][..]), ("iam:ListAccessKeys", Verdict::Allowed, &[])];
            let expected = format!("\niam:CreateAccessKey: {why}, on {USER}");
            assert_eq!(sorted(&of_user(), true, &decided), (expected, String::new()));
        }
    }

    #[test]
    fn a_simulation_that_denies_what_has_just_been_allowed_is_not_believed() {
        let both = ["iam:CreateAccessKey", "iam:ListAccessKeys"].map(|action| (action, Verdict::ImplicitDeny, &[][..]));
        let (denied, unsure) = sorted(&of_user(), true, &both);
        assert!(denied.is_empty() && unsure.contains("iam:CreateAccessKey"), "{denied}{unsure}");
    }

    #[test]
    fn what_depends_on_an_unknown_condition_or_on_another_policy_is_not_sure() {
        let condition = ["aws:MultiFactorAuthPresent"];
        let conditional = [("iam:CreateAccessKey", Verdict::ExplicitDeny, &condition[..])];
        let implicit = [("iam:CreateAccessKey", Verdict::ImplicitDeny, &[][..])];
        let explicit = [("iam:CreateAccessKey", Verdict::ExplicitDeny, &[][..])];
        let with_policy = Needed { has_own_policy: true, ..of_user() };
        assert!(sorted(&of_user(), true, &conditional).0.is_empty());
        assert!(sorted(&with_policy, true, &implicit).0.is_empty());
        assert!(sorted(&with_policy, true, &explicit).1.is_empty());
        assert!(sorted(&of_user(), false, &implicit).0.is_empty(), "only patterns were asked about");
    }

    #[test]
    fn every_denied_action_is_named_and_a_few_of_its_resources() {
        let users: BTreeSet<String> = (0..5).map(|number| format!("user/{number}")).collect();
        let denials = Denials::from([(("iam:CreateAccessKey".to_owned(), Verdict::ImplicitDeny), users)]);
        let expected = "\niam:CreateAccessKey: no policy allows it, on user/0, user/1, user/2 and 2 more";
        assert_eq!(in_words(&denials), expected);
    }
}
