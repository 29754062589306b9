//! The account, the stores and the binary of a case.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_secretsmanager::primitives::Blob;
use rotator::sandbox::{Action, ApiError, Fault, FaultKind, KeyStatus, Sandbox};
use rustix::fs::XattrFlags;

use super::{Case, sops_of};
use crate::support::aws::{self, Pair};
use crate::support::bao::{Bao, ROOT};
use crate::support::moto::Moto;
use crate::support::program::{Ended, Program, ROTATOR, sandbox_with_slashes};
use crate::support::sops::Sops;

/// Read access for the user 33 and none for the owning group, as `system.posix_acl_access` holds it (Linux,
/// `include/uapi/linux/posix_acl_xattr.h`): version 2, then tag, permissions and id of each entry.
const ACL: [(u16, u16, u32); 5] =
    [(1, 6, u32::MAX), (2, 4, 33), (4, 0, u32::MAX), (0x10, 4, u32::MAX), (0x20, 0, u32::MAX)];

/// A user that owns nothing else.
const NOBODY: u32 = 65_534;

pub(super) enum Account {
    Sandbox(Sandbox),
    Moto { moto: Moto, admin: Pair },
}

pub(super) struct Rig<'c> {
    case: &'c Case,
    pub(super) account: Account,
    program: Program,
    /// By suffix: the user and its pair before anything is run.
    pub(super) pairs: BTreeMap<&'static str, (String, Pair)>,
    bao: Option<Bao>,
    sops: Option<(String, Sops)>,
    /// The user that the binary runs as, if not the caller's.
    user: Option<u32>,
    /// The number of requests for a key while the commands ran.
    creates: Arc<AtomicU64>,
    pub(super) made: u64,
    pub(super) codes: Vec<Option<i32>>,
    pub(super) said: String,
    pub(super) attributes: [BTreeMap<String, Vec<u8>>; 2],
}

