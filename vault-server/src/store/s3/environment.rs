//! What this machine says of S3: variables and profiles as AWS's own tools know them. Read once, when a store is opened.
//!
//! Known of a profile are static keys, `region`, `endpoint_url`, `credential_process`, and `web_identity_token_file` with `role_arn`. A
//! profile that wants anything else is refused: another identity than the one that was meant would act.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ini::Ini;

/// Variables of a process. A copy, so that a test can have its own.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

// Some of them are secret, and which ones is for whoever set them to know.
impl core::fmt::Debug for Environment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Environment").field("variables", &self.variables.len()).finish_non_exhaustive()
    }
}

/// A profile of `~/.aws`: its settings from both files. Not printable: some settings are keys.
#[derive(Clone, Default)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// Whether somebody named it, and did not only get the default.
    pub(crate) named: bool,
    found: bool,
    files: String,
    settings: BTreeMap<String, String>,
}

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not in the form that AWS's tools write.
    #[error("{}: line {line} is not understood", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
    },
    /// Neither file has a profile of the name.
    #[error("there is no profile {name:?} in {files}; AWS_PROFILE names it")]
    Missing {
        /// The profile.
        name: String,
        /// The files that were read.
        files: String,
    },
    /// The profile gets its credentials in a way that this program does not have.
    #[error(
        "profile {name:?} uses {setting}, which is not supported; known are keys, credential_process, and web_identity_token_file with role_arn"
    )]
    Unsupported {
        /// The profile.
        name: String,
        /// The setting.
        setting: String,
    },
    /// One half of a pair is missing.
    #[error("profile {name:?} has {there} and no {missing}")]
    Half {
        /// The profile.
        name: String,
        /// What it has.
        there: &'static str,
        /// What it lacks.
        missing: &'static str,
    },
}

impl Environment {
    /// Variables of this process that concern S3.
    #[must_use]
    pub fn of_process() -> Self {
        let known = |name: &str| name.starts_with("AWS_") || name == "HOME";
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| known(name))
            .collect()
    }

    /// A variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of several that is set.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.variable(name))
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    /// The profile that `AWS_PROFILE` names, or `default`, which need not exist.
    pub(crate) fn profile(&self) -> Result<Profile, ProfileError> {
        let named = self.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = named.unwrap_or("default").to_owned();
        let files = [
            (
                self.file("AWS_CONFIG_FILE", "config"),
                if name == "default" { name.clone() } else { format!("profile {name}") },
            ),
            (self.file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), name.clone()),
        ];
        let mut profile = Profile { name, named: named.is_some(), ..Profile::default() };
        let mut looked_in = Vec::new();
        // Keys of the credentials file come last, so they count.
        for (path, section) in files {
            let Some(path) = path else { continue };
            looked_in.push(path.display().to_string());
            let Some(ini) = read(&path)? else { continue };
            if let Some(settings) = ini.section(Some(section.as_str())) {
                profile.found = true;
                // Indented lines are another setting's own settings.
                let own = settings.iter().filter(|(name, _)| !name.starts_with(char::is_whitespace));
                profile.settings.extend(own.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())));
            }
        }
        profile.files =
            if looked_in.is_empty() { "~/.aws, for HOME is not set".to_owned() } else { looked_in.join(" and ") };
        if profile.named && !profile.found {
            return Err(ProfileError::Missing { name: profile.name, files: profile.files });
        }
        Ok(profile)
    }

    fn file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        let home = || self.variable("HOME").map(|home| Path::new(home).join(".aws").join(name));
        self.variable(variable).map(PathBuf::from).or_else(home)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Self { variables: variables.into_iter().collect() }
    }
}

/// How a profile gets its credentials. Not printable: it may hold them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Way {
    Keys { id: String, secret: String, token: Option<String> },
    Process(String),
    WebIdentity { token_file: String, role: String, session: Option<String> },
}

impl Profile {
    /// A setting that is not empty.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where it was looked for.
    pub(crate) fn files(&self) -> &str {
        &self.files
    }

    /// How it gets credentials, if it does.
    pub(crate) fn way(&self) -> Result<Option<Way>, ProfileError> {
        let owned = |name| self.setting(name).map(str::to_owned);
        let unsupported =
            ["source_profile", "credential_source", "mfa_serial", "sso_session", "sso_start_url", "login_session"];
        if let Some(setting) = unsupported.into_iter().find(|name| self.setting(name).is_some()) {
            return Err(ProfileError::Unsupported { name: self.name.clone(), setting: setting.to_owned() });
        }
        let half = |there, missing| ProfileError::Half { name: self.name.clone(), there, missing };
        match (owned("web_identity_token_file"), owned("role_arn")) {
            (Some(token_file), Some(role)) => {
                return Ok(Some(Way::WebIdentity { token_file, role, session: owned("role_session_name") }));
            }
            (Some(_), None) => return Err(half("web_identity_token_file", "role_arn")),
            (None, Some(_)) => return Err(half("role_arn", "web_identity_token_file")),
            (None, None) => {}
        }
        match (owned("aws_access_key_id"), owned("aws_secret_access_key")) {
            (Some(id), Some(secret)) => {
                return Ok(Some(Way::Keys { id, secret, token: owned("aws_session_token") }));
            }
            (Some(_), None) => return Err(half("aws_access_key_id", "aws_secret_access_key")),
            (None, Some(_)) => return Err(half("aws_secret_access_key", "aws_access_key_id")),
            (None, None) => {}
        }
        Ok(owned("credential_process").map(Way::Process))
    }
}

fn read(path: &Path) -> Result<Option<Ini>, ProfileError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ProfileError::Read { path: path.to_owned(), source }),
    };
    // Secrets have slashes, plus signs and perhaps '#': nothing is escaped, and what is quoted keeps its quotes.
    let how = ini::ParseOption {
        enabled_quote: false,
        enabled_escape: false,
        enabled_preserve_key_leading_whitespace: true,
        ..ini::ParseOption::default()
    };
    Ini::load_from_str_opt(&text, how)
        .map(Some)
        .map_err(|e| ProfileError::Syntax { path: path.to_owned(), line: e.line.saturating_add(1) })
}
