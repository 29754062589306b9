//! SimulatePrincipalPolicy and GetRole: what the policies of rotator's own user or role allow. Nothing is changed.
//!
//! A simulation knows the policies of the user or role, those of its groups, its permissions boundary and the policies of
//! its organization. It knows neither resource policies nor the policy of a session, and no condition key that it is not given
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>).

use std::collections::BTreeMap;

use aws_sdk_iam::types::{EvaluationResult, PolicyEvaluationDecisionType, ResourceSpecificResult};

use super::client::Aws;
use super::error::{AwsCallError, Call};
use super::response_check::ResponseCheck;
use crate::ports::call::{CallError, CallErrorKind};

/// The maximum number of pages. A page has a hundred results by default.
const MOST_PAGES: usize = 20;

/// The result of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Simulated {
    /// The decisions by action and resource.
    Decided(BTreeMap<(String, String), Decision>),
    /// The credentials in use may not simulate.
    NotAllowed,
    /// There is no user or role of this ARN.
    NoSuchPrincipal,
    /// The endpoint does not know the call.
    NotKnown,
    /// No decision was returned. The text says why.
    Failed(String),
}

/// The decision about one action and one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    /// The condition keys of the policies that the simulation was not given.
    pub unknown_conditions: Vec<String>,
}

/// Whether an action is allowed, and otherwise by what it is not. A later one is the worse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Allowed,
    /// No policy allows it.
    ImplicitDeny,
    /// The permissions boundary does not allow it.
    Boundary,
    /// The policies of the organization do not allow it.
    Organization,
    /// A policy denies it.
    ExplicitDeny,
}

impl Aws {
    /// Asks IAM which of the actions the user or role of this ARN may call on each of the resources.
    ///
    /// # Errors
    /// [`CallErrorKind::Throttled`] only, since the call may succeed later. Everything else is a result.
    pub async fn simulate(
        &self,
        principal: &str,
        actions: &[&str],
        resources: &[String],
    ) -> Result<Simulated, CallError> {
        let call = Call::xml("SimulatePrincipalPolicy", "rotator's own permissions".to_owned());
        let mut decisions = BTreeMap::new();
        let mut marker = None;
        for _ in 0..MOST_PAGES {
            let response = ResponseCheck::default();
            let request = self.iam.simulate_principal_policy().policy_source_arn(principal);
            let request = request.set_action_names(Some(actions.iter().map(|action| (*action).to_owned()).collect()));
            let request = request.set_resource_arns(Some(resources.to_vec())).set_marker(marker.take());
            let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
            let page = match response.check(&call, result) {
                Ok((page, _)) => page,
                Err(error) => return without_decision(error),
            };
            page.evaluation_results().iter().for_each(|result| take(&mut decisions, result, resources));
            if !page.is_truncated {
                return Ok(whole(decisions, actions, resources));
            }
            marker = page.marker;
            if marker.is_none() {
                break;
            }
        }
        Ok(Simulated::Failed("the answer says there is more, and not where".to_owned()))
    }

    /// The region of the stores that name none.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.chain.region().map(AsRef::as_ref)
    }

    /// Returns the ARN of a role, which has its path. The ARN of a session does not.
    ///
    /// # Errors
    /// [`CallError`] if the role cannot be read.
    pub async fn role_arn(&self, role: &str) -> Result<String, CallError> {
        let call = Call::xml("GetRole", format!("role {role}"));
        let response = ResponseCheck::default();
        let request = self.iam.get_role().role_name(role).customize().interceptor(response.clone());
        let result = Box::pin(request.send()).await;
        let (output, seen) = response.check(&call, result).map_err(AwsCallError::into_call_error)?;
        let arn = output.role().map(|role| role.arn().to_owned()).filter(|arn| arn.starts_with("arn:"));
        arn.ok_or_else(|| AwsCallError::unreadable(&call, seen, "the answer holds no ARN").into_call_error())
    }
}

