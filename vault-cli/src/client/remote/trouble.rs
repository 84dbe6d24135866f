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

/// What to do, in English and in Chinese.
pub(super) type Hint = (&'static str, &'static str);

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
        hint: Hint,
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
        hint: Hint,
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
            RemoteError::Problem { place, problem, .. } => of_problem(&place, &problem, text),
            RemoteError::TooNear { place } => failure(Kind::Storage, format!("{place}：服务器的链接不得指向该地址")),
            RemoteError::Unreachable { place, why, hint: (en, zh) } => {
                failure(Kind::Storage, format!("无法连接 {place}{}", quoted(&why))).hints(en, zh)
            }
            RemoteError::Insecure { place, why, hint: (en, zh) } => {
                failure(Kind::Storage, format!("{place}：无法建立安全连接{}", quoted(&why))).hints(en, zh)
            }
            RemoteError::Stranger { place, why } => {
                failure(Kind::NotFound, format!("{place} 不是 seqvault 服务器{}", quoted(&why))).hints(
                    "check the address; a login page or a proxy may answer in the server's place",
                    "请检查地址；应答的可能是登录页面或代理",
                )
            }
            RemoteError::Nonsense { place, why } => {
                failure(Kind::Integrity, format!("{place} 的应答不合规定{}", quoted(&why))).hints(
                    "something between may change answers, or the server is broken: ask who runs it",
                    "应答可能在途中被更改，或服务器有故障：请询问服务器的运营者",
                )
            }
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
        401 | 403 => Failure::refused(text).hints("ask who runs the server", "请询问服务器的运营者"),
        404 => Failure::not_found(text).hints("check the address", "请检查地址"),
        407 => Failure::new(Kind::Storage, text).hints(
            "the proxy wants a name and a password: HTTPS_PROXY=http://name:password@host:port",
            "代理要求用户名和口令：HTTPS_PROXY=http://name:password@host:port",
        ),
        429 | 500..=599 => Failure::new(Kind::Storage, text).hints(AGAIN.0, AGAIN.1),
        _ => Failure::new(Kind::Other, text)
            .hints("check the address, or ask who runs the server", "请检查地址，或询问服务器的运营者"),
    }
}

const AGAIN: Hint = (
    "run the same command again: what is done is kept. If it stays so, ask who runs the server",
    "请重新运行同一命令：已完成的部分予以保留。若仍如此，请询问服务器的运营者",
);
const UPDATE: Hint = (
    "the server or this seqvault may be too old: compare their versions",
    "服务器或本机的 seqvault 可能过旧：请比较其版本",
);
const BETWEEN: Hint =
    ("something between may change requests: ask who runs the server", "请求可能在途中被更改：请询问服务器的运营者");
const ONCE_MORE: Hint = ("run the same command again", "请重新运行同一命令");

/// What a problem of a kind is to a reader, whatever else the answer says.
struct Told {
    kind: Kind,
    /// What is wrong, in Chinese; in English the server says it.
    zh: &'static str,
    hint: Option<Hint>,
}

