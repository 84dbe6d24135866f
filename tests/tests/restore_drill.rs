//! The restore drill of docs/operations.md, by the commands that stand there: a vault is backed up with an ordinary tool, lost, and restored
//! at another place. Nothing that was acknowledged before the backup is missing, members go on, and pins hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may unwrap and index"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;
use vault_tests::seaweed::{REGION, SeaweedFs};
use vault_tests::{seqvault, workspace};

/// The block of docs/operations.md that follows `<!-- ci: restore-drill NAME -->`.
fn block(name: &str) -> String {
    let text = fs::read_to_string(workspace().join("docs/operations.md")).unwrap();
    let mark = format!("<!-- ci: restore-drill {name} -->\n```sh\n");
    let (_, rest) = text.split_once(&mark).unwrap_or_else(|| panic!("docs/operations.md has no block {name}"));
    rest.split_once("\n```").unwrap().0.to_owned()
}

/// A site with its stores, and everybody's files.
struct Site {
    folder: TempDir,
    bucket: bool,
    environment: Vec<(&'static str, String)>,
}

impl Site {
    fn new(bucket: bool) -> Self {
        let mut environment = Vec::new();
        if bucket {
            let store = SeaweedFs::shared();
            environment.extend(store.environment());
            let [endpoint, _] = store.endpoints();
            environment.extend([
                ("RCLONE_CONFIG_SITE_TYPE", "s3".to_owned()),
                ("RCLONE_CONFIG_SITE_PROVIDER", "Other".to_owned()),
                ("RCLONE_CONFIG_SITE_ENDPOINT", endpoint),
                ("RCLONE_CONFIG_SITE_REGION", REGION.to_owned()),
                ("RCLONE_CONFIG_SITE_ACCESS_KEY_ID", store.key().to_owned()),
                ("RCLONE_CONFIG_SITE_SECRET_ACCESS_KEY", store.secret().to_owned()),
            ]);
        }
        Self { folder: tempfile::tempdir().unwrap(), bucket, environment }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new place for a vault: as rclone names it, and as seqvault does.
    fn place(&self, name: &str) -> (String, String) {
        if self.bucket {
            let bucket = SeaweedFs::shared().new_bucket();
            (format!("site:{bucket}/main"), SeaweedFs::shared().location(&format!("{bucket}/main")))
        } else {
            let path = self.path(name).to_str().unwrap().to_owned();
            (path.clone(), path)
        }
    }

    /// Runs a block of the document as somebody.
    fn shell(&self, who: &str, script: &str, vars: &[(&str, &str)]) -> Output {
        // The one thing that is added is where the passphrase comes from; the document's reader is asked for it.
        let script = format!("seqvault() {{ \"$SEQVAULT_BINARY\" --passphrase-env PASS \"$@\"; }}\n{script}");
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &script]).current_dir(self.folder.path()).env_clear();
        for name in ["PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.path("home"))
            .env("LANG", "C.UTF-8")
            .env("SEQVAULT_BINARY", seqvault())
            .env("SEQVAULT_IDENTITY", self.path(&format!("{who}.id")))
            .env("SEQVAULT_STATE", self.path(&format!("{who}.state")))
            .env("PASS", "a drill, not a secret")
            .envs(self.environment.iter().cloned())
            .envs(vars.iter().copied());
        command.output().unwrap()
    }