/// What a refusal means. Only a throttled call is worth another try: a look-alike of AWS that does not know the call may
/// answer with any status, and `doctor` is not to wait for it.
fn without_decision(error: AwsCallError) -> Result<Simulated, CallError> {
    let is_denied = error.is_denied();
    let is_unknown = error.is_of_operation() && !is_denied;
    let error = error.into_call_error();
    if error.kind == CallErrorKind::Throttled {
        return Err(error);
    }
    Ok(match (error.kind == CallErrorKind::NoSuchEntity, is_denied, is_unknown) {
        (true, ..) => Simulated::NoSuchPrincipal,
        (_, true, _) => Simulated::NotAllowed,
        (.., true) => Simulated::NotKnown,
        (false, false, false) => Simulated::Failed(error.message),
    })
}

/// Takes one result in. IAM returns one for each action, with the resources in it; it used to return one for each action
/// and resource.
fn take(decisions: &mut BTreeMap<(String, String), Decision>, result: &EvaluationResult, resources: &[String]) {
    let by_organization = result.organizations_decision_detail().map(|detail| detail.allowed_by_organizations());
    let by_boundary =
        result.permissions_boundary_decision_detail().map(|detail| detail.allowed_by_permissions_boundary());
    let mut keep = |resource: &str, verdict: Verdict, unknown: &[String]| {
        let decision = Decision { verdict, unknown_conditions: unknown.to_vec() };
        let kept = decisions.entry((result.eval_action_name().to_owned(), resource.to_owned())).or_insert(decision);
        if kept.verdict < verdict {
            *kept = Decision { verdict, unknown_conditions: unknown.to_vec() };
        }
    };
    let own = result.resource_specific_results();
    let is_about_one = |one: &&ResourceSpecificResult| resources.iter().any(|asked| asked == one.eval_resource_name());
    if own.iter().any(|one| is_about_one(&one)) {
        for one in own.iter().filter(is_about_one) {
            let by_boundary = one
                .permissions_boundary_decision_detail()
                .map_or(by_boundary, |detail| Some(detail.allowed_by_permissions_boundary()));
            let verdict = verdict(one.eval_resource_decision(), by_organization, by_boundary);
            keep(one.eval_resource_name(), verdict, one.missing_context_values());
        }
        return;
    }
    let verdict = verdict(result.eval_decision(), by_organization, by_boundary);
    match (result.eval_resource_name(), resources) {
        (_, [only]) => keep(only, verdict, result.missing_context_values()),
        (Some(named), _) if named != "*" => keep(named, verdict, result.missing_context_values()),
        (_, all) => all.iter().for_each(|resource| keep(resource, verdict, result.missing_context_values())),
    }
}

fn verdict(
    decision: &PolicyEvaluationDecisionType,
    by_organization: Option<bool>,
    by_boundary: Option<bool>,
) -> Verdict {
    if *decision == PolicyEvaluationDecisionType::Allowed {
        return Verdict::Allowed;
    }
    let is_explicit = *decision == PolicyEvaluationDecisionType::ExplicitDeny;
    match (by_organization, is_explicit, by_boundary) {
        (Some(false), ..) => Verdict::Organization,
        (_, true, _) => Verdict::ExplicitDeny,
        (_, false, Some(false)) => Verdict::Boundary,
        (_, false, _) => Verdict::ImplicitDeny,
    }
}

/// The decisions, if there is one about each action and resource.
fn whole(decisions: BTreeMap<(String, String), Decision>, actions: &[&str], resources: &[String]) -> Simulated {
    let is_there = |action: &str, resource: &String| {
        decisions.keys().any(|(of, on)| of.eq_ignore_ascii_case(action) && on == resource)
    };
    if actions.iter().all(|action| resources.iter().all(|resource| is_there(action, resource))) {
        return Simulated::Decided(decisions);
    }
    Simulated::Failed("the answer does not decide about every action".to_owned())
}
