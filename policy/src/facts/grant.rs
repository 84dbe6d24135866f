//! The table of a grant's fields. Who, when and with which approvals stands in the statement itself.

use super::field::{Field, Kind, Schema, open, open_or_none, sealed, sealed_or_none};
use super::words::{ARTICLE_9, CHAPTER_V, EXPORT_TOOLS, FORMS, PAYMENTS, PIPL_BASES, SCENARIOS};
use crate::lang::Bilingual;

/// A grant's fields.
pub static SCHEMA: Schema = Schema { name: "grant", fields: FIELDS, groups: GROUPS };

const GROUPS: &[(&str, Bilingual)] = &[
    ("use", Bilingual::fixed("What the data is for", "用途")),
    ("opening", Bilingual::fixed("How it is opened", "开放方式")),
    (
        "hgr",
        Bilingual::fixed(
            "Human genetic resources: reports and reviews of this grant",
            "人类遗传资源：本次提供的报告与审查",
        ),
    ),
    ("export", Bilingual::fixed("Export from the mainland of China", "数据出境")),
    ("authority", Bilingual::fixed("Requests of foreign authorities", "境外司法或者执法机构的请求")),
    ("eu", Bilingual::fixed("Subjects in the European Union", "欧盟数据主体")),
    ("basis", Bilingual::fixed("Legal basis", "合法性基础")),
];

const FIELDS: &[Field] = &[
    open("use.scenario", Kind::Word(SCENARIOS), "Scenario", "共享场景"),
    sealed("use.purpose", Kind::Text, "Purpose in words", "用途说明"),
    open_or_none("use.duo", Kind::Duo, "DUO codes of the use", "用途的 DUO 代码"),
    open_or_none("use.project", Kind::Text, "Project, as approvals name it", "项目（与批件中的写法一致）"),
    open("use.payment", Kind::Word(PAYMENTS), "What is paid?", "费用"),
    open("use.emergency", Kind::Flag, "Is an emergency claimed?", "是否主张紧急情况"),
    open("opening.form", Kind::Word(FORMS), "Form of opening", "开放形式"),
    open("opening.onward_abroad", Kind::Flag, "Will the recipient provide it onward abroad?", "接收方是否再向境外提供"),
    sealed_or_none("opening.not_before", Kind::Day, "First day", "起始日"),
    open_or_none("opening.expiry", Kind::Day, "Last day", "末日"),
    open_or_none("hgr.report_number", Kind::Text, "Number of the prior report", "事先报告编号"),
    open_or_none("hgr.report_day", Kind::Day, "Its day", "事先报告日期"),
    open_or_none("hgr.report_by_owner", Kind::Flag, "Did the Chinese owner file it?", "是否由中方数据信息所有者报告"),
    open_or_none(
        "hgr.report_party",
        Kind::Text,
        "Legal identifier of the recipient that it names",
        "报告所列接收方的法定标识",
    ),
    open_or_none("hgr.receipt", Kind::Text, "Receipt of the information backup", "信息备份回执号"),
    open_or_none("hgr.receipt_day", Kind::Day, "Its day", "备份回执日期"),
    open_or_none(
        "hgr.review_number",
        Kind::Text,
        "Number of the security review that was passed",
        "通过安全审查的编号",
    ),
    open_or_none("hgr.review_day", Kind::Day, "Its day", "安全审查通过日期"),
    open_or_none(
        "hgr.review_statement",
        Kind::Hash,
        "Hash of a written statement that the review is covered or not needed",
        "安全审查已涵盖或无需审查的书面说明的散列值",
    ),
    open("hgr.material_leaves", Kind::Flag, "Does genetic material leave the country?", "遗传资源材料是否出境"),
    open(
        "hgr.changed",
        Kind::Flag,
        "Did partner, purpose, content or term change since the approval?",
        "合作方、用途、内容、期限是否有变更",
    ),
    open_or_none("hgr.change_approval", Kind::Text, "Number of the approval of the change", "变更批准编号"),
    open_or_none("export.tool", Kind::Word(EXPORT_TOOLS), "Standard contract or certification", "标准合同或者认证"),
    open_or_none(
        "export.assessment",
        Kind::Text,
        "Number of the security assessment that was passed",
        "通过数据出境安全评估的编号",
    ),
    open(
        "authority.foreign_request",
        Kind::Flag,
        "Does it answer a request of a foreign court or agency?",
        "是否应境外司法或者执法机构请求提供",
    ),
    open_or_none("authority.approval", Kind::Text, "Number of the competent authority's approval", "主管机关批准编号"),
    open_or_none("eu.article_9", Kind::Word(ARTICLE_9), "Basis under Article 9(2) GDPR", "GDPR 第 9 条第 2 款依据"),
    open_or_none("eu.chapter_v", Kind::Word(CHAPTER_V), "Tool under Chapter V GDPR", "GDPR 第五章传输工具"),
    sealed("basis.pipl", Kind::Word(PIPL_BASES), "Basis under the PIPL", "《个人信息保护法》下的合法性基础"),
];
