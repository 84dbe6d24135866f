//! The table of a member's fields.

use super::field::{Field, Kind, Schema, open, open_or_none, sealed, sealed_or_none};
use super::words::{ATTESTATIONS, FUNCTIONS, ORGANISATIONS, ROLES};
use crate::lang::Bilingual;

/// A member's fields.
pub static SCHEMA: Schema = Schema { name: "member", fields: FIELDS, groups: GROUPS };

const GROUPS: &[(&str, Bilingual)] = &[
    ("legal", Bilingual::fixed("The legal entity", "法律主体")),
    ("access", Bilingual::fixed("Where the data is used", "使用地")),
    ("foreign", Bilingual::fixed("Foreign status", "外方认定")),
    ("ultimate", Bilingual::fixed("The ultimate owner", "最终所有者")),
    ("work", Bilingual::fixed("What the member does", "角色与职能")),
    ("agreement", Bilingual::fixed("The signed agreement", "数据共享协议")),
    ("security", Bilingual::fixed("Security attestations", "安全证明")),
    ("credential", Bilingual::fixed("The member's credential", "成员凭证")),
];

const FIELDS: &[Field] = &[
    open(
        "legal.id",
        Kind::Text,
        "Legal identifier (unified social credit code or the like), as approvals name it",
        "法定标识（统一社会信用代码等，与批件一致）",
    ),
    sealed("legal.entity", Kind::Text, "Name of the legal entity", "法律主体名称"),
    open("legal.kind", Kind::Word(ORGANISATIONS), "Kind of organisation", "机构类型"),
    open("legal.jurisdiction", Kind::Country, "Where is it registered?", "注册地"),
    open("access.country", Kind::Country, "From where is the data accessed?", "数据访问地"),
    open("foreign.declared", Kind::Flag, "Does it declare itself a foreign party?", "是否声明为外方单位"),
    open("foreign.equity", Kind::Share, "Foreign share of equity, in percent", "外方股权比例（%）"),
    open("foreign.votes", Kind::Share, "Foreign share of votes, in percent", "外方表决权比例（%）"),
    open(
        "foreign.control",
        Kind::Flag,
        "Is it controlled from abroad by votes, contract or another arrangement?",
        "外方是否通过表决权、协议或其他安排实际控制",
    ),
    open(
        "foreign.domestic_control",
        Kind::Flag,
        "Hong Kong or Macau entity: is it under domestic control?",
        "港澳单位：是否由内资实际控制",
    ),
    sealed("foreign.basis", Kind::Text, "On what do these answers rest?", "认定依据"),
    sealed("foreign.day", Kind::Day, "When was this found?", "认定日期"),
    open(
        "ultimate.id",
        Kind::Text,
        "Legal identifier of the ultimate owner; what is counted is counted for it",
        "最终所有者的法定标识（累计人数以此为准）",
    ),
    sealed("ultimate.owner", Kind::Text, "Name of the ultimate owner", "最终所有者名称"),
    open("work.role", Kind::Word(ROLES), "Role under GB/T 39725-2020", "GB/T 39725-2020 角色"),
    open("work.function", Kind::Word(FUNCTIONS), "Function", "职能"),
    open("agreement.signed", Kind::Flag, "Is an agreement signed?", "是否已签署协议"),
    sealed_or_none("agreement.hash", Kind::Hash, "Its hash", "协议的散列值"),
    open("agreement.purpose", Kind::Flag, "Does it settle the purpose?", "是否约定处理目的"),
    open("agreement.method", Kind::Flag, "Does it settle the method?", "是否约定处理方式"),
    open("agreement.scope", Kind::Flag, "Does it settle the scope?", "是否约定处理范围"),
    open("agreement.duties", Kind::Flag, "Does it settle the duties of protection?", "是否约定安全保护义务"),
    sealed("agreement.no_onward", Kind::Flag, "Does it forbid onward sharing?", "是否禁止再次共享"),
    sealed("agreement.destruction", Kind::Flag, "Does it ask for destruction at the end?", "是否要求期满销毁"),
    open_or_none("agreement.expiry", Kind::Day, "Last day on which it holds", "协议有效期末日"),
    open_or_none("security.attestations", Kind::Words(ATTESTATIONS), "Which attestations are held?", "持有的安全证明"),
    open_or_none("security.expiry", Kind::Day, "Last day on which they hold", "安全证明有效期末日"),
    open_or_none("credential.expiry", Kind::Day, "Last day of the member's credential", "成员凭证有效期末日"),
];
