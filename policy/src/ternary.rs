//! Yes, no and unknown, in Kleene's strong logic: a result is definite only if no answer to what is unknown could change it.

/// A truth value. Ordered no < unknown < yes, so that *and* is the minimum and *or* the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ternary {
    /// Certainly not.
    No,
    /// Nobody has said.
    Unknown,
    /// Certainly.
    Yes,
}

impl Ternary {
    /// Of a known value.
    #[must_use]
    pub const fn of(known: bool) -> Self {
        if known { Self::Yes } else { Self::No }
    }

    /// Of a value that may be unknown.
    #[must_use]
    pub const fn of_known(known: Option<bool>) -> Self {
        match known {
            Some(known) => Self::of(known),
            None => Self::Unknown,
        }
    }

    /// Whether it is certainly so.
    #[must_use]
    pub const fn is_yes(self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Whether it is certainly not so.
    #[must_use]
    pub const fn is_no(self) -> bool {
        matches!(self, Self::No)
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// Either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.max(other)
    }

    /// All of them; yes if there are none.
    #[must_use]
    pub fn all(items: impl IntoIterator<Item = Self>) -> Self {
        items.into_iter().fold(Self::Yes, Self::and)
    }

    /// Any of them; no if there are none.
    #[must_use]
    pub fn any(items: impl IntoIterator<Item = Self>) -> Self {
        items.into_iter().fold(Self::No, Self::or)
    }
}

impl core::ops::Not for Ternary {
    type Output = Self;
    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ternary::{No, Unknown, Yes};

    #[test]
    fn the_tables_are_kleenes() {
        for (a, b, and, or) in [
            (Yes, Yes, Yes, Yes),
            (Yes, No, No, Yes),
            (Yes, Unknown, Unknown, Yes),
            (No, No, No, No),
            (No, Unknown, No, Unknown),
            (Unknown, Unknown, Unknown, Unknown),
        ] {
            assert_eq!((a.and(b), b.and(a), a.or(b), b.or(a)), (and, and, or, or));
        }
        assert_eq!((!Yes, !Unknown, !No), (No, Unknown, Yes));
    }
}
