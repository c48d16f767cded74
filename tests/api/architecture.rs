//! The architecture: which module may import which, and which sub-module of a layer may import which other one.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module, the modules of this crate that it may import, and the crates that it must never name.
const MODULES: &[(&str, &[&str], &[&str])] = &[
    ("clock", &[], &["sqlx", "actix_web", "tokio", "reqwest"]),
    ("domain", &[], &["sqlx", "actix_web", "tokio", "reqwest", "rsa", "aws_lc_rs"]),
    ("store", &["domain"], &["actix_web", "rsa", "aws_lc_rs", "jsonwebtoken", "argon2"]),
    ("passwords", &["domain"], &["sqlx", "actix_web"]),
    ("keys", &["domain"], &["sqlx", "actix_web", "tokio"]),
    ("tokens", &["domain", "keys"], &["sqlx", "actix_web", "tokio"]),
    ("throttle", &["domain", "keys"], &["sqlx", "actix_web", "tokio"]),
    ("usage_recorder", &["domain"], &["sqlx", "actix_web", "tokio"]),
    ("tls", &[], &["sqlx", "actix_web"]),
    ("outbound", &[], &["sqlx", "actix_web"]),
    ("settings", &["domain", "keys", "passwords", "tls"], &["sqlx", "actix_web"]),
    ("views", &["domain"], &["sqlx", "actix_web", "tokio"]),
    ("app", &["clock", "keys", "usage_recorder", "passwords", "settings", "store"], &["sqlx", "actix_web"]),
    (
        "flows",
        &[
            "app",
            "clock",
            "domain",
            "keys",
            "usage_recorder",
            "outbound",
            "passwords",
            "settings",
            "store",
            "throttle",
            "tokens",
            "views",
        ],
        &["sqlx", "actix_web", "rsa"],
    ),
    ("telemetry", &["settings"], &["sqlx", "actix_web"]),
    (
        "http",
        // `store`, `keys` and `passwords` for their errors only, which problem/errors.rs turns into answers.
        &[
            "app",
            "domain",
            "flows",
            "keys",
            "passwords",
            "settings",
            "store",
            "telemetry",
            "throttle",
            "tokens",
            "views",
        ],
        &["sqlx", "rsa"],
    ),
    ("start", &["app", "clock", "flows", "keys", "settings", "store", "tls"], &["sqlx", "actix_web", "rsa"]),
    (
        "background",
        &["app", "domain", "flows", "keys", "outbound", "store", "telemetry"],
        &["sqlx", "actix_web", "rsa"],
    ),
    (
        "server",
        &["app", "background", "clock", "flows", "http", "keys", "settings", "start", "telemetry", "tls"],
        &["sqlx", "rsa"],
    ),
    (
        "cli",
        &[
            "app",
            "clock",
            "domain",
            "flows",
            "http",
            "keys",
            "server",
            "settings",
            "start",
            "telemetry",
            "tls",
            "tokens",
            "views",
        ],
        &["sqlx", "rsa"],
    ),
];

/// The sub-modules of `domain`, `store` and `flows`, lowest first, and the others of the same layer that each may import.
const CAPABILITIES: &[(&str, &[&str])] = &[
    ("keys", &[]),
    ("passwords", &[]),
    ("sessions", &["keys", "passwords"]),
    ("clients", &["keys", "passwords"]),
    ("operations", &["keys", "passwords"]),
    ("accounts", &["keys", "passwords", "sessions", "clients", "operations"]),
    ("oauth", &["keys", "passwords", "sessions", "clients", "operations", "accounts"]),
];

/// The layers that are divided by capability.
const LAYERS: [&str; 3] = ["domain", "store", "flows"];

/// The sub-modules of `http`, and the others that each may import. The files beside them are the URL table, the middleware,
/// and endpoints that fit in one file.
const HTTP: &[(&str, &[&str])] = &[
    ("problem", &[]),
    ("extract", &["problem"]),
    ("pages", &["problem"]),
    ("auth", &["extract", "problem"]),
    ("admin", &["extract", "problem"]),
    ("oauth2", &["extract", "problem"]),
    ("hosted", &["extract", "pages", "problem"]),
];

