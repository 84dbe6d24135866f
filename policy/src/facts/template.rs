//! Commented files to fill in, and the page of the docs that lists the fields, both from the tables.

use core::fmt::Write as _;

use super::duo;
use super::field::{Field, Kind, Schema, Seen, Word};
use crate::lang::Lang;

pub(super) fn template(schema: &Schema, lang: Lang) -> String {
    let mut out = String::new();
    let head = match lang {
        Lang::En => format!(
            "# Facts of a {}. Every field may stay \"unknown\": what a rule needs and nobody knows blocks a grant, and the answer says\n# which field it was. A field that is left out is unknown too. \"none\" means that there is none, where that is an answer.\n",
            schema.name
        ),
        Lang::Zh => format!(
            "# {}的事实。不知道的字段保留 \"unknown\"（也可写“未知”）：规则所需的字段未知时不予授权，并指出是哪个字段。\n# 省略的字段视为未知。允许时，\"none\"（也可写“无”）表示确实没有。\n",
            schema_zh(schema)
        ),
    };
    out.push_str(&head);
    for (group, heading) in schema.groups {
        let _ = write!(out, "\n# {}\n[{group}]\n", heading.say(lang));
        for field in schema.fields.iter().filter(|field| group_of(field) == *group) {
            describe(&mut out, field, lang, "# ");
            let name = field.path.split_once('.').map_or(field.path, |(_, name)| name);
            let _ = writeln!(out, "{name} = \"unknown\"");
            if let Kind::Rows(rows) = field.kind {
                example_row(&mut out, field, rows, lang);
            }
        }
    }
    out
}

fn group_of(field: &Field) -> &str {
    field.path.split_once('.').map_or("", |(group, _)| group)
}

fn describe(out: &mut String, field: &Field, lang: Lang, margin: &str) {
    let kind = field.kind.describe();
    let none = match (field.none, lang) {
        (false, _) => "",
        (true, Lang::En) => "; or \"none\"",
        (true, Lang::Zh) => "；或 \"none\"",
    };
    let _ = writeln!(out, "{margin}{}: {}{none}", field.ask.say(lang), kind.say(lang));
    match field.kind {
        Kind::Word(list) | Kind::Words(list) => {
            for word in list {
                let _ = writeln!(out, "{margin}  {} = {}", word.code, word.text.say(lang));
            }
        }
        Kind::Duo => {
            for code in duo::CODES {
                let says = if lang == Lang::En { code.en } else { code.zh };
                let _ = writeln!(out, "{margin}  {} = {says}", code.code);
            }
        }
        _ => {}
    }
}

/// Rows as comments: as long as they are, the template says that nothing is known.
fn example_row(out: &mut String, field: &Field, rows: &Schema, lang: Lang) {
    let how = match lang {
        Lang::En => "To name them, delete the line above and write for each, without the `#`:",
        Lang::Zh => "如需填写，请删除上一行，并为每一项去掉下列行首的“# ”：",
    };
    let _ = writeln!(out, "# {how}\n# [[{}]]", field.path);
    for inner in rows.fields {
        describe(out, inner, lang, "# # ");
        let _ = writeln!(out, "# {} = \"unknown\"", inner.path);
    }
}

const fn schema_zh(schema: &Schema) -> &'static str {
    match schema.name.as_bytes() {
        b"dataset" => "数据集",
        b"member" => "成员",
        _ => "授权",
    }
}

/// The page of the docs that lists every field: generated, so that it can't differ.
#[must_use]
pub fn fields_page(used_by: impl Fn(&str) -> Vec<String>) -> String {
    let mut out = String::from(
        "# Facts, field by field\n\nMade from the tables in `policy/src/facts`; a test compares. What stands **in the clear** in a signed statement is what a rule or a computed\ninput decides by, named in the last column: a server has to see it to decide, and whoever holds the bucket sees it too. All other fields are\n*sealed*: the statement holds one salted hash of them. An answer may be unknown everywhere; ∅ marks where \"none\" is one.\n",
    );
    for schema in [&super::dataset::SCHEMA, &super::dataset::APPROVAL, &super::member::SCHEMA, &super::grant::SCHEMA] {
        let rows = schema.groups.is_empty();
        let title = if rows { format!("Rows of `dataset.hgr.{}s`", schema.name) } else { format!("`{}`", schema.name) };
        let _ = write!(
            out,
            "\n## {title}\n\n| field | question | 问题 | answer | seen | because of |\n|---|---|---|---|---|---|\n"
        );
        for field in schema.fields {
            let full = if rows {
                format!("dataset.hgr.approvals.{}", field.path)
            } else {
                format!("{}.{}", schema.name, field.path)
            };
            let (seen, why) = match field.seen {
                Seen::ByServer => ("clear", used_by(&full).join(", ")),
                Seen::Sealed => ("sealed", String::new()),
            };
            let kind = match field.kind {
                Kind::Word(list) => one_of(list),
                Kind::Words(list) => format!("some of {}", one_of(list)),
                other => other.describe().en.into_owned(),
            };
            let none = if field.none { " ∅" } else { "" };
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {kind}{none} | {seen} | {why} |",
                field.path, field.ask.en, field.ask.zh
            );
        }
    }
    out
}

fn one_of(list: &'static [Word]) -> String {
    list.iter().map(|word| format!("`{}`", word.code)).collect::<Vec<_>>().join(" ")
}
