//! Where a vault in a bucket lies, as a person writes it. Nothing is looked up here.
//!
//! `s3://bucket[/prefix][?endpoint=URL&endpoint=URL2&region=R&epochs=bucket2[/prefix]&path-style=true&allow-http=true]`

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr};

use reqwest::Url;

/// The address of a vault in a bucket, parsed strictly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket, and the folder in it.
    pub main: Place,
    /// Where names that begin with `epochs/` go, if not to `main`: a bucket from which deletion is final.
    pub epochs: Option<Place>,
    /// Ways to the store, the preferred one first; none means what the environment says, or else AWS.
    pub endpoints: Vec<Endpoint>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// Whether the bucket stands in the path of a request and not in its host.
    pub path_style: Option<bool>,
    /// Whether `http://` may leave this machine.
    pub allow_http: bool,
}

/// A folder in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// The folder, without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
}

/// One way to a store: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// What is wrong with an address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocationError {
    /// It is no address of a bucket at all.
    #[error("{0:?} is no address of a bucket: it begins with s3:// and a bucket's name")]
    Scheme(String),
    /// A parameter that nobody knows.
    #[error("{0:?} is no parameter of an s3:// address; there are endpoint, region, epochs, path-style and allow-http")]
    Unknown(String),
    /// A parameter without a value, or twice.
    #[error("{0}: it stands once, as {0}=VALUE")]
    Parameter(String),
    /// It is neither `true` nor `false`.
    #[error("{name}={value}: it is true or false")]
    Truth {
        /// The parameter.
        name: String,
        /// What was given.
        value: String,
    },
    /// A bucket's name that S3 does not allow.
    #[error("{bucket:?} is no name of a bucket: {why}")]
    Bucket {
        /// The name.
        bucket: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A folder with strange characters.
    #[error("{0:?} is no folder in a bucket: names of letters, digits and any of -_.=+ between single slashes")]
    Prefix(String),
    /// An endpoint that is none.
    #[error("{0:?} is no endpoint: it is http:// or https://, a host and perhaps a port, and nothing else")]
    Endpoint(String),
    /// Requests would leave this machine unencrypted.
    #[error(
        "{0}: over http:// everybody on the way can read and change what is sent; use https://, or add allow-http=true"
    )]
    Http(String),
    /// A region with strange characters.
    #[error("{0:?} is no region")]
    Region(String),
    /// `epochs=` names a place in which, or in whose place, the rest lies.
    #[error("epochs={0}: it lies inside the vault's own folder, or the vault inside it; name another bucket")]
    Epochs(String),
}

impl FromStr for S3Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let rest = text.strip_prefix("s3://").ok_or_else(|| LocationError::Scheme(text.to_owned()))?;
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        let mut location = Self {
            main: place.parse()?,
            epochs: None,
            endpoints: Vec::new(),
            region: None,
            path_style: None,
            allow_http: false,
        };
        let mut allow_http = None;
        for parameter in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "endpoint" => location.endpoints.push(value.parse()?),
                "region" => once(&mut location.region, name, region(value)?)?,
                "epochs" => once(&mut location.epochs, name, value.parse()?)?,
                "path-style" => once(&mut location.path_style, name, truth(name, value)?)?,
                "allow-http" => once(&mut allow_http, name, truth(name, value)?)?,
                _ => return Err(LocationError::Unknown(name.to_owned())),
            }
        }
        location.allow_http = allow_http.unwrap_or(false);
        if let Some(epochs) = location.epochs.as_ref().filter(|epochs| epochs.meets(&location.main)) {
            return Err(LocationError::Epochs(epochs.to_string()));
        }
        Ok(location)
    }
}

/// All that was said, in one order.
impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.main)?;
        let mut parameters: Vec<String> = self.endpoints.iter().map(|e| format!("endpoint={e}")).collect();
        parameters.extend(self.region.iter().map(|region| format!("region={region}")));
        parameters.extend(self.epochs.iter().map(|epochs| format!("epochs={epochs}")));
        parameters.extend(self.path_style.iter().map(|yes| format!("path-style={yes}")));
        parameters.extend(self.allow_http.then(|| "allow-http=true".to_owned()));
        if parameters.is_empty() { Ok(()) } else { write!(f, "?{}", parameters.join("&")) }
    }
}