/// Every kind of spec section 7.6 in both languages, so that none is said in one alone.
const fn told(known: Type) -> Told {
    const fn with(kind: Kind, zh: &'static str, hint: Hint) -> Told {
        Told { kind, zh, hint: Some(hint) }
    }
    const fn bare(kind: Kind, zh: &'static str) -> Told {
        Told { kind, zh, hint: None }
    }
    match known {
        Type::Clock => with(Kind::Refused, "时钟相差过大", CLOCKS),
        Type::Malformed => with(Kind::Other, "服务器无法读懂请求", UPDATE),
        Type::Method => with(Kind::Other, "该路径不接受此种请求", UPDATE),
        Type::NoSuchResource => with(Kind::Other, "服务器没有该路径", UPDATE),
        Type::Length => with(Kind::Other, "请求未写明内容的长度", UPDATE),
        Type::Unsigned => with(Kind::Refused, "请求没有签名，或签名不全", BETWEEN),
        Type::Replayed => with(Kind::Refused, "服务器已收到过同一请求", BETWEEN),
        Type::BadSignature => with(
            Kind::Refused,
            "请求的签名无效",
            (
                "a proxy before the server may change host or path: who runs it checks the server's --name",
                "服务器前的代理可能更改了主机名或路径：请其运营者核对服务器的 --name",
            ),
        ),
        Type::UnknownCard => with(
            Kind::Refused,
            "该身份的卡片未在保险库中登记",
            (
                "an officer enrols cards with `seqvault member add`; name another identity with --identity",
                "由管理员以 `seqvault member add` 登记卡片；或以 --identity 指明其他身份",
            ),
        ),
        Type::Digest => with(
            Kind::Integrity,
            "所收到的内容与签名时不同",
            ("something between changes what is sent", "所发送的内容在途中被更改"),
        ),
        Type::OtherVault => with(
            Kind::Integrity,
            "该处是另一个保险库",
            (
                "if it was moved on purpose, join it again with an invitation",
                "若是有意迁移，请凭邀请重新加入（`seqvault join`）",
            ),
        ),
        Type::NotAllowed => with(
            Kind::Refused,
            "该身份无此权限",
            (
                "`seqvault member show` and `seqvault dataset show` say who may what",
                "`seqvault member show` 和 `seqvault dataset show` 说明谁有何权限",
            ),
        ),
        Type::Rules => with(
            Kind::Refused,
            "生效的规则不允许",
            ("`seqvault decide` explains what the rules in force ask for", "`seqvault decide` 说明生效的规则有何要求"),
        ),
        Type::NotFound => with(
            Kind::NotFound,
            "没有该对象、账本或上传",
            ("the store lost it, or somebody deleted it", "存储已将其丢失，或有人将其删除"),
        ),
        Type::Taken => with(Kind::Conflict, "该序号已有其他条目", ONCE_MORE),
        Type::NotNext => with(Kind::Conflict, "序号不连续", ONCE_MORE),
        Type::Differs => bare(Kind::Integrity, "同名对象已存在，且内容不同"),
        Type::Range => bare(Kind::Integrity, "所读范围超出对象"),
        Type::Conflict => bare(Kind::Refused, "当前状态不允许"),
        Type::Void => bare(Kind::Refused, "该条目不会生效"),
        Type::Missing => bare(Kind::Refused, "条目所指的对象不存在"),
        Type::Misnamed => bare(Kind::Refused, "对象与其名称或条目不符"),
        Type::Stopped => with(
            Kind::Integrity,
            "账本已中断：有分叉，或格式较新",
            (
                "run `seqvault verify` to see the entries around it, and ask an officer to settle it",
                "运行 `seqvault verify` 查看其前后的条目，并请管理员处置",
            ),
        ),
        Type::Damaged => with(
            Kind::Integrity,
            "账本已损坏，缺少条目",
            ("an entry was deleted: ask an officer", "有条目被删除：请询问管理员"),
        ),
        Type::TooLarge => bare(Kind::Usage, "超过允许的长度"),
        Type::NoLinks => with(
            Kind::Storage,
            "该服务器不提供存储的直接链接",
            ("run it with --via-server", "请加上 --via-server 运行"),
        ),
        Type::Quota => with(
            Kind::Refused,
            "超过服务器的限额",
            (
                "finish or end the uploads that are open (`seqvault doctor` lists them)",
                "请完成或结束未完成的上传（`seqvault doctor` 列出）",
            ),
        ),
        Type::TooMany => with(Kind::Storage, "请求过于频繁", AGAIN),
        Type::Internal => with(Kind::Storage, "服务器内部出错", AGAIN),
        Type::Busy => with(Kind::Storage, "服务器繁忙", AGAIN),
        Type::Stopping => with(Kind::Storage, "服务器正在停止", AGAIN),
        Type::Storage => with(Kind::Storage, "服务器的存储没有正常应答", AGAIN),
        Type::Archived => bare(Kind::Storage, "对象已归档，须先取回"),
    }
}