impl<'c> Rig<'c> {
    pub(super) async fn with(name: &str, case: &'c Case) -> Self {
        let creates = Arc::new(AtomicU64::new(0));
        let account = if case.needs_moto() {
            let moto = Moto::start();
            let admin = moto.check_signatures().await;
            Account::Moto { moto, admin }
        } else {
            let sandbox = sandbox_with_slashes();
            let count = Arc::clone(&creates);
            sandbox.observe(move |seen| {
                if seen.action == Action::CreateAccessKey {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            Account::Sandbox(sandbox)
        };
        let program = match &account {
            Account::Sandbox(sandbox) => Program::at(sandbox),
            Account::Moto { moto, admin } => Program::new(&format!("http://{}", moto.addr()), admin),
        };
        let mut rig = Self {
            case,
            account,
            program,
            pairs: BTreeMap::new(),
            bao: (!case.vault.is_empty()).then(Bao::start),
            sops: sops_of(case),
            user: None,
            creates,
            made: 0,
            codes: Vec::new(),
            said: String::new(),
            attributes: Default::default(),
        };
        rig.make_users(name).await;
        rig.place().await;
        rig.configure();
        rig.attributes[0] = rig.attributes_now();
        rig
    }

    fn files(&self) -> PathBuf {
        self.program.folder().join("files")
    }

    /// A user with a pair for each of them that the case names.
    async fn make_users(&mut self, name: &str) {
        let text = format!("{:?}", self.case);
        for suffix in ["", "2"] {
            let marks = ["id", "secret", "id~", "secret%"].map(|what| format!("‹{what}{suffix}›"));
            if !marks.iter().any(|mark| text.contains(mark)) {
                continue;
            }
            let user = format!("user-{name}{suffix}");
            let pair = match &self.account {
                Account::Sandbox(sandbox) => {
                    sandbox.add_user(&user).expect("a new user");
                    // A secret that is written otherwise in a URL.
                    let key = loop {
                        let key = sandbox.create_key(&user).expect("a first key");
                        if key.secret.expose().contains('/') {
                            break key;
                        }
                        sandbox.delete_key(&user, key.id.as_str()).expect("deleted");
                    };
                    Pair::new(key.id.as_str(), key.secret.expose())
                }
                Account::Moto { moto, admin } => {
                    let iam = aws::iam(moto.addr(), admin);
                    iam.create_user().user_name(&user).send().await.expect("moto makes a user");
                    let made = iam.create_access_key().user_name(&user).send().await.expect("moto makes a key");
                    let key = made.access_key().expect("a key");
                    Pair::new(key.access_key_id(), key.secret_access_key())
                }
            };
            self.pairs.insert(suffix, (user, pair));
        }
    }

    /// The text with pairs in the place of their marks.
    pub(super) fn filled(&self, text: &str) -> String {
        let mut text = text.replace("‹files›", &self.files().display().to_string());
        for (suffix, (_, pair)) in &self.pairs {
            text = text
                .replace(&format!("‹id{suffix}›"), &pair.id)
                .replace(&format!("‹id~{suffix}›"), &pair.id[1..])
                .replace(&format!("‹secret{suffix}›"), &pair.secret)
                .replace(&format!("‹secret%{suffix}›"), &in_url(&pair.secret));
        }
        text
    }

    async fn place(&mut self) {
        std::fs::create_dir(self.files()).expect("made");
        for (name, text) in &self.case.files {
            let text = self.filled(text);
            let bytes = match self.case.charset.get(name).map(String::as_str) {
                None => text.into_bytes(),
                Some("utf-16") => {
                    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
                }
                Some(other) => panic!("{other} is no character set"),
            };
            std::fs::write(self.files().join(name), bytes).expect("written");
        }
        for (name, text) in &self.case.parameters {
            let client = aws_sdk_ssm::Client::new(&self.chain().await);
            let kind = aws_sdk_ssm::types::ParameterType::SecureString;
            client.put_parameter().name(name).value(self.filled(text)).r#type(kind).send().await.expect("put");
        }
        for (name, secret) in &self.case.secrets {
            let text = self.filled(&secret.text);
            let asked = aws_sdk_secretsmanager::Client::new(&self.chain().await).create_secret().name(name);
            let asked = match (secret.none, secret.binary) {
                (true, _) => asked,
                (_, true) => asked.secret_binary(Blob::new(text.into_bytes())),
                _ => asked.secret_string(text),
            };
            asked.send().await.expect("made");
        }
        if let Some(bao) = &self.bao {
            self.program.set("VAULT_ADDR", &bao.url());
            self.program.set("VAULT_TOKEN", ROOT);
            for (method, path, body) in &self.case.vault {
                let body = serde_json::from_str(&self.filled(body)).expect("JSON");
                let answer = bao.ask(method, &format!("/v1/{path}"), Some(&body));
                if let Some(token) = answer["auth"]["client_token"].as_str() {
                    self.program.set("VAULT_TOKEN", token);
                }
            }
        }
        for setup in &self.case.setup {
            let (what, name) = setup.split_once(':').expect("what is done, and to which file");
            self.set_up(what, name);
        }
        if let Account::Sandbox(sandbox) = &self.account {
            for action in &self.case.deny {
                let action = Action::named(action).expect("an action of IAM");
                let refusal =
                    ApiError::new(403, "AccessDenied", format!("not authorized to perform {}", action.name()));
                sandbox.arm(Fault::new(FaultKind::Refuse(refusal)).on(action).always());
            }
        }
    }

    fn set_up(&mut self, what: &str, name: &str) {
        let path = self.files().join(name);
        let folder = self.program.folder();
        match what {
            "hard-link" => std::fs::hard_link(&path, folder.join("the-same")).expect("linked"),
            "symlink" => {
                let elsewhere = folder.join("elsewhere");
                std::fs::rename(&path, &elsewhere).expect("moved");
                std::os::unix::fs::symlink(&elsewhere, &path).expect("linked");
            }
            "acl" => {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
                let entries = ACL.iter().flat_map(|(tag, may, id)| {
                    [tag.to_le_bytes().as_slice(), &may.to_le_bytes(), &id.to_le_bytes()].concat()
                });
                let value: Vec<u8> = 2_u32.to_le_bytes().into_iter().chain(entries).collect();
                rustix::fs::setxattr(&path, "system.posix_acl_access", &value, XattrFlags::empty())
                    .expect("a file system with access control lists");
            }
            "read-only-folder" => {
                // Root may write everywhere.
                if rustix::process::getuid().is_root() {
                    self.user = Some(NOBODY);
                    for path in [folder, path.as_path()] {
                        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
                    }
                }
                std::fs::set_permissions(self.files(), std::fs::Permissions::from_mode(0o555)).expect("set");
            }
            "sops" => {
                let (_, sops) = self.sops.as_ref().expect("made for this");
                let text = std::fs::read(&path).expect("read");
                std::fs::write(&path, sops.encrypt(name, &text, &[])).expect("written");
                let search = format!("{}:{}", sops.bin().display(), std::env::var("PATH").expect("a path"));
                self.program.set("PATH", &search);
            }
            other => panic!("{other} is not done to files"),
        }
    }

    fn configure(&mut self) {
        let stores = self.case.stores.iter().map(|store| format!("[[store]]\n{}\n", self.filled(store)));
        let text = format!("[owner]\nfrom = \"aws\"\n{}", stores.collect::<String>());
        let config = self.program.folder().join("rotator.toml");
        std::fs::write(&config, text).expect("written");
        self.program.unset("ROTATOR_STORE");
        // Some of the stores run a program or are elsewhere.
        self.program.set("ROTATOR_CONFIG", &config.display().to_string());
        if let Some(profile) = &self.case.profile {
            let folder = self.program.folder().join(".aws");
            std::fs::create_dir(&folder).expect("made");
            std::fs::write(folder.join("config"), &profile.config).expect("written");
            self.program.unset("AWS_ACCESS_KEY_ID");
            self.program.unset("AWS_SECRET_ACCESS_KEY");
            self.program.set("AWS_PROFILE", &profile.name);
        }
    }

    pub(super) fn play(&mut self) {
        self.creates.store(0, Ordering::Relaxed);
        let before = self.keys_listed();
        for command in &self.case.commands {
            let words: Vec<String> = command.iter().map(|word| self.filled(word)).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut child = self.program.command(ROTATOR, &words);
            if let Some(user) = self.user {
                std::os::unix::process::CommandExt::uid(&mut child, user);
                std::os::unix::process::CommandExt::gid(&mut child, user);
            }
            let ended = Ended::of(child.spawn().expect("started"));
            let text = format!("$ rotator {} -> {:?}\n{}{}\n", words.join(" "), ended.code, ended.stdout, ended.stderr);
            self.said.push_str(&text);
            self.codes.push(ended.code);
        }
        self.made = self.creates.load(Ordering::Relaxed).max(self.keys_listed().saturating_sub(before));
        self.attributes[1] = self.attributes_now();
    }

    fn keys_listed(&self) -> u64 {
        match &self.account {
            Account::Sandbox(sandbox) => sandbox.all_keys().len() as u64,
            Account::Moto { .. } => 0,
        }
    }

    /// All that is stored.
    pub(super) async fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        for name in self.case.files.keys() {
            let path = self.files().join(name);
            let decrypted = self.sops.as_ref().filter(|(of, _)| of == name).map(|(_, sops)| sops.decrypt(&path));
            let bytes = match decrypted {
                Some(text) => text.expect("sops decrypts it").into_bytes(),
                None => std::fs::read(&path).expect("it is there"),
            };
            all.insert(name.clone(), bytes);
        }
        for name in self.case.parameters.keys() {
            let client = aws_sdk_ssm::Client::new(&self.chain().await);
            let got = client.get_parameter().name(name).with_decryption(true).send().await.expect("read");
            let value = got.parameter.and_then(|parameter| parameter.value).expect("a value");
            all.insert(name.clone(), value.into_bytes());
        }
        for (name, _) in self.case.secrets.iter().filter(|(_, secret)| !secret.none) {
            let client = aws_sdk_secretsmanager::Client::new(&self.chain().await);
            let got = client.get_secret_value().secret_id(name).version_stage("AWSCURRENT").send().await.expect("read");
            let binary = got.secret_binary.map(Blob::into_inner);
            all.insert(name.clone(), got.secret_string.map(String::into_bytes).or(binary).expect("a value"));
        }
        for path in &self.case.vault_read {
            let answer = self.bao.as_ref().expect("started").ask("GET", &format!("/v1/{path}"), None);
            let data = &answer["data"];
            let data = data.get("data").unwrap_or(data);
            all.insert(path.clone(), data.to_string().into_bytes());
        }
        all
    }

    async fn chain(&self) -> aws_config::SdkConfig {
        let Account::Moto { moto, admin } = &self.account else { panic!("such stores are at moto") };
        aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(format!("http://{}", moto.addr()))
            .credentials_provider(aws_credential_types::Credentials::new(&admin.id, &admin.secret, None, None, "test"))
            .load()
            .await
    }

    /// The user's keys: whether each is active.
    pub(super) async fn keys_of(&self, user: &str) -> BTreeMap<String, bool> {
        match &self.account {
            Account::Sandbox(sandbox) => {
                let keys = sandbox.keys_of(user).into_iter();
                keys.map(|key| (key.id.to_string(), key.status == KeyStatus::Active)).collect()
            }
            Account::Moto { moto, admin } => {
                let iam = aws::iam(moto.addr(), admin);
                let listed = iam.list_access_keys().user_name(user).send().await.expect("listed");
                let keys = listed.access_key_metadata.into_iter();
                keys.map(|key| {
                    let is_active = key.status.is_some_and(|status| status.as_str() == "Active");
                    (key.access_key_id.expect("an id"), is_active)
                })
                .collect()
            }
        }
    }

    /// Whether AWS lets this pair in.
    pub(super) async fn accepts(&self, pair: &Pair) -> bool {
        match &self.account {
            Account::Sandbox(sandbox) => sandbox.accepts(&pair.id, &pair.secret),
            Account::Moto { moto, .. } => aws::sts(moto.addr(), pair).get_caller_identity().send().await.is_ok(),
        }
    }

    /// The extended attributes of the files.
    fn attributes_now(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        for name in self.case.files.keys() {
            let path = self.files().join(name);
            let attribute = "system.posix_acl_access";
            let mut value = vec![0; 1024];
            if let Ok(length) = rustix::fs::getxattr(&path, attribute, value.as_mut_slice()) {
                value.truncate(length);
                all.insert(format!("{name} {attribute}"), value);
            }
        }
        all
    }
}

impl Drop for Rig<'_> {
    fn drop(&mut self) {
        // A folder without write permission could not be removed.
        let _ = std::fs::set_permissions(self.files(), std::fs::Permissions::from_mode(0o755));
    }
}

/// Encodes the text for a URL.
pub(super) fn in_url(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(letter).collect()
}
