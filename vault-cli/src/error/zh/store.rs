//! In Chinese what a store says: a folder's faults, a bucket's answers, and what to do about each. What a bucket says in words is quoted.

use vault_server::store::{Answer, CredentialsError, OpenS3Error, StoreError};

use super::{io, quoted};

/// What a store did not do, with the object, folder or bucket in front.
#[must_use]
pub fn store(error: &StoreError) -> String {
    use StoreError as E;
    match error {
        E::NotFound { path } => format!("{path}：没有该对象"),
        E::TooLong { path, size, max } => format!("{path}：长 {size} 字节，最多可为 {max} 字节"),
        E::TooShort { path, size, end } => format!("{path}：止于第 {size} 字节，不足 {end} 字节"),
        E::Gone { path } => format!("{path}：目录已不在，或已被替换"),
        E::Full { path } => format!("{path}：存储空间不足"),
        E::Denied { path } => format!("{path}：权限不足"),
        E::ReadOnly { path } => format!("{path}：文件系统为只读"),
        E::NotSynced { path, source } => format!("{path}：无法同步到磁盘（{}）", io(source)),
        E::Unsteady { path } => format!("{path}：名称已被占用，却读不到内容"),
        E::Io { path, source } => format!("{path}：{}", io(source)),
        E::Backend { path, source } => format!("{path}：存储出错{}", quoted(&source.to_string())),
        E::Answered { path, answer: said } => format!("{path}：{}", answer(said)),
        E::Archived { path } => format!("{path}：已归档，须先取回才能读取"),
        E::NotOpened { location, source } => format!("{location}：{}", not_opened(source)),
        E::NoLinks { location } => format!("{location}：不提供直接链接"),
        E::Body { path, source } => format!("{path}：待写入的内容中断（{}）", io(source)),
        E::BodyLength { path, length } => format!("{path}：待写入的内容不是 {length} 字节"),
        E::BodyDigest { path } => format!("{path}：待写入的内容与所声明的不同"),
        E::Stopped { path } => format!("{path}：工作已被停止"),
        other => format!("存储出错{}", quoted(&other.to_string())),
    }
}

/// What a bucket answered.
fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Unreachable { endpoint, why } => format!("{endpoint} 没有应答{}", quoted(why)),
        Answer::Untrusted { endpoint, why } => format!("{endpoint} 不受信任{}", quoted(why)),
        Answer::NotS3 { endpoint, status } => format!("{endpoint} 不是 S3：它以状态 {status} 和自己的网页应答"),
        Answer::Refused { endpoint, status, code, message, .. } => {
            format!("{endpoint} 应答 {status} {code}{}", quoted(message))
        }
        Answer::Stalled { endpoint } => format!("{endpoint} 停止应答"),
        Answer::Broken { endpoint, why } => format!("与 {endpoint} 的连接中断{}", quoted(why)),
        Answer::NoCredentials(why) => format!("没有访问凭据{}", quoted(why)),
        other => format!("存储没有完成请求{}", quoted(&other.to_string())),
    }
}

fn not_opened(error: &OpenS3Error) -> String {
    match error {
        OpenS3Error::Location(why) => format!("不是有效的存储桶地址{}", quoted(&why.to_string())),
        OpenS3Error::Setting { name, source } => format!("{name} 的设置有误{}", quoted(&source.to_string())),
        OpenS3Error::Credentials(CredentialsError::Nowhere { .. }) => "没有访问凭据".to_owned(),
        OpenS3Error::Credentials(why) => format!("访问凭据有误{}", quoted(&why.to_string())),
        OpenS3Error::Bundle { path, why } => format!("AWS_CA_BUNDLE {}：{}", path.display(), quoted(why)),
        other => format!("无法访问存储桶{}", quoted(&other.to_string())),
    }
}

/// What to do about it, where the store knows it: as [`StoreError::hint`].
#[must_use]
pub fn store_hint(error: &StoreError) -> Option<String> {
    error.hint()?;
    match error {
        StoreError::Answered { answer, .. } => answer_hint(answer),
        StoreError::Archived { .. } => Some(ARCHIVED.to_owned()),
        StoreError::NotOpened { source: OpenS3Error::Bundle { .. }, .. } => {
            Some("AWS_CA_BUNDLE 指明 PEM 格式的证书文件；取消设置则只信任系统的证书".to_owned())
        }
        StoreError::NotOpened { .. } => Some(CREDENTIALS.to_owned()),
        _ => None,
    }
}

const ARCHIVED: &str =
    "请先取回（`aws s3api restore-object`，或存储桶的控制台），待其完成（可能需要数小时），再运行同一命令";
const CREDENTIALS: &str = "请设置 AWS_PROFILE，或 AWS_ACCESS_KEY_ID 和 AWS_SECRET_ACCESS_KEY";

