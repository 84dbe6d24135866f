//! What can go wrong between here and a server: the one place where answers and broken connections become errors of this command.
//!
//! Problems are those of spec section 7.6. What a server says in words is shown as its words, and decides nothing.

use std::error::Error as StdError;
use std::time::Duration;

use vault_server::wire::problem::{Problem, Type};

use super::reach::TooNear;
use crate::clock;
use crate::error::{Failure, Kind, zh};
use crate::output;
use crate::transfer::StoreError;

/// Longest text of a server that is shown.
const MAX_WORDS: usize = 600;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The server answered that it does not do it.
    #[error("{place}: {}", said(problem))]
    Problem {
        /// The server.
        place: String,
        /// What it said.
        problem: Box<Problem>,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// Something answered with a status and nothing that a seqvault server says.
    #[error("{place}: it answered with status {status}{}", if *by_server { "" } else { ", and not as a seqvault server does" })]
    Status {
        /// The server.
        place: String,
        /// The status.
        status: u16,
        /// Whether the answer bears a request's id.
        by_server: bool,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// What answers is something else.
    #[error("{place} is no seqvault server: {why}")]
    Stranger {
        /// The address.
        place: String,
        /// What it did.
        why: String,
    },
    /// No connection, or none that lasts.
    #[error("{place} can't be reached: {why}")]
    Unreachable {
        /// The address.
        place: String,
        /// The system's words.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// An address that no link of a server may lead to.
    #[error("{place} is not asked: {TooNear}")]
    TooNear {
        /// The host.
        place: String,
    },
    /// A connection that can't be trusted, or can't be made at all.
    #[error("{place}: no secure connection: {why}")]
    Insecure {
        /// The address.
        place: String,
        /// What is wrong with it.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// The answer is not what was asked for.
    #[error("{place}: its answer makes no sense: {why}")]
    Nonsense {
        /// The server.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// The identity could not sign, or the options are wrong.
    #[error("{0}")]
    Here(Failure),
}

impl RemoteError {
    /// What passes if it is left alone.
    pub(super) fn passing(place: &str, why: &str) -> Self {
        Self::Unreachable { place: place.to_owned(), why: why.to_owned(), hint: AGAIN }
    }

    /// The kind of problem, if it is one that this version knows.
    pub(super) fn problem(&self) -> Option<Type> {
        match self {
            Self::Problem { problem, .. } => problem.of(),
            _ => None,
        }
    }

    /// Whether it may work if it is tried again.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Problem { problem, retry_after, .. } => match problem.of() {
                // Each attempt has its own nonce; a box between may have sent one twice.
                Some(Type::Replayed) => true,
                Some(Type::Quota) => retry_after.is_some(),
                Some(Type::TooMany | Type::Internal | Type::Busy | Type::Stopping | Type::Storage) => true,
                Some(_) => false,
                None => is_passing(problem.status),
            },
            Self::Status { status, .. } => is_passing(*status),
            Self::Unreachable { .. } => true,
            Self::Stranger { .. }
            | Self::TooNear { .. }
            | Self::Insecure { .. }
            | Self::Nonsense { .. }
            | Self::Here(_) => false,
        }
    }

    /// How long the server asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// As the store's error about one object. Nothing is left to be tried again: that was done.
    pub(super) fn of_object(self) -> StoreError {
        match self.problem() {
            Some(Type::NotFound) => StoreError::NotFound,
            Some(Type::Differs) => StoreError::Differs,
            Some(Type::Range) => StoreError::Length,
            Some(Type::Archived) => {
                let Self::Problem { problem, .. } = &self else { return StoreError::Failed(Box::new(self)) };
                StoreError::Archived(words(&problem.detail))
            }
            _ => StoreError::Failed(Box::new(self)),
        }
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let text = error.to_string();
        let failure = |kind, zh: String| Self::new(kind, text.clone()).or_in_chinese(zh);
        match error {
            RemoteError::Here(failure) => failure,
            RemoteError::Problem { place, problem, .. } => {
                let zh = problem.of().map(|known| said_in_chinese(&place, &problem, known));
                let failure = of_problem(&problem, text);
                match (zh, &failure.zh) {
                    (Some(zh), None) => failure.or_in_chinese(zh),
                    _ => failure,
                }
            }
            RemoteError::TooNear { place } => failure(Kind::Storage, format!("{place}：服务器的链接不得指向该地址")),
            RemoteError::Unreachable { place, hint, .. } => failure(Kind::Storage, format!("无法连接 {place}"))
                .hints(hint, "请检查地址、端口和网络，或询问服务器的管理者；可再次运行同一命令"),
            RemoteError::Insecure { place, hint, .. } => failure(Kind::Storage, format!("{place}：无法建立安全连接"))
                .hints(hint, "请检查证书、代理和本机时钟，或询问服务器的管理者"),
            RemoteError::Stranger { place, .. } => failure(Kind::NotFound, format!("{place} 不是 seqvault 服务器"))
                .hints(
                    "check the address; a login page or a proxy may answer in the server's place",
                    "请检查地址；应答的可能是登录页面或代理",
                ),
            RemoteError::Nonsense { place, .. } => failure(Kind::Integrity, format!("{place} 的应答不合规定")).hints(
                "something between may change answers, or the server is broken: ask who runs it",
                "应答可能在途中被更改，或服务器有故障：请询问服务器的管理者",
            ),
            RemoteError::Status { place, status, .. } => {
                of_status(status, text).or_in_chinese(format!("{place}：应答状态为 {status}"))
            }
        }
    }
}

/// Whether a status alone says that it may work later.
const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

fn of_status(status: u16, text: String) -> Failure {
    match status {
        401 | 403 => Failure::refused(text).hints("ask who runs the server", "请询问服务器的管理者"),
        404 => Failure::not_found(text).hints("check the address", "请检查地址"),
        407 => Failure::new(Kind::Storage, text).hints(
            "the proxy wants a name and a password: HTTPS_PROXY=http://name:password@host:port",
            "代理要求用户名和口令：HTTPS_PROXY=http://name:password@host:port",
        ),
        429 | 500..=599 => Failure::new(Kind::Storage, text).hints(AGAIN, AGAIN_ZH),
        _ => Failure::new(Kind::Other, text)
            .hints("check the address, or ask who runs the server", "请检查地址，或询问服务器的管理者"),
    }
}

const AGAIN: &str = "run the same command again: what is done is kept. If it stays so, ask who runs the server";
const AGAIN_ZH: &str = "请重新运行同一命令：已完成的部分予以保留。若仍如此，请询问服务器的管理者";
const DECIDE: &str = "`seqvault decide` explains what the rules in force ask for";
const MAY: &str = "`seqvault member show` and `seqvault dataset show` say who may what";
const ENROL: &str = "an officer enrols cards with `seqvault member add`; name another identity with --identity";
const UPDATE: &str = "the server or this seqvault may be too old: compare their versions";

/// A problem's kind, and what to do about it. The text has the server's words and the request's id.
fn of_problem(problem: &Problem, text: String) -> Failure {
    let of = |kind, hint: &str| {
        let failure = Failure::new(kind, text.clone());
        if hint.is_empty() { failure } else { failure.hints(hint, in_chinese(hint)) }
    };
    let Some(known) = problem.of() else { return of_status(problem.status, text.clone()) };
    match known {
        Type::Clock => skewed(problem.time, &text),
        Type::Malformed | Type::Method | Type::NoSuchResource | Type::Length => of(Kind::Other, UPDATE),
        Type::Unsigned | Type::Replayed => {
            of(Kind::Refused, "something between may change requests: ask who runs the server")
        }
        Type::BadSignature => of(
            Kind::Refused,
            "a proxy before the server may change host or path: who runs it checks the server's --name",
        ),
        Type::UnknownCard => of(Kind::Refused, ENROL),
        Type::Digest => of(Kind::Integrity, "something between changes what is sent"),
        Type::OtherVault => of(Kind::Integrity, "if it was moved on purpose, join it again with an invitation"),
        Type::NotAllowed => of(Kind::Refused, MAY),
        Type::Rules => {
            let failure = of(Kind::Refused, DECIDE);
            match problem.reason_zh.as_deref() {
                Some(why) => {
                    failure.or_in_chinese(format!("服务器拒绝：{}（请求 {}）", words(why), words(&problem.request)))
                }
                None => failure,
            }
        }
        Type::NotFound => of(Kind::NotFound, "the store lost it, or somebody deleted it"),
        Type::Taken | Type::NotNext => of(Kind::Conflict, "run the same command again"),
        Type::Differs | Type::Range => of(Kind::Integrity, ""),
        Type::Conflict => of(Kind::Refused, ""),
        Type::Void | Type::Missing | Type::Misnamed => of(Kind::Refused, ""),
        Type::Stopped => {
            of(Kind::Integrity, "run `seqvault verify` to see the entries around it, and ask an officer to settle it")
        }
        Type::Damaged => of(Kind::Integrity, "an entry was deleted: ask an officer"),
        Type::TooLarge => of(Kind::Usage, ""),
        Type::NoLinks => of(Kind::Storage, "run it with --via-server"),
        Type::Quota => of(Kind::Refused, "finish or end the uploads that are open (`seqvault doctor` lists them)"),
        Type::TooMany | Type::Internal | Type::Busy | Type::Stopping | Type::Storage => of(Kind::Storage, AGAIN),
        Type::Archived => of(Kind::Storage, ""),
    }
}

/// What to do about a problem, in Chinese.
fn in_chinese(hint: &str) -> &'static str {
    match hint {
        AGAIN => AGAIN_ZH,
        UPDATE => "服务器或本机的 seqvault 可能过旧：请比较其版本",
        DECIDE => "`seqvault decide` 说明生效的规则有何要求",
        MAY => "`seqvault member show` 和 `seqvault dataset show` 说明谁有何权限",
        ENROL => "由管理员以 `seqvault member add` 登记卡片；或以 --identity 指明其他身份",
        _ => "请询问服务器的管理者或保险库的管理员",
    }
}

