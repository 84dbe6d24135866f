//! In Chinese what other crates say in English alone: why a statement does not count, why a ledger stops, what is wrong with a file.
//!
//! The crates below speak one language, and their reasons are a closed list: a test reads their sources and finds one that is missing here.

mod store;

use std::io;

use vault_core::ids::LedgerId;
use vault_core::ledger::dataset::CreationError;
use vault_core::ledger::fold::Stop;
use vault_core::ledger::pin::PinError;
use vault_core::ledger::statement::TextError;
use vault_core::ledger::vault::GenesisError;
use vault_keys::file::FileError;
use vault_keys::identity::{IdentityError, UnlockError};
use vault_keys::passphrase::PassphraseError;

pub use store::{store, store_hint};

/// Why a statement does not count: the folds' words, and ours.
const REASONS: &[(&str, &str)] = &[
    ("a card is not current", "卡片已停用"),
    ("a card of another suite", "卡片属于其他算法套件"),
    ("a card that is known already", "卡片已登记"),
    ("a genesis has no entry before it", "创始条目之前不得有条目"),
    ("a head age below an hour", "账本时效短于一小时"),
    ("a key is not 32 bytes", "密钥不是 32 字节"),
    ("a level outside 1 to 5", "级别不在 1 至 5 之间"),
    ("a manifest id that is known already", "清单标识已存在"),
    ("a manifest without files or packs, or with more than 10,000 files", "清单没有文件或数据包，或文件超过 10,000 个"),
    ("a member twice", "同一成员出现两次"),
    ("a recovery card is not current", "恢复卡已停用"),
    ("a reservation for another dataset or member", "人数登记属于其他数据集或成员"),
    ("a second creation", "重复创建"),
    ("a second genesis", "重复的创始条目"),
    ("a suite that is not known to this version", "本版本不知其算法套件"),
    ("a void manifest that is not in scope", "无效清单不在范围内"),
    ("algorithms that are not the suite's", "算法与套件不符"),
    ("an approval is by somebody who may not give it", "有批准出自无权批准者"),
    ("an invalid card", "卡片无效"),
    ("an invalid public key", "公钥无效"),
    ("approvals are missing", "缺少批准"),
    ("approved already", "已批准过"),
    ("bad signature", "签名无效"),
    ("behind a fork", "位于分叉之后"),
    ("cites nothing newer", "未引用更新的条目"),
    ("does not hold every unclosed epoch", "未持有全部未关闭的密钥纪元"),
    ("ends before it begins", "终止时间早于开始时间"),
    ("ends no later than before", "终止时间不晚于原时间"),
    ("entry 0 does not create it", "第 0 条不是创建条目"),
    ("entry 0 does not follow the vault id", "第 0 条未承接保险库标识"),
    ("entry 0 is no genesis", "第 0 条不是创始条目"),
    ("facts or level were stated anew since the proposal", "提案之后事实或级别已重新陈述"),
    ("facts, member or rule pack changed since the proposal", "提案之后事实、成员或规则包有变更"),
    ("fork", "分叉"),
    ("fork, settled by a recovery", "分叉，已由恢复声明处置"),
    ("it cites an entry that is not there", "引用了不存在的条目"),
    ("its `prev` is not the entry before it", "其 `prev` 不是前一条目"),
    ("malformed body", "格式错误：内容不合规定"),
    ("malformed envelope", "格式错误：信封不合规定"),
    ("malformed payload", "格式错误：载荷不合规定"),
    ("malformed: keyid is not the card", "格式错误：密钥标识与卡片不符"),
    ("malformed: names no entry before it", "格式错误：未写明前一条目"),
    ("malformed: not a statement", "格式错误：不是声明"),
    ("malformed: not critical", "格式错误：未标为必须理解"),
    ("malformed: too long", "格式错误：过长"),
    ("misplaced: a vault entry names no vault head", "位置错误：保险库条目不应写明账本末条"),
    ("misplaced: names another vault, ledger or number", "位置错误：写明的是其他保险库、账本或序号"),
    ("misplaced: names no vault head", "位置错误：未写明保险库账本的末条"),
    ("more than 8 approvals", "批准数超过 8"),
    ("names no file", "未写明文件"),
    ("names no member", "未写明成员"),
    ("names no vault head", "未写明保险库账本的末条"),
    ("neither officer nor steward", "既非管理员，也非数据管理者"),
    ("neither the reserver nor an officer", "既非登记人，也非管理员"),
    ("neither uploader nor steward", "既非上传者，也非数据管理者"),
    ("no card, or more than 64", "没有卡片，或超过 64 张"),
    ("no first officer", "没有首任管理员"),
    ("no manifest, or more than 10,000", "没有清单，或超过 10,000 个"),
    ("no such approval", "没有该批准"),
    ("no such manifest", "没有该清单"),
    ("no such member", "没有这个成员"),
    ("no such proposal", "没有该提案"),
    ("no such reservation", "没有该条人数登记"),
    ("no such reservation, or released already", "没有该条人数登记，或已释放"),
    ("not a creator", "没有创建权"),
    ("not a holder of the newest epoch", "未持有最新的密钥纪元"),
    ("not a kind of a dataset ledger", "数据集账本中不应有此类条目"),
    ("not a kind of an exposure ledger", "累计人数账本中不应有此类条目"),
    ("not a kind of the vault ledger", "保险库账本中不应有此类条目"),
    ("not a reservation", "不是人数登记"),
    ("not a steward", "不是数据管理者"),
    ("not an act that is proposed here", "此处不提案该行为"),
    ("not an approver", "不是批准人"),
    ("not an officer", "不是管理员"),
    ("not as many manifests as are in scope", "清单数与范围不符"),
    ("not exactly the manifests in scope", "清单与范围不一致"),
    ("not exactly the members without a card", "成员与无卡片者不一致"),
    ("not sealed to exactly those cards and epochs", "封装对象与应有的卡片和密钥纪元不一致"),
    ("not sealed to exactly those who hold it", "封装对象与应持有者不一致"),
    ("not signed with a recovery card of the genesis", "未以创始条目的恢复卡签名"),
    ("not the author's current grant", "不是作者的现行授权"),
    ("not the author's upload", "不是作者的上传"),
    ("not the new total", "不是新的累计数"),
    ("not the newest epoch", "不是最新的密钥纪元"),
    ("not the newest epoch, or closed already", "不是最新的密钥纪元，或已关闭"),
    ("not the next epoch", "不是下一个密钥纪元"),
    ("not the next generation", "不是下一代密钥"),
    ("not the present facts or level", "不是现有的事实或级别"),
    ("older vault head", "引用的保险库末条早于前一条目"),
    ("only the member itself attests while it is current", "成员未停用时只能由其本人声明"),
    ("removed already", "已移除"),
    ("revokes its author", "撤销了作者本人"),
    ("signed with a card that is not the author's", "签名所用的卡片不是作者的"),
    ("somebody still holds the epoch", "密钥纪元仍有人持有"),
    ("supersedes what is not in scope", "所替代的清单不在范围内"),
    ("supersedes with another root, or twice", "替代清单的根不同，或重复替代"),
    ("table and count do not fit", "密钥表与数目不符"),
    ("the act differs from its proposal", "行为与提案不一致"),
    ("the author is not the first member, or a recovery card is nobody's", "作者不是首个成员，或恢复卡不属于任何人"),
    ("the card is not current", "卡片已停用"),
    ("the dataset is deleted", "数据集已删除"),
    ("the epoch is stale", "密钥纪元须轮换"),
    ("the format is not above the present one", "格式版本不高于现有版本"),
    ("the grader can't confirm the grading", "定级人不能确认其定级"),
    ("the last officer", "最后一名管理员"),
    ("the member has 64 current cards", "成员已有 64 张卡片"),
    ("the member has no current card", "成员没有可用的卡片"),
    ("the member has no current grant", "成员没有现行授权"),
    ("the member has no grant", "成员没有授权"),
    ("the member id is taken", "成员标识已被使用"),
    ("the member is not current", "成员已停用"),
    ("the member never had a grant", "成员从未获得授权"),
    ("the proposal has ended", "提案已过期"),
    ("the proposal was used already", "提案已执行"),
    ("the proposal's author can't approve it", "提案人不能批准其提案"),
    ("the reservation is used or cancelled already", "人数登记已使用或已取消"),
    ("the role and its dataset do not fit", "角色与数据集不符"),
    ("the upload has not ended", "上传尚未结束"),
    ("the upload id is taken", "上传标识已被使用"),
    ("the upload is not open", "上传未处于进行状态"),
    ("too few approvals", "批准不足"),
    ("unanchored", "未锚定"),
    ("unanchored, settled by a recovery", "未锚定，已由恢复声明处置"),
    ("unknown author", "作者未知"),
    ("unknown kind or format", "种类或格式未知"),
];

