//! Reads a pack's TOML and checks all of it before any of it is used.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::{DeTable, DeValue};
use vault_core::ids::Digest;

use super::ENGINE;
use super::condition::Condition;
use super::pack::{Cite, Pack, Regime, Rule, Standing, Verdict};
use super::{reach, syntax};
use crate::day::Day;
use crate::lang::Bilingual;
use crate::problem::{Fault, Problem, Problems};
use crate::source::{Item, Source, nearest};
use crate::ternary::Ternary;

/// Most approvals that a rule asks for, as in a genesis.
const MAX_APPROVALS: u64 = 8;

pub(super) fn parse(text: &str) -> Result<Pack, Problems> {
    let source = Source { text };
    let (document, problems) = source.read();
    if !problems.is_empty() {
        return Problems::or(problems, ()).and(Err(unreachable_error()));
    }
    let mut loader = Loader { source, problems: Vec::new() };
    let pack = loader.pack(&document);
    Problems::or(loader.problems, ())?;
    pack.ok_or_else(unreachable_error)
}

/// Problems were already returned when this is reached; it is here so that no path panics.
fn unreachable_error() -> Problems {
    let missing = vec![Problem::placeless("pack".to_owned(), Fault::Missing)];
    match Problems::or(missing, ()) {
        Err(problems) => problems,
        Ok(()) => unreachable_error(),
    }
}

struct Loader<'a> {
    source: Source<'a>,
    problems: Vec<Problem>,
}

/// A table that is being read: what was asked of it is known to it.
struct Table<'t, 'a> {
    name: String,
    at: usize,
    fields: &'t DeTable<'a>,
    asked: BTreeSet<&'static str>,
}

impl<'t, 'a> Table<'t, 'a> {
    fn get(&mut self, name: &'static str) -> Option<&'t Item<'a>> {
        self.asked.insert(name);
        self.fields.get(name)
    }

    fn field(&self, name: &str) -> String {
        if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) }
    }
}

impl<'a> Loader<'a> {
    fn wrong(&mut self, at: usize, field: &str, fault: Fault) {
        self.problems.push(self.source.problem(at, field, fault));
    }

    fn said(&mut self, at: usize, field: &str, en: impl Into<String>, zh: impl Into<String>) {
        self.wrong(at, field, Fault::Pack { why: Bilingual::made(en.into(), zh.into()) });
    }

    fn pack(&mut self, document: &DeTable<'a>) -> Option<Pack> {
        let mut top = Table { name: String::new(), at: 0, fields: document, asked: BTreeSet::new() };
        let mut head = self.table(&mut top, "pack");
        let (regimes, defines, rules) =
            (self.tables(&mut top, "regime"), self.tables(&mut top, "define"), self.tables(&mut top, "rule"));
        self.finish(&top);

        let regimes: Vec<Regime> = regimes.into_iter().filter_map(|mut table| self.regime(&mut table)).collect();
        self.unique("regime", regimes.iter().map(|one| one.id.as_str()));
        let (mut names, mut meanings, mut conditions) = (Vec::new(), Vec::<Condition>::new(), Vec::new());
        for mut table in defines {
            let (id, at) = (self.id(&mut table), table.at);
            let when = self.condition(&mut table, "when", &names);
            self.finish(&table);
            if let (Some(id), Some(when)) = (id, when) {
                conditions.push((at, id.clone(), when.clone()));
                names.push(id);
                meanings.push(when);
            }
        }
        self.unique("define", names.iter().map(String::as_str));
        let ids: Vec<_> = regimes.iter().map(|one| one.id.clone()).collect();
        let mut read = Vec::new();
        for mut table in rules {
            let at = table.at;
            if let Some(rule) = self.rule(&mut table, &ids, &names) {
                conditions.push((at, rule.id.clone(), rule.when.clone()));
                conditions.push((at, rule.id.clone(), whole(&rule)));
                read.push(rule);
            }
        }
        self.unique("rule", read.iter().map(|rule| rule.id.as_str()));
        if read.is_empty() {
            self.said(0, "rule", "a pack without a rule decides nothing", "没有任何规则");
        }
        self.needs(&regimes, &read);
        self.unused(&regimes, &names, &read, &conditions);
        let head = head.as_mut()?;
        let name = self.id_named(head, "name");
        let version = self.text(head, "version");
        let title = self.both(head, "title");
        let offset = self.whole_number(head, "utc_offset_minutes", 0, 840);
        self.whole_number(head, "engine", ENGINE, ENGINE);
        let [counted, exported] = ["counted", "exported"].map(|name| {
            head.asked.insert(name);
            if head.fields.contains_key(name) { self.condition(head, name, &names) } else { None }
        });
        self.finish(head);
        if self.problems.is_empty() {
            for (at, id, condition) in &conditions {
                self.reachable(*at, id, condition, &meanings);
            }
        }
        Some(Pack {
            name: name?,
            version: version?,
            title: title?,
            offset: i32::try_from(offset?).ok()?,
            counted,
            exported,
            regimes,
            define_names: names,
            defines: meanings,
            rules: read,
            hash: Digest([0; 32]),
        })
    }