/// What a server says, in Chinese: by the problem's type, and by its reason where it names one that is known.
fn said_in_chinese(place: &str, problem: &Problem, known: Type) -> String {
    let what = match known {
        Type::Clock => "时钟相差过大",
        Type::Unsigned | Type::BadSignature | Type::Replayed => "请求的签名无效",
        Type::UnknownCard => "该身份未在保险库中登记",
        Type::NotAllowed => "该身份无此权限",
        Type::Rules => "生效的规则不允许",
        Type::NotFound | Type::NoSuchResource => "不存在",
        Type::Taken | Type::NotNext => "该序号已被他人使用",
        Type::Differs | Type::Conflict => "已有不同的内容",
        Type::Void => "该条目不会生效",
        Type::Stopped => "账本已中断",
        Type::Missing | Type::Misnamed => "条目所指的对象不存在或不符",
        Type::OtherVault => "所持有的是其他保险库",
        Type::Damaged => "账本已损坏",
        Type::Quota | Type::TooMany | Type::TooLarge => "超过服务器的限额",
        Type::Archived => "对象已归档，须先取回",
        Type::Malformed | Type::Method | Type::Length | Type::Range | Type::Digest | Type::NoLinks => "请求不被接受",
        Type::Internal | Type::Busy | Type::Stopping | Type::Storage => "服务器暂时无法处理",
    };
    let mut text = format!("{place}：{what}");
    if let Some(why) = problem.reason.as_deref() {
        text = format!("{text}：{}", words(zh::reason(why)));
    }
    if let Some(name) = problem.name.as_deref() {
        text = format!("{text}：{}", words(name));
    }
    if problem.request.is_empty() { text } else { format!("{text}（请求 {}）", words(&problem.request)) }
}

