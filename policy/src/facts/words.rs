//! The closed lists of words that fields answer with.

use super::field::Word;
use crate::lang::Bilingual;

/// A word by its code.
#[must_use]
pub fn find(list: &'static [Word], code: &str) -> Option<&'static str> {
    list.iter().find(|word| word.code == code).map(|word| word.code)
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident: $($code:literal $en:literal $zh:literal),* $(,)?;)*) => {$(
        $(#[$doc])*
        pub const $name: &[Word] = &[$(Word { code: $code, text: Bilingual::fixed($en, $zh) }),*];
    )*};
}

lists! {
    /// What the data is, by content.
    CONTENTS:
        "sequence" "human gene or genome sequence" "人类基因、基因组序列",
        "variants" "variants, genotypes" "变异、基因型",
        "rna" "RNA sequence or expression from it" "RNA 测序及其表达数据",
        "methylation" "methylation and other epigenome data" "甲基化等表观组数据",
        "imaging" "imaging" "影像数据",
        "laboratory" "routine laboratory results" "常规检验数据",
        "anthropometric" "body measures" "身高体重等体测数据",
        "questionnaire" "questionnaires" "问卷数据",
        "other" "anything else" "其他";
    /// Assays.
    ASSAYS:
        "wgs" "whole genome" "全基因组测序",
        "wes" "whole exome" "全外显子组测序",
        "panel" "targeted panel" "靶向 panel 测序",
        "array" "genotyping array" "基因分型芯片",
        "amplicon" "amplicon" "扩增子测序",
        "rna_seq" "RNA sequencing" "转录组测序",
        "methyl_seq" "methylation sequencing" "甲基化测序",
        "single_cell" "single cell" "单细胞测序",
        "none_sequencing" "no sequencing and no genotyping" "非测序、非分型",
        "other" "another" "其他";
    /// Content tiers: a tier is a dataset of its own.
    TIERS:
        "reads" "reads" "原始读段",
        "alignments" "alignments" "比对结果",
        "variants" "variants" "变异",
        "report" "report" "报告";
    /// Whether the clinical meaning is clear.
    MEANINGS:
        "clear" "clinical meaning is clear" "临床意义明确",
        "unclear" "clinical meaning is not clear" "临床意义不明确",
        "mixed" "both" "两者兼有";
    /// On what the collection rests.
    COLLECTIONS:
        "clinical_care" "clinical care" "临床诊疗",
        "research" "research" "科学研究",
        "trial" "clinical trial" "临床试验",
        "public_health" "public health" "公共卫生",
        "biobank" "biobank" "生物样本库",
        "licensed" "under a licence" "许可取得";
    /// Where subjects come from.
    ORIGINS:
        "cn" "mainland of China" "中国大陆",
        "hk_mo" "Hong Kong, Macau" "香港、澳门",
        "us" "United States" "美国",
        "eu" "European Union or EEA" "欧盟或欧洲经济区",
        "other" "elsewhere" "其他";
    /// Degrees of harm in GB/T 43697-2024.
    HARMS:
        "none" "no harm" "无危害",
        "general" "general harm" "一般危害",
        "serious" "serious harm" "严重危害",
        "particularly_serious" "particularly serious harm" "特别严重危害";
    /// Levels of GB/T 43697-2024.
    NATIONAL_LEVELS:
        "general" "general data" "一般数据",
        "important" "important data" "重要数据",
        "core" "core data" "核心数据";
    /// Secrecy labels after GB/T 30534.
    SECRECY:
        "open" "open" "公开",
        "restricted" "restricted" "限制",
        "secret" "secret" "秘密",
        "confidential" "highly secret" "机密",
        "top_secret" "top secret" "绝密";
    /// Scenarios of sharing.
    SCENARIOS:
        "research" "research" "科学研究",
        "clinical_care" "clinical care" "临床诊疗",
        "device_review" "review and approval of devices or drugs" "审评审批",
        "regulation" "supervision" "监督管理",
        "quality_control" "quality control" "质量控制";
    /// Methods of de-identification.
    DEIDENTIFICATION:
        "none" "none" "未去标识化",
        "pseudonymised" "pseudonymised" "假名化",
        "deidentified" "de-identified (GB/T 37964)" "去标识化（GB/T 37964）",
        "anonymised" "anonymised" "匿名化",
        "aggregated" "aggregates only" "仅汇总数据";
    /// Residual risk.
    RISKS:
        "low" "low" "低",
        "medium" "medium" "中",
        "high" "high" "高";
    /// What an HGR approval is.
    APPROVALS:
        "cooperation" "approved international cooperation" "国际合作科学研究审批",
        "trial_filing" "filed international clinical trial" "国际合作临床试验备案";
    /// How data is destroyed at the end.
    DESTRUCTION:
        "keys" "keys destroyed" "销毁密钥",
        "overwritten" "overwritten" "覆写",
        "media" "media destroyed" "销毁介质",
        "stored_only" "only stored" "仅存储";
    /// Kinds of organisations, as in statements.
    ORGANISATIONS:
        "hospital" "hospital" "医院",
        "research" "university or institute" "高校、科研机构",
        "enterprise" "company" "企业",
        "regulator" "authority" "监管机构",
        "team" "team" "团队",
        "other" "another" "其他";
    /// Roles under GB/T 39725-2020.
    ROLES:
        "subject" "data subject" "主体",
        "controller" "controller" "控制者",
        "processor" "processor" "处理者",
        "user" "user" "使用者";
    /// What the member does.
    FUNCTIONS:
        "researcher" "researcher" "研究者",
        "clinician" "clinician" "临床人员",
        "reviewer" "reviewer" "审评人员",
        "inspector" "inspector" "检查人员",
        "service" "service provider" "服务提供者",
        "funder_only" "funder that gets no data and no shared results" "仅资助，不获取数据和成果";
    /// Security attestations.
    ATTESTATIONS:
        "mlps_2" "classified protection, level 2" "等保二级",
        "mlps_3" "classified protection, level 3" "等保三级",
        "mlps_4" "classified protection, level 4" "等保四级",
        "nist_800_171" "NIST SP 800-171" "NIST SP 800-171",
        "iso_27001" "ISO/IEC 27001" "ISO/IEC 27001";
    /// Forms of opening.
    FORMS:
        "copy" "a copy at the recipient" "提供副本",
        "region" "parts by range" "按区段提供",
        "remote" "use in a place under the provider's control" "受控环境内使用";
    /// What is paid.
    PAYMENTS:
        "none" "nothing" "无偿",
        "cost_recovery" "reasonable cost recovery" "合理成本回收",
        "beyond_cost" "more than that" "超出成本";
    /// Tools of an export of personal information.
    EXPORT_TOOLS:
        "standard_contract" "standard contract, filed" "标准合同（已备案）",
        "certification" "certification" "个人信息保护认证";
    /// Bases of Article 9(2) GDPR.
    ARTICLE_9:
        "explicit_consent" "explicit consent" "明示同意",
        "public_interest" "substantial public interest" "重大公共利益",
        "care" "health care" "医疗保健",
        "public_health" "public health" "公共卫生",
        "research" "scientific research" "科学研究";
    /// Tools of Chapter V GDPR.
    CHAPTER_V:
        "adequacy" "adequacy decision" "充分性认定",
        "standard_clauses" "standard contractual clauses" "标准合同条款",
        "binding_rules" "binding corporate rules" "有约束力的公司规则",
        "derogation" "derogation of Article 49" "第 49 条例外";
    /// On what the recipient's handling rests under the PIPL.
    PIPL_BASES:
        "consent" "consent" "同意",
        "contract" "contract with the person" "合同所必需",
        "duty" "statutory duty" "法定职责或义务",
        "health_emergency" "public health emergency" "突发公共卫生事件";
}