/// A problem's kind, and what to do about it. The text has the server's words and the request's id.
fn of_problem(place: &str, problem: &Problem, text: String) -> Failure {
    let Some(known) = problem.of() else {
        let zh = format!("{place}：应答状态为 {}{}", problem.status, quoted(said_alone(problem)));
        return of_status(problem.status, text).or_in_chinese(with_request(zh, problem));
    };
    if known == Type::Clock {
        return skewed(problem.time, &text, &with_request(format!("{place}：{}", told(known).zh), problem));
    }
    let told = told(known);
    let failure = Failure::new(told.kind, text).or_in_chinese(said_in_chinese(place, problem, &told));
    match told.hint {
        Some((en, zh)) => failure.hints(en, zh),
        None => failure,
    }
}

/// What a server says, in Chinese: by the problem's type and what its row names. Words that have no Chinese are quoted.
fn said_in_chinese(place: &str, problem: &Problem, told: &Told) -> String {
    let mut text = format!("{place}：{}", told.zh);
    let mut is_said = false;
    let mut add = |more: String| {
        text.push_str(&more);
        is_said = true;
    };
    if let Some(why) = problem.reason_zh.as_deref() {
        add(format!("：{}", words(why)));
    } else if let Some(why) = problem.reason.as_deref() {
        match zh::reason(why) {
            unknown if unknown == why => add(quoted(why)),
            known => add(format!("：{known}")),
        }
    }
    if let Some(next) = problem.next {
        add(format!("，下一条为第 {next} 条"));
    }
    if let Some(max) = problem.max {
        add(format!("，上限为 {max} 字节"));
    }
    if let Some(size) = problem.size {
        add(format!("，对象长 {size} 字节"));
    }
    if let Some(vault) = problem.vault.as_deref() {
        add(format!("：{}", words(vault)));
    }
    if !is_said {
        text.push_str(&quoted(&problem.detail));
    }
    if let Some(name) = problem.name.as_deref() {
        text = format!("{text}：{}", words(name));
    }
    with_request(text, problem)
}

/// With the request's id, for whoever reads the server's log.
fn with_request(text: String, problem: &Problem) -> String {
    if problem.request.is_empty() { text } else { format!("{text}（请求 {}）", words(&problem.request)) }
}

/// The words of a server or a system within a Chinese text.
fn quoted(said: &str) -> String {
    zh::quoted(&words(said))
}

fn said_alone(problem: &Problem) -> &str {
    if problem.detail.is_empty() { &problem.title } else { &problem.detail }
}

const CLOCKS: Hint =
    ("set the clock that is wrong: they may differ by five minutes", "请校准有误的时钟：两者相差不得超过五分钟");

/// Two clocks that differ, both named; the texts say where, in English and in Chinese.
pub(super) fn skewed(theirs: Option<u64>, text: &str, zh: &str) -> Failure {
    let ours = output::time(clock::now());
    let (message, zh) = match theirs.map(output::time) {
        Some(theirs) => (
            format!("{text}: this machine's clock says {ours}, the server's says {theirs}"),
            format!("{zh}：本机时钟为 {ours}，服务器时钟为 {theirs}"),
        ),
        None => (format!("{text}: this machine's clock says {ours}"), format!("{zh}：本机时钟为 {ours}")),
    };
    Failure::refused(message).or_in_chinese(zh).hints(CLOCKS.0, CLOCKS.1)
}

