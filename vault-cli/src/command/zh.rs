//! Help in Chinese for the verbs of the rules: what they do and what their options mean. Examples stay as they are typed.

pub mod usage;

use clap::Command;

/// A verb by its path, what it does, and its options by their ids.
type Verb = (&'static [&'static str], &'static str, &'static [(&'static str, &'static str)]);

const USE: [(&str, &str); 5] = [
    ("facts", "授权的事实：由 `grant --template` 生成的 TOML 文件"),
    ("scenario", "共享场景：research、clinical_care、device_review、regulation 或 quality_control"),
    ("purpose", "用途说明；没有生效的规则包时按原文记录，持有保险库者均可见"),
    ("project", "项目，与批件中的写法一致"),
    ("until", "授权最迟于该日零时（UTC）终止：YYYY-MM-DD"),
];

const VALID: (&str, &str) = ("valid", "提案的有效天数");
const OUT: (&str, &str) = ("out", "条款文件的路径 [默认：以提案内容命名，.terms.json]");
const PROPOSAL: (&str, &str) = ("proposal", "提案的散列值或其开头，同一条款有多个提案时使用");
const LEDGER: (&str, &str) = ("ledger", "账本：vault、dataset/标识 或 exposure/散列值");
const SEQ: (&str, &str) = ("seq", "条目的序号");
const HASH: (&str, &str) = ("hash", "条目的散列值，或其至少十六位：所指即所见");
const CUT: (&str, &str) = ("cut", "账本已由备份恢复，该条为末条");

const EXAMPLE: (&str, &str) = ("example", "已填写的示例，三者合用时为规则包 cn-sequencing 所允许");