impl S3Location {
    /// What tells this place from others, whatever way leads there: the bucket, its folder, and whose bucket it is.
    #[must_use]
    pub fn place(&self) -> String {
        match self.endpoints.first() {
            Some(endpoint) => format!("s3://{}?endpoint={endpoint}", self.main),
            None => format!("s3://{}", self.main),
        }
    }

    /// Refuses endpoints that would send requests unencrypted to another machine.
    ///
    /// # Errors
    /// The first such endpoint.
    pub(crate) fn check_http(&self) -> Result<(), LocationError> {
        match self.endpoints.iter().find(|e| e.is_http() && !e.is_loopback()) {
            Some(open) if !self.allow_http => Err(LocationError::Http(open.to_string())),
            _ => Ok(()),
        }
    }
}

impl Place {
    /// Whether one lies in the other.
    fn meets(&self, other: &Self) -> bool {
        let inside = |a: &str, b: &str| b.is_empty() || a == b || a.starts_with(&format!("{b}/"));
        self.bucket == other.bucket && (inside(&self.prefix, &other.prefix) || inside(&other.prefix, &self.prefix))
    }
}

impl FromStr for Place {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        check_bucket(bucket).map_err(|why| LocationError::Bucket { bucket: bucket.to_owned(), why })?;
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let name = |name: &str| {
            !matches!(name, "" | "." | "..") && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.=+".contains(c))
        };
        if !prefix.is_empty() && !prefix.split('/').all(name) {
            return Err(LocationError::Prefix(prefix.to_owned()));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

/// S3's rules for names of general purpose buckets.
fn check_bucket(name: &str) -> Result<(), &'static str> {
    let of_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(3..=63).contains(&name.len()) {
        Err("it has 3 to 63 characters")
    } else if name.contains(|c: char| c.is_ascii_uppercase()) {
        Err("capital letters are not allowed")
    } else if !name.chars().all(|c| of_host(c) || matches!(c, '-' | '.')) {
        Err("only small letters, digits, '-' and '.' are allowed")
    } else if !name.starts_with(of_host) || !name.ends_with(of_host) {
        Err("it begins and ends with a letter or a digit")
    } else if name.contains("..") {
        Err("two dots may not stand together")
    } else if name.parse::<Ipv4Addr>().is_ok() {
        Err("it may not be an IP address")
    } else {
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl Endpoint {
    /// As text, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_http(&self) -> bool {
        self.0.starts_with("http://")
    }

    pub(super) fn is_loopback(&self) -> bool {
        let url = Url::parse(&self.0).ok();
        url.as_ref().and_then(Url::host_str).is_some_and(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        })
    }
}

impl FromStr for Endpoint {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let bad = || LocationError::Endpoint(text.to_owned());
        let url = Url::parse(text).map_err(|_| bad())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if plain { Ok(Self(url.as_str().trim_end_matches('/').to_owned())) } else { Err(bad()) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), LocationError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(LocationError::Parameter(name.to_owned())),
    }
}

fn truth(name: &str, value: &str) -> Result<bool, LocationError> {
    value.parse().map_err(|_| LocationError::Truth { name: name.to_owned(), value: value.to_owned() })
}

