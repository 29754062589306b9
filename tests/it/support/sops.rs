//! The real sops (<https://getsops.io>) and age, with keys of their own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::answer;

/// Two keys, of which the first can be used; a folder for files; and a `sops` that has the key and can be hindered.
pub(crate) struct Sops {
    folder: tempfile::TempDir,
    recipients: [String; 2],
}

impl Sops {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let recipients = ["mine", "theirs"].map(|name| {
            let made = Command::new("age-keygen").arg("-o").arg(folder.path().join(name)).output();
            let made = made.expect("age is there: scripts/test installs it");
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            said.trim().rsplit(' ').next().expect("a public key").to_owned()
        });
        std::fs::create_dir(folder.path().join("bin")).expect("made");
        let sops = Self { folder, recipients };
        sops.hindered("");
        sops
    }

    /// The folder of the keys and the program.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the program.
    pub(crate) fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    pub(crate) fn program(&self) -> String {
        self.bin().join("sops").display().to_string()
    }

    /// From now on the program runs these lines of shell first. `$sops` is the real one.
    pub(crate) fn hindered(&self, first: &str) {
        let (key, real) = (self.folder.path().join("mine"), real());
        let script = format!(
            "#!/bin/sh\nexport SOPS_AGE_KEY_FILE='{}'\nsops='{}'\n{first}\nexec \"$sops\" \"$@\"\n",
            key.display(),
            real.display()
        );
        // Renamed, since a program that is being started cannot be written.
        let (path, new) = (self.bin().join("sops"), self.bin().join("new"));
        std::fs::write(&new, script).expect("written");
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o700)).expect("set");
        std::fs::rename(&new, path).expect("renamed");
    }

    /// Encrypts a text for both keys, in the format of a file of this name.
    pub(crate) fn encrypt(&self, name: &str, text: &[u8], options: &[&str]) -> Vec<u8> {
        self.encrypt_for(&self.recipients.join(","), name, text, options)
    }

    /// Encrypts a text for the key that cannot be used.
    pub(crate) fn encrypt_for_others(&self, name: &str, text: &[u8]) -> Vec<u8> {
        self.encrypt_for(&self.recipients[1], name, text, &[])
    }

    fn encrypt_for(&self, recipients: &str, name: &str, text: &[u8], options: &[&str]) -> Vec<u8> {
        let mut args = vec!["--config", "/dev/null", "encrypt", "--age", recipients, "--filename-override", name];
        args.extend(options);
        self.run(&args, text).unwrap_or_else(|| panic!("{name} cannot be encrypted"))
    }

    /// Returns the decrypted content of the file.
    pub(crate) fn decrypt(&self, file: &Path) -> Option<String> {
        let text = self.run(&["--config", "/dev/null", "decrypt", file.to_str().expect("UTF-8")], b"")?;
        Some(String::from_utf8(text).expect("text"))
    }

    fn run(&self, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        let mut command = Command::new(real());
        command.args(args).env("SOPS_AGE_KEY_FILE", self.folder.path().join("mine"));
        answer(&mut command, input)
    }
}

fn real() -> PathBuf {
    let program = std::env::var_os("ROTATOR_TEST_SOPS").unwrap_or_else(|| {
        panic!("this test needs sops: run scripts/test, which installs it, or set ROTATOR_TEST_SOPS to sops")
    });
    PathBuf::from(program)
}