const VERBS: &[Verb] = &[
    (&["dataset"], "创建、变更、查看数据集", &[]),
    (
        &["dataset", "create"],
        "创建数据集，创建者为其首任数据管理者（须有创建权）",
        &[
            ("dataset", "数据集标识，一经选定不可更改，持有保险库者均可见"),
            ("title", "标题，同样可见"),
            ("level", "敏感级别 1 至 5 [默认：按事实所要求；没有事实时为 4]"),
            ("recovery", "除保险库的恢复卡外，另加的恢复卡"),
            ("facts", "事实：由 `dataset template` 生成的 TOML 文件；没有规则包的保险库也接受 .json 文件，按原样记录"),
            ("save_sealed", "另存事实的密封部分，供有权阅读者使用"),
            ("uploader", "可上传的成员，可多次指定"),
        ],
    ),
    (&["dataset", "template"], "打印带注释的事实模板，供填写", &[EXAMPLE]),
    (
        &["dataset", "facts"],
        "显示数据集的事实",
        &[
            ("dataset", "数据集"),
            ("sealed", "作者交付的密封部分文件，此后留存于本机"),
            ("open", "打开与数据集一同保存的密封部分（数据管理者）；须输入口令"),
        ],
    ),
    (
        &["dataset", "grade"],
        "显示各标准建议的级别及理由",
        &[("datasets", "数据集；指定多个时给出合并后的级别"), ("facts", "对事实文件定级")],
    ),
    (&["dataset", "confirm"], "确认数据集的级别（非定级人的批准人）", &[("dataset", "数据集")]),
    (
        &["dataset", "amend"],
        "陈述新的事实或级别；不再成立的授权随之暂停（数据管理者）",
        &[
            ("dataset", "数据集"),
            ("facts", "全部新的事实：由 `dataset template` 生成的 TOML 文件"),
            ("level", "级别 [默认：不变；事实要求更高时提高]"),
            ("why", "理由；将被记录，持有保险库者均可见"),
            ("save_sealed", "另存事实的密封部分，供有权阅读者使用"),
            ("dry_run", "仅说明将有哪些变更"),
        ],
    ),
    (
        &["dataset", "delete"],
        "永久删除数据集：密钥、密钥表、清单和数据；账本保留（数据管理者）",
        &[
            ("dataset", "数据集"),
            ("reason", "理由；将被记录，持有保险库者均可见"),
            ("terms", "执行已提案的删除：`propose dataset delete` 生成的条款文件"),
            PROPOSAL,
            ("confirm", "无终端可供输入时，再次写明数据集标识"),
            ("without_sealed", "删除前不在本机留存事实的密封部分"),
            ("dry_run", "仅说明将删除什么"),
        ],
    ),
    (
        &["member", "add-key"],
        "为成员添加卡片：另一台设备、一位同事",
        &[
            ("member", "成员"),
            ("card", "新的卡片"),
            ("terms", "执行已提案的添加：`propose member add-key` 生成的条款文件"),
            PROPOSAL,
            ("dry_run", "仅说明将添加什么"),
        ],
    ),
    (
        &["member", "amend"],
        "陈述成员新的事实或机构信息（管理员）",
        &[
            ("member", "成员"),
            ("organisation", "机构名称"),
            ("kind", "机构类型"),
            ("jurisdiction", "国家或地区：两个大写字母（ISO 3166-1），未知写 ZZ"),
            ("facts", "事实：由 `member template` 生成的 TOML 文件；机构类型和国家也可写在其中"),
            ("save_sealed", "另存事实的密封部分，供有权阅读者使用"),
        ],
    ),
    (&["member", "template"], "打印带注释的事实模板，供填写", &[EXAMPLE]),
    (&["pack"], "列出、显示、检查、启用规则包", &[]),
    (&["pack", "list"], "列出现有的规则包及其是否生效", &[]),
    (&["pack", "show"], "显示规则包的规则及其依据、确定程度和生效日期", &[("pack", "名称或文件")]),
    (&["pack", "check"], "检查自行编写的规则包", &[("file", "文件")]),
    (&["pack", "set"], "启用规则包：此后授权须有事实和允许的判定（管理员）", &[("pack", "名称或文件")]),
    (&["pack", "unset"], "停用规则包（管理员）", &[("pack", "名称")]),
    (
        &["decide"],
        "按规则判定可否授权，不作授权",
        &[
            ("dataset", "数据集"),
            ("member", "成员"),
            USE[0],
            USE[1],
            USE[2],
            USE[3],
            USE[4],
            ("missing", "仅显示不允许的规则及所缺事项"),
            ("dataset_facts", "假设数据集为这些事实"),
            ("member_facts", "假设成员为这些事实；成员可尚未登记"),
            ("level", "假设数据集为该级别"),
            ("pack", "假设仅这些规则包生效：名称或文件，可多次指定"),
        ],
    ),
    (
        &["grant"],
        "允许成员读取数据集（数据管理者）",
        &[
            ("dataset", "数据集"),
            ("member", "成员"),
            USE[0],
            USE[1],
            USE[2],
            USE[3],
            USE[4],
            ("save_sealed", "另存授权事实的密封部分"),
            ("terms", "执行已提案的授权：`propose` 生成的条款文件"),
            PROPOSAL,
            ("dry_run", "仅说明将如何执行以及规则的判定"),
            ("template", "打印带注释的授权事实模板，供填写"),
            EXAMPLE,
        ],
    ),
    (
        &["propose"],
        "提出须由他人批准的授权（数据管理者）或其他行为",
        &[("dataset", "数据集"), ("member", "成员"), USE[0], USE[1], USE[2], USE[3], USE[4], VALID, ("out", OUT.1)],
    ),
    (&["propose", "dataset"], "关于数据集", &[]),
    (
        &["propose", "dataset", "delete"],
        "提议删除数据集（数据管理者）",
        &[("dataset", "数据集"), ("reason", "理由；执行后将被记录，持有保险库者均可见"), VALID, OUT],
    ),
    (&["propose", "member"], "关于成员", &[]),
    (
        &["propose", "member", "add-key"],
        "提议以成员的名义添加卡片（管理员）",
        &[("member", "成员"), ("card", "新的卡片"), VALID, OUT],
    ),
    (&["propose", "subjects"], "关于计入的人员", &[]),
    (
        &["propose", "subjects", "release"],
        "提议不再计入接收方已声明销毁的人员（登记人、管理员）",
        &[
            ("dataset", "数据集"),
            ("member", "作出声明的成员"),
            ("reservation", "人数登记的散列值或其开头，有多条时使用"),
            VALID,
            OUT,
        ],
    ),
    (&["propose", "recover"], "提议处置分叉或回退（管理员）", &[LEDGER, SEQ, HASH, CUT, VALID, OUT]),
    (
        &["recover"],
        "处置分叉，或声明账本已由备份恢复（管理员）",
        &[
            LEDGER,
            SEQ,
            HASH,
            CUT,
            ("terms", "执行已提案的处置：`propose recover` 生成的条款文件"),
            PROPOSAL,
            ("dry_run", "仅说明将作何声明"),
        ],
    ),
    (
        &["approve"],
        "批准提案（既非提案人也非受益人的批准人或管理员）",
        &[
            ("dataset", "数据集；条款属于其他数据集时即报错"),
            ("proposal", "提案的散列值或其开头；省略时为该条款对应的提案"),
            ("terms", "`propose` 生成的条款文件"),
        ],
    ),
    (&["waiting"], "列出待批准的事项", &[("mine", "仅列出当前身份可批准的事项")]),
    (
        &["suspend"],
        "暂停授权，直至重新授权（管理员、数据管理者）",
        &[("dataset", "数据集"), ("members", "成员"), ("reason", "理由；将被记录，持有保险库者均可见")],
    ),
    (
        &["withdraw"],
        "登记同意被撤回或目的已实现，授权即时暂停（管理员、数据管理者）",
        &[
            ("dataset", "数据集"),
            ("members", "仅限这些成员"),
            ("reason", "理由；将被记录，持有保险库者均可见：不要写患者姓名"),
            ("subjects", "所涉人员：标记集合的散列值，由 `seqvault subjects mark` 打印"),
            ("status", "显示后续进展"),
        ],
    ),
    (
        &["attest"],
        "声明已销毁所持副本（接收方；已停用的成员由管理员代为声明）",
        &[
            ("dataset", "数据集"),
            ("scope", "销毁的内容；将被记录，持有保险库者均可见"),
            ("document", "销毁证明文件，记录其散列值"),
            ("member", "为已停用的成员声明（管理员）"),
        ],
    ),
    (&["agreement"], "接受数据集的共享协议（接收方）", &[]),
    (&["agreement", "accept"], "为现有授权接受协议，记录其散列值", &[("dataset", "数据集"), ("document", "协议文件")]),
    (&["subjects"], "跨数据集对每人只计一次，且不暴露其身份（数据管理者）", &[]),
    (&["subjects", "share"], "将主体密钥封装给现有的全部数据管理者和创建者", &[("new", "另立新的密钥")]),
    (
        &["subjects", "mark"],
        "生成数据集人员的标记集合，与数据集一同保存",
        &[
            ("dataset", "数据集"),
            ("ids", "标识文件，每行一个；- 为标准输入"),
            ("scheme", "标识的种类；同一人在各处须使用同一种类"),
        ],
    ),
    (
        &["subjects", "release"],
        "撤回因未成立的授权而计入的人员，或接收方已声明销毁的人员",
        &[
            ("dataset", "数据集"),
            ("recent", "包括一小时之内的人数登记；若属于正在进行的授权，该授权将失败"),
            ("others", "包括他人的人数登记（管理员）"),
            ("terms", "执行已提案的撤回：`propose subjects release` 生成的条款文件"),
            PROPOSAL,
            ("dry_run", "仅说明将撤回什么"),
        ],
    ),
    (
        &["due"],
        "列出将届满、须轮换、待批准或规则不再允许的事项",
        &[("datasets", "仅限这些数据集"), ("within", "向前查看的天数"), ("older_than", "密钥纪元超过该天数须轮换")],
    ),
];