pub(crate) fn region(value: &str) -> Result<String, LocationError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if value.is_empty() || value.len() > 64 || !value.chars().all(fits) {
        return Err(LocationError::Region(value.to_owned()));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<S3Location, LocationError> {
        text.parse()
    }

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for text in [
            "s3://bucket",
            "s3://bucket/some/folder",
            "s3://bucket/v?endpoint=https://s3.example.org",
            "s3://bkt/v?endpoint=http://127.0.0.1:8333&endpoint=http://127.0.0.1:8334&region=eu-1&epochs=bkt2/v&path-style=false&allow-http=true",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            parse("s3://bkt/v/?endpoint=https://H.example:443/").unwrap().to_string(),
            "s3://bkt/v?endpoint=https://h.example"
        );
    }

    #[test]
    fn what_tells_a_place_apart_is_bucket_folder_and_first_endpoint() {
        let text = "s3://bkt/v?endpoint=http://127.0.0.1:1&endpoint=http://127.0.0.1:2&region=r&epochs=bkt2";
        assert_eq!(parse(text).unwrap().place(), "s3://bkt/v?endpoint=http://127.0.0.1:1");
        assert_eq!(parse("s3://bkt/v?region=r").unwrap().place(), "s3://bkt/v");
    }

    #[test]
    fn strange_addresses_are_refused_by_name() {
        use LocationError as E;
        let text = |text: &str| text.to_owned();
        for (address, error) in [
            ("s3:/bucket", E::Scheme(text("s3:/bucket"))),
            ("s3://bkt//v", E::Prefix(text("/v"))),
            ("s3://bkt/../v", E::Prefix(text("../v"))),
            ("s3://bkt/%2e", E::Prefix(text("%2e"))),
            ("s3://bkt?endpont=https://h", E::Unknown(text("endpont"))),
            ("s3://bkt?region=a&region=b", E::Parameter(text("region"))),
            ("s3://bkt?region=", E::Region(text(""))),
            ("s3://bkt?endpoint=h:80", E::Endpoint(text("h:80"))),
            ("s3://bkt?endpoint=https://h/path", E::Endpoint(text("https://h/path"))),
            ("s3://bkt?endpoint=https://u:p@h", E::Endpoint(text("https://u:p@h"))),
            ("s3://bkt?endpoint=ftp://h", E::Endpoint(text("ftp://h"))),
            ("s3://bkt?path-style=yes", E::Truth { name: text("path-style"), value: text("yes") }),
            ("s3://bkt/v?epochs=bkt/v/e", E::Epochs(text("bkt/v/e"))),
            ("s3://bkt/v?epochs=bkt", E::Epochs(text("bkt"))),
        ] {
            assert_eq!(parse(address).unwrap_err(), error, "{address}");
        }
        assert!(parse("s3://bkt/v?epochs=bkt/e").is_ok());
    }

    #[test]
    fn names_that_no_bucket_has_are_refused_with_the_reason() {
        let long = "b".repeat(64);
        for (name, word) in [
            ("", "3 to 63"),
            ("..", "3 to 63"),
            (long.as_str(), "3 to 63"),
            ("UPPER", "capital letters"),
            ("my_bucket", "small letters, digits"),
            ("a b", "small letters, digits"),
            ("-bucket", "begins and ends"),
            ("bucket.", "begins and ends"),
            ("my..bucket", "two dots"),
            ("192.0.2.1", "IP address"),
        ] {
            let error = parse(&format!("s3://{name}/v")).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(&format!("{name:?}")), "{name}: {error}");
            assert!(parse(&format!("s3://bucket?epochs={name}/v")).is_err(), "{name}");
        }
        for name in ["abc", "lab-vault.example.org", "1-2-3", &"b".repeat(63)] {
            assert!(parse(&format!("s3://{name}/v")).is_ok(), "{name}");
        }
    }

    #[test]
    fn http_leaves_this_machine_only_if_somebody_says_so() {
        for (address, allowed) in [
            ("s3://bkt?endpoint=http://127.0.0.1:8333", true),
            ("s3://bkt?endpoint=http://localhost:8333", true),
            ("s3://bkt?endpoint=http://[::1]:8333", true),
            ("s3://bkt?endpoint=https://h", true),
            ("s3://bkt?endpoint=http://h", false),
            ("s3://bkt?endpoint=http://127.0.0.1.example.org", false),
            ("s3://bkt?endpoint=http://127.0.0.1&endpoint=http://h", false),
            ("s3://bkt?endpoint=http://h&allow-http=true", true),
        ] {
            assert_eq!(parse(address).unwrap().check_http().is_ok(), allowed, "{address}");
        }
    }
}
