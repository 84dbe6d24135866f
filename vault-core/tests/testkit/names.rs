//! Sets of paths that meet on a file system, and the lists that `seen` names. Spec sections 3.5 and 6.1.

use serde_json::{Value, json};
use vault_core::ledger::seen::SeenList;
use vault_core::manifest::{NameRules, VaultPath, check_names};

use super::kit::*;

// --- names ---

pub(crate) fn run_names(input: &Value) -> Outcome {
    let paths: Result<Vec<VaultPath>, _> =
        input["paths"].as_array().unwrap().iter().map(|path| VaultPath::parse(path.as_str().unwrap())).collect();
    let paths = match paths {
        Ok(paths) => paths,
        Err(why) => return Outcome::failure("malformed", why),
    };
    let on = |rule: &str| input["file_system"][rule].as_bool().unwrap();
    let rules =
        NameRules { ignores_case: on("ignores_case"), ignores_form: on("ignores_form"), windows: on("windows") };
    match check_names(&paths, rules) {
        Ok(()) => {
            Outcome::success(paths.iter().flat_map(|p| [p.as_str(), "\n"].concat().into_bytes()).collect::<Vec<_>>())
        }
        Err(why) => Outcome::failure("clash", why),
    }
}

pub(crate) fn names() -> Vec<Case> {
    let mut all = Cases::new("names");
    let system =
        |case: bool, form: bool, windows: bool| json!({"ignores_case": case, "ignores_form": form, "windows": windows});
    let (exact, case, form) = (system(false, false, false), system(true, false, false), system(false, true, false));
    let (both, windows) = (system(true, true, false), system(true, false, true));
    let mut add = |name: &str, expect, what: &str, system: &Value, paths: &[&str]| {
        all.add(name, None, "3.5", expect, what, json!({"file_system": system, "paths": paths}));
    };
    let (fine, clash) = ("success", "clash");
    for (name, what, paths) in [
        ("case", "two names that differ by case", &["run/Reads.bam", "run/reads.bam"][..]),
        ("case-beyond-ascii", "two names that differ by the case of a letter that is not ASCII", &["Å.bam", "å.bam"]),
        ("case-cyrillic", "two names that differ by case, in Cyrillic", &["ДНК", "днк"]),
        ("case-greek-final", "a capital sigma, and the final one of small letters", &["ΌΣΟΣ", "όσος"]),
        ("case-long-s", "a long s, whose capital letter is S", &["ſeq", "SEQ"]),
        ("case-sharp-s", "a sharp s and the two letters that it is in full case folding", &["straße", "STRASSE"]),
        ("case-kelvin", "the Kelvin sign, whose small letter is k", &["\u{212a}1", "k1"]),
        ("case-folder", "files of other names in folders that differ by case", &["Run/a", "run/b"]),
        ("case-file-and-folder", "a file, and a folder that differs from it by case", &["RUN", "run/a"]),
        (
            "case-folder-apart",
            "folders that differ by case, with others between them in order",
            &["x/Run/a", "x/run-0/q", "x/run/b", "x/s"],
        ),
    ] {
        add(&format!("{name}-exact"), fine, &format!("{what}, where case counts"), &exact, paths);
        add(&format!("{name}-folded"), clash, &format!("{what}, where it does not"), &case, paths);
    }
    for (name, what, paths) in [
        ("form", "a letter with its ring, as one character and as two", &["\u{e5}.bam", "a\u{30a}.bam"][..]),
        ("form-angstrom", "the sign for angstrom, and the letter that it is", &["\u{212b}", "\u{c5}"]),
        ("form-order", "two marks on one letter in either order", &["q\u{323}\u{307}", "q\u{307}\u{323}"]),
        ("form-hangul", "a syllable, and its letters", &["\u{ac00}", "\u{1100}\u{1161}"]),
        ("form-invisible", "a name with an invisible joiner in it", &["ab", "a\u{200d}b"]),
        ("form-mark", "a name that begins with a byte order mark", &["ab", "\u{feff}ab"]),
        ("form-folder", "files of other names in folders of two forms", &["\u{e5}/a", "a\u{30a}/b"]),
        ("form-file-and-folder", "a file, and a folder of another form", &["\u{e5}", "a\u{30a}/b"]),
    ] {
        add(&format!("{name}-exact"), fine, &format!("{what}, where each byte counts"), &exact, paths);
        add(&format!("{name}-folded"), clash, &format!("{what}, where the form does not count"), &form, paths);
    }
    let twins = ["\u{c5}.bam", "a\u{30a}.bam"];
    add("case-and-form", clash, "a capital letter composed, a small one not, where neither counts", &both, &twins);
    add("case-and-form-case", fine, "the same, where case alone does not count", &case, &twins);
    add("case-and-form-form", fine, "the same, where the form alone does not count", &form, &twins);
    add(
        "compatible",
        fine,
        "a ligature and its letters are two names, where the form does not count",
        &form,
        &["ﬁ", "fi"],
    );
    add(
        "case-alike",
        fine,
        "names that are alike but for a letter, where case does not count",
        &case,
        &["Run/a", "Run/b", "run2/a"],
    );
    for (name, what, path) in [
        ("nul", "the name of a device", "nul"),
        ("nul-extension", "the name of a device with an extension", "run/NUL.fastq"),
        ("nul-two-extensions", "the name of a device with two extensions", "nul.tar.gz"),
        ("nul-space", "the name of a device, a space, and an extension", "nul .txt"),
        ("aux-folder", "a folder with the name of a device", "x/aux.c/y"),
        ("con", "the console", "Con"),
        ("conin", "the console's input", "CONIN$"),
        ("prn", "the printer", "prn.log"),
        ("com-1", "a port", "COM1"),
        ("com-superscript", "a port with a superscript digit", "com\u{b9}"),
        ("lpt-9", "another port", "lpt9.x"),
        ("end-dot", "a name that ends with a full stop", "a."),
        ("end-space", "a name that ends with a space", "a "),
        ("end-dot-folder", "a folder that ends with a full stop", "a./b"),
        ("colon", "a colon, which would name a stream of the file", "reads.bam:1"),
        ("question", "a question mark", "a?"),
        ("star", "an asterisk", "a*"),
        ("bar", "a vertical bar", "a|b"),
        ("quote", "a quotation mark", "a\""),
        ("angle", "an angle bracket", "a<b"),
    ] {
        add(&format!("windows-{name}"), clash, &format!("{what}, under Windows"), &windows, &[path]);
    }
    let devices = ["nul", "run/NUL.fastq", "a.", "a ", "reads.bam:1", "COM1", "com\u{b9}"];
    add("windows-elsewhere", fine, "names that Windows reserves, elsewhere", &both, &devices);
    let near = ["null", "console", "com", "com10", "lpt", ".a", "a.b", "x.nul", "aux-1", "c\u{f6}n"];
    add("windows-near", fine, "names that look like reserved ones, under Windows", &windows, &near);
    for (name, what, path) in [
        ("absolute", "an absolute path", "/etc/passwd"),
        ("parent", "a path that leads out of the folder", "a/../../b"),
        ("backslash", "a backslash, which parts folders under Windows", "a\\b"),
        ("drive", "a drive, with a backslash", "C:\\b"),
        ("empty-component", "an empty component", "a//b"),
        ("control", "a control character", "a\u{1}b"),
    ] {
        add(name, "malformed", what, &exact, &[path]);
    }
    all.done()
}