    fn regime(&mut self, table: &mut Table<'_, 'a>) -> Option<Regime> {
        let (id, title) = (self.id(table), self.both(table, "title"));
        let needs_allow = match table.get("needs_allow").map(|item| (item.span(), item.get_ref())) {
            None => false,
            Some((_, DeValue::Boolean(on))) => *on,
            Some((span, other)) => {
                self.kind(&span, &table.field("needs_allow"), "true or false", "true 或 false", other);
                false
            }
        };
        self.finish(table);
        Some(Regime { id: id?, needs_allow, title: title? })
    }

    fn rule(&mut self, table: &mut Table<'_, 'a>, regimes: &[String], defines: &[String]) -> Option<Rule> {
        let id = self.id(table);
        if let Some(id) = &id {
            table.name = format!("rule {id}");
        }
        let row = self.text(table, "row");
        let regime = self.word(table, "regime", |text| regimes.iter().position(|one| one == text));
        let outcome = self.word(table, "outcome", Verdict::parse);
        let cites = self.cites(table);
        let (from, to) = (self.day(table, "from", true), self.day(table, "to", false));
        if let (Some(Some(from)), Some(Some(to))) = (from, to)
            && from > to
        {
            let at = table.get("to").map_or(table.at, |item| item.span().start);
            self.wrong(at, &table.field("to"), Fault::Reversed { first: "from" });
        }
        let when = self.condition(table, "when", defines);
        let optional = |table: &Table<'_, 'a>, name: &str| table.fields.contains_key(name);
        let until = optional(table, "until").then(|| self.condition(table, "until", defines));
        let evidence = optional(table, "evidence").then(|| self.both(table, "evidence"));
        let approvals =
            if optional(table, "approvals") { self.whole_number(table, "approvals", 1, MAX_APPROVALS)? } else { 0 };
        let standing = if optional(table, "standing") {
            self.word(table, "standing", Standing::parse)?
        } else {
            Standing::Suspend
        };
        let text = match (self.text(table, "en"), self.text(table, "zh")) {
            (Some(en), Some(zh)) => self.bilingual(table.at, &table.field("en"), en, zh),
            _ => None,
        };
        table.asked.extend(["until", "evidence", "approvals", "standing"]);
        self.finish(table);
        self.fits(table, outcome?, until.is_some(), evidence.is_some(), optional(table, "standing"));
        Some(Rule {
            id: id?,
            row: row?,
            regime: regime?,
            cites: cites?,
            from: from??,
            to: to?,
            outcome: outcome?,
            when: when?,
            until: match until {
                Some(condition) => Some(condition?),
                None => None,
            },
            evidence: match evidence {
                Some(text) => Some(text?),
                None => None,
            },
            approvals: u8::try_from(approvals).ok()?,
            standing,
            text: text?,
        })
    }