/// Why a statement does not count; a reason that is not known stays as it is.
#[must_use]
pub fn reason(why: &str) -> &str {
    REASONS.iter().find(|(en, _)| *en == why).map_or(why, |(_, zh)| zh)
}

/// Why a ledger stops.
#[must_use]
pub fn stop(stop: &Stop) -> String {
    match stop {
        Stop::Fork { ledger, seq, hash, why } => {
            format!("账本 {ledger} 在第 {seq} 条分叉（{}）；须由管理员以指明 {hash} 的恢复声明处置", reason(why))
        }
        Stop::NeedsVersion { ledger, seq, format } => {
            format!("账本 {ledger} 须用较新版本读取：第 {seq} 条的格式为 {format}")
        }
        other => other.to_string(),
    }
}

/// What to do about it.
#[must_use]
pub fn stop_hint(stop: &Stop) -> String {
    match stop {
        Stop::NeedsVersion { .. } => "请安装较新版本的 seqvault".to_owned(),
        Stop::Fork { ledger: LedgerId::Vault, seq, hash, .. } => format!(
            "运行 `seqvault verify` 查看其前后的条目，并请管理员处置：`seqvault recover vault {seq} --hash {hash}`。若创始条目规定恢复须经批准，或其后另有分叉，本版本无法处置：由保管存储者将第 {seq} 条及以后各条移出并作为证据保存；没有人读到过其后的内容"
        ),
        Stop::Fork { ledger, seq, hash, .. } => format!(
            "运行 `seqvault verify` 查看其前后的条目，并请管理员处置：`seqvault recover {ledger} {seq} --hash {hash}`"
        ),
        _ => "运行 `seqvault verify` 查看其前后的条目，并请管理员处置".to_owned(),
    }
}

