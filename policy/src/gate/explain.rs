//! A decision for people, as lines, and for programs, as JSON. Neither is signed: what is signed is the trace.

use serde_json::{Value as Json, json};

use super::decide::{Decision, Effect, Fired};
use super::inputs::Input;
use crate::lang::Lang;

impl Decision {
    /// The decision in words.
    #[must_use]
    pub fn explain(&self, lang: Lang) -> String {
        let mut lines = vec![self.outcome.say(lang).to_owned()];
        for fired in &self.fired {
            fired.explain(lang, &mut lines);
        }
        let (approvals, ends) = match lang {
            Lang::En => (
                format!("approvals needed: {}", self.approvals),
                "ends after the last of these days, whichever comes first:",
            ),
            Lang::Zh => (format!("所需批准数：{}", self.approvals), "授权在下列末日中最早的一日届满："),
        };
        lines.push(approvals);
        lines.push(ends.to_owned());
        for end in &self.ends {
            lines.push(format!("  {}: {} ({})", end.what, end.last.show(), ask(end.what, lang)));
        }
        lines.join("\n")
    }

    /// The decision for `--json`; its members do not change with the language, its texts do.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> Json {
        let ends: Vec<_> = self.ends.iter().map(|end| json!({"fact": end.what, "last": end.last.show()})).collect();
        json!({
            "approvals": self.approvals,
            "counted": self.counted,
            "ends": ends,
            "exported": self.exported,
            "expires": self.expires,
            "fired": self.fired.iter().map(|fired| fired.to_json(lang)).collect::<Vec<_>>(),
            "outcome": self.outcome.name(),
            "standing": self.standing().map(super::Standing::name),
        })
    }
}

fn ask(name: &str, lang: Lang) -> &'static str {
    Input::named(name).map_or("", |input| input.ask().say(lang))
}

impl Fired {
    fn explain(&self, lang: Lang, lines: &mut Vec<String>) {
        let (effect, rule, text) = (self.effect.say(lang), &self.rule, self.text.say(lang));
        // A row is named as the pack and docs/rules.md name it, in either language: two rows of one rule are told apart by it.
        lines.push(format!("{effect} {rule} [{}] {text}", self.row));
        if !self.cites.is_empty() {
            lines.push(format!("    {}", self.sources().join("; ")));
        }
        let (because, evidence, unknown) = match lang {
            Lang::En => ("because", "missing", "has to be known"),
            Lang::Zh => ("依据", "所缺证据", "须先查明"),
        };
        for (input, answer) in &self.facts {
            lines.push(format!("    {because}: {input} = {} ({})", answer.show(), input.ask().say(lang)));
        }
        for input in &self.unknown {
            lines.push(format!("    {unknown}: {input} ({})", input.ask().say(lang)));
        }
        if let Some(text) = self.missing_evidence() {
            lines.push(format!("    {evidence}: {}", text.say(lang)));
        }
    }

    fn to_json(&self, lang: Lang) -> Json {
        let facts: Vec<_> = self
            .facts
            .iter()
            .map(|(input, answer)| json!({"answer": answer.show(), "fact": input.to_string()}))
            .collect();
        json!({
            "cites": self.sources(),
            "effect": self.effect.name(),
            "evidence": self.missing_evidence().map(|text| text.say(lang)),
            "facts": facts,
            "pack": self.pack,
            "row": self.row,
            "rule": self.rule,
            "text": self.text.say(lang),
            "unknown": self.unknown.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    /// Each citation with its mark.
    fn sources(&self) -> Vec<String> {
        self.cites.iter().map(|cite| format!("{} ({})", cite.place, cite.certainty)).collect()
    }

    /// The evidence that would lift a block that stands.
    fn missing_evidence(&self) -> Option<&crate::lang::Bilingual> {
        self.evidence.as_ref().filter(|_| self.effect == Effect::Blocked)
    }
}
