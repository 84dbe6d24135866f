//! Cases for tests: facts by full name, rendered to the files that people write, so that every test goes through the parser.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may unwrap and panic")]

use std::collections::BTreeMap;

use vault_core::ids::{DatasetId, MemberId};
use vault_policy::gate::{Effect, Place, Stated, shipped};
use vault_policy::{Case, Dataset, Decision, Exposure, Grant, Member, Outcome, Pack, decide};

/// Noon of 2026-06-15 in China.
pub const NOW: u64 = 1_781_496_000;

/// What a case is made of.
#[derive(Debug, Clone)]
pub struct Scene {
    pub answers: BTreeMap<String, String>,
    pub level: u8,
    pub grade_confirmed: bool,
    pub exposure: Exposure,
    pub now: u64,
}

const DOMESTIC: &str = r#"
dataset.parties.controller = "C-1"
dataset.parties.owner_is_chinese = "yes"
dataset.parties.critical_operator = "no"
dataset.source.collector_is_foreign = "no"
dataset.content.kinds = ["sequence"]
dataset.content.assays = ["wgs"]
dataset.content.tier = "variants"
dataset.subjects.count = 100
dataset.subjects.origin = ["cn"]
dataset.subjects.us_persons = 0
dataset.subjects.minors = "no"
dataset.subjects.important_family = "no"
dataset.subjects.listed_region = "no"
dataset.subjects.public_interest = "no"
dataset.subjects.special_disease = "no"
dataset.subjects.population_genetics = "no"
dataset.subjects.identifying = "no"
dataset.grading.national_security = "none"
dataset.grading.economy = "none"
dataset.grading.social_order = "none"
dataset.grading.public_interest = "none"
dataset.grading.organisations = "none"
dataset.grading.persons = "serious"
dataset.grading.national_level = "general"
dataset.grading.important_data = "no"
dataset.grading.health_level = 3
dataset.grading.secrecy = "open"
dataset.consent.given = "yes"
dataset.consent.is_basis = "yes"
dataset.consent.separate = "yes"
dataset.consent.guardian = "none"
dataset.consent.purposes = ["research", "clinical_care"]
dataset.consent.duo = "none"
dataset.consent.cross_border = "yes"
dataset.consent.expiry = 2030-01-01
dataset.consent.withdrawn = "no"
dataset.consent.purpose_over = "no"
dataset.ethics.approved = "yes"
dataset.ethics.expiry = 2030-01-01
dataset.assessment.done = "yes"
dataset.deidentification.method = "deidentified"
dataset.deidentification.residual_risk = "low"
dataset.hgr.applies = "yes"
dataset.hgr.approvals = "none"
dataset.keeping.retention = "none"
member.legal.id = "R-1"
member.legal.kind = "hospital"
member.legal.jurisdiction = "CN"
member.access.country = "CN"
member.foreign.declared = "no"
member.foreign.equity = 0
member.foreign.votes = 0
member.foreign.control = "no"
member.foreign.domestic_control = "no"
member.ultimate.id = "U-1"
member.work.role = "controller"
member.work.function = "researcher"
member.agreement.signed = "yes"
member.agreement.purpose = "yes"
member.agreement.method = "yes"
member.agreement.scope = "yes"
member.agreement.duties = "yes"
member.agreement.expiry = 2030-01-01
member.security.attestations = ["mlps_3"]
member.security.expiry = 2030-01-01
member.credential.expiry = 2030-01-01
grant.use.scenario = "research"
grant.use.duo = "none"
grant.use.project = "cohort-7"
grant.use.payment = "none"
grant.use.emergency = "no"
grant.opening.form = "copy"
grant.opening.onward_abroad = "no"
grant.opening.expiry = 2028-01-01
grant.hgr.report_number = "none"
grant.hgr.report_day = "none"
grant.hgr.report_by_owner = "none"
grant.hgr.report_party = "none"
grant.hgr.receipt = "none"
grant.hgr.receipt_day = "none"
grant.hgr.review_number = "none"
grant.hgr.review_day = "none"
grant.hgr.review_statement = "none"
grant.hgr.material_leaves = "no"
grant.hgr.changed = "no"
grant.hgr.change_approval = "none"
grant.export.tool = "none"
grant.export.assessment = "none"
grant.authority.foreign_request = "no"
grant.authority.approval = "none"
grant.eu.article_9 = "none"
grant.eu.chapter_v = "none"
"#;

/// An approval that names R-1 for cohort-7.
pub const APPROVAL: &str = r#"{ kind = "cooperation", number = "GH-1", project = "cohort-7", parties = ["C-1", "R-1"], purposes = ["research"], from = 2026-01-01, expiry = 2029-12-31 }"#;

impl Scene {
    /// A hospital on the mainland that gets 100 genomes for research: allowed.
    pub fn domestic() -> Self {
        let pairs = DOMESTIC.lines().filter_map(|line| line.split_once(" = "));
        Self {
            answers: pairs.map(|(name, answer)| (name.to_owned(), answer.to_owned())).collect(),
            level: 3,
            grade_confirmed: false,
            exposure: Exposure { recipient: Some(100), exported_this_year: Some(0) },
            now: NOW,
        }
    }

    /// A foreign hospital in Germany.
    fn abroad() -> Self {
        let mut scene = Self::domestic()
            .with("member.legal.jurisdiction", "\"DE\"")
            .with("member.access.country", "\"DE\"")
            .with("member.foreign.declared", "\"yes\"")
            .with("member.foreign.equity", "100")
            .with("member.foreign.votes", "100")
            .with("member.foreign.control", "\"yes\"")
            .with("grant.export.tool", "\"standard_contract\"");
        scene.exposure.exported_this_year = Some(100);
        scene
    }