// --- seen lists ---

pub(crate) fn run_seen(input: &Value) -> Outcome {
    match SeenList::parse(&bytes(&input["list"])) {
        Ok(list) => {
            let line =
                |head: &vault_core::ledger::seen::SeenLedger| format!("{} {} {}\n", head.ledger, head.seq, head.hash);
            Outcome::success(list.ledgers.iter().map(line).collect::<String>())
        }
        Err(why) => Outcome::failure("malformed", why),
    }
}

pub(crate) fn seen_lists() -> Vec<Case> {
    let mut all = Cases::new("seen-lists");
    let rng = &mut Rng::new("seen-lists");
    let mut head = |ledger: &str, seq: u64| json!({"hash": vault_core::ids::to_hex(&rng.array::<32>()), "ledger": ledger, "seq": seq});
    let exposure = format!("exposure/{}", "ab".repeat(32));
    let (one, two) = (head("dataset/cohort-1", 4), head("dataset/cohort-2", 0));
    let (counted, vault) = (head(&exposure, 9), head("vault", 31));
    let (again, later) = (vault.clone(), head("vault", 32));
    let (dash, digit, longer) = (head("dataset/a-b", 1), head("dataset/a0", 1), head("dataset/cohort-10", 1));
    let list = |heads: &[&Value]| canonical(&json!({"ledgers": heads}));
    let changed = |changes: Value| list(&[&with(&vault, changes)]);
    let text = |heads: &[&Value]| String::from_utf8(list(heads)).unwrap();
    let mut add = |name: &str, expect, what: &str, list: Vec<u8>| {
        all.add(name, None, "6.1", expect, what, json!({"list": blob(&list)}));
    };
    let (fine, bad) = ("success", "malformed");
    add("all-kinds", fine, "the heads of ledgers of every kind, in order", list(&[&one, &two, &counted, &vault]));
    add("vault-alone", fine, "a vault without datasets", list(&[&vault]));
    add("empty", fine, "a list that names nothing", list(&[]));
    add("bytewise", fine, "a hyphen before a digit: the order is that of bytes", list(&[&dash, &digit, &vault]));
    add("prefix", fine, "an id that another one begins with comes first", list(&[&one, &longer, &two, &vault]));
    add("largest-number", fine, "an entry of number 2^53 - 1", changed(json!({"seq": (1u64 << 53) - 1})));
    add("twice", bad, "a ledger twice, alike", list(&[&one, &vault, &again]));
    add("twice-later", bad, "a ledger twice, at two entries", list(&[&one, &vault, &later]));
    add("twice-dataset", bad, "a dataset's ledger twice", list(&[&one, &with(&one, json!({"seq": 5})), &vault]));
    add("order", bad, "two ledgers in the wrong order", list(&[&two, &one, &vault]));
    add("order-vault-first", bad, "the vault's ledger first", list(&[&vault, &one, &two]));
    add("order-bytewise", bad, "a digit before a hyphen", list(&[&digit, &dash, &vault]));
    add("ledger-unknown", bad, "a ledger of no known kind", changed(json!({"ledger": "vaults"})));
    add("ledger-path", bad, "a ledger whose name leads elsewhere", changed(json!({"ledger": "dataset/../vault"})));
    add("ledger-capital", bad, "a dataset's id with a capital letter", changed(json!({"ledger": "dataset/Cohort"})));
    add(
        "ledger-exposure-short",
        bad,
        "an exposure ledger of 31 bytes",
        changed(json!({"ledger": &exposure[..exposure.len() - 2]})),
    );
    add(
        "ledger-exposure-capital",
        bad,
        "an exposure ledger in capital letters",
        changed(json!({"ledger": exposure.to_uppercase().replace("EXPOSURE", "exposure")})),
    );
    add("hash-short", bad, "a hash of 31 bytes", changed(json!({"hash": "ab".repeat(31)})));
    add("hash-capital", bad, "a hash in capital letters", changed(json!({"hash": "AB".repeat(32)})));
    add("hash-null", bad, "no hash", changed(json!({"hash": null})));
    add("number-negative", bad, "a number below 0", changed(json!({"seq": -1})));
    add("number-text", bad, "a number that is text", changed(json!({"seq": "31"})));
    add("member-extra", bad, "a member more beside a ledger", changed(json!({"x": 1})));
    add("member-missing", bad, "a ledger without a number", list(&[&without(&vault, "seq")]));
    add("list-member-extra", bad, "a member more beside the list", canonical(&json!({"ledgers": [], "x": 1})));
    add("list-missing", bad, "an object without a list", b"{}".to_vec());
    add("list-bare", bad, "a list without its object", canonical(&json!([vault])));
    add("json-space", bad, "a space", text(&[&one, &vault]).replace("},{", "}, {").into_bytes());
    add("json-line-feed", bad, "a line feed after the end", [&list(&[&vault])[..], b"\n"].concat());
    add(
        "json-doubled",
        bad,
        "a member twice",
        text(&[&vault]).replace("\"seq\":31", "\"seq\":31,\"seq\":31").into_bytes(),
    );
    add(
        "json-order",
        bad,
        "members in another order",
        text(&[&vault]).replace("\"ledger\":\"vault\",\"seq\":31", "\"seq\":31,\"ledger\":\"vault\"").into_bytes(),
    );
    add("number-too-big", bad, "a number of 2^53", text(&[&vault]).replace("31}", "9007199254740992}").into_bytes());
    all.done()
}