    /// What goes with which outcome.
    fn fits(&mut self, table: &Table<'_, 'a>, outcome: Verdict, until: bool, evidence: bool, standing: bool) {
        let (at, field) = (table.at, table.name.clone());
        match outcome {
            Verdict::Blocked if !evidence => self.said(
                at,
                &field,
                "a blocking rule names the evidence that is missing: `evidence`",
                "阻断规则须用 `evidence` 写明所缺的证据",
            ),
            Verdict::Blocked => {}
            _ if until || evidence => self.said(
                at,
                &field,
                "only a blocking rule has `until` and `evidence`",
                "只有阻断规则可以写 `until` 和 `evidence`",
            ),
            _ => {}
        }
        if standing && matches!(outcome, Verdict::Allow | Verdict::Note) {
            self.said(at, &field, "`standing` is for rules that deny or block", "`standing` 只用于拒绝或阻断规则");
        }
    }

    /// Some regime needs a rule that allows, and each that does has one.
    fn needs(&mut self, regimes: &[Regime], rules: &[Rule]) {
        if !regimes.iter().any(|regime| regime.needs_allow) {
            self.said(
                0,
                "regime",
                "none of them needs a rule that allows (`needs_allow = true`): what no rule hits would be allowed",
                "没有任何一类须有允许规则（`needs_allow = true`）：规则未涉及的情形都会被允许",
            );
        }
        for (place, regime) in regimes.iter().enumerate().filter(|(_, regime)| regime.needs_allow) {
            if !rules.iter().any(|rule| rule.regime == place && rule.outcome == Verdict::Allow) {
                self.said(
                    0,
                    &format!("regime {}", regime.id),
                    "it needs a rule that allows and has none: nothing could ever be allowed",
                    "该类须有允许规则却没有，任何授权都不会通过",
                );
            }
        }
    }

    /// A definition or regime that nothing uses was meant to be used.
    fn unused(
        &mut self,
        regimes: &[Regime],
        names: &[String],
        rules: &[Rule],
        conditions: &[(usize, String, Condition)],
    ) {
        for (place, regime) in regimes.iter().enumerate() {
            if !rules.iter().any(|rule| rule.regime == place) {
                self.said(0, &format!("regime {}", regime.id), "no rule belongs to it", "没有规则属于此类");
            }
        }
        for (place, name) in names.iter().enumerate() {
            if !conditions.iter().any(|(_, _, condition)| mentions(condition, place)) {
                self.said(0, &format!("define {name}"), "nothing uses it", "没有被使用");
            }
        }
    }

    fn reachable(&mut self, at: usize, id: &str, condition: &Condition, defines: &[Condition]) {
        let Some(today) = Day::new(2026, 1, 1) else { return };
        if !reach::can_be(Ternary::Yes, condition, defines, today) {
            self.said(at, id, "its condition can never hold", "条件永远不成立");
        } else if !reach::can_be(Ternary::No, condition, defines, today) {
            self.said(at, id, "its condition always holds", "条件永远成立");
        }
    }