/// What a problem says, with the request's id for whoever reads the server's log.
fn said(problem: &Problem) -> String {
    let mut text = words(said_alone(problem));
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
    let check = ("is the server up, and the address with its port right?", "服务器是否在运行？地址和端口是否正确？");
    let proxy = (
        "check HTTPS_PROXY and NO_PROXY, or ask who runs the proxy",
        "请检查 HTTPS_PROXY 和 NO_PROXY，或询问代理的运营者",
    );
    if root.all.contains("proxy authorization required") {
        return insecure(
            "the proxy asks for a name and a password".to_owned(),
            (
                "name them in HTTPS_PROXY=http://name:password@host:port",
                "请写入 HTTPS_PROXY=http://name:password@host:port",
            ),
        );
    }
    if root.all.contains("tunnel error") {
        return unreachable(&format!("the proxy makes no connection to it ({})", words(&root.text)), proxy);
    }
    if error.is_builder() {
        return insecure(
            words(&root.text),
            ("check SEQVAULT_CA and SSL_CERT_FILE", "请检查 SEQVAULT_CA 和 SSL_CERT_FILE"),
        );
    }
    if error.is_dns() {
        return unreachable(
            "there is no such host, or no name server answers",
            ("check the address's host and the network", "请检查地址中的主机名和网络"),
        );
    }
    if error.is_timeout() {
        return unreachable("it does not answer in time", check);
    }
    match root.io {
        Some(ErrorKind::ConnectionRefused) => unreachable("connection refused", check),
        Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => {
            unreachable(&words(&root.text), ("check this machine's network", "请检查本机网络"))
        }
        // A TLS server's alert is no HTTP.
        _ if !is_secure && root.all.contains("invalid HTTP version") => insecure(
            "what answers does not speak HTTP without TLS".to_owned(),
            ("write https:// if it is the server", "若确为服务器，请写 https://"),
        ),
        _ if is_secure && error.is_connect() && matches!(root.io, Some(ErrorKind::UnexpectedEof)) => {
            unreachable("it ended the connection while TLS began", check)
        }
        _ => unreachable(&words(&root.text), check),
    }
}