    /// The foreign hospital as a party of an approved cooperation: allowed.
    pub fn named() -> Self {
        Self::abroad().with("dataset.hgr.approvals", &format!("[{APPROVAL}]"))
    }

    /// The foreign hospital outside the parties of the approved project, reported beforehand: allowed.
    pub fn reported() -> Self {
        Self::abroad()
            .with("dataset.hgr.approvals", &format!("[{}]", APPROVAL.replace("\"R-1\"", "\"R-2\"")))
            .with("grant.hgr.report_number", "\"BG-1\"")
            .with("grant.hgr.report_day", "2026-06-01")
            .with("grant.hgr.report_by_owner", "\"yes\"")
            .with("grant.hgr.report_party", "\"R-1\"")
            .with("grant.hgr.receipt", "\"BF-1\"")
            .with("grant.hgr.receipt_day", "2026-06-02")
    }

    /// Another answer to a fact.
    pub fn with(mut self, name: &str, answer: &str) -> Self {
        assert!(self.answers.insert(name.to_owned(), answer.to_owned()).is_some(), "{name} is no fact of the scene");
        self
    }

    /// Several.
    pub fn with_all(self, changes: &[(&str, &str)]) -> Self {
        changes.iter().fold(self, |scene, (name, answer)| scene.with(name, answer))
    }

    /// Another level.
    pub fn at_level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// Other totals.
    pub fn exposed(mut self, recipient: u64, exported: u64) -> Self {
        self.exposure = Exposure { recipient: Some(recipient), exported_this_year: Some(exported) };
        self
    }

    fn toml(&self, scope: &str) -> String {
        let mut groups: BTreeMap<&str, String> = BTreeMap::new();
        for (name, answer) in &self.answers {
            let mut parts = name.splitn(3, '.');
            if parts.next() == Some(scope) {
                let group = groups.entry(parts.next().unwrap()).or_default();
                group.push_str(&format!("{} = {answer}\n", parts.next().unwrap()));
            }
        }
        groups.into_iter().map(|(group, lines)| format!("[{group}]\n{lines}")).collect()
    }

    /// The facts.
    pub fn facts(&self) -> (Dataset, Member, Grant) {
        let read = (
            Dataset::parse_toml(&self.toml("dataset")),
            Member::parse_toml(&self.toml("member")),
            Grant::parse_toml(&self.toml("grant")),
        );
        match read {
            (Ok(dataset), Ok(member), Ok(grant)) => (dataset, member, grant),
            other => panic!("{other:?}"),
        }
    }

    /// The facts as statements hold them.
    pub fn stated(&self) -> Told {
        let (dataset, member, grant) = self.facts();
        Told::of(&dataset, &member, &grant)
    }

    /// The decision under a shipped pack.
    pub fn decide(&self) -> Decision {
        self.decide_under(&[pack("cn-sequencing")])
    }

    /// The decision under some packs.
    pub fn decide_under(&self, packs: &[&Pack]) -> Decision {
        decide(&self.case(&self.stated()), packs)
    }

    /// The case of some facts.
    pub fn case<'a>(&self, told: &'a Told) -> Case<'a> {
        Case {
            place: Place { dataset: &told.id, member: &told.to, reservation: None, export: None },
            dataset: &told.dataset,
            member: &told.member,
            grant: &told.grant,
            level: self.level,
            grade_confirmed: self.grade_confirmed,
            exposure: self.exposure,
            now: self.now,
        }
    }

    /// What a rule does here; `None` if it does not fire.
    pub fn effect(&self, rule: &str) -> Option<Effect> {
        let decision = self.decide();
        assert!(pack("cn-sequencing").rules().iter().any(|known| known.id == rule), "no rule {rule}");
        decision.fired.iter().find(|fired| fired.rule == rule).map(|fired| fired.effect)
    }

    /// The rules that stand in the way, by name.
    pub fn stopped_by(&self) -> Vec<String> {
        let mut names: Vec<_> = self.decide().missing().map(|fired| fired.rule.clone()).collect();
        names.sort();
        names
    }

    /// The outcome.
    pub fn outcome(&self) -> Outcome {
        self.decide().outcome
    }
}

/// A shipped pack by name.
pub fn pack(name: &str) -> &'static Pack {
    shipped().iter().find(|pack| pack.name() == name).unwrap()
}

/// Facts as statements hold them.
pub struct Told {
    pub id: DatasetId,
    pub to: MemberId,
    pub dataset: Stated<Dataset>,
    pub member: Stated<Member>,
    pub grant: Stated<Grant>,
}

impl Told {
    pub fn of(dataset: &Dataset, member: &Member, grant: &Grant) -> Self {
        Self::salted(dataset, member, grant, [0; 32])
    }

    pub fn salted(dataset: &Dataset, member: &Member, grant: &Grant, salt: [u8; 32]) -> Self {
        // An enrolment says kind and jurisdiction beside the facts; here only what the facts say counts.
        let facts = member.split(salt).unwrap().stated;
        Self {
            id: "run-42".parse().unwrap(),
            to: "anna".parse().unwrap(),
            dataset: Stated::dataset(&dataset.split(salt).unwrap().stated).unwrap(),
            member: Stated::stranger(&facts).unwrap(),
            grant: Stated::grant(&grant.split(salt).unwrap().stated).unwrap(),
        }
    }
}
