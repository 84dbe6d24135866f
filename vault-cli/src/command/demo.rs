//! `seqvault demo`: the whole story on this machine. Each step is run as the command that it prints, by this very program; what a
//! former recipient can still do is tried for real, with every key that it ever had.

mod attacker;
mod run;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Args as ClapArgs;

use crate::error::{Failure, Kind, Outcome};
use crate::output::{self, Output};
use crate::settings::Globals;

/// The demo's passphrase, which anybody can read here: what is kept of a demo is not protected by it.
const PASSPHRASE: &str = "correct horse battery staple";
const PASSPHRASE_ENV: &str = "SEQVAULT_DEMO_PASSPHRASE";

/// Show the whole story on this machine, on made or given files
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:\n  seqvault demo\n  seqvault demo --run ./my-run --keep")]
pub struct Args {
    /// A run of your own: a folder
    #[arg(long, value_name = "PATH")]
    run: Option<PathBuf>,
    /// Keep the folder with the vault, to look at
    #[arg(long)]
    keep: bool,
}

/// Who takes part, and the words for them.
const PEOPLE: [(&str, &str); 6] = [
    ("officer", "security officer: enrols, revokes, reads nothing"),
    ("lab", "steward of the lab: grants and rotates"),
    ("sequencer", "an instrument: uploads, cannot read"),
    ("anna", "a recipient at a hospital"),
    ("ben", "a recipient at a company, who will be revoked"),
    ("dora", "an ethics board: approves, reads nothing"),
];

struct Stage {
    folder: PathBuf,
    program: PathBuf,
    out: Output,
}

/// Runs the verb.
///
/// # Errors
/// If a step does not end as it should.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let began = Instant::now();
    let folder = tempfile::Builder::new()
        .prefix("seqvault-demo-")
        .tempdir()
        .map_err(|e| Failure::file(&std::env::temp_dir(), &e))?;
    let program =
        std::env::current_exe().map_err(|e| Failure::new(Kind::Other, format!("where this program is: {e}")))?;
    let stage = Stage { folder: folder.path().to_owned(), program, out: globals.output() };
    let played = play(&stage, args.run.as_deref()).await;
    if args.keep {
        let kept = folder.keep();
        stage.out.note(&format!(
            "kept: {}  (the passphrase of its identities is {PASSPHRASE:?}, in {PASSPHRASE_ENV}: delete it when you have looked)",
            kept.display()
        ));
    }
    played?;
    stage.out.line(&format!(
        "\nAll of it held, in {:.1} s.{}",
        began.elapsed().as_secs_f64(),
        if args.keep { "" } else { " Nothing was left behind (--keep leaves it)." }
    ))?;
    stage.out.line(NEXT)
}

const NEXT: &str = "\nWhat to try next:
  seqvault identity new ~/.config/seqvault/identity     your own identity
  seqvault seal FILE --to CARD                          one file to somebody, without a vault
  seqvault init ./vault --member you                    a vault of your own
  seqvault demo --run YOUR-RUN --keep                   this story on your own files
  docs/threat-model.md                                  what is protected, and what is not";