fn of_tls(error: &rustls::Error) -> (String, Hint) {
    use rustls::{CertificateError as Bad, Error};
    let ask = (
        "ask who runs the server; a proxy that looks into TLS may be between",
        "请询问服务器的运营者；其间可能有解密 TLS 的代理",
    );
    match error {
        Error::InvalidCertificate(bad) => match bad {
            // The second: from one that has the name of a trusted one, and is another.
            Bad::UnknownIssuer | Bad::BadSignature => (
                "its certificate is from an authority that is not trusted here".to_owned(),
                (
                    "if the server has an authority of its own, name its certificate (PEM) in SEQVAULT_CA",
                    "若服务器有自己的证书机构，请在 SEQVAULT_CA 中指明其证书（PEM）",
                ),
            ),
            Bad::Expired | Bad::ExpiredContext { .. } => (
                format!("its certificate has expired, by this machine's clock ({})", output::time(clock::now())),
                (
                    "ask who runs the server to renew it, and check this machine's clock",
                    "请服务器的运营者更新证书，并检查本机时钟",
                ),
            ),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
                format!("its certificate is not valid yet, by this machine's clock ({})", output::time(clock::now())),
                ("check this machine's clock, or ask who runs the server", "请检查本机时钟，或询问服务器的运营者"),
            ),
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => (
                "its certificate is for another name".to_owned(),
                (
                    "use the name that the certificate has, or ask who runs the server",
                    "请使用证书所载的名称，或询问服务器的运营者",
                ),
            ),
            other => (words(&other.to_string()), ask),
        },
        Error::InvalidMessage(_) => (
            "what answers does not speak TLS".to_owned(),
            (
                "check the port; a server without TLS is reached on its own machine only, as http://127.0.0.1:PORT",
                "请检查端口；没有 TLS 的服务器只能在其本机以 http://127.0.0.1:PORT 访问",
            ),
        ),
        Error::General(text) if text.contains("No CA certificates") => (
            "this machine has no trusted authorities".to_owned(),
            (
                "install its package of CA certificates, or name a PEM file in SSL_CERT_FILE or SEQVAULT_CA",
                "请安装系统的 CA 证书包，或在 SSL_CERT_FILE 或 SEQVAULT_CA 中指明 PEM 文件",
            ),
        ),
        other => (words(&other.to_string()), ask),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use vault_policy::Lang;

    fn failure(problem: Problem) -> Failure {
        RemoteError::Problem { place: "https://host".to_owned(), problem: Box::new(problem), retry_after: None }.into()
    }

    fn of(known: Type) -> Failure {
        failure(Problem { request: "r1".to_owned(), ..Problem::new(known, "why it is not done") })
    }

    #[test]
    fn every_problem_has_its_own_words_in_chinese_and_a_hint_where_the_english_has_one() {
        let said: Vec<Failure> = Type::ALL.into_iter().map(of).collect();
        let messages: BTreeSet<&str> = said.iter().filter_map(|failure| failure.zh.as_deref()).collect();
        assert_eq!(messages.len(), Type::ALL.len(), "two problems are said alike: {messages:#?}");
        for (failure, known) in said.iter().zip(Type::ALL) {
            let zh = failure.say(Lang::Zh);
            assert!(zh.starts_with("https://host：") && zh.contains("（请求 r1）"), "{known:?}: {zh}");
            assert!(!told(known).zh.is_ascii(), "{known:?}");
            assert_eq!(failure.hint.is_some(), failure.hint_zh.is_some(), "{known:?}");
        }
    }

    #[test]
    fn two_problems_share_a_chinese_hint_only_where_they_share_the_english_one() {
        let pairs: BTreeSet<Hint> = Type::ALL.into_iter().filter_map(|known| told(known).hint).collect();
        let en: BTreeSet<&str> = pairs.iter().map(|hint| hint.0).collect();
        let zh: BTreeSet<&str> = pairs.iter().map(|hint| hint.1).collect();
        assert!(en.len() > 10);
        assert_eq!((en.len(), zh.len()), (pairs.len(), pairs.len()));
        for (en, zh) in pairs {
            assert!(en.is_ascii() && !zh.is_ascii());
            // What is typed is the same in both.
            let typed = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
            assert!(typed(en).iter().all(|command| zh.contains(command.as_str())), "{zh}");
            let options = en.split(' ').filter_map(|word| word.strip_prefix("--"));
            assert!(options.into_iter().all(|option| zh.contains(option)), "{zh}");
        }
    }

    #[test]
    fn what_a_row_names_is_said_in_chinese_too() {
        let zh = |problem: Problem| failure(problem).zh.unwrap();
        let new = |known| Problem::new(known, "some detail");
        assert!(zh(Problem { next: Some(7), ..new(Type::NotNext) }).ends_with("序号不连续，下一条为第 7 条"));
        assert!(zh(Problem { max: Some(10), ..new(Type::TooLarge) }).ends_with("上限为 10 字节"));
        assert!(zh(Problem { size: Some(9), ..new(Type::Range) }).ends_with("对象长 9 字节"));
        let void = |reason: &str| zh(Problem { reason: Some(reason.to_owned()), ..new(Type::Void) });
        assert!(void("not a steward").ends_with("该条目不会生效：不是数据管理者"));
        // What has no Chinese is quoted, and not left out.
        assert!(void("a \"new\" reason").ends_with("（\"a 'new' reason\"）"));
        assert!(zh(new(Type::Conflict)).ends_with("当前状态不允许（\"some detail\"）"));
        let rules =
            Problem { reason: Some("why".to_owned()), reason_zh: Some("缘由".to_owned()), ..new(Type::Rules) };
        assert!(zh(rules).ends_with("生效的规则不允许：缘由"));
        let named = zh(Problem { name: Some("packs/x".to_owned()), ..new(Type::Missing) });
        assert!(named.ends_with("（\"some detail\"）：packs/x"), "{named}");
        let unknown = Problem { kind: "urn:seqvault:problem:later".to_owned(), status: 409, ..new(Type::Conflict) };
        assert!(zh(unknown).ends_with("应答状态为 409（\"some detail\"）"));
    }

    #[test]
    fn clocks_that_differ_are_both_named_in_both_languages() {
        let theirs = output::time(1_000_000);
        let failure = failure(Problem { time: Some(1_000_000), ..Problem::new(Type::Clock, "clocks") });
        let zh = failure.zh.as_deref().unwrap();
        assert!(failure.message.contains(&theirs) && zh.contains(&theirs), "{zh}");
        assert!(zh.contains("本机时钟") && zh.contains("服务器时钟"));
    }
}