/// Two clocks that differ, both named.
pub(super) fn skewed(theirs: Option<u64>, text: &str) -> Failure {
    let ours = output::time(clock::now());
    let message = match theirs {
        Some(theirs) => {
            format!("{text}: this machine's clock says {ours}, the server's says {}", output::time(theirs))
        }
        None => format!("{text}: this machine's clock says {ours}"),
    };
    Failure::refused(message).hints(
        "set the clock that is wrong: they may differ by five minutes",
        "请校准有误的时钟：两者相差不得超过五分钟",
    )
}

/// What a problem says, with the request's id for whoever reads the server's log.
fn said(problem: &Problem) -> String {
    let title = words(&problem.title);
    let mut text = if problem.detail.is_empty() { title } else { words(&problem.detail) };
    if let Some(reason) = problem.reason.as_deref().filter(|reason| !text.contains(*reason)) {
        text = format!("{text}: {}", words(reason));
    }
    if let Some(name) = problem.name.as_deref().filter(|name| !text.contains(*name)) {
        text = format!("{text}: {}", words(name));
    }
    if problem.request.is_empty() { text } else { format!("{text} (request {})", words(&problem.request)) }
}

/// Words of somebody else, on one line and not without end.
pub(super) fn words(text: &str) -> String {
    let line = output::printable(text).replace('\n', " ");
    match line.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// What is at the root of a broken connection.
struct Root {
    io: Option<std::io::ErrorKind>,
    tls: Option<rustls::Error>,
    is_too_near: bool,
    text: String,
    all: String,
}

impl Root {
    fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut root = Self { io: None, tls: None, is_too_near: false, text: String::new(), all: String::new() };
        let mut next = Some(error);
        while let Some(cause) = next {
            root.text = cause.to_string();
            root.all = format!("{}: {}", root.all, root.text);
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                root.tls = Some(tls.clone());
            }
            root.is_too_near |= cause.is::<TooNear>();
            next = cause.source();
            if let Some(io) = cause.downcast_ref::<std::io::Error>() {
                root.io = Some(io.kind());
                // What is wrapped is the cause, and not the cause of the cause.
                next = io.get_ref().map(|inner| inner as &(dyn StdError + 'static)).or(next);
            }
        }
        root
    }
}

/// Sorts a failure by what is at its root.
pub(super) fn sort(place: &str, is_secure: bool, error: reqwest::Error) -> RemoteError {
    use std::io::ErrorKind;
    let error = error.without_url();
    let root = Root::of(&error);
    let place = place.to_owned();
    let unreachable = |why: &str, hint| RemoteError::Unreachable { place: place.clone(), why: why.to_owned(), hint };
    let insecure = |why: String, hint| RemoteError::Insecure { place: place.clone(), why, hint };
    if root.is_too_near {
        return RemoteError::TooNear { place };
    }
    if let Some(tls) = &root.tls {
        let (why, hint) = of_tls(tls);
        return insecure(why, hint);
    }
    let check = "is the server up, and the address with its port right?";
    let proxy = "check HTTPS_PROXY and NO_PROXY, or ask who runs the proxy";
    if root.all.contains("proxy authorization required") {
        return insecure(
            "the proxy asks for a name and a password".to_owned(),
            "name them in HTTPS_PROXY=http://name:password@host:port",
        );
    }
    if root.all.contains("tunnel error") {
        return unreachable(&format!("the proxy makes no connection to it ({})", words(&root.text)), proxy);
    }
    if error.is_builder() {
        return insecure(words(&root.text), "check SEQVAULT_CA and SSL_CERT_FILE");
    }
    if error.is_dns() {
        return unreachable(
            "there is no such host, or no name server answers",
            "check the address's host and the network",
        );
    }
    if error.is_timeout() {
        return unreachable("it does not answer in time", check);
    }
    match root.io {
        Some(ErrorKind::ConnectionRefused) => unreachable("connection refused", check),
        Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => {
            unreachable(&words(&root.text), "check this machine's network")
        }
        // A TLS server's alert is no HTTP.
        _ if !is_secure && root.all.contains("invalid HTTP version") => {
            insecure("what answers does not speak HTTP without TLS".to_owned(), "write https:// if it is the server")
        }
        _ if is_secure && error.is_connect() && matches!(root.io, Some(ErrorKind::UnexpectedEof)) => {
            unreachable("it ended the connection while TLS began", check)
        }
        _ => unreachable(&words(&root.text), check),
    }
}

fn of_tls(error: &rustls::Error) -> (String, &'static str) {
    use rustls::{CertificateError as Bad, Error};
    let ask = "ask who runs the server; a proxy that looks into TLS may be between";
    match error {
        Error::InvalidCertificate(bad) => match bad {
            // The second: from one that has the name of a trusted one, and is another.
            Bad::UnknownIssuer | Bad::BadSignature => (
                "its certificate is from an authority that is not trusted here".to_owned(),
                "if the server has an authority of its own, name its certificate (PEM) in SEQVAULT_CA",
            ),
            Bad::Expired | Bad::ExpiredContext { .. } => (
                format!("its certificate has expired, by this machine's clock ({})", output::time(clock::now())),
                "ask who runs the server to renew it, and check this machine's clock",
            ),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
                format!("its certificate is not valid yet, by this machine's clock ({})", output::time(clock::now())),
                "check this machine's clock, or ask who runs the server",
            ),
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => (
                "its certificate is for another name".to_owned(),
                "use the name that the certificate has, or ask who runs the server",
            ),
            other => (words(&other.to_string()), ask),
        },
        Error::InvalidMessage(_) => (
            "what answers does not speak TLS".to_owned(),
            "check the port; a server without TLS is reached on its own machine only, as http://127.0.0.1:PORT",
        ),
        Error::General(text) if text.contains("No CA certificates") => (
            "this machine has no trusted authorities".to_owned(),
            "install its package of CA certificates, or name a PEM file in SSL_CERT_FILE or SEQVAULT_CA",
        ),
        other => (words(&other.to_string()), ask),
    }
}