async fn play(stage: &Stage, given: Option<&Path>) -> Outcome<()> {
    let (first, second) = (stage.folder.join("run-1"), stage.folder.join("run-2"));
    stage.title("A run")?;
    match given {
        Some(path) => {
            let path = fs::canonicalize(path).map_err(|e| Failure::file(path, &e))?;
            std::os::unix::fs::symlink(&path, &first).map_err(|e| Failure::file(&first, &e))?;
            stage.say(&format!("yours: {}", path.display()))?;
        }
        None => stage.say(&run::write(&first, 1)?)?,
    }
    run::write_small(&second)?;

    people(stage)?;
    stage.title("A vault, its members, a dataset")?;
    let vault = stage.folder.join("vault");
    stage.run(
        "officer",
        &[
            "init",
            "vault",
            "--member",
            "officer",
            "--organisation",
            "Example Security",
            "--jurisdiction",
            "CN",
            "--officer-only",
        ],
    )?;
    for (name, organisation, kind) in [
        ("lab", "Example Sequencing Lab", "research"),
        ("sequencer", "Example Sequencing Lab", "research"),
        ("anna", "Example Hospital", "hospital"),
        ("ben", "Example Company", "enterprise"),
        ("dora", "Example Ethics Board", "research"),
    ] {
        let (card, invite) = (format!("{name}.card"), format!("{name}.invite"));
        let mut args = vec![
            "member",
            "add",
            name,
            "--card",
            &card,
            "--organisation",
            organisation,
            "--kind",
            kind,
            "--jurisdiction",
            "CN",
            "--invitation",
            &invite,
        ];
        if name == "lab" {
            args.extend(["--role", "creator"]);
        }
        stage.run("officer", &args)?;
        stage.join(name)?;
    }
    stage.run("lab", &["dataset", "create", "cohort-7", "--title", "Cohort 7", "--uploader", "sequencer"])?;

    stage.title("The instrument uploads")?;
    stage.run("sequencer", &["put", "cohort-7", "run-1/"])?;
    stage.say("and can't read what it uploaded:")?;
    stage.refused("sequencer", &["get", "cohort-7", "--output", "sequencer-tries"])?;

    stage.title("Two recipients")?;
    for name in ["anna", "ben"] {
        stage.run("lab", &["grant", "cohort-7", name, "--purpose", "cohort study 7"])?;
        let target = format!("{name}-1");
        stage.run(name, &["get", "cohort-7", "--output", &target])?;
        stage.say(&run::compare(&first, &stage.folder.join(&target))?)?;
    }
    stage.say("before it is revoked, Ben copies every key that it can reach:")?;
    let loot = attacker::collect(&stage.globals("ben"), PASSPHRASE, "cohort-7").await?;
    stage.say(&format!(
        "  {} epoch secrets, which open {} objects of the vault",
        loot.secrets(),
        loot.opens(&vault)?
    ))?;
    if loot.opens(&vault)? == 0 {
        return Err(Failure::new(
            Kind::Other,
            "the attacker's check opens nothing even while it has a grant: it shows nothing",
        ));
    }

    stage.title("Revoke one, rotate")?;
    stage.run("officer", &["revoke", "cohort-7", "ben", "--reason", "project over"])?;
    stage.say("the officer ended the grant and holds no key; the steward opens the new epoch:")?;
    stage.run("lab", &["rotate", "cohort-7", "--reason", "ben was revoked"])?;
    stage.run("sequencer", &["put", "cohort-7", "run-2/"])?;

    stage.title("What Ben can still open")?;
    stage.refused("ben", &["get", "cohort-7", "--output", "ben-2"])?;
    let opened = loot.opens(&vault)?;
    stage.say(&format!(
        "with the folder and every identity and epoch key that it ever had: {opened} of the vault's keys open"
    ))?;
    if opened != 0 {
        return Err(Failure::integrity("a revoked recipient still opens keys of the vault"));
    }
    stage.say("Anna reads both runs:")?;
    stage.run("anna", &["get", "cohort-7", "--output", "anna-2"])?;
    stage.say(&run::compare_both(&[&first, &second], &stage.folder.join("anna-2"))?)?;

    rules(stage, &second)?;

    stage.title("The record")?;
    stage.run("anna", &["log", "cohort-7"])?;
    stage.run("anna", &["verify", "--data"])
}

/// The gate: what is stated, what is missing, who signs, and only then a key.
fn rules(stage: &Stage, run: &Path) -> Outcome<()> {
    stage.title("Rules before keys")?;
    stage.run("officer", &["pack", "set", "cn-sequencing"])?;
    stage.save("lab", &["dataset", "template", "--example"], "cohort-8.toml", |text| {
        text.replace("[assessment]\ndone = \"yes\"", "[assessment]\ndone = \"no\"")
    })?;
    stage.save("officer", &["member", "template", "--example"], "anna.toml", |text| text)?;
    stage.save("lab", &["grant", "--template", "--example"], "anna-grant.toml", |text| text)?;
    stage.say("each is filled in; in cohort-8.toml the impact assessment is not made yet")?;
    stage.run("officer", &["member", "amend", "anna", "--facts", "anna.toml", "--quiet"])?;
    stage.run("lab", &["dataset", "create", "cohort-8", "--facts", "cohort-8.toml", "--quiet"])?;
    stage.run("officer", &["member", "role", "dora", "approver", "--dataset", "cohort-8"])?;
    stage.run("lab", &["put", "cohort-8", "run-2/"])?;
    stage.refused("lab", &["decide", "cohort-8", "anna", "--facts", "anna-grant.toml", "--missing"])?;
    stage.refused("lab", &["decide", "cohort-8", "anna", "--facts", "anna-grant.toml", "--missing", "--lang", "zh"])?;
    stage.say("the assessment is made, and the dataset's facts say so:")?;
    let path = stage.folder.join("cohort-8.toml");
    let facts = fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
    let facts = facts.replace("[assessment]\ndone = \"no\"", "[assessment]\ndone = \"yes\"");
    fs::write(&path, facts).map_err(|e| Failure::file(&path, &e))?;
    let why = "impact assessment made";
    stage.run("lab", &["dataset", "amend", "cohort-8", "--facts", "cohort-8.toml", "--why", why])?;
    stage.run("lab", &["decide", "cohort-8", "anna", "--facts", "anna-grant.toml", "--missing"])?;
    stage.say("allowed, with one approval by somebody who neither proposes nor profits:")?;
    stage.run("lab", &["propose", "cohort-8", "anna", "--facts", "anna-grant.toml", "--quiet"])?;
    stage.run("dora", &["approve", "cohort-8", "--terms", "cohort-8-anna.terms.json", "--quiet"])?;
    stage.run("lab", &["grant", "cohort-8", "anna", "--terms", "cohort-8-anna.terms.json", "--quiet"])?;
    stage.run("anna", &["get", "cohort-8", "--output", "anna-3"])?;
    stage.say(&run::compare(run, &stage.folder.join("anna-3"))?)?;
    stage.say("grants from before the pack rest on no decision, and are named:")?;
    stage.run("lab", &["due"])
}