/// The command with help in Chinese where there is some.
#[must_use]
pub fn translate(command: Command) -> Command {
    VERBS.iter().fold(command, |command, (path, about, options)| at(command, path, about, options))
}

fn at(
    command: Command,
    path: &[&'static str],
    about: &'static str,
    options: &[(&'static str, &'static str)],
) -> Command {
    match path.split_first() {
        Some((verb, rest)) => command.mut_subcommand(verb, |inner| at(inner, rest, about, options)),
        None => options.iter().fold(command.about(about).long_about(about), |command, (id, help)| {
            command.mut_arg(id, |option| option.help(*help))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        #[allow(dead_code, reason = "only its help is asked for")]
        command: super::super::Command,
    }

    /// `mut_arg` of an id that no option has adds one, so the number of options is what tells.
    #[test]
    fn every_translated_verb_and_option_is_there() {
        let count = |command: &Command, path: &[&str]| {
            let mut at = command;
            for verb in path {
                at = at.find_subcommand(verb).unwrap_or_else(|| panic!("no verb {path:?}"));
            }
            at.get_arguments().count()
        };
        let (plain, translated) = (Cli::command(), translate(Cli::command()));
        for (path, ..) in VERBS {
            assert_eq!(count(&plain, path), count(&translated, path), "{path:?}");
        }
        let mut decide = translated.find_subcommand("decide").unwrap().clone();
        assert!(decide.render_help().to_string().contains("按规则判定可否授权"));
    }

    #[test]
    fn every_option_of_a_translated_verb_has_its_words() {
        let plain = Cli::command();
        for (path, _, options) in VERBS.iter().filter(|(path, _, options)| !options.is_empty() || path.len() > 1) {
            let mut at = &plain;
            for verb in *path {
                at = at.find_subcommand(verb).unwrap();
            }
            for argument in at.get_arguments() {
                let id = argument.get_id().as_str();
                assert!(options.iter().any(|(known, _)| *known == id), "{path:?} has no Chinese words for {id}");
            }
        }
    }
}
