//! Where a server is: a strictly read address, and how it is written down.
//!
//! The same server has one name, however it was typed, so that what this machine remembers of a place is found again.

use std::net::IpAddr;

use reqwest::Url;

use crate::error::{Failure, Outcome};

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// As it is remembered and shown: no slash at its end.
    text: String,
    /// Host and, unless it is the scheme's own, port.
    authority: String,
    /// Whether it is this machine, whom no proxy stands between.
    loopback: bool,
}

/// Whether a location is a server's address.
#[must_use]
pub fn is_address(location: &str) -> bool {
    let scheme = location.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

impl Place {
    /// Reads an address.
    pub(super) fn parse(text: &str) -> Outcome<Self> {
        let wrong = |why: &str, why_zh: &str| {
            Failure::usage(format!("{text}: {why}")).or_in_chinese(format!("{text}：{why_zh}"))
        };
        let url = Url::parse(text).map_err(|e| wrong(&format!("it is no address: {e}"), "不是地址"))?;
        let host =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host", "未指明主机"))?;
        if !url.username().is_empty() || url.password().is_some() {
            // The address is not shown: a password does not belong on a screen.
            return Err(Failure::usage(format!("{host}: a name or password in an address has no use here"))
                .or_in_chinese(format!("{host}：地址中的用户名或口令在此无用"))
                .hints("the identity signs each request; write https://host", "请求由身份签名；请写 https://host"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("a server's address ends before `?` and `#`", "服务器地址不含 `?` 和 `#` 及其后的部分"));
        }
        let loopback = is_loopback(host);
        if url.scheme() == "http" && !loopback {
            return Err(wrong(
                "without TLS a server is reached on this machine only",
                "没有 TLS 时只能访问本机的服务器",
            )
            .hints(
                "write https://, or reach it through a tunnel to 127.0.0.1",
                "请写 https://，或经隧道访问 127.0.0.1",
            ));
        }
        let path = url.path().trim_end_matches('/');
        // As it was typed: a parser would have taken `..` away without a word.
        let typed = text.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        let strange = |part: &str| matches!(part, "" | "." | "..");
        if path.contains('%') || !path.is_empty() && typed.trim_end_matches('/').split('/').any(strange) {
            return Err(wrong(
                "a path in an address has no escapes, dots or empty parts",
                "地址中的路径不得有转义、点或空段",
            ));
        }
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { text: format!("{}://{authority}{path}", url.scheme()), authority, loopback })
    }

    /// As it is shown and remembered.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The host alone.
    pub(super) fn host(&self) -> &str {
        let end = self.authority.rfind(']').map_or_else(|| self.authority.find(':'), |end| Some(end + 1));
        self.authority.get(..end.unwrap_or(self.authority.len())).unwrap_or_default()
    }

    /// What signatures cover of it.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is this machine.
    pub(super) const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether it is reached by TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// The address of a path below it.
    pub(super) fn url(&self, path: &str, query: Option<&str>) -> String {
        match query {
            Some(query) => format!("{}{path}?{query}", self.text),
            None => format!("{}{path}", self.text),
        }
    }
}

/// Whether a host of an address is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    ip.map_or(host == "localhost", |ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_has_one_name() {
        let cases = [
            ("https://Vault.Example", "https://vault.example", "vault.example"),
            ("HTTPS://vault.example:443/", "https://vault.example", "vault.example"),
            ("https://vault.example:8443/", "https://vault.example:8443", "vault.example:8443"),
            ("https://vault.example/lab/", "https://vault.example/lab", "vault.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost:80", "http://localhost", "localhost"),
            ("http://[::1]:9", "http://[::1]:9", "[::1]:9"),
        ];
        for (typed, shown, authority) in cases {
            let place = Place::parse(typed).unwrap();
            assert_eq!((place.as_str(), place.authority()), (shown, authority), "{typed}");
            assert!(authority == place.host() || authority.starts_with(&format!("{}:", place.host())), "{typed}");
            assert_eq!(Place::parse(shown).unwrap(), place);
        }
    }

    #[test]
    fn what_is_no_servers_address_is_refused_with_the_reason() {
        let cases = [
            ("https://", "no address"),
            ("https://anna@vault.example", "name or password"),
            ("https://anna:secret@vault.example", "name or password"),
            ("https://vault.example?x=1", "before `?`"),
            ("https://vault.example/#x", "before `?`"),
            ("http://vault.example", "without TLS"),
            ("http://10.0.0.1", "without TLS"),
            ("http://127.0.0.1.example", "without TLS"),
            ("https://vault.example/a/../b", "dots"),
            ("https://vault.example/a//b", "dots"),
            ("https://vault.example/a%20b", "escapes"),
            ("https://vault.example/a b", "escapes"),
            ("https://vault.example:99999", "no address"),
        ];
        for (typed, why) in cases {
            let refused = Place::parse(typed).unwrap_err();
            assert!(refused.message.contains(why), "{typed}: {}", refused.message);
            assert_eq!(refused.kind, crate::error::Kind::Usage);
        }
    }

    #[test]
    fn only_web_addresses_are_servers() {
        assert!(is_address("https://x") && is_address("HTTP://x"));
        assert!(!is_address("s3://bucket") && !is_address("/data/https") && !is_address("./https:/x"));
    }
}
