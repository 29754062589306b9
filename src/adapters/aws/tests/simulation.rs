//! SimulatePrincipalPolicy: one result for each action or for each resource, and every way to get no decision.

use super::aws;
use super::responder::{Reply, Responder, error, http};
use crate::adapters::aws::{Decision, Simulated, Verdict};

const ME: &str = "arn:aws:iam::123456789012:user/rotator";
const ALICE: &str = "arn:aws:iam::123456789012:user/alice";
const BOB: &str = "arn:aws:iam::123456789012:user/bob";
const CREATE: &str = "iam:CreateAccessKey";

fn page(members: &str, marker: Option<&str>) -> String {
    let more = marker.map(|marker| format!("<Marker>{marker}</Marker>")).unwrap_or_default();
    format!(
        "<SimulatePrincipalPolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
         <SimulatePrincipalPolicyResult><IsTruncated>{}</IsTruncated>{more}<EvaluationResults>{members}\
         </EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>",
        marker.is_some()
    )
}

fn result(resource: &str, decision: &str, more: &str) -> String {
    format!(
        "<member><EvalActionName>{CREATE}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>\
         <EvalDecision>{decision}</EvalDecision>{more}</member>"
    )
}

fn on_resource(resource: &str, decision: &str, more: &str) -> String {
    format!(
        "<member><EvalResourceName>{resource}</EvalResourceName>\
         <EvalResourceDecision>{decision}</EvalResourceDecision>{more}</member>"
    )
}

async fn simulated(responder: &Responder, resources: &[&str]) -> Simulated {
    let resources: Vec<String> = resources.iter().map(|resource| (*resource).to_owned()).collect();
    aws(responder).await.simulate(ME, &[CREATE], &resources).await.expect("it is not throttled")
}

/// The verdicts about these resources.
async fn verdicts(body: &str, resources: &[&str]) -> Vec<Verdict> {
    let responder = Responder::always(http(200, body));
    let Simulated::Decided(decisions) = simulated(&responder, resources).await else { panic!("nothing is decided") };
    let verdict = |resource: &&str| decisions[&(CREATE.to_owned(), (*resource).to_owned())].verdict;
    resources.iter().map(verdict).collect()
}

#[tokio::test]
async fn one_result_for_all_resources_and_one_for_each_are_understood() {
    let own = format!("{}{}", on_resource(ALICE, "allowed", ""), on_resource(BOB, "implicitDeny", ""));
    let aggregate = result("*", "implicitDeny", &format!("<ResourceSpecificResults>{own}</ResourceSpecificResults>"));
    let each = format!("{}{}", result(ALICE, "allowed", ""), result(BOB, "implicitDeny", ""));
    for body in [page(&aggregate, None), page(&each, None)] {
        assert_eq!(verdicts(&body, &[ALICE, BOB]).await, [Verdict::Allowed, Verdict::ImplicitDeny]);
    }
    let without_resources = page(&result("*", "explicitDeny", ""), None);
    assert_eq!(verdicts(&without_resources, &[ALICE, BOB]).await, [Verdict::ExplicitDeny, Verdict::ExplicitDeny]);
    assert_eq!(verdicts(&page(&result("*", "allowed", ""), None), &["*"]).await, [Verdict::Allowed]);
}

#[tokio::test]
async fn the_organization_and_the_boundary_are_told_from_a_policy() {
    let organization = "<OrganizationsDecisionDetail><AllowedByOrganizations>false</AllowedByOrganizations>\
                        </OrganizationsDecisionDetail>";
    let boundary = "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false\
                    </AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>";
    for (more, verdict) in [(organization, Verdict::Organization), (boundary, Verdict::Boundary)] {
        assert_eq!(verdicts(&page(&result(ALICE, "implicitDeny", more), None), &[ALICE]).await, [verdict]);
    }
}

#[tokio::test]
async fn all_pages_are_read_and_unknown_conditions_are_kept() {
    let missing = "<MissingContextValues><member>aws:SourceIp</member></MissingContextValues>";
    let own =
        format!("<ResourceSpecificResults>{}</ResourceSpecificResults>", on_resource(BOB, "explicitDeny", missing));
    let responder = Responder::start(move |request| {
        if request.body.contains("Marker=next") {
            Reply::Bytes(http(200, &page(&result("*", "explicitDeny", &own), None)))
        } else {
            assert!(request.body.contains("PolicySourceArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Auser%2Frotator"));
            Reply::Bytes(http(200, &page(&result(ALICE, "allowed", ""), Some("next"))))
        }
    });
    let Simulated::Decided(decisions) = simulated(&responder, &[ALICE, BOB]).await else {
        panic!("nothing is decided")
    };
    let unknown_conditions = vec!["aws:SourceIp".to_owned()];
    let of_bob = Decision { verdict: Verdict::ExplicitDeny, unknown_conditions };
    assert_eq!(decisions[&(CREATE.to_owned(), BOB.to_owned())], of_bob);
}

#[tokio::test]
async fn what_does_not_decide_is_no_decision() {
    for (reply, expected) in [
        (error(403, "AccessDenied"), Simulated::NotAllowed),
        (error(404, "NoSuchEntity"), Simulated::NoSuchPrincipal),
        (error(400, "InvalidAction"), Simulated::NotKnown),
    ] {
        assert_eq!(simulated(&Responder::always(reply), &[ALICE]).await, expected);
    }
    let half = page(&result(ALICE, "allowed", ""), None);
    for reply in [http(500, "<!doctype html>"), http(200, &page("", None)), http(200, &half), http(200, &half[..90])] {
        let responder = Responder::always(reply);
        let outcome = simulated(&responder, &[ALICE, BOB]).await;
        assert!(matches!(outcome, Simulated::Failed(_)), "{outcome:?}");
        assert_eq!(responder.requests().len(), 1, "it is not tried again");
    }
}