fn answer_hint(answer: &Answer) -> Option<String> {
    let hint = match answer {
        Answer::Unreachable { .. } => "请检查端点的名称和端口，以及存储是否在运行；再运行同一命令",
        Answer::Stalled { .. } | Answer::Broken { .. } => "请检查网络和存储，再运行同一命令",
        Answer::Untrusted { .. } => "请检查端点的名称；若存储的证书出自其自有机构，请以 AWS_CA_BUNDLE 指明该证书文件",
        Answer::NotS3 { .. } => "请检查端点：其端口可能属于网页或代理，而不是 S3 网关",
        Answer::NoCredentials(_) => CREDENTIALS,
        Answer::Refused { code, region, .. } => {
            return Some(refused_hint(code, region.as_deref(), answer.is_transient()));
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// By S3's code; what has no hint of its own in English is not asked for here.
fn refused_hint(code: &str, region: Option<&str>, is_transient: bool) -> String {
    let hint = match code {
        "InvalidAccessKeyId" => "存储不认识该访问密钥：请检查 AWS_ACCESS_KEY_ID 或配置档，以及端点是否正确",
        "SignatureDoesNotMatch" => "密钥与访问密钥不匹配：请检查 AWS_SECRET_ACCESS_KEY 或配置档",
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken" => {
            "凭据已失效：请重新取得（重新登录或建立会话），再运行同一命令"
        }
        "RequestTimeTooSkewed" => "本机时钟与存储的时钟相差数分钟：请以 NTP 校准本机",
        "NoSuchBucket" => "请检查存储桶的名称和端点；seqvault 不新建存储桶",
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "IllegalLocationConstraintException"
        | "TemporaryRedirect" => {
            return match region {
                Some(region) => format!("存储桶位于区域 {region}：请在地址中加上 region={region}，或设置 AWS_REGION"),
                None => "存储桶位于其他区域：请在地址中加上 region=NAME，或设置 AWS_REGION".to_owned(),
            };
        }
        "InvalidObjectState" => ARCHIVED,
        "AccessDenied" | "AllAccessDisabled" => "该凭据无此权限：请检查存储桶的策略，见 docs/operations.md",
        _ if is_transient => "存储过载或正在重启：请重新运行同一命令",
        _ => "请在存储中腾出空间或提高其限额，再运行同一命令：将从中断处继续",
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str, region: Option<&str>) -> StoreError {
        let (endpoint, code, message) = ("https://s3.example".to_owned(), code.to_owned(), "Some words.".to_owned());
        let answer = Answer::Refused { endpoint, status, code, message, region: region.map(str::to_owned) };
        StoreError::Answered { path: "packs/x".to_owned(), answer }
    }

    fn of(answer: Answer) -> StoreError {
        StoreError::Answered { path: "packs/x".to_owned(), answer }
    }

    #[test]
    fn what_a_bucket_answers_has_a_chinese_hint_exactly_where_it_has_an_english_one() {
        let (endpoint, why) = ("https://s3.example".to_owned(), "why not".to_owned());
        let mut errors = vec![
            of(Answer::Unreachable { endpoint: endpoint.clone(), why: why.clone() }),
            of(Answer::Untrusted { endpoint: endpoint.clone(), why: why.clone() }),
            of(Answer::NotS3 { endpoint: endpoint.clone(), status: 200 }),
            of(Answer::Stalled { endpoint: endpoint.clone() }),
            of(Answer::Broken { endpoint, why: why.clone() }),
            of(Answer::NoCredentials(why.clone())),
            StoreError::Archived { path: "packs/x".to_owned() },
            StoreError::Full { path: "packs/x".to_owned() },
            StoreError::NotOpened {
                location: "packs/x".to_owned(),
                source: OpenS3Error::Bundle { path: "ca.pem".into(), why },
            },
        ];
        for (status, code) in [
            (403, "InvalidAccessKeyId"),
            (403, "SignatureDoesNotMatch"),
            (400, "ExpiredToken"),
            (403, "RequestTimeTooSkewed"),
            (404, "NoSuchBucket"),
            (301, "PermanentRedirect"),
            (403, "AccessDenied"),
            (507, "InsufficientStorage"),
            (503, "SlowDown"),
            (400, "Error"),
        ] {
            errors.extend([None, Some("eu-1")].map(|region| refused(status, code, region)));
        }
        let (mut en, mut zh) = (Vec::new(), Vec::new());
        for error in &errors {
            let said = store(error);
            assert!(said.starts_with("packs/x：") && !said.is_ascii(), "{said}");
            assert_eq!(error.hint().is_some(), store_hint(error).is_some(), "{error}");
            en.extend(error.hint());
            zh.extend(store_hint(error));
        }
        // And as many different ones.
        let distinct = |hints: &mut Vec<String>| {
            hints.sort();
            hints.dedup();
            hints.len()
        };
        assert_eq!(distinct(&mut en), distinct(&mut zh), "{en:#?} {zh:#?}");
        assert!(zh.len() > 12 && zh.iter().all(|hint| !hint.is_ascii()));
        assert!(store(&refused(403, "AccessDenied", None)).contains("403 AccessDenied（\"Some words.\"）"));
        assert!(store_hint(&refused(301, "PermanentRedirect", Some("eu-1"))).unwrap().contains("region=eu-1"));
    }
}