/// How a ledger differs from what was seen.
#[must_use]
pub fn pin(error: &PinError) -> String {
    match error {
        PinError::Shorter { ledger, seq } => format!("账本 {ledger} 被回退：第 {seq} 条曾见过，现已不在"),
        PinError::Changed { ledger, seq } => format!("账本 {ledger} 被更改：第 {seq} 条与此前所见不同"),
        other => other.to_string(),
    }
}

/// Why a dataset's ledger does not begin.
#[must_use]
pub fn creation(error: &CreationError) -> String {
    match error {
        CreationError::Missing => "数据集账本为空".to_owned(),
        CreationError::Invalid(why) => format!("第 0 条未创建数据集：{}", reason(why)),
        CreationError::Unanchored => "第 0 条引用了保险库账本中没有的条目".to_owned(),
        other => other.to_string(),
    }
}

/// Why a text can't be stated.
#[must_use]
pub fn text(error: TextError) -> String {
    match error {
        TextError::TooLong => "文字超过 1,024 字节".to_owned(),
        TextError::Control => "文字含有控制字符".to_owned(),
        other => other.to_string(),
    }
}

/// What the system says of a file; what is not foreseen stays in its words.
#[must_use]
pub fn io(error: &io::Error) -> String {
    use io::ErrorKind as E;
    let said = match error.kind() {
        E::NotFound => "没有此文件或目录",
        E::PermissionDenied => "权限不足",
        E::AlreadyExists => "已存在",
        E::IsADirectory => "是目录，不是文件",
        E::NotADirectory => "不是目录",
        E::StorageFull => "存储空间不足",
        E::ReadOnlyFilesystem => "文件系统为只读",
        E::InvalidData => "内容不是有效的文字",
        E::UnexpectedEof => "文件提前结束",
        _ => return format!("系统报告：{error}"),
    };
    said.to_owned()
}

/// What is wrong with an identity file.
#[must_use]
pub fn identity(error: &FileError) -> String {
    match error {
        FileError::Io { path, error } => format!("{}：{}", path.display(), io(error)),
        FileError::NotAFile(path) => format!("{} 不是普通文件", path.display()),
        FileError::Permissions(path) => format!("{} 可被其他用户访问：其权限须为 0600", path.display()),
        FileError::Exists(path) => format!("{} 已存在", path.display()),
        FileError::Identity(IdentityError::TooLong) => "身份文件不得超过 16 KiB".to_owned(),
        FileError::Identity(_) => "不是有效的身份文件，或其版本不同、内容不全".to_owned(),
        FileError::Unlock(UnlockError::WrongPassphrase) => "口令错误，或文件已损坏".to_owned(),
        FileError::Unlock(_) => "身份无法解锁：文件已损坏，或内存不足".to_owned(),
        other => other.to_string(),
    }
}

