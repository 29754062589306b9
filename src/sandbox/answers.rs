//! Executes one call on the IAM model and writes its XML response: parameters and permissions are checked first.
//!
//! This module has no sockets and no faults.

use jiff::Timestamp;

use super::account::{KeyStatus, KeySummary, User};
use super::action::Action;
use super::error::ApiError;
use super::iam_model::{Caller, IamModel};
use super::query::{Params, Xml, success};

/// The default page size of IAM, which is also the maximum
/// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccessKeys.html>).
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// Executes `action` and returns the body of the response.
pub(super) fn answer(
    model: &mut IamModel,
    caller: &Caller,
    action: Action,
    params: &Params,
    request_id: &str,
) -> Result<Vec<u8>, ApiError> {
    let call = Call { caller, action, params, request_id };
    match action {
        Action::CreateAccessKey => call.create_access_key(model),
        Action::ListAccessKeys => call.list_access_keys(model),
        Action::UpdateAccessKey => call.update_access_key(model),
        Action::DeleteAccessKey => call.delete_access_key(model),
        Action::GetAccessKeyLastUsed => call.get_access_key_last_used(model),
        Action::CreateUser => call.create_user(model),
        Action::GetUser => call.get_user(model),
        Action::DeleteUser => call.delete_user(model),
        Action::ListUsers => call.list_users(model),
        Action::GetCallerIdentity => call.get_caller_identity(model),
        Action::GetAccessKeyInfo => call.get_access_key_info(model),
        Action::GetRole => call.get_role(model),
        Action::SimulatePrincipalPolicy => call.simulate(model),
    }
}

pub(super) struct Call<'a> {
    pub(super) caller: &'a Caller,
    pub(super) action: Action,
    pub(super) params: &'a Params,
    request_id: &'a str,
}

impl<'a> Call<'a> {
    fn create_access_key(&self, model: &mut IamModel) -> Result<Vec<u8>, ApiError> {
        let user = self.user_or_caller(model)?;
        let (key, created) = model.create_access_key(&user)?;
        let user = model.user(&user)?.name.clone();
        Ok(self.success(|xml| {
            xml.element("AccessKey", |xml| {
                xml.text("UserName", &user).text("AccessKeyId", key.id.as_str());
                xml.text("Status", KeyStatus::Active.name()).text("SecretAccessKey", key.secret.expose());
                xml.text("CreateDate", &date(created));
            });
        }))
    }

    fn list_access_keys(&self, model: &IamModel) -> Result<Vec<u8>, ApiError> {
        let user = self.user_or_caller(model)?;
        let page = model.list_access_keys(&user, self.params.get("Marker"), self.max_items()?)?;
        let metadata = |xml: &mut Xml, key: &KeySummary| {
            xml.element("member", |xml| {
                xml.text("UserName", &key.user).text("AccessKeyId", key.id.as_str());
                xml.text("Status", key.status.name()).text("CreateDate", &date(key.created));
            });
        };
        Ok(self.success(|xml| {
            xml.element("AccessKeyMetadata", |xml| page.items.iter().for_each(|key| metadata(xml, key)));
            paging(xml, page.marker.as_deref());
        }))
    }

    fn update_access_key(&self, model: &mut IamModel) -> Result<Vec<u8>, ApiError> {
        let user = self.user_or_caller(model)?;
        let status = match self.required("Status", "status")? {
            "Active" => KeyStatus::Active,
            "Inactive" => KeyStatus::Inactive,
            other => {
                let rule = "satisfy enum value set: [Active, Inactive]";
                return Err(ApiError::constraint("status", Some(other), rule));
            }
        };
        model.update_access_key(&user, self.key_id()?, status)?;
        Ok(self.done())
    }

    fn delete_access_key(&self, model: &mut IamModel) -> Result<Vec<u8>, ApiError> {
        let user = self.user_or_caller(model)?;
        model.delete_access_key(&user, self.key_id()?)?;
        Ok(self.done())
    }

    /// An unknown key is refused with `AccessDenied`. This is a choice: the reference of AWS names no error for this
    /// call, and the real one was not measured; moto answers `NoSuchEntity`.
    fn get_access_key_last_used(&self, model: &IamModel) -> Result<Vec<u8>, ApiError> {
        let id = self.key_id()?;
        let resource = format!("access key {id}");
        model.authorize(self.caller, self.action, &resource)?;
        let key = model.key(id).ok_or_else(|| ApiError::access_denied(&self.caller.arn, self.action, &resource))?;
        Ok(self.success(|xml| {
            xml.text("UserName", &key.user).element("AccessKeyLastUsed", |xml| match &key.last_used {
                Some(last_use) => {
                    xml.text("Region", &last_use.region).text("ServiceName", last_use.service.name());
                    xml.text("LastUsedDate", &date(last_use.at));
                }
                None => {
                    xml.text("Region", "N/A").text("ServiceName", "N/A");
                }
            });
        }))
    }

