//! The house rules: which room may import what. Fails when an arrow points the wrong way.

use std::fs;
use std::path::{Path, PathBuf};

/// Room, what of this crate it may import, and which crates it must never name.
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    ("clock", &[], &["sqlx", "actix_web", "tokio", "reqwest"]),
    ("domain", &[], &["sqlx", "actix_web", "tokio", "reqwest", "rsa", "aws_lc_rs"]),
    ("store", &["domain"], &["actix_web", "rsa", "aws_lc_rs", "jsonwebtoken", "argon2"]),
    ("passwords", &["domain"], &["sqlx", "actix_web"]),
    ("keys", &["domain"], &["sqlx", "actix_web", "tokio"]),
    ("tokens", &["domain", "keys"], &["sqlx", "actix_web", "tokio"]),
    ("throttle", &["domain", "keys"], &["sqlx", "actix_web", "tokio"]),
    ("ledger", &["domain"], &["sqlx", "actix_web", "tokio"]),
    ("tls", &[], &["sqlx", "actix_web"]),
    ("outbound", &[], &["sqlx", "actix_web"]),
    ("settings", &["domain", "keys", "passwords", "tls"], &["sqlx", "actix_web"]),
    ("views", &["domain"], &["sqlx", "actix_web", "tokio"]),
    ("app", &["clock", "keys", "ledger", "passwords", "settings", "store"], &["sqlx", "actix_web"]),
    (
        "flows",
        &[
            "app",
            "clock",
            "domain",
            "keys",
            "ledger",
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

#[test]
fn every_room_imports_only_what_it_may() {
    let mut offences = Vec::new();
    for (room, may, never) in ROOMS {
        for (path, code) in code_of(room) {
            for line in code.lines() {
                let imported = imports(line);
                for other in &imported {
                    if other != room && !may.contains(&other.as_str()) {
                        offences.push(format!("{}: {room} imports {other}: {line}", path.display()));
                    }
                }
                for banned in *never {
                    if line.contains(&format!("{banned}::")) {
                        offences.push(format!("{}: {room} names {banned}: {line}", path.display()));
                    }
                }
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_room_is_in_the_table_and_opens_with_a_paragraph() {
    let mut rooms: Vec<String> = fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|room| room != "lib" && room != "main")
        .collect();
    rooms.sort();
    let mut named: Vec<&str> = ROOMS.iter().map(|(room, ..)| *room).collect();
    named.sort_unstable();
    assert_eq!(rooms, named);
    for room in rooms {
        let (file, folder) = (source().join(format!("{room}.rs")), source().join(&room).join("mod.rs"));
        let code = fs::read_to_string(if file.exists() { file } else { folder }).unwrap();
        assert!(code.starts_with("//! "), "{room} has no opening paragraph");
    }
}

#[test]
fn sql_is_written_in_the_store_only() {
    for (room, ..) in ROOMS.iter().filter(|(room, ..)| *room != "store") {
        for (path, code) in code_of(room) {
            for statement in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE FROM", "\"BEGIN"] {
                assert!(!code.contains(statement), "{}: {statement}", path.display());
            }
        }
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

/// Crate-level rooms a line names: `use crate::{…}` and paths such as `crate::store::Db`.
fn imports(line: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let name = |text: &str| {
            text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned()
        };
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(list.trim_end_matches([';', '}']).split(',').map(name)),
            None => rooms.push(name(rest)),
        }
    }
    rooms.retain(|room| ROOMS.iter().any(|(known, ..)| known == room));
    rooms
}

/// Files of a room without their unit tests and comments.
fn code_of(room: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let single = source().join(format!("{room}.rs"));
    if single.exists() {
        files.push(single);
    } else {
        collect(&source().join(room), &mut files);
    }
    assert!(!files.is_empty(), "room {room} is gone");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (path, lines.join("\n"))
        })
        .collect()
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