    fn ok(&self, who: &str, script: &str, vars: &[(&str, &str)]) -> String {
        let output = self.shell(who, script, vars);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{who}: {script}: {out}{err}");
        out.into_owned()
    }
}

fn drill(bucket: bool) {
    let found = Command::new("rclone").arg("version").output();
    assert!(found.is_ok_and(|found| found.status.success()), "this drill needs rclone: install it (Debian: rclone)");
    let site = Site::new(bucket);
    let (live, location) = site.place("live");
    let backup = site.path("backup").to_str().unwrap().to_owned();
    let vault = [("SEQVAULT", location.as_str()), ("LIVE", &live), ("BACKUP", &backup)];
    make_vault(&site, &location);

    site.ok("lab", &block("backup"), &vault);
    // A backup from a moment before: what comes now is seen by members and lies in no older copy.
    let older = site.path("older").to_str().unwrap().to_owned();
    site.ok("lab", "cp -r \"$BACKUP\" \"$OLDER\"", &[("BACKUP", &backup), ("OLDER", &older)]);
    site.ok("lab", "seqvault put run more; seqvault verify", &vault);
    site.ok("anna", "seqvault verify; seqvault get run --output before; diff -r before both", &vault);
    // Again: only what is new is copied, and nothing that exists is touched.
    site.ok("lab", &block("backup"), &vault);
    site.ok("lab", "rclone purge \"$LIVE\"", &vault);
    assert!(!site.shell("anna", "seqvault verify", &vault).status.success(), "the vault was not lost");

    let (restored, new_location) = site.place("restored");
    let there = [("BACKUP", backup.as_str()), ("RESTORED", &restored), ("NEW_LOCATION", &new_location)];
    site.ok("lab", &block("restore"), &there);
    let checked = site.ok("anna", &block("check"), &there);
    assert!(!checked.contains("missing"), "{checked}");
    members_go_on(&site, &new_location);

    let (restored, new_location) = site.place("restored-older");
    let there = [("BACKUP", older.as_str()), ("RESTORED", &restored), ("NEW_LOCATION", &new_location)];
    site.ok("lab", &block("restore"), &there);
    for who in ["anna", "lab"] {
        let output = site.shell(who, &block("check"), &there);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{who} took a vault without what it had seen: {said}");
    }
}

fn make_vault(site: &Site, location: &str) {
    let vars = [("SEQVAULT", location)];
    for (folder, file) in [("run", "a.fastq"), ("run", "b.fastq"), ("more", "c.fastq")] {
        fs::create_dir_all(site.path(folder)).unwrap();
        fs::write(site.path(folder).join(file), file.repeat(20_000)).unwrap();
        fs::create_dir_all(site.path("both").join(folder)).unwrap();
        fs::copy(site.path(folder).join(file), site.path("both").join(folder).join(file)).unwrap();
    }
    for who in ["lab", "anna"] {
        let make = format!(
            "seqvault identity new {who}.id --label {who} --kdf-memory 8 --kdf-passes 1\n\
             seqvault identity card > {who}.card"
        );
        site.ok(who, &make, &[]);
    }
    let make = "seqvault init \"$SEQVAULT\" --member lab --organisation Lab --kind research --jurisdiction CN\n\
                seqvault member add anna --card anna.card --organisation Hospital --kind hospital --jurisdiction CN --invitation anna.invite\n\
                seqvault dataset create run --title Run --level 2\n\
                seqvault put run run\n\
                seqvault grant run anna";
    site.ok("lab", make, &vars);
    site.ok("anna", "seqvault join \"$(cat anna.invite)\"", &vars);
}

/// Reading, writing, granting and revoking at the new place, and the former one is not needed.
fn members_go_on(site: &Site, location: &str) {
    let vars = [("SEQVAULT", location)];
    site.ok("anna", "seqvault get run --output after; diff -r after both", &vars);
    fs::create_dir_all(site.path("later")).unwrap();
    fs::write(site.path("later").join("d.fastq"), "after the restore").unwrap();
    site.ok("lab", "seqvault put run later; seqvault doctor; seqvault verify", &vars);
    site.ok("anna", "test \"$(seqvault cat run later/d.fastq)\" = 'after the restore'", &vars);
    site.ok("lab", "seqvault revoke run anna", &vars);
    let refused = site.shell("anna", "seqvault get run --output never", &vars);
    assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stderr));
    site.ok("lab", "seqvault get run --output labs; cmp labs/later/d.fastq later/d.fastq", &vars);
}

#[test]
fn a_folder_that_is_lost_is_restored_elsewhere_and_members_go_on() {
    drill(false);
}

#[test]
fn a_bucket_that_is_lost_is_restored_in_another_and_members_go_on() {
    drill(true);
}
