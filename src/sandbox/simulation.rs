//! `SimulatePrincipalPolicy` and `GetRole`: which actions a user or a role may call
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>).
//!
//! The sandbox knows no resources in policies: an action is allowed on all of them or on none.

use super::account::{Decision, User};
use super::answers::{Call, date, paging};
use super::error::ApiError;
use super::iam_model::IamModel;
use super::query::Xml;

impl Call<'_> {
    /// One result for each action, with the decision about each resource in it.
    pub(super) fn simulate(&self, model: &IamModel) -> Result<Vec<u8>, ApiError> {
        let source = self.required("PolicySourceArn", "policySourceArn")?;
        model.authorize(self.caller, self.action, source)?;
        let actions = self.params.list("ActionNames");
        if actions.is_empty() {
            return Err(ApiError::constraint("actionNames", None, "not be null"));
        }
        let user = principal(model, source)?;
        let resources = self.params.list("ResourceArns");
        Ok(self.success(|xml| {
            xml.element("EvaluationResults", |xml| {
                for action in actions {
                    let decision = Decision::about(user, action).name();
                    xml.element("member", |xml| result(xml, action, decision, &resources));
                }
            });
            paging(xml, None);
        }))
    }

    pub(super) fn get_role(&self, model: &IamModel) -> Result<Vec<u8>, ApiError> {
        let name = self.required("RoleName", "roleName")?;
        model.authorize(self.caller, self.action, &format!("role {name}"))?;
        let role = model.users().find(|user| user.session.is_some() && user.name.eq_ignore_ascii_case(name));
        let role = role.ok_or_else(|| ApiError::no_such_role(name))?;
        Ok(self.success(|xml| {
            xml.element("Role", |xml| {
                xml.text("Path", &role.path).text("RoleName", &role.name).text("RoleId", &role.id);
                xml.text("Arn", &source_arn(model, role)).text("CreateDate", &date(role.created));
            });
        }))
    }
}

fn result(xml: &mut Xml, action: &str, decision: &str, resources: &[&str]) {
    let all = if let [only] = resources { only } else { "*" };
    xml.text("EvalActionName", action).text("EvalResourceName", all).text("EvalDecision", decision);
    xml.element("ResourceSpecificResults", |xml| {
        for resource in resources.iter().filter(|resource| **resource != "*") {
            xml.element("member", |xml| {
                xml.text("EvalResourceName", resource).text("EvalResourceDecision", decision);
            });
        }
    });
}

/// The ARN that a simulation names: that of a user, or of a role and not of its session.
fn source_arn(model: &IamModel, user: &User) -> String {
    match user.session {
        Some(_) => format!("arn:aws:iam::{}:role{}{}", model.account, user.path, user.name),
        None => model.arn(user),
    }
}

fn principal<'a>(model: &'a IamModel, arn: &str) -> Result<&'a User, ApiError> {
    let of_kind = |kind: &str| arn.contains(&format!(":{kind}/"));
    if !arn.starts_with("arn:aws:iam::") || !(of_kind("user") || of_kind("role")) {
        return Err(ApiError::invalid_entity_arn(arn));
    }
    let name = arn.rsplit('/').next().unwrap_or_default();
    let missing = || if of_kind("role") { ApiError::no_such_role(name) } else { ApiError::no_such_user(name) };
    model.users().find(|user| source_arn(model, user) == arn).ok_or_else(missing)
}