#[test]
fn every_module_imports_only_what_it_may() {
    let mut offences = Vec::new();
    for (module, may, never) in MODULES {
        for (path, code) in code_of(module) {
            for named in paths(&path, &code) {
                let imported = named.first().map_or("*", String::as_str);
                let is_known = MODULES.iter().any(|(known, ..)| *known == imported);
                if imported == "*" {
                    offences.push(format!("{}: {module} imports the whole crate", path.display()));
                } else if is_known && imported != *module && !may.contains(&imported) {
                    offences.push(format!("{}: {module} imports {imported}", path.display()));
                }
            }
            for banned in *never {
                if code.contains(&format!("{banned}::")) {
                    offences.push(format!("{}: {module} names {banned}", path.display()));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_sub_module_imports_only_what_it_may() {
    let mut offences = Vec::new();
    let layers = LAYERS.map(|layer| (layer, CAPABILITIES));
    for (layer, table) in layers.into_iter().chain([("http", HTTP)]) {
        for (path, code) in code_of(layer) {
            offences.extend(wrong_arrows(layer, table, &path, &code));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

/// Imports between the sub-modules of a layer that the table does not allow, in one file of the layer.
///
/// `mod.rs` of a layer is the list of its sub-modules: it may name all of them, but no `use` in it may hand out their
/// items under the layer's name. Every other file of the layer's root may name no sub-module. Of `http` the whole root
/// is exempt, because it is the URL table.
fn wrong_arrows(layer: &str, table: &[(&str, &[&str])], path: &Path, code: &str) -> Vec<String> {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let (own, is_root) = (&*parts[1], parts.len() == 2);
    if is_root && layer == "http" {
        return Vec::new();
    }
    let found = if is_root && own == "mod.rs" { used_paths(path, code) } else { paths(path, code) };
    let may = table.iter().find(|(known, _)| *known == own).map_or(&[][..], |(_, may)| *may);
    let mut offences = Vec::new();
    for named in found.iter().filter(|named| named.first().is_some_and(|first| first == layer)) {
        let other = named.get(1).map_or("*", String::as_str);
        let is_sub_module = table.iter().any(|(known, _)| *known == other);
        if other == "*" {
            offences.push(format!("{}: {own} imports the whole of {layer}", path.display()));
        } else if is_sub_module && other != own && !may.contains(&other) {
            offences.push(format!("{}: {own} imports {other}", path.display()));
        }
    }
    offences
}

#[test]
fn the_layers_have_the_same_sub_modules() {
    for layer in LAYERS {
        let mut folders: Vec<String> = fs::read_dir(source().join(layer))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        folders.sort();
        let mut named: Vec<&str> = CAPABILITIES.iter().map(|(name, _)| *name).collect();
        named.sort_unstable();
        assert_eq!(folders, named, "{layer}");
    }
}

#[test]
fn no_path_climbs_more_than_one_module() {
    for (module, ..) in MODULES {
        for (path, code) in code_of(module) {
            assert!(!code.contains("super::super"), "{}: begin the path with crate::", path.display());
        }
    }
}

#[test]
fn every_module_is_in_the_table_and_opens_with_a_paragraph() {
    let mut modules: Vec<String> = fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|module| module != "lib" && module != "main")
        .collect();
    modules.sort();
    let mut named: Vec<&str> = MODULES.iter().map(|(module, ..)| *module).collect();
    named.sort_unstable();
    assert_eq!(modules, named);
    let mut openings: Vec<PathBuf> = modules
        .iter()
        .map(|module| match source().join(format!("{module}.rs")) {
            file if file.exists() => file,
            _ => source().join(module).join("mod.rs"),
        })
        .collect();
    for layer in LAYERS {
        openings.extend(CAPABILITIES.iter().map(|(name, _)| source().join(layer).join(name).join("mod.rs")));
    }
    openings.extend(HTTP.iter().map(|(name, _)| source().join("http").join(name).join("mod.rs")));
    for path in openings {
        let code = fs::read_to_string(&path).unwrap();
        assert!(code.starts_with("//! "), "{} has no opening paragraph", path.display());
    }
}

/// The label keys rows in the database, so two budgets under one label would be one, and a changed label forgets all counts.
#[test]
fn network_budgets_have_the_labels_they_always_had() {
    let mut labels = Vec::new();
    for (module, ..) in MODULES {
        for (path, code) in code_of(module) {
            for rest in code.split("NetworkBudget::new(").skip(1) {
                let label = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                let label =
                    label.unwrap_or_else(|| panic!("{}: declare a budget with its label", path.display()));
                labels.push(label.to_owned());
            }
        }
    }
    labels.sort();
    assert_eq!(
        labels,
        [
            "client registration source",
            "client source",
            "device source",
            "password source",
            "registration source",
            "user code source",
        ]
    );
}

#[test]
fn sql_is_written_in_the_store_only() {
    for (module, ..) in MODULES.iter().filter(|(module, ..)| *module != "store") {
        for (path, code) in code_of(module) {
            for statement in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE FROM", "\"BEGIN"] {
                assert!(!code.contains(statement), "{}: {statement}", path.display());
            }
        }
    }
}

/// The labels of 0.1.0 that are in use. What is stored or in browsers was made under them, so none may change.
const LABELS_OF_0_1_0: &[&str] = &[
    "chancery/v1/browser-sessions",
    "chancery/v1/dpop-nonces",
    "chancery/v1/last-good-keys",
    "chancery/v1/login-attempts",
    "chancery/v1/refresh-tokens",
    "chancery/v1/seal-signing-keys",
    "chancery/v1/user-codes",
];

/// Labels that nothing is made under any more. A label is not used twice.
const RETIRED_LABELS: &[&str] = &[
    // The pages of 0.1.0.
    "chancery/v1/flows",
];

#[test]
fn every_key_purpose_has_a_label_of_its_own_and_those_of_0_1_0_stay() {
    let mut labels = Vec::new();
    for (module, ..) in MODULES {
        for (path, code) in code_of(module) {
            // A type of another crate.
            let (file, code) = (path.display(), code.replace("GeneralPurpose::new(", ""));
            for rest in code.split("Purpose::new(").skip(1) {
                let label = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                let label = label.unwrap_or_else(|| panic!("{file}: a purpose is declared with its label"));
                assert!(is_label(label), "{file}: {label}");
                labels.push(label.to_owned());
            }
            let written = code.matches("\"chancery/v").count();
            assert_eq!(
                written,
                code.matches("Purpose::new(").count(),
                "{file}: a label belongs to a purpose"
            );
        }
    }
    labels.extend(RETIRED_LABELS.iter().map(|label| (*label).to_owned()));
    labels.sort();
    let distinct = labels.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct, labels.len(), "two purposes share a label: {labels:?}");
    let is_first = |label: &&str| label.starts_with("chancery/v1/") && !RETIRED_LABELS.contains(label);
    let first: Vec<&str> = labels.iter().map(String::as_str).filter(is_first).collect();
    assert_eq!(first, LABELS_OF_0_1_0);
}

/// `chancery/v<digit>/<words joined by hyphens>`.
fn is_label(label: &str) -> bool {
    let parts: Vec<&str> = label.split('/').collect();
    let is_version = |text: &str| {
        text.strip_prefix('v')
            .is_some_and(|digit| digit.len() == 1 && digit.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    matches!(parts[..], ["chancery", version, words] if is_version(version) && words.split('-').all(is_word))
}

#[test]
fn labels_are_words_joined_by_hyphens() {
    for label in ["chancery/v1/flows", "chancery/v2/sign-out-page"] {
        assert!(is_label(label), "{label}");
    }
    for label in [
        "",
        "chancery/v1",
        "chancery/v1/",
        "chancery/v1/a--b",
        "chancery/v10/a",
        "chancery/v1/A",
        "chancery/v1/a/b",
    ] {
        assert!(!is_label(label), "{label}");
    }
}

/// `docs/security.md` says of each requirement which test shows it, and `docs/conformance.md` of each module.
#[test]
fn every_test_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["docs/security.md", "docs/conformance.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let named: Vec<(&str, &str)> = text.split('`').filter_map(|word| word.split_once(".rs::")).collect();
        assert!(named.len() > 50, "{page}: the table is gone");
        for (path, name) in named {
            let code = fs::read_to_string(root.join(format!("{path}.rs"))).unwrap_or_default();
            assert!(code.contains(&format!("fn {name}(")), "{page}: {path}.rs has no test {name}");
        }
    }
}

/// Of the suite's modules no test is written and then forgotten on the page.
#[test]
fn every_module_that_is_tested_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/conformance.md")).unwrap();
    let mut files = Vec::new();
    collect(&root.join("tests/api/conformance"), &mut files);
    for path in files {
        let code = fs::read_to_string(&path).unwrap();
        for name in code.split("async fn oidcc_").skip(1).map(|rest| rest.split('(').next().unwrap()) {
            let file = path.file_name().unwrap().to_string_lossy();
            assert!(page.contains(&format!("conformance/{file}::oidcc_{name}`")), "{file}: {name}");
        }
    }
}

/// Pages show whole files, which `scripts/interop` runs: a comment `<!-- file: PATH -->` and then the file in a code block.
#[test]
fn every_file_that_a_page_shows_is_that_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    collect(&root.join("docs"), &mut pages);
    let (mut shown, mut offences) = (0, Vec::new());
    for page in pages.iter().filter(|path| path.extension().is_some_and(|kind| kind == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for part in text.split("<!-- file: ").skip(1) {
            shown += 1;
            let (path, rest) = part.split_once(" -->\n").unwrap_or((part.lines().next().unwrap(), ""));
            if block(rest) != fs::read_to_string(root.join(path)).ok().as_deref() {
                offences.push(format!("{}: the block under `file: {path}` is not that file", page.display()));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    assert!(shown >= 10, "only {shown} files are shown");
}

/// What is in the fenced block that a text begins with. A file with a fence in it is shown with a longer one.
fn block(text: &str) -> Option<&str> {
    let fence = &text[..text.len() - text.trim_start_matches('`').len()];
    let (_, body) = text.split_once('\n').filter(|_| fence.len() >= 3)?;
    let end = body.find(&format!("\n{fence}\n"))?;
    Some(&body[..=end])
}

/// All paths of this crate that a file names from `crate`, `$crate`, `super` or `self` on, as their parts from the crate's
/// root. In `store/keys/mod.rs`, `super::{Db, oauth::codes}` names `store::Db` and `store::oauth::codes`. A glob ends in
/// `*`. The scope of a visibility (`pub(in crate::flows)`) is no import.
fn paths(file: &Path, code: &str) -> Vec<Vec<String>> {
    let is_start = |at: usize, word: &str| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let is_inside = before.ends_with(is_of_word) || before.ends_with("::") || before.ends_with("(in ");
        !is_inside && (after.starts_with("::") || word != "self" && after.starts_with(" as "))
    };
    let mut starts: Vec<usize> = ["crate", "super", "self"]
        .into_iter()
        .flat_map(|word| code.match_indices(word))
        .filter_map(|(at, word)| is_start(at, word).then_some(at))
        .collect();
    starts.sort_unstable();
    resolved(file, starts.into_iter().map(|at| &code[at..]))
}

/// The paths of all `use` in a file, relative ones included.
fn used_paths(file: &Path, code: &str) -> Vec<Vec<String>> {
    let uses = code.match_indices("use ").filter(|(at, _)| !code[..*at].ends_with(is_of_word));
    resolved(file, uses.map(|(at, word)| &code[at + word.len()..]))
}

/// The paths that the texts begin with, from the crate's root.
fn resolved<'a>(file: &Path, texts: impl Iterator<Item = &'a str>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for text in texts {
        expand(text, &[], &mut found);
    }
    let own = module_of(file);
    found.iter().map(|path| resolve(&own, path)).collect()
}

fn resolve(own: &[String], path: &[String]) -> Vec<String> {
    let mut module = own.to_vec();
    for part in path {
        match part.as_str() {
            "crate" => module.clear(),
            "super" => drop(module.pop()),
            "self" => {}
            _ => module.push(part.clone()),
        }
    }
    module
}

/// The module that a file of `src` holds.
fn module_of(file: &Path) -> Vec<String> {
    let file = file.with_extension("");
    let parts = file.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "mod").collect()
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Adds the paths that a text begins with, and returns what follows them.
fn expand<'a>(text: &'a str, before: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let after = expand(rest, before, found).trim_start();
            let after = after.strip_prefix(',').unwrap_or(after);
            if after.len() == rest.len() {
                return after;
            }
            rest = after;
        }
    }
    let end = text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    let word = if text.starts_with('*') { "*" } else { &text[..end] };
    let (path, rest) = ([before, &[word.to_owned()]].concat(), &text[word.len()..]);
    match rest.strip_prefix("::") {
        Some(more) if more.starts_with(|c: char| is_of_word(c) || c == '{' || c == '*') => {
            expand(more, &path, found)
        }
        _ => {
            found.push(path);
            // `as` renames what was imported.
            rest.strip_prefix(" as ").map_or(rest, |alias| alias.trim_start_matches(is_of_word))
        }
    }
}

#[test]
fn paths_are_read_through_braces_and_line_breaks() {
    let code = "use crate::store::{\n    Db, StoreError as Error,\n    keys::{signing_keys, idempotency_keys,},\n};\n\
        use crate::{views::{keys::{KeyView,},}, app::*};\n\
        use super::{self, grants::{code, token as other}, settings};\n\
        pub(in crate::flows) use self::rows::{Row};\n\
        pub(crate) fn f(self) { $crate::flows::oauth::grant::<T>(self as T); super::super::app::f() }";
    let named: Vec<String> =
        paths(Path::new("flows/oauth/mod.rs"), code).iter().map(|path| path.join("::")).collect();
    assert_eq!(
        named,
        [
            "store::Db",
            "store::StoreError",
            "store::keys::signing_keys",
            "store::keys::idempotency_keys",
            "views::keys::KeyView",
            "app::*",
            "flows",
            "flows::grants::code",
            "flows::grants::token",
            "flows::settings",
            "flows::oauth::rows::Row",
            "flows::oauth::grant",
            "app::f",
        ]
    );
}

#[test]
fn every_way_to_name_a_higher_sub_module_is_an_offence() {
    let is_wrong = |path: &str, code: &str| {
        let layer = path.split('/').next().unwrap();
        let table = if layer == "http" { HTTP } else { CAPABILITIES };
        !wrong_arrows(layer, table, Path::new(path), code).is_empty()
    };
    for (path, code) in [
        ("flows/keys/rotate.rs", "use crate::flows::oauth::X;"),
        ("flows/keys/mod.rs", "use super::oauth::X;"),
        ("flows/keys/mod.rs", "use super::{clean_up::BATCH, oauth};"),
        ("flows/keys/mod.rs", "use super::*;"),
        ("flows/keys/mod.rs", "use self::super::oauth::X;"),
        ("flows/keys/mod.rs", "use super as flows;"),
        ("flows/keys/rotate.rs", "fn f() { super::super::oauth::x() }"),
        ("flows/keys/rotate.rs", "use crate::flows;\nfn f() { flows::oauth::x() }"),
        ("flows/keys/rotate.rs", "use crate::{app::App, flows};"),
        ("flows/keys/rotate.rs", "use crate::flows::{self, clean_up};"),
        ("flows/keys/rotate.rs", "use crate::flows as other;"),
        ("flows/keys/rotate.rs", "use crate::flows::*;"),
        ("flows/keys/rotate.rs", "use crate::{store::{self, keys::*}, flows::*};"),
        ("flows/keys/rotate.rs", "macro_rules! m { () => { $crate::flows::oauth::x() } }"),
        ("flows/oauth/grants/code.rs", "use crate::flows;"),
        ("flows/clean_up.rs", "use super::oauth::X;"),
        ("flows/clean_up.rs", "use crate::flows::keys::X;"),
        ("flows/clean_up.rs", "use super::*;"),
        ("flows/mod.rs", "pub use oauth::X;"),
        ("flows/mod.rs", "pub use self::{clean_up::BATCH, oauth::X};"),
        ("flows/mod.rs", "pub use crate::flows::oauth::X;"),
        ("http/auth/mod.rs", "use super::admin::X;"),
        ("http/auth/mod.rs", "use crate::http;"),
    ] {
        assert!(is_wrong(path, code), "{path}: {code}");
    }
    for (path, code) in [
        ("flows/oauth/mod.rs", "use super::keys::X;"),
        ("flows/oauth/mod.rs", "pub(in crate::flows) use clean_ups::CLEAN_UPS;"),
        ("flows/oauth/sign_in.rs", "use super::*;\nuse crate::flows::{clean_up, keys::X, oauth::Y};"),
        ("flows/keys/rotate.rs", "use crate::store;\nfn f() { super::oauth() }"),
        ("flows/mod.rs", "mod clean_up;\npub mod oauth;\nconst ALL: [X; 1] = [oauth::CLEAN_UPS];"),
        ("store/mod.rs", "use dialect::X;\nmacro_rules! m { () => { $crate::store::Backend } }"),
        ("http/auth/mod.rs", "use super::extract::cookie;\nuse crate::http::AppData;"),
        ("http/routes.rs", "use super::{admin, auth};"),
    ] {
        assert!(!is_wrong(path, code), "{path}: {code}");
    }
}

/// Files of a module, as paths below `src`, without their unit tests and comments.
fn code_of(module: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let single = source().join(format!("{module}.rs"));
    if single.exists() {
        files.push(single);
    } else {
        collect(&source().join(module), &mut files);
    }
    assert!(!files.is_empty(), "module {module} is gone");
    let read = |path: PathBuf| {
        let code = without_tests(&fs::read_to_string(&path).unwrap());
        (path.strip_prefix(source()).unwrap().to_owned(), code)
    };
    files.into_iter().map(read).collect()
}

/// A text without the block `mod tests` at its end and without its lines of comments. Other code under `#[cfg(test)]`
/// stays, and so does everything after it.
fn without_tests(text: &str) -> String {
    let code = match text.rsplit_once("\n#[cfg(test)]\nmod tests {\n") {
        // A brace in the first column ends the block. A block with more code after it is not left out.
        Some((code, tests)) if tests.find("\n}\n").is_none_or(|end| end + 3 == tests.len()) => code,
        _ => text,
    };
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join("\n")
}

#[test]
fn only_unit_tests_at_the_end_are_left_out() {
    let tests = "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
    for (text, code) in [
        (format!("fn a() {{}}\n// no\n\n{tests}"), "fn a() {}"),
        (
            format!("#[cfg(test)]\nfn a() {{}}\n\nfn b() {{}}\n\n{tests}"),
            "#[cfg(test)]\nfn a() {}\n\nfn b() {}",
        ),
        ("#[cfg(test)]\nmod tests;\n\nfn b() {}\n".to_owned(), "#[cfg(test)]\nmod tests;\n\nfn b() {}"),
    ] {
        assert_eq!(without_tests(&text), code);
    }
    assert!(without_tests(&format!("fn a() {{}}\n\n{tests}\nfn b() {{}}\n")).contains("fn b()"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