/// Why the vault ledger does not begin.
#[must_use]
pub fn genesis(error: &GenesisError) -> String {
    match error {
        GenesisError::Missing => "保险库账本没有第 0 条".to_owned(),
        GenesisError::OtherVault => "保险库账本的第 0 条不是本保险库的创始条目：属于其他保险库，或已被更改".to_owned(),
        GenesisError::Invalid(why) => format!("不是有效的创始条目：{}", reason(why)),
        other => format!("保险库账本的第 0 条无效{}", quoted(&other.to_string())),
    }
}

/// Words of a system or of somebody else within a Chinese text, marked as such.
#[must_use]
pub fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("（\"{}\"）", said.replace('"', "'")) }
}

/// Why there is no passphrase.
#[must_use]
pub fn passphrase(error: &PassphraseError) -> String {
    match error {
        PassphraseError::Empty => "口令不得为空".to_owned(),
        PassphraseError::TooLong => "口令过长".to_owned(),
        PassphraseError::NotUtf8 => "口令须为 UTF-8 文字".to_owned(),
        PassphraseError::Differ => "两次输入的口令不同".to_owned(),
        PassphraseError::NoVariable(name) => format!("环境变量 {name:?} 未设置"),
        PassphraseError::Io(error) => format!("无法读取口令：{}", io(error)),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// Words of the parsers in the same folder: of what can't be read at all, and of no entry.
    const OF_PARSERS: [&str; 4] = [
        "facts are longer than 256 KiB or not canonical",
        "not ascending, or twice",
        "not two capital letters",
        "the ledgers are not ascending, each once",
    ];

    /// The reasons in a source, wherever they stand: each text of several words, and what stands behind `Err(` and `Void(`.
    fn reasons(source: &str) -> Vec<String> {
        let shipped = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut found = Vec::new();
        for line in shipped.lines().map(str::trim_start) {
            if line.starts_with("//") || line.starts_with("#[") {
                continue;
            }
            let parts: Vec<&str> = line.split('"').collect();
            for (before, text) in parts.iter().zip(parts.iter().skip(1)).step_by(2) {
                let is_marked = before.ends_with("Err(") || before.ends_with("Void(");
                let is_text = text.contains(' ') && !text.contains('{');
                if (is_text || is_marked) && !OF_PARSERS.contains(text) {
                    found.push((*text).to_owned());
                }
            }
        }
        found
    }

    #[test]
    fn a_reason_is_found_wherever_it_stands() {
        let source = "// \"no reason at all\"\n#[error(\"no reason\")]\nlet why = \"one here\";\n\
            return self.fork(seq, \"two here\");\nconst X: Void = \"three here\";\nErr(\"fork\")\nname(\"four\")";
        assert_eq!(reasons(source), ["one here", "two here", "three here", "fork"]);
    }

    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.extend(reasons(&fs::read_to_string(path).unwrap()));
            }
        }
    }

    #[test]
    fn every_reason_of_the_folds_has_its_words() {
        let mut found = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../vault-core/src/ledger"), &mut found);
        assert!(found.len() > 120, "{} reasons were found", found.len());
        let missing: Vec<&String> = found.iter().filter(|why| reason(why) == why.as_str()).collect();
        assert!(missing.is_empty(), "no Chinese words for {missing:?}");
    }

    #[test]
    fn a_fork_is_said_in_chinese_with_its_reason() {
        for why in
            ["its `prev` is not the entry before it", "it cites an entry that is not there", "no such reservation"]
        {
            let fork = Stop::Fork { ledger: LedgerId::Vault, seq: 3, hash: vault_core::ids::EntryHash([7; 32]), why };
            let said = stop(&fork);
            assert!(!said.contains(why) && said.contains(reason(why)), "{said}");
        }
    }

    #[test]
    fn reasons_are_in_order_and_said_once() {
        assert!(REASONS.is_sorted_by(|(a, _), (b, _)| a < b));
        assert!(REASONS.iter().all(|(en, zh)| en.is_ascii() && !zh.is_ascii()));
    }
}
