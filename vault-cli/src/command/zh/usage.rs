//! A wrong command line, in Chinese: what the parser found, which option it concerns, what it expects instead.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// What was expected, by the name that an option's value has in its help.
const EXPECTED: &[(&str, &str)] = &[
    ("DATE", "YYYY-MM-DD 形式的日期"),
    ("DAYS", "天数，例如 90 或 90d"),
    ("ENTRY", "条目的序号"),
    ("LEDGER", "vault、dataset/标识 或 exposure/散列值"),
    ("LEVEL", "1 至 5"),
    ("DATASET", "1 至 63 个小写字母、数字和中间的连字符"),
    ("DATASETS", "1 至 63 个小写字母、数字和中间的连字符"),
    ("MEMBER", "1 至 63 个小写字母、数字和中间的连字符"),
    ("MEMBERS", "1 至 63 个小写字母、数字和中间的连字符"),
    ("HASH", "64 位小写十六进制数"),
    ("SUBJECTS", "64 位小写十六进制数"),
    ("N", "数字"),
];

/// The parser's complaint; `None` for what is none, such as help that was asked for.
#[must_use]
pub fn say(error: &Error) -> Option<String> {
    if !error.use_stderr() {
        return None;
    }
    let of = |kind| error.get(kind).map(words).unwrap_or_default();
    let (argument, value) = (of(ContextKind::InvalidArg), of(ContextKind::InvalidValue));
    let said = match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => format!("`{argument}` 缺少值"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => format!("`{argument}` 的值 `{value}` 无效"),
        ErrorKind::UnknownArgument => format!("无法识别的参数 `{argument}`"),
        ErrorKind::InvalidSubcommand => format!("没有命令 `{}`", of(ContextKind::InvalidSubcommand)),
        ErrorKind::MissingSubcommand => "缺少命令".to_owned(),
        ErrorKind::MissingRequiredArgument => format!("缺少：{argument}"),
        ErrorKind::ArgumentConflict if of(ContextKind::PriorArg) == argument => format!("`{argument}` 不得重复"),
        ErrorKind::ArgumentConflict => format!("`{argument}` 不能与 {} 同时使用", of(ContextKind::PriorArg)),
        ErrorKind::NoEquals => format!("`{argument}` 的值须以 = 连接"),
        ErrorKind::TooManyValues => format!("`{argument}` 不接受多余的值 `{value}`"),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => format!("`{argument}` 的值的个数不符"),
        ErrorKind::InvalidUtf8 => "命令行含有不是 UTF-8 的文字".to_owned(),
        // Help that stands in for a complaint is help.
        _ => return None,
    };
    let mut lines = vec![format!("seqvault：{said}")];
    let valid = [ContextKind::ValidValue, ContextKind::ValidSubcommand].map(of).join("");
    if !valid.is_empty() {
        lines.push(format!("  可选：{valid}"));
    } else if let Some(expected) = expected(&argument).filter(|_| !value.is_empty()) {
        lines.push(format!("  须为：{expected}"));
    } else if let Some(why) = error.source() {
        // The words of the value's own parser, which knows English alone.
        lines.push(format!("  原因：\"{}\"", why.to_string().replace('"', "'")));
    }
    let meant = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let meant = meant.map(of).join("");
    if !meant.is_empty() {
        lines.push(format!("  是否指：{meant}"));
    }
    let usage = of(ContextKind::Usage);
    if let Some(usage) = usage.strip_prefix("Usage: ") {
        lines.push(format!("用法：{usage}"));
    }
    lines.push("详见 `--help`".to_owned());
    Some(lines.join("\n"))
}

/// What stands in the parser's context, as it is typed.
fn words(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join("、"),
        ContextValue::StyledStr(text) => text.to_string(),
        ContextValue::StyledStrs(texts) => texts.iter().map(ToString::to_string).collect::<Vec<_>>().join("、"),
        ContextValue::Bool(_) | ContextValue::Number(_) => value.to_string(),
        _ => String::new(),
    }
}

/// What an argument, as the parser shows it (`--until <DATE>`, `<DATASET>`, `[DATASET]`), expects.
fn expected(argument: &str) -> Option<&'static str> {
    let (_, name) = argument.rsplit_once(['<', '['])?;
    let name = name.split(['>', ']']).next()?;
    EXPECTED.iter().find(|(known, _)| *known == name).map(|(_, zh)| *zh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        #[allow(dead_code, reason = "only its complaints are asked for")]
        command: crate::command::Command,
    }

    fn complaint(line: &str) -> String {
        let parsed = Cli::try_parse_from(std::iter::once("seqvault").chain(line.split(' ')));
        say(&parsed.err().unwrap()).unwrap_or_default()
    }

    #[test]
    fn a_complaint_names_the_option_the_value_and_what_is_expected() {
        for (line, words) in [
            ("grant run-42 anna --until 2026-02-30", &["`--until <DATE>` 的值 `2026-02-30` 无效", "YYYY-MM-DD"][..]),
            ("decide run-42 anna --level 6", &["`--level <LEVEL>` 的值 `6` 无效", "1 至 5"]),
            ("grant Run_42 anna", &["`Run_42` 无效", "小写字母"]),
            ("recover ledger 3 --hash 00", &["`ledger` 无效", "exposure/散列值"]),
            ("recover vault x --hash 00", &["`x` 无效", "条目的序号"]),
            ("recover vault 3", &["缺少：--hash <HASH>", "用法："]),
            ("grant run-42 anna --untill 2026-01-01", &["无法识别的参数 `--untill`", "是否指：--until"]),
            ("grant run-42 anna ben", &["无法识别的参数 `ben`", "用法："]),
            ("identity new x --suite 7", &["`--suite <SUITE>` 的值 `7` 无效", "原因：\""]),
            ("pack sett x", &["没有命令 `sett`", "是否指：set"]),
            ("subjects release run-42 --recent --terms x", &["不能与", "--terms <FILE>"]),
            ("member add-key anna --card x --terms y", &["不能与", "--terms <FILE>"]),
            ("member add x --kind y", &["`y` 无效", "可选："]),
            ("due --within soon", &["`--within <DAYS>` 的值 `soon` 无效", "90d"]),
        ] {
            let said = complaint(line);
            assert!(words.iter().all(|word| said.contains(word)), "{line}: {said}");
        }
        let help = Cli::try_parse_from(["seqvault", "grant", "--help"]).err().unwrap();
        assert_eq!(say(&help), None);
    }
}
