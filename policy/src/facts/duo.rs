//! Codes of the Data Use Ontology that a consent states and a grant must stay within.
//!
//! A permission covers what is narrower; a modifier of the consent has to be taken over by the grant. Both err towards *not
//! covered*: which disease a DS consent is for, or whether a promise behind a modifier is kept, is for people to check.

use std::collections::BTreeSet;

/// A code with its meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The short form.
    pub code: &'static str,
    /// What it says.
    pub en: &'static str,
    /// The same in Chinese.
    pub zh: &'static str,
    /// Whether it permits a use; else it limits one.
    pub permits: bool,
}

const fn permission(code: &'static str, en: &'static str, zh: &'static str) -> Code {
    Code { code, en, zh, permits: true }
}

const fn modifier(code: &'static str, en: &'static str, zh: &'static str) -> Code {
    Code { code, en, zh, permits: false }
}

/// The codes that are known here.
pub const CODES: &[Code] = &[
    permission("NRES", "no restriction", "无限制"),
    permission("GRU", "general research use", "一般科学研究"),
    permission("HMB", "health, medical, biomedical research", "健康、医学、生物医学研究"),
    permission("DS", "disease-specific research", "特定疾病研究"),
    permission("POA", "population origins or ancestry research only", "仅限人群起源或祖源研究"),
    modifier("COL", "collaboration with the provider required", "须与提供方合作"),
    modifier("CC", "clinical care use", "临床诊疗使用"),
    modifier("GS", "geographical restriction", "地域限制"),
    modifier("GSO", "genetic studies only", "仅限遗传学研究"),
    modifier("IRB", "ethics approval required", "须经伦理审查"),
    modifier("IS", "institution-specific", "限定机构"),
    modifier("MOR", "publication moratorium", "限期不得发表"),
    modifier("NCU", "non-commercial use only", "仅限非商业用途"),
    modifier("NMDS", "no methods development", "不得用于方法开发"),
    modifier("NPU", "not-for-profit organisations only", "仅限非营利机构"),
    modifier("NPUNCU", "not-for-profit organisations, non-commercial use only", "仅限非营利机构的非商业用途"),
    modifier("PS", "project-specific", "限定项目"),
    modifier("PUB", "publication required", "须发表成果"),
    modifier("RS", "research type specific", "限定研究类型"),
    modifier("RTN", "results must be returned", "须返还数据或成果"),
    modifier("TS", "time limit", "限定时间"),
    modifier("US", "user-specific", "限定使用者"),
];

/// A code by its short form.
#[must_use]
pub fn find(code: &str) -> Option<&'static str> {
    CODES.iter().find(|known| known.code == code).map(|known| known.code)
}

/// Whether uses with the codes of `grant` stay within the codes of `consent`.
#[must_use]
pub fn covers(consent: &BTreeSet<&'static str>, grant: &BTreeSet<&'static str>) -> bool {
    let permits = |code: &str| CODES.iter().any(|known| known.code == code && known.permits);
    let mut uses = grant.iter().filter(|code| permits(code)).peekable();
    let modified = consent.iter().filter(|code| !permits(code)).all(|code| grant.contains(code));
    uses.peek().is_some() && modified && uses.all(|used| consent.iter().any(|given| reaches(given, used)))
}

/// Whether a permission includes a use.
fn reaches(given: &str, used: &str) -> bool {
    match given {
        "NRES" => true,
        "GRU" => used != "NRES",
        "HMB" => matches!(used, "HMB" | "DS"),
        _ => given == used,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_permission_covers_a_narrower_use_and_not_the_reverse() {
        let set = |codes: &[&'static str]| codes.iter().copied().collect::<BTreeSet<_>>();
        assert!(covers(&set(&["GRU"]), &set(&["HMB"])));
        assert!(covers(&set(&["HMB"]), &set(&["DS"])));
        assert!(!covers(&set(&["HMB"]), &set(&["GRU"])));
        assert!(!covers(&set(&["DS"]), &set(&["HMB"])));
        assert!(!covers(&set(&["POA"]), &set(&["DS"])));
        assert!(!covers(&set(&["GRU"]), &set(&[])), "a grant that names no use is in none");
        assert!(!covers(&set(&["GRU", "NCU"]), &set(&["GRU"])), "a limit has to be taken over");
        assert!(covers(&set(&["GRU", "NCU"]), &set(&["GRU", "NCU", "IRB"])));
        assert!(!covers(&set(&["NCU"]), &set(&["GRU", "NCU"])), "a limit alone permits nothing");
    }
}