fn people(stage: &Stage) -> Outcome<()> {
    stage.title("Six identities (with a weak passphrase cost, to be quick here)")?;
    for (name, who) in PEOPLE {
        let file = format!("{name}.id");
        stage.run(name, &["identity", "new", &file, "--label", who, "--kdf-memory", "8", "--kdf-passes", "1"])?;
        let card = stage.output(name, &["identity", "card"])?;
        let path = stage.folder.join(format!("{name}.card"));
        fs::write(&path, card).map_err(|e| Failure::file(&path, &e))?;
    }
    Ok(())
}

impl Stage {
    fn title(&self, text: &str) -> Outcome<()> {
        self.out.line(&format!("\n# {text}"))
    }

    fn say(&self, text: &str) -> Outcome<()> {
        self.out.line(text)
    }

    fn globals(&self, name: &str) -> Globals {
        Globals {
            vault: Some(self.folder.join("vault").to_string_lossy().into_owned()),
            identity: Some(self.folder.join(format!("{name}.id"))),
            passphrase_fd: None,
            passphrase_env: None,
            json: false,
            quiet: true,
            state: Some(self.folder.join(format!("{name}.state"))),
            via_server: false,
            lang: None,
            packs: None,
            unlocked: crate::settings::Unlocked::default(),
        }
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(&self.folder)
            .env("SEQVAULT", "vault")
            .env("SEQVAULT_IDENTITY", format!("{name}.id"))
            .env("SEQVAULT_STATE", self.folder.join(format!("{name}.state")))
            .env(PASSPHRASE_ENV, PASSPHRASE)
            .args(["--passphrase-env", PASSPHRASE_ENV])
            .stdin(Stdio::null());
        command
    }

    fn print(&self, name: &str, args: &[&str]) -> Outcome<()> {
        let words: Vec<String> =
            args.iter().map(|a| if a.contains([' ', '*']) { format!("'{a}'") } else { (*a).to_owned() }).collect();
        self.say(&format!("{name}$ seqvault {}", words.join(" ")))
    }

    /// Runs a step that has to succeed, and shows what it says.
    fn run(&self, name: &str, args: &[&str]) -> Outcome<()> {
        self.print(name, args)?;
        let result = self.command(name, args).output().map_err(|e| Failure::file(&self.program, &e))?;
        self.say(&indent(&String::from_utf8_lossy(&result.stdout)))?;
        if !result.status.success() || !result.stderr.is_empty() {
            self.say(&indent(&String::from_utf8_lossy(&result.stderr)))?;
        }
        if result.status.success() { Ok(()) } else { Err(ended(args, &result.status)) }
    }

    /// Runs a step that has to be refused: exit code 4.
    fn refused(&self, name: &str, args: &[&str]) -> Outcome<()> {
        self.print(name, args)?;
        let result = self.command(name, args).output().map_err(|e| Failure::file(&self.program, &e))?;
        self.say(&indent(&String::from_utf8_lossy(&result.stdout)))?;
        self.say(&indent(&String::from_utf8_lossy(&result.stderr)))?;
        match result.status.code() {
            Some(code) if code == Kind::Refused as i32 => self.say("  (exit code 4, as it should be)"),
            _ => Err(ended(args, &result.status)),
        }
    }

    /// Runs a step and keeps what it prints, as somebody then changed it, in a file.
    fn save(&self, name: &str, args: &[&str], file: &str, change: impl Fn(String) -> String) -> Outcome<()> {
        self.say(&format!("{name}$ seqvault {} > {file}", args.join(" ")))?;
        let printed = String::from_utf8_lossy(&self.output(name, args)?).into_owned();
        let path = self.folder.join(file);
        fs::write(&path, change(printed)).map_err(|e| Failure::file(&path, &e))
    }

    /// Runs a step and takes what it prints.
    fn output(&self, name: &str, args: &[&str]) -> Outcome<Vec<u8>> {
        let result = self.command(name, args).output().map_err(|e| Failure::file(&self.program, &e))?;
        if result.status.success() {
            Ok(result.stdout)
        } else {
            self.say(&indent(&String::from_utf8_lossy(&result.stderr)))?;
            Err(ended(args, &result.status))
        }
    }

    fn join(&self, name: &str) -> Outcome<()> {
        let path = self.folder.join(format!("{name}.invite"));
        let invitation = fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
        self.say(&format!("{name}$ seqvault join \"$(cat {name}.invite)\""))?;
        let printed = self.output(name, &["join", invitation.trim()])?;
        self.say(&indent(&String::from_utf8_lossy(&printed)))
    }
}

fn indent(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|l| format!("  {l}")).collect();
    output::printable(&lines.join("\n"))
}

fn ended(args: &[&str], status: &std::process::ExitStatus) -> Failure {
    Failure::new(Kind::Other, format!("the demo stops: `seqvault {}` ended with {status}", args.join(" ")))
}
