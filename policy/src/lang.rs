//! The two languages that reasons, templates and errors are written in.

use std::borrow::Cow;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese, as written on the mainland.
    Zh,
}

impl Lang {
    /// Both, for tests and tables.
    pub const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// Of a `--lang` value or a locale such as `zh_CN.UTF-8`; everything that is not Chinese is English.
    #[must_use]
    pub fn of_locale(text: &str) -> Self {
        if text.to_ascii_lowercase().starts_with("zh") { Self::Zh } else { Self::En }
    }
}

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bilingual {
    /// English.
    pub en: Cow<'static, str>,
    /// Chinese.
    pub zh: Cow<'static, str>,
}

impl Bilingual {
    /// Of two fixed texts.
    #[must_use]
    pub const fn fixed(en: &'static str, zh: &'static str) -> Self {
        Self { en: Cow::Borrowed(en), zh: Cow::Borrowed(zh) }
    }

    /// Of two texts made at run time.
    #[must_use]
    pub const fn made(en: String, zh: String) -> Self {
        Self { en: Cow::Owned(en), zh: Cow::Owned(zh) }
    }

    /// The text in a language.
    #[must_use]
    pub fn say(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }
}