    fn create_user(&self, model: &mut IamModel) -> Result<Vec<u8>, ApiError> {
        let name = self.required("UserName", "userName")?;
        model.authorize(self.caller, self.action, &format!("user {name}"))?;
        let path = self.params.get("Path").unwrap_or("/");
        let name = model.create_user(name, path, false)?.name.clone();
        self.tell_user(model, &name)
    }

    fn get_user(&self, model: &IamModel) -> Result<Vec<u8>, ApiError> {
        let name = self.user_or_caller(model)?;
        self.tell_user(model, &name)
    }

    fn delete_user(&self, model: &mut IamModel) -> Result<Vec<u8>, ApiError> {
        let name = self.required("UserName", "userName")?;
        model.authorize(self.caller, self.action, &format!("user {name}"))?;
        model.delete_user(name)?;
        Ok(self.done())
    }

    fn list_users(&self, model: &IamModel) -> Result<Vec<u8>, ApiError> {
        model.authorize(self.caller, self.action, &format!("arn:aws:iam::{}:user/", model.account))?;
        let page = model.list_users(self.params.get("Marker"), self.max_items()?);
        Ok(self.success(|xml| {
            xml.element("Users", |xml| {
                for user in &page.items {
                    xml.element("member", |xml| user_fields(xml, model, user));
                }
            });
            paging(xml, page.marker.as_deref());
        }))
    }

    fn get_caller_identity(&self, model: &IamModel) -> Result<Vec<u8>, ApiError> {
        Ok(self.success(|xml| {
            xml.text("Arn", &self.caller.arn).text("UserId", &self.caller.user_id);
            xml.text("Account", model.account.as_str());
        }))
    }

    /// According to AWS an unknown key "might return an error"
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html>); the sandbox returns one.
    fn get_access_key_info(&self, model: &IamModel) -> Result<Vec<u8>, ApiError> {
        let id = self.key_id()?;
        model.authorize(self.caller, self.action, &format!("access key {id}"))?;
        model.key(id).ok_or_else(|| ApiError::no_such_key(id))?;
        Ok(self.success(|xml| {
            xml.text("Account", model.account.as_str());
        }))
    }

    fn tell_user(&self, model: &IamModel, name: &str) -> Result<Vec<u8>, ApiError> {
        let user = model.user(name)?;
        Ok(self.success(|xml| {
            xml.element("User", |xml| user_fields(xml, model, user));
        }))
    }

    /// The user that the call names, otherwise its caller, after a check of the permission.
    fn user_or_caller(&self, model: &IamModel) -> Result<String, ApiError> {
        let name = self.params.get("UserName").unwrap_or(&self.caller.user);
        model.authorize(self.caller, self.action, &format!("user {name}"))?;
        Ok(name.to_owned())
    }

    fn key_id(&self) -> Result<&'a str, ApiError> {
        let id = self.required("AccessKeyId", "accessKeyId")?;
        if id.len() < 16 {
            return Err(ApiError::constraint("accessKeyId", Some(id), "have length greater than or equal to 16"));
        }
        if id.len() > 128 {
            return Err(ApiError::constraint("accessKeyId", Some(id), "have length less than or equal to 128"));
        }
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(ApiError::constraint("accessKeyId", Some(id), "satisfy regular expression pattern: [\\w]+"));
        }
        Ok(id)
    }

    pub(super) fn required(&self, name: &str, member: &str) -> Result<&'a str, ApiError> {
        self.params.get(name).ok_or_else(|| ApiError::constraint(member, None, "not be null"))
    }

    fn max_items(&self) -> Result<usize, ApiError> {
        let Some(text) = self.params.get("MaxItems") else { return Ok(PAGE) };
        match text.parse() {
            Ok(items @ 1..=LARGEST_PAGE) => Ok(items),
            Ok(0) | Err(_) => {
                Err(ApiError::constraint("maxItems", Some(text), "have value greater than or equal to 1"))
            }
            Ok(_) => Err(ApiError::constraint("maxItems", Some(text), "have value less than or equal to 1000")),
        }
    }

    pub(super) fn success(&self, result: impl FnOnce(&mut Xml)) -> Vec<u8> {
        success(self.action.service(), self.action.name(), self.request_id, Some(result))
    }

    fn done(&self) -> Vec<u8> {
        success(self.action.service(), self.action.name(), self.request_id, None::<fn(&mut Xml)>)
    }
}

fn user_fields(xml: &mut Xml, model: &IamModel, user: &User) {
    xml.text("Path", &user.path).text("UserName", &user.name).text("UserId", &user.id);
    xml.text("Arn", &model.arn(user)).text("CreateDate", &date(user.created));
}

pub(super) fn paging(xml: &mut Xml, marker: Option<&str>) {
    xml.text("IsTruncated", if marker.is_some() { "true" } else { "false" });
    if let Some(marker) = marker {
        xml.text("Marker", marker);
    }
}

/// Formats a date, with a precision of a second.
pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