    fn table<'t>(&mut self, top: &mut Table<'t, 'a>, name: &'static str) -> Option<Table<'t, 'a>> {
        match top.get(name).map(|item| (item.span().start, item.get_ref())) {
            Some((at, DeValue::Table(fields))) => {
                Some(Table { name: name.to_owned(), at, fields, asked: BTreeSet::new() })
            }
            Some((at, _)) => {
                self.said(at, name, "expected a table", "应为表");
                None
            }
            None => {
                self.wrong(0, name, Fault::Missing);
                None
            }
        }
    }

    fn tables<'t>(&mut self, top: &mut Table<'t, 'a>, name: &'static str) -> Vec<Table<'t, 'a>> {
        let Some(item) = top.get(name) else { return Vec::new() };
        let DeValue::Array(items) = item.get_ref() else {
            self.said(item.span().start, name, "expected tables in double brackets", "应为双方括号表");
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(fields) => {
                    out.push(Table { name: name.to_owned(), at: item.span().start, fields, asked: BTreeSet::new() });
                }
                _ => self.said(item.span().start, name, "expected a table", "应为表"),
            }
        }
        out
    }

    /// Every member that nobody asked for is a mistake.
    fn finish(&mut self, table: &Table<'_, 'a>) {
        for (key, _) in table.fields {
            let name = key.get_ref().as_ref();
            if !table.asked.contains(name) {
                let near = nearest(name, table.asked.iter().copied()).map(str::to_owned);
                self.wrong(key.span().start, &table.field(name), Fault::UnknownField { nearest: near });
            }
        }
    }

    fn kind(&mut self, span: &Range<usize>, field: &str, en: &'static str, zh: &'static str, found: &DeValue<'_>) {
        let found = found.type_str().to_owned();
        self.wrong(span.start, field, Fault::WrongKind { expected: Bilingual::fixed(en, zh), found });
    }

    /// A text with its place in the file.
    fn placed(&mut self, table: &mut Table<'_, 'a>, name: &'static str) -> Option<(Range<usize>, String)> {
        let field = table.field(name);
        match table.get(name).map(|item| (item.span(), item.get_ref())) {
            None => self.wrong(table.at, &field, Fault::Missing),
            // Texts are printed: nothing in a pack may steer a terminal.
            Some((span, DeValue::String(text)))
                if text.trim().is_empty() || text.chars().any(|c| c.is_control() && !"\n\r\t".contains(c)) =>
            {
                self.wrong(span.start, &field, Fault::NotAText);
            }
            Some((span, DeValue::String(text))) => return Some((span, text.trim().to_owned())),
            Some((span, other)) => self.kind(&span, &field, "a text in quotes", "引号内的文本", other),
        }
        None
    }

    fn text(&mut self, table: &mut Table<'_, 'a>, name: &'static str) -> Option<String> {
        self.placed(table, name).map(|(_, text)| text)
    }

    fn id(&mut self, table: &mut Table<'_, 'a>) -> Option<String> {
        self.id_named(table, "id")
    }

    /// A name: lower-case letters, digits, `-` and `_`, beginning with a letter. No word of the conditions' language.
    fn id_named(&mut self, table: &mut Table<'_, 'a>, name: &'static str) -> Option<String> {
        let (span, text) = self.placed(table, name)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        let reserved = ["and", "or", "not", "given", "in", "meets", "within", "today"].contains(&text.as_str());
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if begins && text.len() <= 64 && text.bytes().all(plain) && !reserved {
            return Some(text);
        }
        let field = table.field(name);
        self.said(
            span.start,
            &field,
            "a name has 1 to 64 lower-case letters, digits, - and _, begins with a letter and is no word of conditions",
            "名称由 1 至 64 个小写字母、数字、- 和 _ 组成，以字母开头，且不得是条件语言的关键词",
        );
        None
    }

    fn word<T>(
        &mut self,
        table: &mut Table<'_, 'a>,
        name: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (span, text) = self.placed(table, name)?;
        let value = read(&text);
        if value.is_none() {
            let field = table.field(name);
            self.said(span.start, &field, format!("no such {name}: \"{text}\""), format!("没有“{text}”"));
        }
        value
    }

    fn whole_number(&mut self, table: &mut Table<'_, 'a>, name: &'static str, least: u64, most: u64) -> Option<u64> {
        let field = table.field(name);
        match table.get(name).map(|item| (item.span(), item.get_ref())) {
            None => self.wrong(table.at, &field, Fault::Missing),
            Some((span, DeValue::Integer(number))) => {
                let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
                match read.filter(|number| (least..=most).contains(number)) {
                    Some(number) => return Some(number),
                    None => self.wrong(span.start, &field, Fault::OutOfRange { least, most }),
                }
            }
            Some((span, other)) => self.kind(&span, &field, "a whole number", "整数", other),
        }
        None
    }

    fn day(&mut self, table: &mut Table<'_, 'a>, name: &'static str, required: bool) -> Option<Option<Day>> {
        let field = table.field(name);
        let Some(item) = table.get(name) else {
            if required {
                self.wrong(table.at, &field, Fault::Missing);
                return None;
            }
            return Some(None);
        };
        let raw = self.source.raw(&item.span()).trim_matches('"');
        let day = Day::parse(raw);
        if day.is_none() {
            self.wrong(item.span().start, &field, Fault::NotADay { found: raw.to_owned() });
        }
        day.map(Some)
    }

    /// `title = { en = "..", zh = ".." }`
    fn both(&mut self, table: &mut Table<'_, 'a>, name: &'static str) -> Option<Bilingual> {
        let field = table.field(name);
        let Some(item) = table.get(name) else {
            self.wrong(table.at, &field, Fault::Missing);
            return None;
        };
        let at = item.span().start;
        let DeValue::Table(fields) = item.get_ref() else {
            self.kind(
                &item.span(),
                &field,
                "{ en = \"..\", zh = \"..\" }",
                "{ en = \"..\", zh = \"..\" }",
                item.get_ref(),
            );
            return None;
        };
        let mut inner = Table { name: field.clone(), at, fields, asked: BTreeSet::new() };
        let (en, zh) = (self.text(&mut inner, "en"), self.text(&mut inner, "zh"));
        self.finish(&inner);
        self.bilingual(at, &field, en?, zh?)
    }

    /// Each text in its own language, as far as its letters tell.
    fn bilingual(&mut self, at: usize, field: &str, en: String, zh: String) -> Option<Bilingual> {
        let is_han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        if zh.chars().any(is_han) && en.chars().any(|c| c.is_ascii_alphabetic()) && en != zh {
            return Some(Bilingual::made(en, zh));
        }
        self.said(at, field, "needs an English and a Chinese text", "须有英文和中文两种文本");
        None
    }

    /// `cites = ["L 条例 28", "U"]`: a mark and a place.
    fn cites(&mut self, table: &mut Table<'_, 'a>) -> Option<Vec<Cite>> {
        let field = table.field("cites");
        let Some(item) = table.get("cites") else {
            self.wrong(table.at, &field, Fault::Missing);
            return None;
        };
        let at = item.span().start;
        let DeValue::Array(items) = item.get_ref() else {
            self.kind(&item.span(), &field, "a list of texts", "文本列表", item.get_ref());
            return None;
        };
        let mut out = Vec::new();
        for item in items.iter() {
            let text = item.get_ref().as_str().unwrap_or_default();
            match text.split_once(' ') {
                Some((mark @ ("S" | "L" | "M" | "U"), place)) if !place.trim().is_empty() => {
                    let certainty = mark.chars().next()?;
                    out.push(Cite { certainty, place: place.trim().to_owned() });
                }
                _ => self.said(
                    item.span().start,
                    &field,
                    "a citation is a mark S, L, M or U, a space, and where it stands",
                    "引用须写成标记 S、L、M 或 U，空格，出处",
                ),
            }
        }
        if out.is_empty() {
            self.said(at, &field, "names no source", "没有出处");
        }
        Some(out)
    }

    fn condition(&mut self, table: &mut Table<'_, 'a>, name: &'static str, defines: &[String]) -> Option<Condition> {
        let field = table.field(name);
        let (span, text) = self.placed(table, name)?;
        match syntax::parse(&text, defines) {
            Ok(condition) => Some(condition),
            Err(wrong) => {
                let at = self.source.inside(&span, &text, wrong.at);
                self.wrong(at, &field, Fault::Condition { why: wrong.why });
                None
            }
        }
    }

    fn unique<'i>(&mut self, what: &str, ids: impl Iterator<Item = &'i str>) {
        let mut seen = BTreeSet::new();
        for id in ids {
            if !seen.insert(id) {
                self.wrong(0, &format!("{what} {id}"), Fault::Twice { item: id.to_owned() });
            }
        }
    }
}

/// When a rule fires: it holds and its evidence is not there.
pub(super) fn whole(rule: &Rule) -> Condition {
    match &rule.until {
        None => rule.when.clone(),
        Some(until) => Condition::All(vec![rule.when.clone(), Condition::Not(Box::new(until.clone()))]),
    }
}

fn mentions(condition: &Condition, define: usize) -> bool {
    match condition {
        Condition::Test(..) => false,
        Condition::Defined(place, _) => *place == define,
        Condition::Not(inner) => mentions(inner, define),
        Condition::All(inner) | Condition::Any(inner) => inner.iter().any(|one| mentions(one, define)),
    }
}
